"""Everything the recomputation asks of the database; the only file of this function that names an RPC or a table.

Each call is one transaction. The clock `now` is an argument throughout; None leaves it to the database's own, which is
what production does: two instances whose clocks differ must not decide differently which streaks have ended.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from functions.statistics_recompute.payload import RunKind
from shared.marks import DrainResult
from shared.runs import ChunkResult, Pace, RunLedger, RunOutcome, RunReport
from shared.supabase_client import Supabase


class StatisticsDrainResult(DrainResult):
    """One transaction's worth of marks; `rows` of statistics were written or removed."""

    rows: int = 0


class Waiting(BaseModel):
    """Marks not yet recomputed: how many, of how many people, the oldest since when."""

    waiting: int
    people: int
    oldest_at: AwareDatetime | None = None


class LatestRun(RunReport):
    """The latest run of a kind. At `lease_until` the first who works on it may be followed; None: nobody does."""

    lease_until: AwareDatetime | None = None


class ScheduleState(BaseModel):
    """A schedule that concerns statistics, due every `expected_seconds`; None: only when somebody asks for it."""

    name: str
    expected_seconds: float | None = None
    last_started_at: AwareDatetime | None = None
    last_succeeded_at: AwareDatetime | None = None


class StatisticsStatus(BaseModel):
    """Whether statistics keep up. `oldest_work_at`: since when a mark or an ended streak waits; None: nothing does."""

    marks: Waiting
    oldest_work_at: AwareDatetime | None = None
    runs: list[LatestRun]
    schedules: list[ScheduleState]


type Watch = Callable[[int, ChunkResult], None]
"""Told the run's id and what a chunk did, after each."""


class StatisticsStore:
    """The function's port to the database; the command line's too."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase
        self._runs = RunLedger(supabase)

    async def drain_marks(self, limit: int, now: datetime | None) -> StatisticsDrainResult:
        """Claim marks, recompute what they name, delete them: one transaction.

        Repeatable: buckets are computed from their activities, so a second attempt finds the rest, or writes the same.
        """
        params = {"p_limit": limit, "p_now": now}
        return await self._supabase.rpc("drain_statistics_marks", params, StatisticsDrainResult)

    async def work_through_everybody(
        self, kind: RunKind, pace: Pace, now: datetime | None, watch: Watch | None = None
    ) -> RunOutcome:
        """Start or resume the rebuild or reconcile of everybody, and work until it is done or time is over."""

        async def chunk(run_id: int, holder: UUID, size: int) -> ChunkResult:
            # Repeatable: the slice goes in the transaction that writes the rows, so a second attempt is the next
            # chunk; what a lost answer counted is in the ledger all the same.
            params = {
                "p_run_id": run_id,
                "p_holder": holder,
                "p_chunk_size": size,
                "p_lease_seconds": pace.lease_seconds,
            }
            result = await self._supabase.rpc("rebuild_statistics_chunk", params, ChunkResult)
            if watch is not None:
                watch(run_id, result)
            return result

        return await self._runs.work(kind, chunk, pace, now)

    async def report(self, run_id: int) -> RunReport:
        """Read the ledger's row of a run."""
        return await self._runs.report(run_id)

    async def status(self) -> StatisticsStatus:
        """Read what waits, the latest runs and the schedules."""
        return await self._supabase.rpc("statistics_status", {}, StatisticsStatus)

    async def people(self) -> int:
        """Count everybody a rebuild visits, of every organisation."""
        return await self._supabase.count("users")
