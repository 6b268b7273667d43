"""The function over HTTP, as functions-framework serves it: statuses, bodies, and what is never said."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.api import SECRET_KEY, ScriptedApi, problem
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function

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


def is_error(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.json()["code"] == code
    assert response.headers["content-type"] == "application/json"


# ------------------------------------------------------------------------------------------- paths and methods


@pytest.mark.parametrize("path", ["/health", "/health/", "/scenario-trigger-engine/health"])
async def test_health_answers_without_settings_signature_or_database(serve: Callable[..., Function], path: str) -> None:
    response = await serve().http.get(path)
    assert (response.status_code, response.json()["status"]) == (200, "ok")


async def test_an_unknown_path_is_404(function: Function) -> None:
    for path in ("/nothing", "/scenario-trigger-engine/nothing", "/scenario-trigger-engine-other", "/healthz"):
        is_error(await function.http.get(path), 404, "unknown_path")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_wrong_method_is_405_and_says_which_are_right(function: Function, method: str) -> None:
    response = await function.http.request(method, "/")
    is_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    health = await function.http.post("/health")
    is_error(health, 405, "method_not_allowed")
    assert health.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "", "/scenario-trigger-engine", "/scenario-trigger-engine/"])
async def test_events_are_taken_with_and_without_the_functions_name(
    function: Function, api: ScriptedApi, path: str
) -> None:
    api.on("drain_scenario_marks", DRAINED)
    response = await function.http.post(path, content=BELL, headers=function.headers(BELL))
    assert response.status_code == 200


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'{"type":"BELL"}', b'{"type":"TEA"}', b"\xc3\xa9"])
async def test_a_signed_body_of_the_wrong_shape_is_400_and_nothing_is_written(
    function: Function, api: ScriptedApi, body: bytes
) -> None:
    is_error(await function.send(body), 400, "malformed_body")
    assert {name for name, _ in api.calls} <= {"find_webhook_delivery"}


async def test_without_a_signature_it_is_401_whatever_the_body(function: Function, api: ScriptedApi) -> None:
    for body in (BELL, b"{", b""):
        is_error(await function.http.post("/", content=body), 401, "not_verified")
    assert api.calls == []


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
async def test_a_stale_or_premature_signature_is_401(function: Function, api: ScriptedApi, late: timedelta) -> None:
    is_error(await function.send(BELL, late=late), 401, "not_verified")
    assert api.calls == []


async def test_a_signature_over_another_body_is_401(function: Function, api: ScriptedApi) -> None:
    response = await function.http.post("/", content=EVALUATION, headers=function.headers(BELL))
    is_error(response, 401, "not_verified")
    assert api.calls == []


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-attend-hook-secret"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_made_up_headers_are_the_same_401(function: Function, headers: dict[str, str]) -> None:
    response = await function.http.post("/", content=BELL, headers=headers)
    is_error(response, 401, "not_verified")


async def test_a_body_beyond_the_limit_is_413_announced_or_not(function: Function, api: ScriptedApi) -> None:
    body = b"x" * 262_145
    is_error(await function.send(body), 413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1_000

    response = await function.http.post("/", content=pieces(), headers=function.headers(BELL))
    is_error(response, 413, "body_too_large")
    assert api.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-encoding": "gzip"},
    ],
)
async def test_a_body_that_is_announced_as_something_else_is_415(function: Function, headers: dict[str, str]) -> None:
    response = await function.http.post("/", content=BELL, headers=function.headers(BELL) | headers)
    is_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"]
)
async def test_every_way_to_say_json_is_taken(function: Function, api: ScriptedApi, content_type: str) -> None:
    api.on("drain_scenario_marks", DRAINED)
    response = await function.http.post(
        "/", content=BELL, headers=function.headers(BELL) | {"content-type": content_type}
    )
    assert response.status_code == 200


# ------------------------------------------------------------------------------------------- settings and database


@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "ATTEND_WEBHOOK_SECRET"])
async def test_a_missing_setting_is_500_with_the_variables_name_at_the_first_request(
    serve: Callable[..., Function], missing: str
) -> None:
    given_ones = {
        "SUPABASE_URL": "http://api.test",
        "SUPABASE_SECRET_KEY": SECRET_KEY,
        "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    del given_ones[missing]
    response = await serve(**given_ones).http.post("/", content=BELL)
    is_error(response, 500, "setting_missing")
    assert response.json()["details"] == {"variable": missing}


async def test_an_unusable_setting_is_500_and_its_value_is_not_repeated(serve: Callable[..., Function]) -> None:
    function = serve(
        SUPABASE_URL="http://api.test", SUPABASE_SECRET_KEY=SECRET_KEY, ATTEND_WEBHOOK_SECRET="whsec_!!hunter2!!"
    )
    response = await function.http.post("/", content=BELL)
    is_error(response, 500, "setting_invalid")
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("no"), problem(503, "57P01"), problem(504, "PGRST003"), httpx.Response(502)], ids=str
)
async def test_with_the_database_down_it_is_503_with_retry_after(
    function: Function, api: ScriptedApi, failure: httpx.Response | Exception
) -> None:
    api.on("find_webhook_delivery", failure)
    response = await function.send(BELL)
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["code"] in {"database_unavailable", "database_busy"}


async def test_a_refusal_of_sql_keeps_its_status_and_code(function: Function, api: ScriptedApi) -> None:
    api.on("drain_scenario_marks", problem(400, "PT400", "limit_out_of_range", '{"maximum": 1}'))
    response = await function.send(BELL)
    is_error(response, 400, "limit_out_of_range")
    assert response.json()["details"] == {"maximum": 1}


async def test_what_nobody_foresaw_is_500_without_any_detail_and_logged_with_its_traceback(
    function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("drain_scenario_marks", RuntimeError(f"something about {SECRET_KEY} and Kari Nordmann"))
    response = await function.send(BELL)
    is_error(response, 500, "internal_error")
    logged = capsys.readouterr().err
    assert response.headers["x-request-id"] in logged
    assert "RuntimeError" in logged
    assert "engine.py" in logged
    for text in (response.text, logged):
        assert SECRET_KEY not in text
        assert "Kari" not in text


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


async def test_the_same_delivery_twice_gets_the_same_answer_and_no_new_effect(
    function: Function, api: ScriptedApi
) -> None:
    answers: dict[str, Any] = {}
    api.on("find_webhook_delivery", lambda params: answers.get(params["p_id"]))
    api.on("record_webhook_delivery", lambda params: answers.setdefault(params["p_id"], params["p_answer"]))
    api.on("drain_scenario_marks", DRAINED, DRAINED | {"marks": 0})
    first, second = [await function.send(BELL, webhook_id="m_1") for _ in range(2)]
    assert first.json() == second.json()
    assert len(api.called("drain_scenario_marks")) == 1


@pytest.mark.parametrize("table", ["organizations", "pg_class", "x"])
@pytest.mark.parametrize("kind", ["BELL", "INSERT"])
async def test_another_table_is_200_ignored_with_the_reason(
    function: Function, api: ScriptedApi, table: str, kind: str
) -> None:
    response = await function.send(row_payload(kind, table, record={"id": 1}))
    assert response.status_code == 200
    assert response.json() == {"outcome": "ignored", "reason": "unknown_table", "table": table}
    assert {name for name, _ in api.calls} == {"find_webhook_delivery", "record_webhook_delivery"}


async def test_a_table_of_that_name_in_another_schema_is_another_table(function: Function) -> None:
    body = row_payload(record=activity()).replace(b'"public"', b'"mgmt"')
    assert (await function.send(body)).json()["outcome"] == "ignored"


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


@pytest.mark.parametrize("secret", ["", "wrong", SHARED_SECRET[:-1], SHARED_SECRET + " x"])
async def test_another_shared_secret_is_401(function: Function, people: ScriptedApi, secret: str) -> None:
    headers = {"x-attend-hook-secret": secret}
    response = await function.http.post("/", content=row_payload(record=activity()), headers=headers)
    is_error(response, 401, "not_verified")
    assert people.calls == []


async def test_the_shared_secret_rings_no_bell_and_starts_no_run(function: Function, api: ScriptedApi) -> None:
    for body in (BELL, EVALUATION):
        response = await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
        is_error(response, 401, "not_verified")
    assert api.calls == []


async def test_a_bad_signature_is_not_saved_by_a_good_shared_secret(function: Function, api: ScriptedApi) -> None:
    headers = {"x-attend-hook-secret": SHARED_SECRET, "webhook-signature": "v1,AAAA"}
    response = await function.http.post("/", content=row_payload(record=activity()), headers=headers)
    is_error(response, 401, "not_verified")
    assert api.calls == []


# ------------------------------------------------------------------------------------------- what is never logged


async def test_no_secret_and_nothing_of_a_record_is_logged(
    function: Function, people: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    record = activity() | {"note": "Kari Nordmann called from +47 99 88 77 66"}
    body = row_payload(record=record)
    headers = function.headers(body)
    await function.http.post("/", content=body, headers=headers)
    await function.http.post("/", content=body, headers=headers | {"webhook-signature": "v1,AAAA"})
    await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
    people.on("evaluate_people", problem(400, "23514", "Kari Nordmann", "Failing row contains (Kari Nordmann)"))
    await function.send(body)
    await function.send(body.replace(b'"INSERT"', b'"Kari"'))
    logged = capsys.readouterr().err
    assert "request_failed" in logged
    assert "request_refused" in logged
    secrets = [SECRET_KEY, SHARED_SECRET, headers["webhook-signature"], WEBHOOK_SECRET.removeprefix("whsec_")]
    for secret in [*secrets, "Kari", "99 88"]:
        assert secret not in logged


async def test_every_line_carries_the_request_and_the_delivery(
    function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("drain_scenario_marks", DRAINED)
    headers = function.headers(BELL, webhook_id="m_7") | {"x-request-id": "r-7"}
    response = await function.http.post("/", content=BELL, headers=headers)
    assert response.headers["x-request-id"] == "r-7"
    for line in capsys.readouterr().err.splitlines():
        assert (json.loads(line)["request_id"], json.loads(line)["webhook_id"]) == ("r-7", "m_7")


async def test_a_malformed_request_id_is_replaced(function: Function) -> None:
    response = await function.http.get("/health", headers={"x-request-id": 'a"b\\c' + "x" * 500})
    assert len(response.headers["x-request-id"]) <= 128
    assert '"' not in response.headers["x-request-id"]
