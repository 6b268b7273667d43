"""Transactions, settings, time-outs that the platform contract lists and the recordings do not show."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.support.gateway import refused

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api


def test_a_stable_function_cannot_write_through_a_volatile_one(api: Api) -> None:
    assert refused(api.request("POST", "/rpc/stable_caller", json={})) == (405, "25006")


def test_a_stable_function_cannot_draw_from_a_sequence(api: Api) -> None:
    assert refused(api.request("POST", "/rpc/stable_ticket", json={})) == (405, "25006")


@pytest.mark.parametrize(("path", "mode"), [("/rpc/setting", "on"), ("/rpc/writes_mode", "off")])
def test_only_volatile_functions_run_in_a_transaction_that_may_write(api: Api, path: str, mode: str) -> None:
    body = {"p_name": "transaction_read_only"} if path.endswith("setting") else {}
    assert api.request("POST", path, json=body).json() == mode


def test_a_request_carries_role_path_headers_cookies_and_claims(api: Api) -> None:
    headers = {"X-Probe": "p", "Cookie": "a=1; b=two"}
    seen = api.request("POST", "/rpc/everything", "authenticated", json={}, headers=headers).json()
    assert (seen["role"], seen["session"], seen["header"]) == ("authenticated", "authenticator", "p")
    assert seen["path"].startswith('"api", "public", "extensions"')
    assert seen["cookies"] == {"a": "1", "b": "two"}
    assert seen["claims"]["role"] == "authenticated"


def test_nothing_of_a_request_reaches_the_next_one(api: Api) -> None:
    for _ in range(12):
        api.request("POST", "/rpc/everything", "authenticated", json={}, headers={"X-Probe": "p", "Cookie": "a=1"})
    for _ in range(12):
        seen = api.request("POST", "/rpc/everything", None, json={}).json()
        assert (seen["role"], seen["header"], seen["cookies"]) == ("anon", None, {})
        assert "sub" not in seen["claims"]


def test_a_failed_request_leaves_nothing_behind_on_its_connection(api: Api) -> None:
    for _ in range(12):
        api.request("POST", "/rpc/refuse", "service_role", json={"p_code": "P0001"})
    assert api.request("GET", "/rpc/everything", None).json()["role"] == "anon"


def test_a_functions_own_timeout_wins_over_the_roles(api: Api) -> None:
    assert api.request("POST", "/rpc/own_timeout", json={}).json() == "30s"
    started = time.monotonic()
    assert refused(api.request("POST", "/rpc/short_nap", json={})) == (500, "57014")
    assert time.monotonic() - started < 3


def test_the_roles_timeout_ends_a_statement(api: Api) -> None:
    started = time.monotonic()
    api.request("POST", "/rpc/nap", "authenticated", json={"seconds": 0.01}).raise_for_status()
    answer = api.request("GET", "/rpc/setting?p_name=statement_timeout", None)
    assert answer.json() == "3s"
    assert time.monotonic() - started < 3


def test_waiting_for_a_row_lock_ends_as_a_timeout(api: Api) -> None:
    with psycopg.connect(api.db_url) as holder:
        holder.execute("select from api.mentors where id = 1 for update")
        assert refused(api.request("POST", "/rpc/rename_mentor", json={"p_id": 1})) == (500, "57014")


def test_requests_run_at_the_same_time(api: Api) -> None:
    started = time.monotonic()
    callers = [
        threading.Thread(target=api.request, args=("POST", "/rpc/nap"), kwargs={"json": {"seconds": 0.4}})
        for _ in range(5)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert time.monotonic() - started < 1.5
