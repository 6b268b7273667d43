"""functions/scenario_trigger_engine/engine.py: its interfaces, by the names of the source document."""

import inspect
import json
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.payload import Event, parse_event
from functions.scenario_trigger_engine.store import ScenarioStore
from shared import errors, supabase_client
from shared.runs import Pace
from tests.support.api import ScriptedApi, problem

USER = UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Clock:
    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def engine(api: ScriptedApi, *, step: float = 0.0, stopping: bool = False) -> ScenarioTriggerEngine:
    pace = Pace(50, chunk_size=100, lease_seconds=60, monotonic=Clock(step), stopping=lambda: stopping)
    return ScenarioTriggerEngine(ScenarioStore(api.supabase()), pace)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    return ScriptedApi()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("evaluate_inactivity_scenario", ["user_id", "threshold_days"]),
        ("evaluate_milestone_scenario", ["user_id", "milestone_type"]),
        ("evaluate_certification_expiry_scenario", ["user_id", "lead_time_days"]),
        ("should_notify", ["user_id", "scenario_type"]),
        ("enqueue_notification", ["user_id", "scenario_type", "context_data"]),
        ("record_last_triggered", ["user_id", "scenario_type"]),
        ("run_scheduled_evaluation", []),
        ("handle_database_event", ["event"]),
    ],
)
def test_the_interfaces_have_the_parameters_of_the_document_and_the_clock_is_an_argument(
    name: str, parameters: list[str]
) -> None:
    signature = inspect.signature(getattr(ScenarioTriggerEngine, name))
    required = [p.name for p in signature.parameters.values() if p.default is inspect.Parameter.empty]
    assert required == ["self", *parameters]
    assert {"now", "at"} & set(signature.parameters)


async def test_the_evaluator_answers_alone_and_without_effects(api: ScriptedApi) -> None:
    answer = {"user_id": str(USER), "organization_id": str(USER), "matched": True, "gate": "matched"}
    values = {"days_inactive": 22.5, "threshold_days": 21, "anchor_at": NOW.isoformat(), "crossed_at": NOW.isoformat()}
    api.on("evaluate_inactivity", answer | values)
    result = await engine(api).evaluate_inactivity_scenario(USER, 21, now=NOW)
    assert (result.matched, result.days_inactive, result.crossed_at) == (True, 22.5, NOW)
    assert [name for name, _ in api.calls] == ["evaluate_inactivity"]
    assert api.calls[0][1]["p_now"] == NOW.isoformat()


async def test_milestones_and_certificates_are_asked_with_what_the_document_names(api: ScriptedApi) -> None:
    who = {"user_id": str(USER), "organization_id": str(USER)}
    values = {"milestone_type": "hours", "period": "all_time", "period_start": None, "threshold": 100, "value": 99.5}
    api.on("evaluate_milestone", who | values | {"matched": False, "gate": "not_matched", "crossed_at": None})
    milestone = await engine(api).evaluate_milestone_scenario(USER, "hours", threshold=100, period="all_time", now=NOW)
    assert (milestone.value, milestone.matched) == (99.5, False)
    certificate = {"certificate_id": str(USER), "name": "First aid", "expires_at": NOW.isoformat(), "matched": True}
    answer = who | {"lead_days": 30, "matched": True, "gate": "matched", "certificates": [certificate]}
    api.on("evaluate_certification_expiry", answer)
    expiry = await engine(api).evaluate_certification_expiry_scenario(USER, 30, now=NOW)
    assert [found.name for found in expiry.certificates] == ["First aid"]
    clock = {"p_user_id": str(USER), "p_now": NOW.isoformat()}
    assert api.calls == [
        ("evaluate_milestone", clock | {"p_metric": "hours", "p_threshold": 100, "p_period": "all_time"}),
        ("evaluate_certification_expiry", clock | {"p_lead_days": 30}),
    ]


async def test_a_nonsense_threshold_is_refused_by_the_rule_in_sql(api: ScriptedApi) -> None:
    api.on("evaluate_inactivity", problem(400, "PT400", "threshold_days_out_of_range", '{"minimum":1,"maximum":3650}'))
    with pytest.raises(errors.Refused) as caught:
        await engine(api).evaluate_inactivity_scenario(USER, -1)
    assert caught.value.details == {"minimum": 1, "maximum": 3650}


async def test_a_claim_whose_answer_was_lost_is_not_repeated(api: ScriptedApi) -> None:
    api.on("enqueue_notification", httpx.ReadError("reset"))
    with pytest.raises(errors.DatabaseUnavailable) as caught:
        await engine(api).enqueue_notification(USER, "inactivity", {"days": 22})
    assert caught.value.may_have_run
    assert len(api.calls) == 1


