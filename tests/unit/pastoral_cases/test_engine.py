"""functions/pastoral_cases/engine.py: what is asked of the database, in which order, and for how long."""

from datetime import UTC, datetime

import httpx
import pytest

from functions.pastoral_cases.engine import SMALLEST_CLAIM, PastoralCases
from functions.pastoral_cases.payload import parse_event
from functions.pastoral_cases.store import CareStore
from shared import errors, supabase_client
from shared.runs import Pace
from tests.support.api import ScriptedApi, problem

NOW = datetime(2026, 3, 1, tzinfo=UTC)
BELL = parse_event(b'{"type":"BELL","schema":"public","table":"people"}')
NIGHT = parse_event(b'{"type":"SCHEDULE","schedule":"pastoral-cases"}')
OPENED = {"cases": {"open": 2}, "pastoral_case": {"sent": 1, "opted_out": 1}}
MORE = {"marks": 100, "people": 90, "more": True, "counts": OPENED}
LAST = {"marks": 3, "people": 3, "more": False, "counts": {"cases": {"open": 1, "withdraw": 1}}}
PART = {"state": "in_progress", "run_id": 7, "organizations": 20, "counts": OPENED}
END = {"state": "finished", "run_id": 7, "organizations": 5, "counts": {}}


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def cases(api: ScriptedApi, *, step: float = 0.0, stopping: bool = False) -> PastoralCases:
    pace = Pace(50, 100, 60, monotonic=Clock(step), stopping=lambda: stopping, smallest_chunk=SMALLEST_CLAIM)
    return PastoralCases(CareStore(api.supabase()), pace, organizations=20)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    return ScriptedApi()


async def test_a_bell_drains_until_nothing_more_waits_and_sums_what_it_did(api: ScriptedApi) -> None:
    outcome = await cases(api.on("drain_care_marks", MORE, LAST)).handle_database_event(BELL)
    assert (outcome.outcome, outcome.marks, outcome.people, outcome.more) == ("drained", 103, 93, False)
    assert outcome.counts == {
        "cases": {"open": 3, "withdraw": 1},
        "pastoral_case": {"sent": 1, "opted_out": 1},
    }


async def test_the_clock_is_an_argument_and_without_one_the_databases_own_counts(api: ScriptedApi) -> None:
    api.on("drain_care_marks", LAST).on("work_case_run", END)
    for event in (BELL, NIGHT):
        await cases(api).handle_database_event(event, now=NOW)
        await cases(api).handle_database_event(event)
    assert api.called("drain_care_marks") == [{"p_limit": 100, "p_now": NOW.isoformat()}, {"p_limit": 100}]
    assert api.called("work_case_run") == [{"p_limit": 20, "p_now": NOW.isoformat()}, {"p_limit": 20}]


async def test_the_night_works_in_parts_until_it_is_done(api: ScriptedApi) -> None:
    outcome = await cases(api.on("work_case_run", PART, PART, END)).handle_database_event(NIGHT)
    assert (outcome.outcome, outcome.run_id, outcome.organizations) == ("finished", 7, 45)
    assert outcome.counts == {"cases": {"open": 4}, "pastoral_case": {"sent": 2, "opted_out": 2}}


async def test_the_night_stops_at_the_time_budget_and_is_gone_on_with_by_the_next_tick(api: ScriptedApi) -> None:
    outcome = await cases(api.on("work_case_run", PART), step=10).handle_database_event(NIGHT)
    assert (outcome.outcome, outcome.stopped_by) == ("in_progress", "time_budget")
    assert 1 < len(api.calls) < 10


async def test_both_stop_at_shutdown_after_the_part_under_way(api: ScriptedApi) -> None:
    api.on("work_case_run", PART).on("drain_care_marks", MORE)
    for event in (BELL, NIGHT):
        assert (await cases(api, stopping=True).handle_database_event(event)).stopped_by == "shutdown"
    assert len(api.calls) == 2


async def test_whoever_finds_another_at_work_says_busy(api: ScriptedApi) -> None:
    api.on("work_case_run", {"state": "busy", "organizations": 0, "counts": {}})
    assert (await cases(api).handle_database_event(NIGHT)).outcome == "busy"


async def test_a_part_that_takes_too_long_is_halved_and_not_given_up(api: ScriptedApi) -> None:
    api.on("work_case_run", problem(500, "57014"), problem(500, "57014"), END)
    assert (await cases(api).handle_database_event(NIGHT)).outcome == "finished"
    assert [call["p_limit"] for call in api.called("work_case_run")] == [20, 10, 5]


async def test_one_organisation_that_takes_too_long_is_an_error(api: ScriptedApi) -> None:
    api.on("work_case_run", problem(500, "57014"))
    with pytest.raises(errors.DatabaseTimeout):
        await cases(api).handle_database_event(NIGHT)
    assert [call["p_limit"] for call in api.called("work_case_run")] == [20, 10, 5, 2, 1]


async def test_an_answer_that_was_lost_is_asked_for_again(api: ScriptedApi) -> None:
    api.on("drain_care_marks", httpx.ReadError("reset"), LAST).on("work_case_run", httpx.ReadError("reset"), END)
    assert (await cases(api).handle_database_event(BELL)).marks == 3
    assert (await cases(api).handle_database_event(NIGHT)).outcome == "finished"


async def test_two_in_each_others_way_are_no_failure(api: ScriptedApi) -> None:
    api.on("drain_care_marks", problem(500, "40P01"), LAST)
    assert (await cases(api).handle_database_event(BELL)).marks == 3
