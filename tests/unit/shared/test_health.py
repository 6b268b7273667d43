"""`GET /health/deep`, as every function answers it: who hears what, and that asking is cheap."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.pastoral_cases import handler
from shared.health import FunctionHealth
from tests.support.api import ScriptedApi, problem
from tests.support.function import SHARED_SECRET, Function
from tests.support.served import VARIABLES, loader, scripted_api

NAME = "pastoral-cases"
DEEP = "/health/deep"


def row(finding: str | None = None, severity: str = "ok", **columns: Any) -> dict[str, Any]:
    return {
        "part": "backlog",
        "name": "care_marks",
        "function_name": NAME,
        "finding": finding,
        "severity": severity,
        "since": None,
        "says": None,
        "remedy": None,
        "runbook": None,
        "figures": {"waiting": 3},
        "checked_at": "2026-11-21T12:00:00+00:00",
        **columns,
    }


@pytest.fixture
def api() -> ScriptedApi:
    return scripted_api().on("health", [row()])


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, api: ScriptedApi) -> Callable[..., Function]:
    return loader(handler, monkeypatch, api)


@pytest.fixture
async def function(serve: Callable[..., Function]) -> AsyncIterator[Function]:
    function = serve(**VARIABLES)
    yield function
    await function.http.aclose()


async def signed(function: Function, **options: Any) -> httpx.Response:
    return await function.http.get(DEEP, headers=function.headers(b"", **options))


async def test_anybody_hears_yes_and_nothing_else(function: Function, api: ScriptedApi) -> None:
    response = await function.http.get(DEEP)
    assert (response.status_code, response.json()) == (200, {"status": "ok", "function": NAME})
    assert api.called("health")[0]["function_name"] == f"eq.{NAME}"


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ([row("marks_old", "error")], 503),
        ([row("sweep_found", "warning")], 200),
        ([row("heartbeat_off", "note")], 200),
        # Who hears nothing has not heard that all is well.
        ([], 503),
        (problem(503, "57P01"), 503),
        (problem(404, "PGRST205"), 503),
        (problem(403, "42501"), 503),
    ],
)
async def test_anybody_hears_no_where_there_is_an_error_or_no_database(
    function: Function, api: ScriptedApi, answer: Any, status: int
) -> None:
    api.on("health", answer)
    response = await function.http.get(DEEP)
    said = "ok" if status == 200 else "not_ok"
    assert (response.status_code, response.json()) == (status, {"status": said, "function": NAME})


async def test_many_who_ask_at_once_or_soon_after_ask_the_database_once(function: Function, api: ScriptedApi) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(function.http.get(DEEP)) for _ in range(50)]
    assert {task.result().status_code for task in asked} == {200}
    await function.http.get(DEEP)
    assert len(api.called("health")) == 1


async def test_what_was_heard_is_forgotten_after_some_seconds(api: ScriptedApi) -> None:
    now = 0.0
    health = FunctionHealth(api.supabase(), monotonic=lambda: now)
    api.on("health", [row()], [row("marks_old", "error")])
    assert await health.is_ok(NAME)
    now = 4.9
    assert await health.is_ok(NAME)
    now = 5.1
    assert not await health.is_ok(NAME)


async def test_whoever_signs_hears_everything(function: Function, api: ScriptedApi) -> None:
    api.on("health", [row("marks_old", "error", says="Marks wait.")])
    response = await signed(function)
    said = response.json()
    assert (response.status_code, said["status"], said["function"]) == (503, "not_ok", NAME)
    assert said["rows"][0] | {"checked_at": None} == row("marks_old", "error", says="Marks wait.", checked_at=None)
    assert said["database"]["reachable"] is True
    assert said["database"]["answer_ms"] >= 0
    assert said["database"]["clock"].startswith("2026-11-21T12:00:00")
    assert said["clock"].endswith("Z")


async def test_so_does_whoever_has_the_shared_secret(function: Function) -> None:
    response = await function.http.get(DEEP, headers={"x-attend-hook-secret": SHARED_SECRET})
    assert len(response.json()["rows"]) == 1


async def test_whoever_signs_hears_what_is_wrong_with_the_database(function: Function, api: ScriptedApi) -> None:
    api.on("health", problem(404, "PGRST205"))
    database = (await signed(function)).json()["database"]
    assert (database["reachable"], database["problem"]) == (False, "database_outdated")


async def test_a_database_that_hangs_is_not_waited_for(
    function: Function, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.health._PATIENCE_SECONDS", 0.05)
    api.on("health", lambda _: asyncio.sleep(30))
    database = (await signed(function)).json()["database"]
    assert (database["reachable"], database["problem"]) == (False, "database_unavailable")
    assert database["answer_ms"] < 5_000


async def test_a_wrong_proof_is_refused_and_not_answered_in_short(function: Function, api: ScriptedApi) -> None:
    answers = [
        await signed(function, late=timedelta(minutes=6)),
        await function.http.get(DEEP, headers=function.headers(b"another body")),
        await function.http.get(DEEP, headers={"x-attend-hook-secret": "a guess of some length"}),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, "not_verified")] * 3
    assert api.calls == []


async def test_only_get_asks_and_the_shallow_form_needs_no_database(function: Function, api: ScriptedApi) -> None:
    assert (await function.http.post(DEEP, content=b"")).status_code == 405
    assert (await function.http.get("/health")).json() == {"status": "ok", "function": NAME}
    assert api.calls == []
    assert (await function.http.get(f"/{NAME}{DEEP}")).status_code == 200


async def test_a_missing_setting_is_named(serve: Callable[..., Function]) -> None:
    given = {name: value for name, value in VARIABLES.items() if name != "SUPABASE_URL"}
    response = await serve(**given).http.get(DEEP)
    assert (response.status_code, response.json()["details"]) == (500, {"variable": "SUPABASE_URL"})