async def test_a_claim_that_never_began_is_repeated(api: ScriptedApi) -> None:
    api.on("enqueue_notification", problem(504, "PGRST003"), {"outcome": "sent", "notification_id": str(USER)})
    assert (await engine(api).enqueue_notification(USER, "inactivity", {})).outcome == "sent"


@pytest.mark.parametrize("gate", ["cooling_down", "capped"])
async def test_not_being_told_is_an_outcome(api: ScriptedApi, gate: str) -> None:
    api.on("enqueue_notification", {"outcome": gate, "notification_id": None, "until": NOW.isoformat()})
    outcome = await engine(api).enqueue_notification(USER, "inactivity", {})
    assert (outcome.outcome, outcome.until, outcome.notification_id) == (gate, NOW, None)


async def test_a_notification_made_in_quiet_hours_is_one(api: ScriptedApi) -> None:
    api.on("enqueue_notification", {"outcome": "quiet_hours", "notification_id": str(USER), "until": NOW.isoformat()})
    assert (await engine(api).enqueue_notification(USER, "milestone", {})).notification_id == USER


BELL = parse_event(b'{"type":"BELL","schema":"public","table":"activities"}')
MORE = {"marks": 100, "people": 100, "more": True, "counts": {}}


async def test_draining_stops_at_the_time_budget_and_says_that_more_waits(api: ScriptedApi) -> None:
    outcome = await engine(api.on("drain_scenario_marks", MORE), step=10).handle_database_event(BELL)
    assert (outcome.stopped_by, outcome.more) == ("time_budget", True)
    assert 1 < len(api.calls) < 10


async def test_draining_stops_at_shutdown_after_the_chunk_under_way(api: ScriptedApi) -> None:
    outcome = await engine(api.on("drain_scenario_marks", MORE), stopping=True).handle_database_event(BELL)
    assert outcome.stopped_by == "shutdown"
    assert len(api.calls) == 1


def change(table: str, record: dict[str, str], old_record: dict[str, str] | None = None) -> Event:
    kind = "INSERT" if old_record is None else "UPDATE"
    row = {"type": kind, "schema": "public", "table": table, "record": record, "old_record": old_record}
    return parse_event(json.dumps(row).encode())


ROW = {"organization_id": str(UUID(int=1)), "id": str(UUID(int=3)), "user_id": str(UUID(int=2))}


@pytest.mark.parametrize(
    ("table", "person"), [("certificates", 2), ("notification_preferences", 2), ("activities", 2), ("users", 3)]
)
async def test_a_row_evaluates_the_person_it_concerns(api: ScriptedApi, table: str, person: int) -> None:
    api.on("evaluate_people", {"people": 1, "counts": {"milestone": {"sent": 1}}})
    outcome = await engine(api).handle_database_event(change(table, ROW))
    assert (outcome.outcome, outcome.people, outcome.counts) == ("evaluated", 1, {"milestone": {"sent": 1}})
    asked = {"p_organization_id": str(UUID(int=1)), "p_user_ids": [str(UUID(int=person))]}
    assert api.calls == [("evaluate_people", asked)]


async def test_a_row_that_moves_evaluates_both_people_each_in_their_organisation(api: ScriptedApi) -> None:
    api.on("evaluate_people", {"people": 1, "counts": {"inactivity": {"not_matched": 1}}})
    elsewhere = ROW | {"organization_id": str(UUID(int=9)), "user_id": str(UUID(int=8))}
    outcome = await engine(api).handle_database_event(change("certificates", ROW, elsewhere))
    assert (outcome.people, outcome.counts) == (2, {"inactivity": {"not_matched": 2}})
    asked = {(call["p_organization_id"], *call["p_user_ids"]) for call in api.called("evaluate_people")}
    assert asked == {(str(UUID(int=1)), str(UUID(int=2))), (str(UUID(int=9)), str(UUID(int=8)))}


async def test_a_rule_that_changed_is_drained_whether_bell_or_row_says_so(api: ScriptedApi) -> None:
    api.on("drain_scenario_marks", {"marks": 2, "people": 2, "more": False, "counts": {}})
    bell = parse_event(b'{"type":"BELL","schema":"public","table":"scenario_rules"}')
    for event in (bell, change("scenario_rules", ROW)):
        assert (await engine(api).handle_database_event(event)).outcome == "drained"
    assert [name for name, _ in api.calls] == ["drain_scenario_marks"] * 2
