"""The dispatcher: claims what is due, sends it, records what became of it, until nothing is due or time is over.

SQL judges every push at the moment of its claim, because preference, cap, quiet hours and condition are rows; this
class hands what goes to the providers, and sees to it that every claim ends: recorded, or given back. Where neither is
possible (the process is killed), the lease ends it. Source: rules.md §3, §6; issue "Delivery".
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from pydantic import BaseModel

from functions.push_notification_dispatcher.payload import WATCHED_TABLES, Event
from functions.push_notification_dispatcher.providers.protocol import Result
from functions.push_notification_dispatcher.sending import Providers
from functions.push_notification_dispatcher.store import Claim, ClaimedMessage, OutboxStore, Receipt
from shared.errors import DatabaseConflict, DatabaseTimeout, DatabaseUnavailable
from shared.events import concerns
from shared.logs import bound, get_logger

log = get_logger(__name__)

type Outcomes = list[tuple[ClaimedMessage, Result]]

# Older than this, a claim is judged once more before it is sent: whoever opted out a minute ago is not told.
_FRESH_SECONDS = 1.0
_RECORD_AGAIN_SECONDS = 1.0
# Somebody is just deciding about the person: private.hold_pushes puts such a push off for a second.
_BUSY = "busy"
_BUSY_SECONDS = 1.0
_RECEIPTS = 1_000


class DispatchOutcome(BaseModel):
    """The answer to an event. Both are normal; absent parts are left out of the JSON.

    `dispatched`: `claimed` pushes were judged; `held` were not sent, by which gate; the others are by now in `states`.
    `lost` were taken over by another dispatcher meanwhile. `more`: something may be left, as time is over, or another
    call of this instance waits for its turn and claims for this one, too. `ignored`: nothing to do, for `reason`.
    """

    outcome: Literal["dispatched", "ignored"]
    reason: str | None = None
    table: str | None = None
    claimed: int | None = None
    held: dict[str, int] | None = None
    states: dict[str, int] | None = None
    receipts: int | None = None
    lost: int | None = None
    given_back: int | None = None
    more: bool | None = None
    stopped_by: Literal["time_budget", "shutdown"] | None = None


@dataclass(frozen=True, slots=True)
class DispatchPace:
    """How to work: seconds, pushes in a claim and in a slice of it, seconds of lease. The clock is monotonic."""

    time_budget: float
    batch: int
    slice: int
    lease_seconds: int
    monotonic: Callable[[], float]
    stopping: Callable[[], bool]
    lanes: int = 2
    """Claims in hand at once, over all calls of an instance: while one is sent, the next is fetched. Bells come every
    second and what is claimed has a lease: if each call claimed for itself, all would be claimed and little sent."""
    slices: int = 2
    """Slices with the providers at once, over all calls of an instance: their connections are busy, and nothing that
    is claimed waits long behind them."""


@dataclass(slots=True)
class _Work:
    holder: UUID
    now: datetime | None
    began: float
    has_claimed: bool = False
    claimed: int = 0
    held: Counter[str] = field(default_factory=Counter[str])
    states: Counter[str] = field(default_factory=Counter[str])
    receipts: int = 0
    lost: int = 0
    given_back: int = 0
    more: bool = False
    stopped_by: Literal["time_budget", "shutdown"] | None = None


class PushDispatcher:
    """Any number of instances may work at once: each push is one holder's at a time."""

    def __init__(self, store: OutboxStore, providers: Providers, pace: DispatchPace) -> None:
        self._store = store
        self._providers = providers
        self._pace = pace
        self._claims = asyncio.Semaphore(pace.lanes)
        self._slots = asyncio.Semaphore(pace.slices)
        self._declared = False
        self._next: _Work | None = None

    async def handle_database_event(self, event: Event, *, now: datetime | None = None) -> DispatchOutcome:
        """Answer a bell or a row payload; what concerns no notification is `ignored`.

        Raises:
            DatabaseError: any of its kinds. What was claimed and could not be recorded is free when its lease is over.
        """
        if not concerns(event, WATCHED_TABLES):
            log.info("event_ignored", schema=event.schema_name, table=event.table)
            return DispatchOutcome(outcome="ignored", reason="unknown_table", table=event.table)
        return await self.dispatch(now=now)

    async def dispatch(self, *, now: datetime | None = None) -> DispatchOutcome:
        """Send what is due and ask for receipts, until nothing is due or time is over.

        A claim is made however small the budget, and however long it waited for others. On shutdown what is with the
        providers is finished and recorded, and the rest of what is claimed is given back.

        Raises:
            DatabaseError: any of its kinds, after everything in hand came to its end.
        """
        if not self._declared:
            await self._store.declare_providers(self._providers.services)
            self._declared = True
        if now is None and self._next is not None:
            # Bells come every second: however long those at work take, one call that waits for them claims for all.
            return DispatchOutcome(outcome="dispatched", claimed=0, more=True)
        work = _Work(holder=uuid4(), now=now, began=self._pace.monotonic())
        with bound(holder=str(work.holder)):
            lanes = [self._lane(work) for _ in range(self._pace.lanes)]
            # Nobody's failure may cancel what another has with a provider: all come to their end first.
            failures = [
                failure
                for failure in await asyncio.gather(*lanes, self._receipts(work), return_exceptions=True)
                if failure is not None
            ]
            outcome = DispatchOutcome(
                outcome="dispatched",
                claimed=work.claimed,
                held=dict(work.held) or None,
                states=dict(work.states) or None,
                receipts=work.receipts or None,
                lost=work.lost or None,
                given_back=work.given_back or None,
                more=work.more,
                stopped_by=work.stopped_by,
            )
            log.info("pushes_dispatched", **outcome.model_dump(exclude_none=True, exclude={"outcome"}))
        if failures:
            raise failures[0]
        return outcome

    async def _lane(self, work: _Work) -> None:
        while True:
            if work.now is None and self._claims.locked():
                self._next = self._next or work
            try:
                async with self._claims:
                    # Before the first claim: who joined until now has it claimed for, who comes later waits.
                    self._leave_next(work)
                    is_put_off = await self._work_off(work)
            finally:
                self._leave_next(work)
            if not is_put_off:
                return
            await asyncio.sleep(_BUSY_SECONDS)

    def _leave_next(self, work: _Work) -> None:
        if self._next is work:
            self._next = None

    async def _work_off(self, work: _Work) -> bool:
        """Claim and deliver until nothing is due; whether some of it was put off for a second."""
        size = self._pace.batch
        busy = work.held[_BUSY]
        while True:
            if self._is_over(work):
                work.more = True
                return False
            try:
                claim = await self._store.claim(work.holder, size, self._pace.lease_seconds, work.now)
            except DatabaseTimeout as error:
                if error.may_have_run or size == 1:
                    raise
                size = max(size // 2, 1)
                log.warning("claim_halved", size=size)
                continue
            work.has_claimed = True
            work.claimed += claim.claimed
            work.held.update(claim.held)
            await self._deliver(claim, work)
            if not claim.more:
                # A clock that is given stands still: by it what was put off would never be due.
                return work.held[_BUSY] > busy and work.now is None

    def _is_over(self, work: _Work) -> bool:
        if self._pace.stopping():
            work.stopped_by = "shutdown"
        # However long it waited for its turn: others were answered that it claims for them, too.
        elif work.has_claimed and self._pace.monotonic() - work.began >= self._pace.time_budget:
            work.stopped_by = "time_budget"
        return work.stopped_by is not None

    async def _deliver(self, claim: Claim, work: _Work) -> None:
        claimed_at = self._pace.monotonic()
        # By push and not by message: a push settles when all its devices are recorded together.
        pushes: dict[UUID, list[ClaimedMessage]] = defaultdict(list)
        for message in claim.messages:
            pushes[message.outbox_id].append(message)
        ordered = list(pushes.values())
        slices = [ordered[at : at + self._pace.slice] for at in range(0, len(ordered), self._pace.slice)]
        results = await asyncio.gather(
            *(self._slice([message for push in part for message in push], claimed_at, work) for part in slices),
            return_exceptions=True,
        )
        for failure in results:
            if failure is not None:
                raise failure

    async def _slice(self, messages: list[ClaimedMessage], claimed_at: float, work: _Work) -> None:
        async with self._slots:
            if self._pace.stopping():
                work.stopped_by = "shutdown"
                work.given_back += await self._store.give_back(work.holder, messages, work.now)
                return
            if self._pace.monotonic() - claimed_at > _FRESH_SECONDS:
                messages = await self._confirmed(messages, work)
                claimed_at = self._pace.monotonic()
            outcomes = await self._send(messages)
        if outcomes:
            await self._record(outcomes, claimed_at, work)

    async def _confirmed(self, messages: list[ClaimedMessage], work: _Work) -> list[ClaimedMessage]:
        answer = await self._store.confirm(work.holder, messages, self._pace.lease_seconds, work.now)
        work.held.update(answer.held)
        return [message for message in messages if message.outbox_id in answer.going]

    async def _send(self, messages: Sequence[ClaimedMessage]) -> Outcomes:
        by_provider: dict[str, list[ClaimedMessage]] = defaultdict(list)
        for message in messages:
            by_provider[message.provider].append(message)

        async def to(name: str, those: list[ClaimedMessage]) -> Outcomes:
            results = await self._providers.send(name, [message.message() for message in those])
            return list(zip(those, results, strict=True))

        parts = await asyncio.gather(*(to(name, those) for name, those in by_provider.items()))
        return [outcome for part in parts for outcome in part]

    async def _record(self, outcomes: Outcomes, claimed_at: float, work: _Work) -> None:
        while True:
            try:
                recorded = await self._store.record(work.holder, outcomes, work.now)
                break
            except (DatabaseUnavailable, DatabaseConflict, DatabaseTimeout):
                # What is not recorded is sent again: worth waiting for, as long as nobody else can have it.
                if self._pace.monotonic() - claimed_at >= self._pace.lease_seconds:
                    raise
                await asyncio.sleep(_RECORD_AGAIN_SECONDS)
        work.states.update(recorded.states)
        work.lost += len(recorded.lost)
        if recorded.lost:
            log.warning("outcomes_of_lost_leases", pushes=len(recorded.lost))

    async def _receipts(self, work: _Work) -> None:
        while True:
            due = await self._store.claim_receipts(_RECEIPTS, self._pace.lease_seconds, work.now)
            if due.receipts:
                await self._ask(due.receipts, work)
            if not due.more or self._is_over(work):
                return

    async def _ask(self, receipts: Sequence[Receipt], work: _Work) -> None:
        by_provider: dict[str | None, list[Receipt]] = defaultdict(list)
        for receipt in receipts:
            by_provider[receipt.provider].append(receipt)
        for name, those in by_provider.items():
            ids = [receipt.provider_id for receipt in those]
            known: Mapping[str, Result] = {} if name is None else await self._providers.receipts(name, ids)
            recorded = await self._store.record_receipts(
                [(receipt, known.get(receipt.provider_id)) for receipt in those], work.now
            )
            work.receipts += recorded.recorded
            work.states.update(recorded.states)
