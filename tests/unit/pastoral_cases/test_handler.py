"""The function over HTTP. What every function does is tested with the engine; here is that this one does it too."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.pastoral_cases.payload import parse_event
from shared.errors import MalformedBody
from tests.support.api import SECRET_KEY, ScriptedApi, problem
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function
from tests.support.served import VARIABLES

BELL = b'{"type":"BELL","schema":"public","table":"people","bell_id":"b"}'
NIGHT = b'{"type":"SCHEDULE","schedule":"pastoral-cases","bell_id":"b"}'
DRAINED = {"marks": 2, "people": 1, "more": False, "rang_again": True, "counts": {"cases": {"open": 1}}}
ANSWER = {"outcome": "drained", "marks": 2, "people": 1, "more": False, "counts": {"cases": {"open": 1}}}


def row_payload(kind: str = "INSERT", table: str = "attendance_records", **rows: Any) -> bytes:
    rows = rows or {"record": {"status": "absent"}}
    return json.dumps(
        {"type": kind, "schema": "public", "table": table, "record": None, "old_record": None} | rows
    ).encode()


def is_error(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.json()["code"] == code


@pytest.mark.parametrize("path", ["/health", "/pastoral-cases/health"])
async def test_health_answers_without_settings_signature_or_database(serve: Callable[..., Function], path: str) -> None:
    response = await serve().http.get(path)
    assert (response.status_code, response.json()) == (200, {"status": "ok", "function": "pastoral-cases"})


@pytest.mark.parametrize("path", ["/", "/pastoral-cases"])
async def test_a_bell_is_answered_with_what_was_done(function: Function, api: ScriptedApi, path: str) -> None:
    api.on("drain_care_marks", DRAINED)
    response = await function.http.post(path, content=BELL, headers=function.headers(BELL))
    assert (response.status_code, response.json()) == (200, ANSWER)
    assert api.called("drain_care_marks") == [{"p_limit": 2_000}]


async def test_the_night_is_asked_for_by_a_signed_event_and_reports(function: Function, api: ScriptedApi) -> None:
    api.on("work_case_run", {"state": "finished", "run_id": 1, "organizations": 3, "counts": {"cases": {"open": 4}}})
    answer = {"outcome": "finished", "run_id": 1, "organizations": 3, "counts": {"cases": {"open": 4}}}
    assert (await function.send(NIGHT)).json() == answer
    assert api.called("work_case_run") == [{"p_limit": 50}]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"type":"TEA"}', NIGHT.replace(b"pastoral-cases", b"care-sweep"), b'{"type":"INSERT"}']
)
async def test_a_signed_body_of_the_wrong_shape_is_400(function: Function, api: ScriptedApi, body: bytes) -> None:
    is_error(await function.send(body), 400, "malformed_body")
    assert {name for name, _ in api.calls} <= {"find_webhook_delivery"}


async def test_unsigned_wrongly_signed_and_stale_are_the_same_401(function: Function, api: ScriptedApi) -> None:
    is_error(await function.http.post("/", content=BELL), 401, "not_verified")
    is_error(await function.http.post("/", content=BELL, headers=function.headers(NIGHT)), 401, "not_verified")
    is_error(await function.send(BELL, late=timedelta(minutes=6)), 401, "not_verified")
    assert api.calls == []


async def test_the_same_delivery_twice_gets_the_same_answer_and_no_new_effect(
    function: Function, api: ScriptedApi
) -> None:
    answers: dict[str, Any] = {}
    api.on("find_webhook_delivery", lambda params: answers.get(params["p_id"]))
    api.on("record_webhook_delivery", lambda params: answers.setdefault(params["p_id"], params["p_answer"]))
    api.on("drain_care_marks", DRAINED, DRAINED | {"marks": 0})
    first, second = [await function.send(BELL, webhook_id="m_1") for _ in range(2)]
    assert first.json() == second.json()
    assert len(api.called("drain_care_marks")) == 1


@pytest.mark.parametrize("table", ["users", "activities", "donations"])
@pytest.mark.parametrize("kind", ["BELL", "INSERT"])
async def test_another_table_is_200_ignored_with_the_reason(
    function: Function, api: ScriptedApi, table: str, kind: str
) -> None:
    response = await function.send(row_payload(kind, table))
    assert (response.status_code, response.json()) == (
        200,
        {"outcome": "ignored", "reason": "unknown_table", "table": table},
    )
    assert api.called("drain_care_marks") == []


@pytest.mark.parametrize("table", ["people", "attendance_records"])
async def test_a_row_payload_drains_because_the_writer_has_marked(
    function: Function, api: ScriptedApi, table: str
) -> None:
    api.on("drain_care_marks", DRAINED)
    headers = {"x-attend-hook-secret": SHARED_SECRET}
    response = await function.http.post("/", content=row_payload(table=table), headers=headers)
    assert response.json() == ANSWER


async def test_the_shared_secret_rings_no_bell_and_starts_no_run(function: Function, api: ScriptedApi) -> None:
    for body in (BELL, NIGHT):
        response = await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
        is_error(response, 401, "not_verified")
    assert api.calls == []


@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "ATTEND_WEBHOOK_SECRET"])
async def test_a_missing_setting_is_500_with_the_variables_name(serve: Callable[..., Function], missing: str) -> None:
    given = {
        "SUPABASE_URL": "http://api.test",
        "SUPABASE_SECRET_KEY": SECRET_KEY,
        "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    del given[missing]
    response = await serve(**given).http.post("/", content=BELL)
    is_error(response, 500, "setting_missing")
    assert response.json()["details"] == {"variable": missing}


@pytest.mark.parametrize("variable", ["ATTEND_CARE_MARKS", "ATTEND_CARE_ORGANIZATIONS"])
async def test_its_own_settings_are_read_and_bounded(serve: Callable[..., Function], variable: str) -> None:
    response = await serve(**VARIABLES, **{variable: "0"}).send(BELL)
    is_error(response, 500, "setting_invalid")
    assert response.json()["details"] == {"variable": variable}


async def test_with_the_database_down_it_is_503_with_retry_after(function: Function, api: ScriptedApi) -> None:
    api.on("drain_care_marks", problem(503, "57P01"))
    response = await function.send(BELL)
    is_error(response, 503, "database_unavailable")
    assert int(response.headers["retry-after"]) >= 1


async def test_without_its_migrations_it_says_so(function: Function, api: ScriptedApi) -> None:
    api.on("drain_care_marks", problem(404, "PGRST202"))
    is_error(await function.send(BELL), 500, "database_outdated")


async def test_no_secret_and_nothing_of_a_record_is_logged(
    function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("drain_care_marks", DRAINED)
    body = row_payload(record={"full_name": "Mina Girgis"})
    headers = function.headers(body)
    await function.http.post("/", content=body, headers=headers)
    await function.http.post("/", content=body, headers=headers | {"webhook-signature": "v1,AAAA"})
    logged = capsys.readouterr().err
    assert "marks_drained" in logged
    for secret in (SECRET_KEY, SHARED_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), "Mina"):
        assert secret not in logged


def test_schedules_of_other_functions_are_malformed_because_silence_would_hide_them() -> None:
    for schedule in ("scenario-evaluation", "engagement-scores", "care-sweep", ""):
        with pytest.raises(MalformedBody):
            parse_event(json.dumps({"type": "SCHEDULE", "schedule": schedule}).encode())
