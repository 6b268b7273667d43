"""What the function is sent, and which tables it looks at. The shapes every function takes are `shared.events`.

Cron has no words of its own here: what is due is rung for as anything else is.
"""

from typing import Annotated

from pydantic import Field, TypeAdapter

from shared.events import Bell, RowChange, parse

WATCHED_TABLES = frozenset({"notifications"})

type Event = Bell | RowChange

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Bell | RowChange, Field(discriminator="kind")])


def parse_event(body: bytes) -> Event:
    """Read a verified body.

    Raises:
        MalformedBody: not JSON, or not one of the shapes; `details` names places and reasons, no values.
    """
    return parse(EVENT, body)
