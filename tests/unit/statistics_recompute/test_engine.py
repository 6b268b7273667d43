"""functions/statistics_recompute/engine.py: what is asked of the database, in which order, and for how long."""

from datetime import UTC, datetime

import httpx
import pytest

from functions.statistics_recompute.engine import SMALLEST_CHUNK, StatisticsRecompute
from functions.statistics_recompute.payload import parse_event
from functions.statistics_recompute.store import StatisticsStore
from shared import errors, supabase_client
from shared.runs import Pace
from tests.support.api import ScriptedApi, problem

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BELL = parse_event(b'{"type":"BELL","schema":"public","table":"activities"}')
REBUILD = parse_event(b'{"type":"SCHEDULE","schedule":"statistics-rebuild"}')
RECONCILE = parse_event(b'{"type":"SCHEDULE","schedule":"statistics-reconcile"}')
MORE = {"marks": 100, "people": 10, "rows": 60, "more": True, "rang_again": False}
LAST = {"marks": 3, "people": 1, "rows": 6, "more": False, "rang_again": False}
REPORT = {"run_id": 1, "kind": "statistics-rebuild", "state": "in_progress", "people": 2, "chunks": 1, "counts": {}}


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def recompute(api: ScriptedApi, *, step: float = 0.0, stopping: bool = False) -> StatisticsRecompute:
    pace = Pace(50, 100, 60, monotonic=Clock(step), stopping=lambda: stopping, smallest_chunk=SMALLEST_CHUNK)
    return StatisticsRecompute(StatisticsStore(api.supabase()), pace, rebuild_people=20)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    return ScriptedApi()


async def test_a_bell_drains_until_nothing_more_waits_and_sums_what_it_did(api: ScriptedApi) -> None:
    outcome = await recompute(api.on("drain_statistics_marks", MORE, MORE, LAST)).handle_database_event(BELL)
    assert (outcome.outcome, outcome.marks, outcome.people, outcome.rows) == ("drained", 203, 21, 126)
    assert (outcome.more, outcome.stopped_by) == (False, None)


async def test_the_clock_is_an_argument_and_without_one_the_databases_own_counts(api: ScriptedApi) -> None:
    api.on("drain_statistics_marks", LAST)
    await recompute(api).handle_database_event(BELL, now=NOW)
    await recompute(api).handle_database_event(BELL)
    sent = [{"p_limit": 100, "p_now": NOW.isoformat()}, {"p_limit": 100}]
    assert api.called("drain_statistics_marks") == sent


async def test_draining_stops_at_the_time_budget_and_says_that_more_waits(api: ScriptedApi) -> None:
    outcome = await recompute(api.on("drain_statistics_marks", MORE), step=10).handle_database_event(BELL)
    assert (outcome.stopped_by, outcome.more) == ("time_budget", True)
    assert 1 < len(api.calls) < 10


async def test_draining_stops_at_shutdown_after_the_claim_under_way(api: ScriptedApi) -> None:
    outcome = await recompute(api.on("drain_statistics_marks", MORE), stopping=True).handle_database_event(BELL)
    assert outcome.stopped_by == "shutdown"
    assert len(api.calls) == 1


async def test_a_claim_that_takes_too_long_is_halved_and_not_given_up(api: ScriptedApi) -> None:
    api.on("drain_statistics_marks", problem(500, "57014"), LAST)
    assert (await recompute(api).handle_database_event(BELL)).marks == 3
    assert [call["p_limit"] for call in api.called("drain_statistics_marks")] == [100, 50]


async def test_the_smallest_claim_that_takes_too_long_is_an_error(api: ScriptedApi) -> None:
    api.on("drain_statistics_marks", problem(500, "57014"))
    with pytest.raises(errors.DatabaseTimeout):
        await recompute(api).handle_database_event(BELL)
    assert [call["p_limit"] for call in api.called("drain_statistics_marks")] == [100, 50, 25, 12, 6, 3, 1]


async def test_a_drain_whose_answer_was_lost_is_asked_again(api: ScriptedApi) -> None:
    api.on("drain_statistics_marks", httpx.ReadError("reset"), LAST)
    assert (await recompute(api).handle_database_event(BELL)).marks == 3


async def test_two_drains_in_each_others_way_are_no_failure(api: ScriptedApi) -> None:
    api.on("drain_statistics_marks", problem(500, "40P01"), LAST)
    assert (await recompute(api).handle_database_event(BELL)).marks == 3


async def test_a_rebuild_works_in_chunks_of_people_not_of_marks(api: ScriptedApi) -> None:
    api.on("start_run", {"state": "started", "run_id": 1}).on("run_report", REPORT | {"state": "finished"})
    api.on("rebuild_statistics_chunk", {"done": False, "people": 20}, {"done": True, "people": 3})
    outcome = await recompute(api).handle_database_event(REBUILD)
    assert outcome.outcome == "finished"
    assert api.called("start_run")[0]["p_kind"] == "statistics-rebuild"
    assert [call["p_chunk_size"] for call in api.called("rebuild_statistics_chunk")] == [20, 20]


async def test_a_reconcile_is_a_run_of_its_own_kind(api: ScriptedApi) -> None:
    api.on("start_run", {"state": "busy", "run_id": 1})
    assert (await recompute(api).handle_database_event(RECONCILE)).outcome == "busy"
    assert api.called("start_run")[0]["p_kind"] == "statistics-reconcile"


async def test_a_rebuild_of_people_with_long_histories_goes_down_to_one_at_a_time(api: ScriptedApi) -> None:
    api.on("start_run", {"state": "started", "run_id": 1}).on("run_report", REPORT | {"state": "finished"})
    too_slow = [problem(500, "57014") for _ in range(4)]
    api.on("rebuild_statistics_chunk", *too_slow, {"done": True, "people": 1})
    assert (await recompute(api).handle_database_event(REBUILD)).outcome == "finished"
    assert [call["p_chunk_size"] for call in api.called("rebuild_statistics_chunk")] == [20, 10, 5, 2, 1]


async def test_a_rebuild_gives_its_lease_back_when_time_is_over(api: ScriptedApi) -> None:
    api.on("start_run", {"state": "started", "run_id": 1}).on("pause_run", REPORT)
    api.on("rebuild_statistics_chunk", {"done": False, "people": 20})
    outcome = await recompute(api, step=30).handle_database_event(REBUILD)
    assert (outcome.outcome, outcome.stopped_by) == ("in_progress", "time_budget")
    assert len(api.called("pause_run")) == 1
