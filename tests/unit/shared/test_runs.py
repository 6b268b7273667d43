"""shared/runs.py: pacing. The ledger itself is SQL, and tested there and in tests/integration."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared import errors, supabase_client
from shared.runs import ChunkResult, Pace, RunLedger
from tests.support.api import ScriptedApi, problem


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """A run of `chunks` chunks, each of which takes `seconds` of the clock."""

    def __init__(self, clock: Clock, chunks: int, seconds: float = 1.0) -> None:
        self.clock, self.chunks, self.seconds = clock, chunks, seconds
        self.sizes: list[int] = []
        self.others_take_the_rest_after: int | None = None
        self.failures: list[Exception] = []

    async def __call__(self, _run_id: int, _holder: UUID, size: int) -> ChunkResult:
        self.sizes.append(size)
        if self.failures:
            raise self.failures.pop(0)
        self.clock.now += self.seconds
        more = len(self.sizes) != self.others_take_the_rest_after
        return ChunkResult(done=len(self.sizes) >= self.chunks, more=more, people=size)


def report(state: str) -> dict[str, Any]:
    return {"run_id": 1, "kind": "k", "state": state, "people": 5, "chunks": 2, "counts": {"inactivity": {"sent": 1}}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    api = ScriptedApi().on("start_run", {"state": "started", "run_id": 1, "as_of": "2026-01-01T00:00:00Z"})
    return api.on("run_report", report("finished")).on("pause_run", report("in_progress"))


def pace(clock: Clock, budget: float = 50, stopping: bool = False) -> Pace:
    return Pace(time_budget=budget, chunk_size=1000, lease_seconds=60, monotonic=clock, stopping=lambda: stopping)


async def test_a_run_is_worked_through_to_its_end(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=5)
    outcome = await RunLedger(api.supabase()).work("k", work, pace(clock))
    assert (outcome.outcome, outcome.stopped_by, outcome.chunks_here, outcome.people_here) == (
        "finished",
        None,
        5,
        5000,
    )
    assert outcome.run is not None
    assert outcome.run.counts == {"inactivity": {"sent": 1}}
    assert not api.called("pause_run")


async def test_at_the_time_budget_the_lease_is_given_back(api: ScriptedApi, clock: Clock) -> None:
    outcome = await RunLedger(api.supabase()).work("k", Work(clock, chunks=1000), pace(clock, budget=10))
    assert (outcome.outcome, outcome.stopped_by) == ("in_progress", "time_budget")
    assert len(api.called("pause_run")) == 1


async def test_no_chunk_begins_that_could_not_end_within_the_budget(api: ScriptedApi, clock: Clock) -> None:
    outcome = await RunLedger(api.supabase()).work("k", Work(clock, chunks=1000, seconds=4), pace(clock, budget=10))
    assert clock.now <= 10
    assert outcome.chunks_here == 2


async def test_every_call_makes_progress_however_small_its_budget(api: ScriptedApi, clock: Clock) -> None:
    outcome = await RunLedger(api.supabase()).work("k", Work(clock, chunks=1000), pace(clock, budget=0))
    assert outcome.chunks_here == 1


async def test_shutdown_stops_after_the_chunk_and_gives_the_lease_back(api: ScriptedApi, clock: Clock) -> None:
    outcome = await RunLedger(api.supabase()).work("k", Work(clock, chunks=1000), pace(clock, stopping=True))
    assert (outcome.outcome, outcome.stopped_by, outcome.chunks_here) == ("in_progress", "shutdown", 1)
    assert len(api.called("pause_run")) == 1


async def test_busy_is_an_outcome(api: ScriptedApi, clock: Clock) -> None:
    api.on("start_run", {"state": "busy", "run_id": 1, "held_by": str(UUID(int=1))})
    work = Work(clock, chunks=1)
    assert (await RunLedger(api.supabase()).work("k", work, pace(clock))).outcome == "busy"
    assert work.sizes == []


@pytest.mark.parametrize(("state", "outcome"), [("running", "in_progress"), ("finished", "finished")])
async def test_who_finds_nothing_more_to_take_leaves_the_rest_to_those_who_have_it(
    api: ScriptedApi, clock: Clock, state: str, outcome: str
) -> None:
    work = Work(clock, chunks=9)
    work.others_take_the_rest_after = 2
    left = await RunLedger(api.on("run_report", report(state)).supabase()).work("k", work, pace(clock))
    assert (left.outcome, left.stopped_by, left.chunks_here) == (outcome, None, 2)
    assert not api.called("pause_run"), "there is nothing to give back"


async def test_a_holder_takes_chunks_of_its_own_size(api: ScriptedApi, clock: Clock) -> None:
    await RunLedger(api.supabase()).work("k", Work(clock, chunks=1), pace(clock))
    assert api.called("start_run")[0]["p_chunk_size"] == 1000


async def test_a_lost_lease_ends_quietly(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=9)
    work.failures = [errors.LeaseLost("lease_lost", 409, None, sqlstate="PT409", operation="evaluate_chunk")]
    outcome = await RunLedger(api.on("run_report", report("running")).supabase()).work("k", work, pace(clock))
    assert outcome.outcome == "lease_lost"
    assert not api.called("pause_run")


async def test_a_lease_lost_because_the_last_answer_was_lost_is_a_finished_run(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=9)
    work.failures = [errors.LeaseLost("lease_lost", 409, None, sqlstate="PT409", operation="evaluate_chunk")]
    assert (await RunLedger(api.supabase()).work("k", work, pace(clock))).outcome == "finished"


async def test_a_chunk_beyond_the_statement_time_out_is_halved(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=4)
    work.failures = [errors.DatabaseTimeout("57014"), errors.DatabaseTimeout("57014")]
    outcome = await RunLedger(api.supabase()).work("k", work, pace(clock))
    assert work.sizes[:3] == [1000, 500, 250]
    assert outcome.outcome == "finished"


async def test_halving_ends_with_the_error_and_the_lease_is_given_back(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=4)
    work.failures = [errors.DatabaseTimeout("57014") for _ in range(50)]
    with pytest.raises(errors.DatabaseTimeout):
        await RunLedger(api.supabase()).work("k", work, pace(clock))
    assert work.sizes[-1] == 50
    assert len(api.called("pause_run")) == 1


async def test_any_other_error_gives_the_lease_back_and_is_told(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=4)
    work.failures = [errors.DatabaseRefused("42501")]
    with pytest.raises(errors.DatabaseRefused):
        await RunLedger(api.supabase()).work("k", work, pace(clock))
    assert len(api.called("pause_run")) == 1


async def test_with_the_database_down_nobody_waits_to_give_the_lease_back(api: ScriptedApi, clock: Clock) -> None:
    work = Work(clock, chunks=4)
    work.failures = [errors.DatabaseUnavailable("08006")]
    with pytest.raises(errors.DatabaseUnavailable):
        await RunLedger(api.supabase()).work("k", work, pace(clock))
    assert not api.called("pause_run")


@pytest.mark.parametrize("pause", [report("in_progress"), problem(403, "42501"), httpx.ReadTimeout("slow")], ids=str)
async def test_cancelled_work_ends_its_chunk_and_gives_the_lease_back(
    api: ScriptedApi, clock: Clock, pause: Any
) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow(_run_id: int, _holder: UUID, size: int) -> ChunkResult:
        began.set()
        await asyncio.sleep(0.02)
        ended.set()
        return ChunkResult(done=False, people=size)

    task = asyncio.create_task(RunLedger(api.on("pause_run", pause).supabase()).work("k", slow, pace(clock)))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert len(api.called("pause_run")) == 1


async def test_holders_differ_from_call_to_call(api: ScriptedApi, clock: Clock) -> None:
    ledger = RunLedger(api.supabase())
    for _ in range(2):
        await ledger.work("k", Work(clock, chunks=1), pace(clock))
    first, second = api.called("start_run")
    assert first["p_holder"] != second["p_holder"]
    assert "p_now" not in first
