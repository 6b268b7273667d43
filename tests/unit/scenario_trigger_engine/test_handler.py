"""The function over HTTP: what is its own. What every function does is tested in tests/unit/functions."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.support.api import ScriptedApi
from tests.support.function import SHARED_SECRET, Function

BELL = b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}'
EVALUATION = b'{"type":"SCHEDULE","schedule":"scenario-evaluation","bell_id":"b"}'
ORGANIZATION, USER, OTHER, ACTIVITY = (UUID(int=n) for n in (1, 2, 3, 4))
DRAINED = {"marks": 2, "people": 1, "more": False, "counts": {"inactivity": {"not_matched": 1}}}


def activity(user_id: UUID = USER) -> dict[str, str]:
    return {"id": str(ACTIVITY), "organization_id": str(ORGANIZATION), "user_id": str(user_id), "status": "completed"}


def row_payload(kind: str = "INSERT", table: str = "activities", **rows: Any) -> bytes:
    return json.dumps(
        {"type": kind, "schema": "public", "table": table, "record": None, "old_record": None} | rows
    ).encode()


# ------------------------------------------------------------------------------------------- bells and schedules


async def test_a_bell_drains_until_nothing_more_waits(function: Function, api: ScriptedApi) -> None:
    api.on("drain_scenario_marks", DRAINED | {"more": True}, DRAINED | {"more": True}, DRAINED)
    response = await function.send(BELL)
    assert response.json() == {
        "outcome": "drained",
        "marks": 6,
        "people": 3,
        "more": False,
        "counts": {"inactivity": {"not_matched": 3}},
    }


async def test_a_bell_does_not_spin_on_marks_that_others_hold(function: Function, api: ScriptedApi) -> None:
    api.on("drain_scenario_marks", DRAINED | {"marks": 0, "more": True})
    await function.send(BELL)
    assert len(api.called("drain_scenario_marks")) == 1


async def test_the_evaluation_runs_and_reports(function: Function, api: ScriptedApi) -> None:
    api.on("start_run", {"state": "started", "run_id": 1}).on(
        "evaluate_chunk", {"done": False, "people": 2, "counts": {}}, {"done": True, "people": 1, "counts": {}}
    )
    report = {"run_id": 1, "kind": "scenario-evaluation", "state": "finished", "people": 3, "chunks": 2, "counts": {}}
    api.on("run_report", report)
    answer = (await function.send(EVALUATION)).json()
    assert answer == {"outcome": "finished", "run": report}
    assert api.called("evaluate_chunk")[0]["p_chunk_size"] == 10_000
    assert api.called("start_run")[0]["p_kind"] == "scenario-evaluation"


async def test_busy_is_an_answer_and_no_error(function: Function, api: ScriptedApi) -> None:
    api.on("start_run", {"state": "busy", "run_id": 1, "held_by": str(UUID(int=5))})
    response = await function.send(EVALUATION)
    assert (response.status_code, response.json()) == (200, {"outcome": "busy"})


# ------------------------------------------------------------------------------------------- row payloads


@pytest.fixture
def people(api: ScriptedApi) -> ScriptedApi:
    return api.on("evaluate_people", lambda p: {"people": len(p["p_user_ids"]), "counts": {"inactivity": {"sent": 1}}})


async def test_a_row_payload_evaluates_the_person_it_concerns(function: Function, people: ScriptedApi) -> None:
    answer = (await function.send(row_payload(record=activity()))).json()
    assert answer == {"outcome": "evaluated", "people": 1, "counts": {"inactivity": {"sent": 1}}}
    assert people.called("evaluate_people") == [{"p_organization_id": str(ORGANIZATION), "p_user_ids": [str(USER)]}]


async def test_an_activity_moved_to_another_mentor_concerns_both(function: Function, people: ScriptedApi) -> None:
    await function.send(row_payload("UPDATE", record=activity(OTHER), old_record=activity(USER)))
    assert people.called("evaluate_people")[0]["p_user_ids"] == [str(USER), str(OTHER)]


async def test_a_deleted_activity_concerns_whose_it_was(function: Function, people: ScriptedApi) -> None:
    await function.send(row_payload("DELETE", old_record=activity()))
    assert people.called("evaluate_people")[0]["p_user_ids"] == [str(USER)]


async def test_a_contact_concerns_whose_activity_it_is(function: Function, people: ScriptedApi) -> None:
    people.on("activities", [{"user_id": str(USER)}])
    link = {"organization_id": str(ORGANIZATION), "activity_id": str(ACTIVITY), "contact_id": str(OTHER)}
    await function.send(row_payload("INSERT", "activity_contacts", record=link))
    assert people.called("activities")[0]["id"] == f"eq.{ACTIVITY}"
    assert people.called("evaluate_people")[0]["p_user_ids"] == [str(USER)]


async def test_a_contact_of_an_activity_that_is_gone_concerns_nobody(function: Function, people: ScriptedApi) -> None:
    people.on("activities", [])
    link = {"organization_id": str(ORGANIZATION), "activity_id": str(ACTIVITY), "contact_id": str(OTHER)}
    answer = (await function.send(row_payload("DELETE", "activity_contacts", old_record=link))).json()
    assert (answer["outcome"], answer["reason"]) == ("ignored", "concerns_nobody")
    assert not people.called("evaluate_people")


async def test_a_hook_of_the_dashboard_is_known_by_its_shared_secret(function: Function, people: ScriptedApi) -> None:
    headers = {"x-attend-hook-secret": SHARED_SECRET}
    response = await function.http.post("/", content=row_payload(record=activity()), headers=headers)
    assert (response.status_code, response.json()["outcome"]) == (200, "evaluated")
    assert {name for name, _ in people.calls} == {"evaluate_people"}
