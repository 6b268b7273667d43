"""What the engine is sent: our own bell, our own schedule, and the standard row payload of Supabase's hooks.

Strict: a number where text belongs is malformed, not converted. Unknown keys are ignored, because the sender (a
migration) and the receiver (a deployment) are never updated in the same instant. Source: rules.md §3 "Event",
platform.md "pg_net".
"""

import json
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shared.errors import MalformedBody

_STRICT = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)

Name = Annotated[str, Field(min_length=1, max_length=63)]
BellId = Annotated[str, Field(min_length=1, max_length=128)]

SCHEMA = "public"
WATCHED_TABLES = frozenset({"activities", "activity_contacts"})


class Bell(BaseModel):
    """Our own doorbell: something was marked. It says where, not who; the marks do."""

    model_config = _STRICT
    kind: Literal["BELL"] = Field(alias="type")
    schema_name: Name = Field(alias="schema")
    table: Name
    bell_id: BellId | None = None


class Schedule(BaseModel):
    """A cron tick. Unknown schedules are malformed: silence would hide a schedule that nobody answers."""

    model_config = _STRICT
    kind: Literal["SCHEDULE"] = Field(alias="type")
    schedule: Literal["scenario-evaluation", "scenario-sweep"]
    bell_id: BellId | None = None


class RowChange(BaseModel):
    """The standard row payload. It is believed in nothing but whom to look at: every decision reads the database."""

    model_config = _STRICT
    kind: Literal["INSERT", "UPDATE", "DELETE"] = Field(alias="type")
    schema_name: Name = Field(alias="schema")
    table: Name
    record: dict[str, Any] | None = None
    old_record: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _has_the_rows_of_its_type(self) -> Self:
        if self.kind in {"INSERT", "UPDATE"} and self.record is None:
            raise ValueError("record is missing")
        if self.kind in {"UPDATE", "DELETE"} and self.old_record is None:
            raise ValueError("old_record is missing")
        return self

    def rows[Row: BaseModel](self, shape: type[Row]) -> list[Row]:
        """Read the new and the old row as `shape`: an update that moves a row concerns the people on both sides.

        Raises:
            MalformedBody: a row lacks what `shape` needs.
        """
        found: list[Row] = []
        for place, row in (("record", self.record), ("old_record", self.old_record)):
            if row is not None:
                # Through JSON, because strict validation accepts a UUID as text only there.
                found.append(_parse(TypeAdapter(shape), json.dumps(row).encode(), place))
        return found


class ActivityRow(BaseModel):
    """Of `activities`, what says whom it concerns."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    organization_id: UUID
    user_id: UUID


class ActivityContactRow(BaseModel):
    """Of `activity_contacts`, what says which activity it belongs to."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    organization_id: UUID
    activity_id: UUID


type Event = Bell | Schedule | RowChange

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Bell | Schedule | RowChange, Field(discriminator="kind")])


def parse_event(body: bytes) -> Event:
    """Read a verified body.

    Raises:
        MalformedBody: not JSON, or not one of the three shapes; `details` names places and reasons, no values.
    """
    return _parse(_EVENT, body, "")


def _parse[T](adapter: TypeAdapter[T], body: bytes, place: str) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        # Neither input nor context: both would repeat what was sent, which may be personal.
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        details = [
            {"at": ".".join(str(part) for part in (place, *problem["loc"]) if part != ""), "problem": problem["type"]}
            for problem in problems[:10]
        ]
    raise MalformedBody("The body is not an event this function knows.", details=details, hint=_HINT)


_HINT = (
    "A bell (type BELL: schema, table, bell_id), a schedule (type SCHEDULE: schedule, bell_id) or a row payload "
    "(type INSERT, UPDATE or DELETE: schema, table, record, old_record)."
)
