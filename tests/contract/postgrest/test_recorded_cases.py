"""The gateway answers as a real PostgREST 16.2 did: one test for each recorded request.

Equal means: status, the recorded headers, and the body. Of errors status and code, and for SQLSTATEs the rest
too; the texts of PGRST… messages may differ. What the gateway leaves out is listed, with its reason, and is 501.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

CASES = [json.loads(line) for line in Path(__file__).with_name("cases.jsonl").read_text().splitlines()]

LEFT_OUT = {
    "read cast": "casts in select: functions and callers read columns as they are",
    "csv not ours": "CSV answers: every client of the project reads JSON",
}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
def test_answer_is_the_recorded_one(api: Api, case: dict[str, Any]) -> None:
    answer = send(api, case)
    if case["name"] in LEFT_OUT and answer.status_code == 501:
        assert set(answer.json()) == {"code", "details", "hint", "message"}
        return
    expected = case["answer"]
    assert answer.status_code == expected["status"], answer.text
    assert {name: answer.headers.get(name) for name in expected["headers"]} == expected["headers"]
    compare_body(answer, expected["body"])


def test_nothing_is_left_out_that_was_not_recorded() -> None:
    assert set(LEFT_OUT) <= {case["name"] for case in CASES}


def send(api: Api, case: dict[str, Any]) -> httpx.Response:
    headers = case.get("headers", {})
    content: bytes | None = None
    if "raw" in case:
        content = case["raw"].encode()
    elif "Content-Type" in headers:
        # The recording leaves out an empty object.
        content = json.dumps(case.get("body", {})).encode()
    return api.request(case["method"], case["path"], case.get("role"), headers=headers, content=content)


def compare_body(answer: httpx.Response, expected: Any) -> None:
    if expected == "":
        assert answer.content == b""
        return
    got = answer.json()
    if isinstance(expected, dict) and "__rows" in expected:
        assert (len(got), got[0], got[-1]) == (expected["__rows"], expected["__first"], expected["__last"])
    elif answer.status_code >= 400:
        assert set(got) == {"code", "details", "hint", "message"}
        assert got["code"] == expected["code"]
        if not got["code"].startswith("PGRST"):
            assert got == expected
    else:
        assert got == expected
