"""The function over HTTP: what is its own. What every function does is tested in tests/unit/functions."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import ScriptedApi
from tests.support.function import SHARED_SECRET, Function, is_error
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


@pytest.mark.parametrize("table", ["people", "attendance_records"])
async def test_a_row_payload_drains_because_the_writer_has_marked(
    function: Function, api: ScriptedApi, table: str
) -> None:
    api.on("drain_care_marks", DRAINED)
    headers = {"x-attend-hook-secret": SHARED_SECRET}
    response = await function.http.post("/", content=row_payload(table=table), headers=headers)
    assert response.json() == ANSWER


@pytest.mark.parametrize("variable", ["ATTEND_CARE_MARKS", "ATTEND_CARE_ORGANIZATIONS"])
async def test_its_own_settings_are_read_and_bounded(serve: Callable[..., Function], variable: str) -> None:
    response = await serve(**VARIABLES, **{variable: "0"}).send(BELL)
    is_error(response, 500, "setting_invalid")
    assert response.json()["details"] == {"variable": variable}


async def test_what_was_drained_is_logged_without_the_record(
    function: Function, api: ScriptedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("drain_care_marks", DRAINED)
    await function.send(row_payload(record={"full_name": "Mina Girgis"}))
    logged = capsys.readouterr().err
    assert "marks_drained" in logged
    assert "Mina" not in logged
