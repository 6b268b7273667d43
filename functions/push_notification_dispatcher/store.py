"""Everything the function asks of the database; its only file that names an RPC or a table.

Each call is one transaction. The clock `now` is an argument throughout; None leaves it to the database's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from functions.push_notification_dispatcher.providers.protocol import Message, Result
from shared.supabase_client import Supabase


class DeclaredProviders(BaseModel):
    """Which push services the database had not heard of."""

    new: list[str]


class ClaimedMessage(BaseModel):
    """A push to one device, and whose it is until the lease is over."""

    organization_id: UUID
    outbox_id: UUID
    lease: int
    device_id: UUID
    provider: str
    token: str
    title: str
    body: str
    collapse_key: str
    expires_at: AwareDatetime
    data: dict[str, str] = Field(default_factory=dict)

    def message(self) -> Message:
        """The part a provider is told."""
        return Message(self.device_id, self.token, self.title, self.body, self.collapse_key, self.expires_at, self.data)


class Claim(BaseModel):
    """What one claim took: messages to send, and how many pushes were held back by which gate, which is written."""

    claimed: int
    messages: list[ClaimedMessage]
    held: dict[str, int] = Field(default_factory=dict)
    more: bool = False


class Confirmation(BaseModel):
    """Which of the pushes asked about may still be sent."""

    going: set[UUID]
    held: dict[str, int] = Field(default_factory=dict)


class Recorded(BaseModel):
    """What followed for pushes from their outcomes. `lost`: another has them by now; nothing was recorded of these."""

    recorded: int
    states: dict[str, int] = Field(default_factory=dict)
    deactivated: int = 0
    lost: list[UUID] = Field(default_factory=list[UUID])


class GivenBack(BaseModel):
    """How many pushes are anybody's again."""

    given_back: int


class Receipt(BaseModel):
    """A message whose receipt is due. `provider` is None where the device is gone."""

    organization_id: UUID
    outbox_id: UUID
    device_id: UUID
    provider: str | None
    provider_id: str


class Receipts(BaseModel):
    """Some of the receipts that are due."""

    receipts: list[Receipt]
    more: bool = False


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a push is tried."""

    max_attempts: int
    first_retry_seconds: int
    longest_retry_seconds: int

    def params(self) -> dict[str, object]:
        """The policy as the RPCs take it."""
        return {
            "p_max_attempts": self.max_attempts,
            "p_first_retry_seconds": self.first_retry_seconds,
            "p_longest_retry_seconds": self.longest_retry_seconds,
        }


class OutboxStore:
    """The function's port to the database."""

    def __init__(self, supabase: Supabase, policy: RetryPolicy) -> None:
        self._supabase = supabase
        self._policy = policy

    async def declare_providers(self, names: Sequence[str]) -> None:
        """Let devices have tokens of these push services. Repeatable."""
        await self._supabase.rpc("declare_push_providers", {"p_names": names}, DeclaredProviders)

    async def claim(self, holder: UUID, limit: int, lease_seconds: int, now: datetime | None) -> Claim:
        """Take pushes that are due, judged at this moment. What a lost answer took is free when its lease is over."""
        params = {"p_holder": holder, "p_limit": limit, "p_lease_seconds": lease_seconds, "p_now": now}
        return await self._supabase.rpc("claim_outbox", params, Claim)

    async def confirm(
        self, holder: UUID, pushes: Iterable[ClaimedMessage], lease_seconds: int, now: datetime | None
    ) -> Confirmation:
        """Judge once more what was claimed a while ago. Repeatable."""
        params = {"p_holder": holder, "p_pushes": _pushes(pushes), "p_lease_seconds": lease_seconds, "p_now": now}
        return await self._supabase.rpc("confirm_outbox", params, Confirmation)

    async def record(
        self, holder: UUID, outcomes: Sequence[tuple[ClaimedMessage, Result]], now: datetime | None
    ) -> Recorded:
        """Record what providers said, all devices of a push in one call. Repeatable: a lease records once."""
        rows = [
            {
                "organization_id": message.organization_id,
                "outbox_id": message.outbox_id,
                "lease": message.lease,
                "device_id": message.device_id,
                **_outcome(result),
            }
            for message, result in outcomes
        ]
        params = {"p_holder": holder, "p_outcomes": rows, "p_now": now, **self._policy.params()}
        return await self._supabase.rpc("record_outbox", params, Recorded)

    async def give_back(self, holder: UUID, pushes: Iterable[ClaimedMessage], now: datetime | None) -> int:
        """Give back what was claimed and not sent. Repeatable: no effect on what the holder no longer has."""
        params = {"p_holder": holder, "p_pushes": _pushes(pushes), "p_now": now}
        return (await self._supabase.rpc("give_back_outbox", params, GivenBack)).given_back

    async def claim_receipts(self, limit: int, lease_seconds: int, now: datetime | None) -> Receipts:
        """Take messages whose receipt is due. Repeatable: what a lost answer took is due again after the lease."""
        params = {"p_limit": limit, "p_lease_seconds": lease_seconds, "p_now": now}
        return await self._supabase.rpc("claim_receipts", params, Receipts)

    async def record_receipts(
        self, receipts: Sequence[tuple[Receipt, Result | None]], now: datetime | None
    ) -> Recorded:
        """Record receipts; None: not known yet. Repeatable: one that was recorded is no longer awaited."""
        rows = [
            {
                **receipt.model_dump(include={"organization_id", "outbox_id", "device_id", "provider_id"}),
                "verdict": None if result is None else str(result.verdict),
                "reason": None if result is None else result.reason,
                "retry_after": None if result is None else result.retry_after,
            }
            for receipt, result in receipts
        ]
        params = {"p_outcomes": rows, "p_now": now, **self._policy.params()}
        return await self._supabase.rpc("record_receipts", params, Recorded)


def _outcome(result: Result) -> dict[str, object]:
    return {
        "verdict": str(result.verdict),
        "provider_id": result.provider_id,
        "reason": result.reason,
        "retry_after": result.retry_after,
        "awaits_receipt": result.awaits_receipt,
    }


def _pushes(messages: Iterable[ClaimedMessage]) -> list[dict[str, object]]:
    # A push to several devices is named once.
    found = {message.outbox_id: message for message in messages}
    return [message.model_dump(include={"organization_id", "outbox_id", "lease"}) for message in found.values()]
