"""What the database answers about pushes. Unknown keys are kept, so that `--json` loses nothing."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Push(_Answer):
    """One push, as it stands in a list."""

    organization_id: UUID
    outbox_id: UUID
    user_id: UUID
    full_name: str
    scenario: str
    state: str
    skipped_reason: str | None = None
    attempts: int
    last_error: str | None = None
    created_at: AwareDatetime
    release_at: AwareDatetime
    next_attempt_at: AwareDatetime | None = None
    settled_at: AwareDatetime | None = None


class Page(_Answer):
    """Some pushes, newest first. `next` is handed back for those that follow; None: there are none."""

    rows: list[Push]
    next: dict[str, Any] | None = None


class DeviceOutcome(_Answer):
    """What became of a push on one device; without a provider, the device has been erased since."""

    device_id: UUID
    provider: str | None = None
    platform: str | None = None
    is_active: bool | None = None
    verdict: str
    reason: str | None = None
    attempts: int
    attempted_at: AwareDatetime
    provider_id: str | None = None
    receipt_due_at: AwareDatetime | None = None


class Event(_Answer):
    """Something out of the ordinary that happened on the way."""

    at: AwareDatetime
    event: str
    reason: str | None = None


class WholePush(Push):
    """One push with its words, devices and history. `problem`: why it has no words."""

    title: str | None = None
    body: str | None = None
    problem: str | None = None
    devices: list[DeviceOutcome]
    history: list[Event]


class Retried(_Answer):
    """What came of trying one push again."""

    outbox_id: UUID
    outcome: str
    was: str
    skipped_reason: str | None = None


class Replayed(_Answer):
    """How many dead letters were put back, and whether there may be more."""

    replayed: int
    more: bool


class Status(_Answer):
    """What waits, what failed, what is dead."""

    due: int
    oldest_due_at: AwareDatetime | None = None
    pending: int
    deferred: int
    claimed: int
    failed: int
    dead: int
    receipts: int
