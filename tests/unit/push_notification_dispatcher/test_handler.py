"""The function over HTTP. What every function does is tested with the engine; here is that this one does it too."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.support.api import SECRET_KEY, ScriptedApi, problem
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function
from tests.support.served import VARIABLES

BELL = b'{"type":"BELL","schema":"public","table":"notifications","bell_id":"b"}'
NOTHING = {"claimed": 0, "messages": [], "held": {}, "more": False, "rang_again": True}
ANSWER = {"outcome": "dispatched", "claimed": 0, "more": False}


@pytest.fixture(autouse=True)
def nothing_is_due(api: ScriptedApi) -> None:
    api.on("claim_outbox", NOTHING).on("claim_receipts", {"receipts": [], "more": False})
    api.on("declare_push_providers", {"new": []})


def row_payload(table: str = "notifications", **record: Any) -> bytes:
    return json.dumps(
        {"type": "INSERT", "schema": "public", "table": table, "record": record or {"id": 1}, "old_record": None}
    ).encode()


def is_error(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.json()["code"] == code


@pytest.mark.parametrize("path", ["/health", "/push-notification-dispatcher/health"])
async def test_health_answers_without_settings_signature_or_database(serve: Callable[..., Function], path: str) -> None:
    response = await serve().http.get(path)
    assert (response.status_code, response.json()) == (
        200,
        {"status": "ok", "function": "push-notification-dispatcher"},
    )


@pytest.mark.parametrize("path", ["/", "/push-notification-dispatcher"])
async def test_a_bell_is_answered_with_what_was_done(function: Function, api: ScriptedApi, path: str) -> None:
    response = await function.http.post(path, content=BELL, headers=function.headers(BELL))
    assert (response.status_code, response.json()) == (200, ANSWER)
    sent = api.called("claim_outbox")[0]
    assert (sent["p_limit"], sent["p_lease_seconds"]) == (200, 60)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"type":"TEA"}',
        b'{"type":"SCHEDULE","schedule":"push-sweep","bell_id":"b"}',
        b'{"type":"INSERT"}',
    ],
)
async def test_a_signed_body_of_the_wrong_shape_is_400(function: Function, api: ScriptedApi, body: bytes) -> None:
    is_error(await function.send(body), 400, "malformed_body")
    assert {name for name, _ in api.calls} <= {"find_webhook_delivery"}


async def test_unsigned_wrongly_signed_and_stale_are_the_same_401(function: Function, api: ScriptedApi) -> None:
    is_error(await function.http.post("/", content=BELL), 401, "not_verified")
    is_error(await function.http.post("/", content=BELL, headers=function.headers(b"{}")), 401, "not_verified")
    is_error(await function.send(BELL, late=timedelta(minutes=6)), 401, "not_verified")
    assert api.calls == []


@pytest.mark.parametrize("table", ["users", "devices", "activities"])
async def test_another_table_is_200_ignored_with_the_reason(function: Function, api: ScriptedApi, table: str) -> None:
    response = await function.send(row_payload(table))
    assert response.json() == {"outcome": "ignored", "reason": "unknown_table", "table": table}
    assert api.called("claim_outbox") == []


async def test_a_hook_of_the_dashboard_is_answered_as_a_bell_is(function: Function) -> None:
    headers = {"x-attend-hook-secret": SHARED_SECRET}
    assert (await function.http.post("/", content=row_payload(), headers=headers)).json() == ANSWER
    is_error(await function.http.post("/", content=BELL, headers=headers), 401, "not_verified")


@pytest.mark.parametrize("missing", ["SUPABASE_URL", "SUPABASE_SECRET_KEY", "ATTEND_WEBHOOK_SECRET"])
async def test_a_missing_setting_is_500_with_the_variables_name(serve: Callable[..., Function], missing: str) -> None:
    given = {name: value for name, value in VARIABLES.items() if name != missing}
    response = await serve(**given).http.post("/", content=BELL)
    is_error(response, 500, "setting_missing")
    assert response.json()["details"] == {"variable": missing}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATTEND_PUSH_PROVIDER", "pigeon"),
        ("ATTEND_PUSH_BATCH", "0"),
        ("ATTEND_PUSH_SLICE", "0"),
        ("ATTEND_PUSH_MAX_ATTEMPTS", "0"),
        ("ATTEND_PUSH_FIRST_RETRY_SECONDS", "soon"),
        ("ATTEND_PUSH_LONGEST_RETRY_SECONDS", "-1"),
        ("ATTEND_PUSH_FCM_URL", "ftp://somewhere"),
    ],
)
async def test_its_own_settings_are_read_and_bounded(serve: Callable[..., Function], variable: str, value: str) -> None:
    response = await serve(**VARIABLES, **{variable: value}).send(BELL)
    is_error(response, 500, "setting_invalid")
    assert response.json()["details"] == {"variable": variable}


async def test_what_a_provider_lacks_is_said_of_its_messages_alone(function: Function, api: ScriptedApi) -> None:
    """No service account: the row says so, and the function does not fail."""
    message = {
        "organization_id": "00000000-0000-0000-0000-000000000001",
        "outbox_id": "00000000-0000-0000-0000-000000000002",
        "lease": 1,
        "device_id": "00000000-0000-0000-0000-000000000003",
        "provider": "fcm",
        "token": "a-token-of-some-length",
        "title": "Title",
        "body": "Body",
        "collapse_key": "k",
        "expires_at": "2026-11-22T00:00:00+00:00",
    }
    api.on("claim_outbox", NOTHING | {"claimed": 1, "messages": [message]}, NOTHING)
    api.on("record_outbox", {"recorded": 1, "states": {"failed": 1}})
    assert (await function.send(BELL)).json() == {**ANSWER, "claimed": 1, "states": {"failed": 1}}
    (row,) = api.called("record_outbox")[0]["p_outcomes"]
    assert (row["verdict"], "ATTEND_PUSH_FCM_SERVICE_ACCOUNT" in row["reason"]) == ("retry", True)


async def test_with_the_database_down_it_is_503_with_retry_after(function: Function, api: ScriptedApi) -> None:
    api.on("claim_outbox", problem(503, "57P01"))
    response = await function.send(BELL)
    is_error(response, 503, "database_unavailable")
    assert int(response.headers["retry-after"]) >= 1


async def test_without_its_migrations_it_says_so(function: Function, api: ScriptedApi) -> None:
    api.on("claim_outbox", problem(404, "PGRST202"))
    is_error(await function.send(BELL), 500, "database_outdated")


async def test_no_secret_token_or_text_is_logged(
    serve: Callable[..., Function], api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("claim_outbox", problem(400, "22000", "Kari a-token-of-some-length"))
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC\n"
    function = serve(**VARIABLES, ATTEND_PUSH_FCM_SERVICE_ACCOUNT=json.dumps({"private_key": key}))
    await function.send(BELL)
    logged = capsys.readouterr().err
    assert "request_failed" in logged
    for secret in (SECRET_KEY, SHARED_SECRET, WEBHOOK_SECRET.removeprefix("whsec_"), "Kari", "MIIEvQ", "a-token-of"):
        assert secret not in logged
