"""The run ledger: long work in chunks, each one transaction, resumable by whoever comes next.

A run is worked by everybody who asks, each on a slice of the people with a lease of its own. Who finds nothing left
to take hears "busy"; the slice of a holder that died goes to the next once its lease is over. Work stops at its time
budget, gives back what is in hand, and the next tick goes on there. What a chunk does is the caller's: this module
only paces. Source: rules.md §3 "Scheduled run".
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid4

from pydantic import AwareDatetime, BaseModel

from shared.errors import DatabaseError, DatabaseTimeout, DatabaseUnavailable, LeaseLost
from shared.logs import bound, get_logger
from shared.supabase_client import Supabase

log = get_logger(__name__)

type Counts = dict[str, dict[str, int]]


class RunStart(BaseModel):
    """The ledger's answer to a holder who wants to work: it has people in hand, or is `busy` and others have.

    `as_of` is the run's clock. When busy, `held_by` is whose lease ends first, at `lease_until`.
    """

    state: Literal["started", "resumed", "busy"]
    run_id: int | None = None
    as_of: AwareDatetime | None = None
    lease_until: AwareDatetime | None = None
    held_by: UUID | None = None


class ChunkResult(BaseModel):
    """What one chunk did. `done` ends the run; without `more` all that is left is in the hands of others."""

    done: bool
    more: bool = True
    people: int = 0
    counts: Counts = {}


class RunReport(BaseModel):
    """The ledger's row, summed over all chunks of all holders. `state` may be one this version does not know.

    `running`: somebody works on it, or died doing so. `in_progress`: it was given back by all.
    """

    run_id: int
    kind: str
    state: str
    as_of: AwareDatetime | None = None
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    people: int = 0
    chunks: int = 0
    counts: Counts = {}


class RunOutcome(BaseModel):
    """How a call of `RunLedger.work` ended. All four are normal; what happens next is the same: the next tick looks.

    `finished`: nobody is left. `in_progress`: stopped at the time budget or on shutdown, what was in hand given back;
    or, without `stopped_by`, others work on all that is left. `busy`: others did from the beginning. `lease_lost`:
    another holder took over in the middle, as after a long stall.
    """

    outcome: Literal["finished", "in_progress", "busy", "lease_lost"]
    run: RunReport | None = None
    stopped_by: Literal["time_budget", "shutdown"] | None = None
    chunks_here: int = 0
    people_here: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """How to work: seconds, people in a chunk, seconds of lease. The clock is an argument and monotonic.

    A chunk that exceeds the statement time-out is halved, down to `smallest_chunk`: where a single person can be dear,
    that is 1; where people cost alike, a small chunk that is too slow says that the database is.
    """

    time_budget: float
    chunk_size: int
    lease_seconds: int
    monotonic: Callable[[], float]
    stopping: Callable[[], bool]
    smallest_chunk: int = 50


type Chunk = Callable[[int, UUID, int], Awaitable[ChunkResult]]
"""Do `size` people that `holder` has in hand of run `run_id`, and take as many: in one transaction."""


@dataclass(slots=True)
class _Progress:
    chunks: int = 0
    people: int = 0
    size: int = 0
    began: float = 0.0
    longest: float = field(default=0.0)


class RunLedger:
    """Client of the ledger's RPCs. Stateless: any instance may hold, lose and resume any run."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def start(
        self, kind: str, holder: UUID, lease_seconds: int, people: int, now: datetime | None = None
    ) -> RunStart:
        """Join the open run or begin one, and take its next `people`. Repeatable: the same holder gets its own again.

        Raises:
            DatabaseError: any of its kinds.
        """
        params = {
            "p_kind": kind,
            "p_holder": holder,
            "p_now": now,
            "p_lease_seconds": lease_seconds,
            "p_chunk_size": people,
        }
        return await self._supabase.rpc("start_run", params, RunStart)

    async def pause(self, run_id: int, holder: UUID) -> RunReport:
        """Give back what is in hand. Repeatable: no effect for anybody but the holder.

        Raises:
            DatabaseError: any of its kinds.
        """
        return await self._supabase.rpc("pause_run", {"p_run_id": run_id, "p_holder": holder}, RunReport)

    async def report(self, run_id: int) -> RunReport:
        """Read the run's row.

        Raises:
            DatabaseError: any of its kinds.
        """
        return await self._supabase.rpc("run_report", {"p_run_id": run_id}, RunReport)

    async def work(self, kind: str, chunk: Chunk, pace: Pace, now: datetime | None = None) -> RunOutcome:
        """Start or join the run of `kind` and work until nothing is left to take or time is over.

        At least one chunk is done, however small the budget, so that every tick makes progress. Cancellation and
        shutdown let the chunk under way finish, then give back what is in hand. A chunk that exceeds the statement
        time-out is halved instead of failing for ever. A clock `now` other than the run's is `busy` while others work
        by that one.

        Raises:
            DatabaseError: any of its kinds; what is in hand is given back if the database can be reached, and its
                lease lapses otherwise. Nothing done is undone: each chunk is a transaction.
        """
        holder = uuid4()
        start = await self.start(kind, holder, pace.lease_seconds, pace.chunk_size, now)
        if start.state == "busy" or start.run_id is None:
            log.info("run_busy", kind=kind, held_by=start.held_by)
            return RunOutcome(outcome="busy")
        with bound(run_id=start.run_id):
            log.info("run_taken", state=start.state, kind=kind, as_of=start.as_of)
            return await self._work(start.run_id, holder, chunk, pace)

    async def _work(self, run_id: int, holder: UUID, chunk: Chunk, pace: Pace) -> RunOutcome:
        progress = _Progress(size=pace.chunk_size, began=pace.monotonic())
        try:
            stopped_by = await self._chunks(run_id, holder, chunk, pace, progress)
            report = await (self.pause(run_id, holder) if stopped_by else self.report(run_id))
        except LeaseLost:
            return await self._after_lease_lost(run_id, progress)
        except DatabaseUnavailable:
            raise  # the lease cannot be given back either; it lapses by itself
        except (DatabaseError, asyncio.CancelledError):
            await self._give_back(run_id, holder)
            raise
        outcome = "finished" if report.state == "finished" else "in_progress"
        totals = report.model_dump(include={"people", "chunks", "counts"})
        log.info("run_left", outcome=outcome, stopped_by=stopped_by, **totals)
        return RunOutcome(
            outcome=outcome,
            run=report,
            stopped_by=stopped_by,
            chunks_here=progress.chunks,
            people_here=progress.people,
        )

    async def _chunks(
        self, run_id: int, holder: UUID, chunk: Chunk, pace: Pace, progress: _Progress
    ) -> Literal["time_budget", "shutdown"] | None:
        while True:
            began = pace.monotonic()
            try:
                result = await _to_its_end(chunk(run_id, holder, progress.size))
            except DatabaseTimeout as error:
                if error.may_have_run or progress.size <= pace.smallest_chunk:
                    raise
                progress.size = max(progress.size // 2, pace.smallest_chunk)
                log.warning("run_chunk_halved", size=progress.size)
                continue
            ended = pace.monotonic()
            progress.chunks += 1
            progress.people += result.people
            progress.longest = max(progress.longest, ended - began)
            if result.done or not result.more:
                return None
            if pace.stopping():
                return "shutdown"
            # The next chunk may take as long as the longest so far; the platform's own time-out would cut it off.
            if ended - progress.began + progress.longest > pace.time_budget:
                return "time_budget"

    async def _after_lease_lost(self, run_id: int, progress: _Progress) -> RunOutcome:
        # A chunk whose answer was lost on the way may have been the last one: then the run is finished, by us.
        report = await self.report(run_id)
        outcome = "finished" if report.state == "finished" else "lease_lost"
        log.info("run_lease_lost", state=report.state)
        return RunOutcome(outcome=outcome, run=report, chunks_here=progress.chunks, people_here=progress.people)

    async def _give_back(self, run_id: int, holder: UUID) -> None:
        try:
            await _to_its_end(self.pause(run_id, holder))
        except DatabaseError as error:
            log.warning("run_lease_not_given_back", reason=error.code)  # it lapses by itself


async def _to_its_end[T](work: Awaitable[T]) -> T:
    """Await work whose answer is wanted even when the waiting task is cancelled; the cancellation follows after."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if task.cancelled():
            raise
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            log.warning("failed_while_cancelled", kind=type(outcome).__name__)
        raise
