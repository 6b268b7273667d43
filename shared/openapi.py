"""What a function takes and answers, in OpenAPI 3.1 and made from its models: a page beside the code would lie one day.

`GET /openapi.json` gives it to anybody. It tells nothing that the sources do not.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.health import HealthReport
from shared.webhooks import ID_HEADER, SHARED_SECRET_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER

PATH = "/openapi.json"
# Of this contract, and not of a release: what a caller may rely on.
_CONTRACT = "1.0.0"
_SCHEMAS = "#/components/schemas/"


class Problem(BaseModel):
    """Every error has this shape. Branch on `code`, never on `message`."""

    model_config = ConfigDict(extra="forbid")
    code: str
    message: str
    details: Any
    hint: str | None


class Alive(BaseModel):
    """The process answers."""

    status: str
    function: str


@dataclass(frozen=True)
class FunctionApi:
    """A function as its callers see it: its name, the events it takes, and what it answers to them."""

    name: str
    event: TypeAdapter[Any]
    outcome: type[BaseModel]

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        schemas = _schemas(
            self.event, {"Outcome": self.outcome, "Problem": Problem, "Alive": Alive, "Deep": HealthReport}
        )
        return {
            "openapi": "3.1.0",
            "info": {"title": f"Attend: {self.name}", "version": _CONTRACT, "license": {"name": "Apache-2.0"}},
            "paths": {
                "/": {"post": _event()},
                "/health": {
                    "get": _reading("alive", "Whether the process answers. Asks nobody else.", {"200": "Alive"})
                },
                "/health/deep": {"get": _deep()},
                PATH: {"get": _reading("describe", "This document.", {})},
            },
            "components": {"schemas": schemas, "securitySchemes": _SECURITY},
        }


_SECURITY = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE_HEADER,
        "description": f"Standard Webhooks: v1 and the HMAC of {ID_HEADER}, {TIMESTAMP_HEADER} and the raw body.",
    },
    "sharedSecret": {
        "type": "apiKey",
        "in": "header",
        "name": SHARED_SECRET_HEADER,
        "description": "Hooks made in the dashboard: row payloads alone.",
    },
}


def _schemas(event: TypeAdapter[Any], others: dict[str, type[BaseModel]]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def add(name: str, schema: dict[str, Any]) -> None:
        found.update(schema.pop("$defs", {}))
        found[name] = schema

    add("Event", event.json_schema(ref_template=f"{_SCHEMAS}{{model}}"))
    for name, model in others.items():
        add(name, TypeAdapter(model).json_schema(ref_template=f"{_SCHEMAS}{{model}}"))
    return dict(sorted(found.items()))


def _answer(schema: str, description: str) -> dict[str, Any]:
    header = {"x-request-id": {"schema": {"type": "string"}, "required": True, "description": "On every log line too."}}
    return {
        "description": description,
        "headers": header,
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + schema}}},
    }


_PROBLEMS = {
    "400": "Not JSON, not an event this function knows, or refused by a rule of the database.",
    "401": "Not signed by anybody this function knows, or more than five minutes ago or ahead.",
    "403": "Refused by a rule of the database.",
    "404": "Refused by a rule of the database: it is not there.",
    "408": "The body was not whole in time.",
    "409": "Refused by a rule of the database.",
    "413": "Larger than ATTEND_MAX_BODY_BYTES; the rest was not read.",
    "415": "Announced as something else than plain JSON.",
    "500": "A setting is missing or unusable (named), or nobody foresaw it.",
    "503": "The database cannot be reached, or has no time: again after Retry-After. Nothing is lost.",
}


def _problems(*statuses: str) -> dict[str, Any]:
    return {status: _answer("Problem", _PROBLEMS[status]) for status in statuses}


def _header(name: str, pattern: str, description: str) -> dict[str, Any]:
    # Not required: a hook of the dashboard has none of them.
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": description}


def _event() -> dict[str, Any]:
    return {
        "operationId": "handle_event",
        "summary": "A bell, a schedule's tick, or a row payload.",
        "description": "The same webhook-id twice: the same answer, no new effect.",
        "security": [{"signature": []}, {"sharedSecret": []}],
        "parameters": [
            _header(ID_HEADER, "^[A-Za-z0-9_:-]{1,128}$", "The sender's, the same for every repetition."),
            _header(TIMESTAMP_HEADER, "^(0|[1-9][0-9]{0,11})$", "Seconds since 1970."),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": f"{_SCHEMAS}Event"}}}},
        "responses": {"200": _answer("Outcome", "What was done.")} | _problems(*_PROBLEMS),
    }


def _reading(operation: str, summary: str, answers: dict[str, str]) -> dict[str, Any]:
    anything = {"description": summary, "content": {"application/json": {"schema": {"type": "object"}}}}
    responses = {status: _answer(schema, summary) for status, schema in answers.items()}
    return {"operationId": operation, "summary": summary, "responses": responses or {"200": anything}}


def _deep() -> dict[str, Any]:
    said = {"200": _answer("Deep", "All is well with it."), "503": _answer("Deep", "It is not.")}
    for answer in said.values():
        either = [{"$ref": f"{_SCHEMAS}Alive"}, {"$ref": f"{_SCHEMAS}Deep"}]
        answer["content"]["application/json"]["schema"] = {"anyOf": either}
    return {
        "operationId": "deep_health",
        "summary": "Whether all is well with this function; to whoever signs the empty body, everything.",
        "security": [{}, {"signature": []}, {"sharedSecret": []}],
        "responses": said | _problems("401", "500"),
    }
