"""What every function is sent: our own bell, our own schedule, and the standard row payload of Supabase's hooks.

Strict: a number where text belongs is malformed, not converted. Unknown keys are ignored, because the sender (a
migration) and the receiver (a deployment) are never updated in the same instant. Source: rules.md §3 "Event",
platform.md "pg_net".
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shared.errors import MalformedBody

_STRICT = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)

Name = Annotated[str, Field(min_length=1, max_length=63)]
BellId = Annotated[str, Field(min_length=1, max_length=128)]


class Bell(BaseModel):
    """Our own doorbell: something was marked. It says where, not who; the marks do."""

    model_config = _STRICT
    kind: Literal["BELL"] = Field(alias="type")
    schema_name: Name = Field(alias="schema")
    table: Name
    bell_id: BellId | None = None


class ScheduleTick(BaseModel):
    """A cron tick. Each function adds `schedule`, a literal of those it answers.

    Unknown schedules are malformed: silence would hide a schedule that nobody answers.
    """

    model_config = _STRICT
    kind: Literal["SCHEDULE"] = Field(alias="type")
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
                found.append(parse(TypeAdapter(shape), json.dumps(row).encode(), place))
        return found


def concerns(event: Bell | RowChange, tables: frozenset[str]) -> bool:
    """Whether the event is about one of these tables of the schema `public`."""
    return event.schema_name == "public" and event.table in tables


def parse[T](shape: TypeAdapter[T], body: bytes, place: str = "") -> T:
    """Read a verified body, or the part of one that stands at `place`.

    Raises:
        MalformedBody: not JSON, or not of this shape; `details` names places and reasons, no values.
    """
    try:
        return shape.validate_json(body)
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
