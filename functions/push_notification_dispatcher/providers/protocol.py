"""What the dispatcher asks of a push provider. Adding one is one file here and one line in `__init__.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID


class Verdict(StrEnum):
    """What became of one message for one device."""

    SENT = "sent"
    DEVICE_GONE = "device_gone"  # the token is no longer any device's: deactivate it, never try it again
    RETRY = "retry"  # nobody's fault: try again later
    REFUSED = "refused"  # this message will never be taken


@dataclass(frozen=True, slots=True)
class Message:
    """One push to one device. `collapse_key` is the same at every attempt: a repeat replaces what it repeats."""

    device_id: UUID
    token: str
    title: str
    body: str
    collapse_key: str
    expires_at: datetime
    data: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Result:
    """`provider_id` names the message at the provider. `retry_after`: seconds the provider asked for."""

    verdict: Verdict
    provider_id: str | None = None
    reason: str | None = None
    retry_after: float | None = None
    awaits_receipt: bool = False


class Provider(Protocol):
    """A push service. One object per event loop; sends concurrently, bounded by its own settings."""

    name: str

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        """One result per message, in order, whatever happens on the way: never raises for what a provider does."""
        ...

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:
        """What became of messages that await a receipt; those missing are not known yet. Empty where there are none."""
        ...

    async def close(self) -> None:
        """Give the connections back. Idempotent."""
        ...
