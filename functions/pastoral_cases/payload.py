"""What the function is sent, and which tables it looks at. The shapes every function takes are `shared.events`."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.events import Bell, RowChange, ScheduleTick, parse

WATCHED_TABLES = frozenset({"people", "attendance_records"})

type RunKind = Literal["pastoral-cases"]


class Schedule(ScheduleTick):
    """Cron's tick by night. (What sweeps forgotten marks rings a bell.)"""

    schedule: RunKind


type Event = Bell | Schedule | RowChange

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Bell | Schedule | RowChange, Field(discriminator="kind")])


def parse_event(body: bytes) -> Event:
    """Read a verified body.

    Raises:
        MalformedBody: not JSON, or not one of the three shapes; `details` names places and reasons, no values.
    """
    return parse(EVENT, body)
