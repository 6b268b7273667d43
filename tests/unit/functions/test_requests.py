"""Every function over HTTP, as functions-framework serves it: statuses, bodies, and what is never said."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import MalformedBody
from tests.support.api import SECRET_KEY, ScriptedApi, problem
from tests.support.every_function import NOTHING, PACKAGES, Subject
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function, is_error
from tests.support.served import VARIABLES

# What is asked of the database for any event: whether it was answered before, and that it was answered now.
_DELIVERY = {"find_webhook_delivery", "record_webhook_delivery"}


def work(api: ScriptedApi) -> list[str]:
    """What else was asked of the database."""
    return [name for name, _ in api.calls if name not in _DELIVERY]


# ------------------------------------------------------------------------------------------- paths and methods


@pytest.mark.parametrize("prefix", ["", "/{name}"])
@pytest.mark.parametrize("path", ["/health", "/health/"])
async def test_health_answers_without_settings_signature_or_database(
    subject: Subject, serve: Callable[..., Function], prefix: str, path: str
) -> None:
    response = await serve().http.get(prefix.format(name=subject.name) + path)
    assert (response.status_code, response.json()) == (200, {"status": "ok", "function": subject.name})


async def test_it_describes_itself_without_settings_signature_or_database(
    subject: Subject, serve: Callable[..., Function]
) -> None:
    """What the description promises is held by tests/fuzz/test_openapi.py."""
    for path in ("/openapi.json", f"/{subject.name}/openapi.json"):
        response = await serve().http.get(path)
        assert response.status_code == 200
        document = response.json()
        assert (document["openapi"], document["info"]["title"]) == ("3.1.0", f"Attend: {subject.name}")
        assert set(document["paths"]) == {"/", "/health", "/health/deep", "/openapi.json"}
        (said,) = [model for name, model in document["components"]["schemas"].items() if name == "Event"]
        assert len(said["oneOf"]) == (3 if subject.schedules else 2)
        assert all(schedule in response.text for schedule in subject.schedules)


async def test_an_unknown_path_is_404(subject: Subject, function: Function) -> None:
    others = [f"/{Subject(other).name}" for other in PACKAGES if other != subject.package]
    for path in ("/nothing", f"/{subject.name}/nothing", f"/{subject.name}-other", "/healthz", *others):
        is_error(await function.http.get(path), 404, "unknown_path")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_a_wrong_method_is_405_and_says_which_are_right(function: Function, method: str) -> None:
    response = await function.http.request(method, "/")
    is_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    health = await function.http.post("/health")
    is_error(health, 405, "method_not_allowed")
    assert health.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/", "", "/{name}", "/{name}/"])
async def test_events_are_taken_with_and_without_the_functions_name(
    subject: Subject, function: Function, api: ScriptedApi, path: str
) -> None:
    headers = function.headers(subject.bell)
    response = await function.http.post(path.format(name=subject.name), content=subject.bell, headers=headers)
    assert response.status_code == 200
    assert work(api)


# ------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "body", [b"{", b"", b"[]", b'{"type":"BELL"}', b'{"type":"TEA"}', b'{"type":"INSERT"}', b"\xc3\xa9"]
)
async def test_a_signed_body_of_the_wrong_shape_is_400_and_nothing_is_written(
    function: Function, api: ScriptedApi, body: bytes
) -> None:
    is_error(await function.send(body), 400, "malformed_body")
    assert {name for name, _ in api.calls} <= {"find_webhook_delivery"}


async def test_schedules_of_others_are_malformed_because_silence_would_hide_them(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    theirs = {schedule for other in PACKAGES for schedule in Subject(other).schedules} - subject.schedules
    nobodys = {"care-sweep", "statistics-sweep", "scenario-sweep", "housekeeping", "engagement-scores", "tea-time", ""}
    assert len(theirs) >= 2
    for schedule in theirs | nobodys:
        body = json.dumps({"type": "SCHEDULE", "schedule": schedule, "bell_id": "b"}).encode()
        with pytest.raises(MalformedBody):
            subject.payload.parse_event(body)
        is_error(await function.send(body), 400, "malformed_body")
    assert {name for name, _ in api.calls} == {"find_webhook_delivery"}


async def test_without_a_signature_it_is_401_whatever_the_body(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    for body in (subject.bell, b"{", b""):
        is_error(await function.http.post("/", content=body), 401, "not_verified")
    assert api.calls == []


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
async def test_a_stale_or_premature_signature_is_401(
    subject: Subject, function: Function, api: ScriptedApi, late: timedelta
) -> None:
    is_error(await function.send(subject.bell, late=late), 401, "not_verified")
    assert api.calls == []


async def test_a_signature_over_another_body_is_401(subject: Subject, function: Function, api: ScriptedApi) -> None:
    for other in (*subject.ticks, subject.row_payload(record={"id": 1})):
        for body, signed in ((other, subject.bell), (subject.bell, other)):
            response = await function.http.post("/", content=body, headers=function.headers(signed))
            is_error(response, 401, "not_verified")
    assert api.calls == []


@given(
    headers=st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-attend-hook-secret"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_made_up_headers_are_the_same_401(
    subject: Subject, function: Function, headers: dict[str, str]
) -> None:
    response = await function.http.post("/", content=subject.bell, headers=headers)
    is_error(response, 401, "not_verified")


async def test_a_body_beyond_the_limit_is_413_announced_or_not(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    body = b"x" * 262_145
    is_error(await function.send(body), 413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1_000

    response = await function.http.post("/", content=pieces(), headers=function.headers(subject.bell))
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
async def test_a_body_that_is_announced_as_something_else_is_415(
    subject: Subject, function: Function, headers: dict[str, str]
) -> None:
    response = await function.http.post("/", content=subject.bell, headers=function.headers(subject.bell) | headers)
    is_error(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json"]
)
async def test_every_way_to_say_json_is_taken(subject: Subject, function: Function, content_type: str) -> None:
    headers = function.headers(subject.bell) | {"content-type": content_type}
    response = await function.http.post("/", content=subject.bell, headers=headers)
    assert response.status_code == 200


# ------------------------------------------------------------------------------------------- settings and database


@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "ATTEND_WEBHOOK_SECRET"])
async def test_a_missing_setting_is_500_with_the_variables_name_at_the_first_request(
    subject: Subject, serve: Callable[..., Function], missing: str
) -> None:
    given_ones = {
        "SUPABASE_URL": "http://api.test",
        "SUPABASE_SECRET_KEY": SECRET_KEY,
        "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    del given_ones[missing]
    response = await serve(**given_ones).http.post("/", content=subject.bell)
    is_error(response, 500, "setting_missing")
    assert response.json()["details"] == {"variable": missing}


async def test_an_unusable_setting_is_500_and_its_value_is_not_repeated(
    subject: Subject, serve: Callable[..., Function]
) -> None:
    function = serve(
        SUPABASE_URL="http://api.test", SUPABASE_SECRET_KEY=SECRET_KEY, ATTEND_WEBHOOK_SECRET="whsec_!!hunter2!!"
    )
    response = await function.http.post("/", content=subject.bell)
    is_error(response, 500, "setting_invalid")
    assert "hunter2" not in response.text


@pytest.mark.parametrize("at", ["find_webhook_delivery", "its work"])
@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (httpx.ConnectError("no"), "database_unavailable"),
        (problem(503, "57P01"), "database_unavailable"),
        (problem(504, "PGRST003"), "database_busy"),
        (httpx.Response(502), "database_unavailable"),
    ],
    ids=str,
)
async def test_with_the_database_down_it_is_503_with_retry_after(
    subject: Subject, function: Function, api: ScriptedApi, failure: httpx.Response | Exception, code: str, at: str
) -> None:
    api.otherwise(failure) if at == "its work" else api.on(at, failure)
    response = await function.send(subject.bell)
    is_error(response, 503, code)
    assert int(response.headers["retry-after"]) >= 1


async def test_a_refusal_of_sql_keeps_its_status_and_code(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    api.otherwise(problem(400, "PT400", "limit_out_of_range", '{"maximum": 1}'))
    response = await function.send(subject.bell)
    is_error(response, 400, "limit_out_of_range")
    assert response.json()["details"] == {"maximum": 1}


async def test_without_its_migrations_it_says_so(subject: Subject, function: Function, api: ScriptedApi) -> None:
    api.otherwise(problem(404, "PGRST202"))
    is_error(await function.send(subject.bell), 500, "database_outdated")


async def test_what_nobody_foresaw_is_500_without_any_detail_and_logged_with_its_traceback(
    subject: Subject, function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.otherwise(RuntimeError(f"something about {SECRET_KEY} and Kari Nordmann"))
    response = await function.send(subject.bell)
    is_error(response, 500, "internal_error")
    logged = capsys.readouterr().err
    assert response.headers["x-request-id"] in logged
    assert "RuntimeError" in logged
    assert "engine.py" in logged
    for text in (response.text, logged):
        assert SECRET_KEY not in text
        assert "Kari" not in text


# ------------------------------------------------------------------------------------------- repetition and tables


async def test_the_same_delivery_twice_gets_the_same_answer_and_no_new_effect(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    answers: dict[str, Any] = {}
    api.on("find_webhook_delivery", lambda params: answers.get(params["p_id"]))
    api.on("record_webhook_delivery", lambda params: answers.setdefault(params["p_id"], params["p_answer"]))
    api.otherwise(NOTHING | {"marks": 2}, NOTHING)
    first = await function.send(subject.bell, webhook_id="m_1")
    asked = work(api)
    second = await function.send(subject.bell, webhook_id="m_1")
    assert (first.status_code, first.json()) == (second.status_code, second.json()) == (200, answers["m_1"])
    assert work(api) == asked
    assert asked


@pytest.mark.parametrize("table", ["organizations", "activity_statistics", "donations", "pg_class", "x"])
@pytest.mark.parametrize("kind", ["BELL", "INSERT"])
async def test_another_table_is_200_ignored_with_the_reason(
    subject: Subject, function: Function, api: ScriptedApi, table: str, kind: str
) -> None:
    response = await function.send(subject.row_payload(kind, table, record={"id": 1}))
    assert response.status_code == 200
    assert response.json() == {"outcome": "ignored", "reason": "unknown_table", "table": table}
    assert {name for name, _ in api.calls} == _DELIVERY


async def test_a_table_that_only_others_watch_is_another_table(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    watched = {table for other in PACKAGES for table in Subject(other).payload.WATCHED_TABLES}
    for table in watched - subject.payload.WATCHED_TABLES:
        for kind in ("BELL", "INSERT"):
            answer = (await function.send(subject.row_payload(kind, table, record={"id": 1}))).json()
            assert answer == {"outcome": "ignored", "reason": "unknown_table", "table": table}
    assert work(api) == []


async def test_a_table_of_that_name_in_another_schema_is_another_table(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    for body in (subject.bell, subject.row_payload(record={"id": 1})):
        assert (await function.send(body.replace(b'"public"', b'"mgmt"'))).json()["outcome"] == "ignored"
    assert work(api) == []


# ------------------------------------------------------------------------------------------- the dashboard's secret


@pytest.mark.parametrize("secret", ["", "wrong", SHARED_SECRET[:-1], SHARED_SECRET + " x"])
async def test_another_shared_secret_is_401(
    subject: Subject, function: Function, api: ScriptedApi, secret: str
) -> None:
    body = subject.row_payload(record={"id": 1})
    response = await function.http.post("/", content=body, headers={"x-attend-hook-secret": secret})
    is_error(response, 401, "not_verified")
    assert api.calls == []


async def test_a_shared_secret_from_a_file_has_no_line_break(
    subject: Subject, serve: Callable[..., Function], api: ScriptedApi
) -> None:
    function = serve(**VARIABLES | {"ATTEND_HOOK_SHARED_SECRET": f"{SHARED_SECRET}\n"})
    body = subject.row_payload(table="others", record={"id": 1})
    response = await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
    assert (response.status_code, api.calls) == (200, [])


async def test_the_shared_secret_rings_no_bell_and_starts_no_run(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    for body in (subject.bell, *subject.ticks):
        response = await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
        is_error(response, 401, "not_verified")
    assert api.calls == []


async def test_a_bad_signature_is_not_saved_by_a_good_shared_secret(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    headers = {"x-attend-hook-secret": SHARED_SECRET, "webhook-signature": "v1,AAAA"}
    response = await function.http.post("/", content=subject.row_payload(record={"id": 1}), headers=headers)
    is_error(response, 401, "not_verified")
    assert api.calls == []


# ------------------------------------------------------------------------------------------- what is never logged


async def test_no_secret_and_nothing_of_a_record_is_logged(
    subject: Subject, function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = {name: str(UUID(int=1)) for name in ("id", "organization_id", "user_id")}
    record = ids | {"full_name": "Mina Girgis", "note": "Kari Nordmann called from +47 99 88 77 66"}
    body = subject.row_payload(record=record)
    headers = function.headers(body)
    await function.http.post("/", content=body, headers=headers)
    await function.http.post("/", content=body, headers=headers | {"webhook-signature": "v1,AAAA"})
    await function.http.post("/", content=body, headers={"x-attend-hook-secret": SHARED_SECRET})
    api.otherwise(problem(400, "23514", "Kari Nordmann", "Failing row contains (Kari Nordmann)"))
    await function.send(subject.bell)
    await function.send(body)
    await function.send(body.replace(b'"INSERT"', b'"Kari"'))
    logged = capsys.readouterr().err
    assert "request_failed" in logged
    assert "request_refused" in logged
    secrets = [SECRET_KEY, SHARED_SECRET, headers["webhook-signature"], WEBHOOK_SECRET.removeprefix("whsec_")]
    for secret in [*secrets, "Kari", "99 88", "Mina"]:
        assert secret not in logged


async def test_every_line_carries_the_request_and_the_delivery(
    subject: Subject, function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.otherwise(NOTHING | {"marks": 2}, NOTHING)
    headers = function.headers(subject.bell, webhook_id="m_7") | {"x-request-id": "r-7"}
    response = await function.http.post("/", content=subject.bell, headers=headers)
    assert response.headers["x-request-id"] == "r-7"
    for line in capsys.readouterr().err.splitlines():
        assert (json.loads(line)["request_id"], json.loads(line)["webhook_id"]) == ("r-7", "m_7")


@pytest.mark.parametrize(
    "secret", [SECRET_KEY, "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiAzMiBieXRlcyE", "eyJhbGciOi.eyJzdWIi.c2ln"]
)
async def test_a_secret_in_the_header_of_the_request_id_is_neither_answered_nor_logged(
    function: Function, capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    response = await function.http.post("/", content=b"{}", headers={"x-request-id": secret})
    assert secret not in str(response.headers)
    assert secret not in capsys.readouterr().err


async def test_a_header_of_the_proof_that_comes_twice_is_401(
    subject: Subject, function: Function, api: ScriptedApi
) -> None:
    for name in ("webhook-id", "webhook-timestamp", "x-attend-hook-secret"):
        headers = function.headers(subject.bell)
        if name == "x-attend-hook-secret":
            headers = {name: SHARED_SECRET}
        twice = [*headers.items(), (name, headers[name])]
        is_error(
            await function.http.post("/", content=subject.row_payload(record={}), headers=twice), 401, "not_verified"
        )
    assert api.calls == []


async def test_a_malformed_request_id_is_replaced(function: Function) -> None:
    response = await function.http.get("/health", headers={"x-request-id": 'a"b\\c' + "x" * 500})
    assert len(response.headers["x-request-id"]) <= 128
    assert '"' not in response.headers["x-request-id"]
