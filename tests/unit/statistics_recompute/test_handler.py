"""The function over HTTP: what is its own. What every function does is tested in tests/unit/functions."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.support.api import ScriptedApi
from tests.support.function import SHARED_SECRET, Function, is_error
from tests.support.served import VARIABLES

BELL = b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}'
REBUILD = b'{"type":"SCHEDULE","schedule":"statistics-rebuild","bell_id":"b"}'
RECONCILE = b'{"type":"SCHEDULE","schedule":"statistics-reconcile","bell_id":"b"}'
DRAINED = {"marks": 2, "people": 1, "rows": 7, "more": False, "rang_again": True}
ANSWER = {"outcome": "drained", "marks": 2, "people": 1, "rows": 7, "more": False}


def row_payload(kind: str = "INSERT", table: str = "activities", **rows: Any) -> bytes:
    rows = rows or {"record": {"id": str(UUID(int=4))}}
    return json.dumps(
        {"type": kind, "schema": "public", "table": table, "record": None, "old_record": None} | rows
    ).encode()


@pytest.fixture
def drained(api: ScriptedApi) -> ScriptedApi:
    return api.on("drain_statistics_marks", DRAINED)


@pytest.mark.parametrize("path", ["/", "/statistics-recompute"])
async def test_a_bell_is_answered_with_what_was_recomputed(function: Function, drained: ScriptedApi, path: str) -> None:
    response = await function.http.post(path, content=BELL, headers=function.headers(BELL))
    assert (response.status_code, response.json()) == (200, ANSWER)
    assert drained.called("drain_statistics_marks") == [{"p_limit": 2_000}]


@pytest.mark.parametrize("body", [REBUILD, RECONCILE])
async def test_a_run_is_asked_for_by_a_signed_event_and_reports(
    function: Function, api: ScriptedApi, body: bytes
) -> None:
    kind = json.loads(body)["schedule"]
    counts = {"statistics": {"rows_repaired": 2, "people_with_drift": 1}}
    report = {"run_id": 1, "kind": kind, "state": "finished", "people": 3, "chunks": 1, "counts": counts}
    api.on("start_run", {"state": "started", "run_id": 1}).on("run_report", report)
    api.on("rebuild_statistics_chunk", {"done": True, "people": 3, "counts": counts})
    assert (await function.send(body)).json() == {"outcome": "finished", "run": report}
    assert api.called("rebuild_statistics_chunk")[0]["p_chunk_size"] == 200


@pytest.mark.parametrize("table", ["activities", "activity_contacts"])
async def test_a_row_payload_drains_because_the_writer_has_marked(
    function: Function, drained: ScriptedApi, table: str
) -> None:
    headers = {"x-attend-hook-secret": SHARED_SECRET}
    response = await function.http.post("/", content=row_payload(table=table), headers=headers)
    assert response.json() == ANSWER
    assert {name for name, _ in drained.calls} == {"drain_statistics_marks"}


@pytest.mark.parametrize("variable", ["ATTEND_DRAIN_MARKS", "ATTEND_REBUILD_PEOPLE"])
async def test_its_own_settings_are_read_and_bounded(serve: Callable[..., Function], variable: str) -> None:
    response = await serve(**VARIABLES, **{variable: "0"}).send(BELL)
    is_error(response, 500, "setting_invalid")
    assert response.json()["details"] == {"variable": variable}


async def test_what_was_drained_is_logged_without_the_record(
    function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("drain_statistics_marks", DRAINED)
    await function.send(row_payload(record={"note": "Kari Nordmann called"}))
    logged = capsys.readouterr().err
    assert "marks_drained" in logged
    assert "Kari" not in logged
