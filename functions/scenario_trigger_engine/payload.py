"""What the engine is sent, and which tables it looks at. The shapes every function takes are `shared.events`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.events import Bell, RowChange, ScheduleTick, parse

WATCHED_TABLES = frozenset(
    {"activities", "activity_contacts", "certificates", "notification_preferences", "scenario_rules", "users"}
)


class Schedule(ScheduleTick):
    """A cron tick of the engine's. (What sweeps forgotten marks rings a bell.)"""

    schedule: Literal["scenario-evaluation"]


class OwnedRow(BaseModel):
    """Of `activities`, `certificates` and `notification_preferences`, what says whom a row concerns."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    organization_id: UUID
    user_id: UUID


class UserRow(BaseModel):
    """Of `users`, what says whom it concerns: the person."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    organization_id: UUID
    id: UUID


class ActivityContactRow(BaseModel):
    """Of `activity_contacts`, what says which activity it belongs to."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")
    organization_id: UUID
    activity_id: UUID


type Event = Bell | Schedule | RowChange

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Bell | Schedule | RowChange, Field(discriminator="kind")])


def parse_event(body: bytes) -> Event:
    """Read a verified body.

    Raises:
        MalformedBody: not JSON, or not one of the three shapes; `details` names places and reasons, no values.
    """
    return parse(EVENT, body)
