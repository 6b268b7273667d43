"""Behaviours the platform contract lists that the recordings do not show; they run against any address."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

ONE = {"Accept": "application/vnd.pgrst.object+json"}
BACK = {"Prefer": "return=representation"}
ODD = "/Odd%20%22names%25s"


def refused(answer: Any) -> tuple[int, str]:
    assert set(answer.json()) == {"code", "details", "hint", "message"}
    return answer.status_code, answer.json()["code"]


# Transactions and settings


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


# Reading


def test_a_set_of_a_function_is_capped_too(api: Api) -> None:
    answer = api.request("POST", "/rpc/all_many", json={})
    assert (len(answer.json()), answer.headers["content-range"]) == (1000, "0-999/*")


def test_the_rows_beyond_the_cap_are_reached_by_offset(api: Api) -> None:
    answer = api.request("POST", "/rpc/all_many?offset=2000", json={})
    assert (len(answer.json()), answer.headers["content-range"]) == (500, "2000-2499/*")


def test_a_counted_set_of_a_function_is_partial_content(api: Api) -> None:
    answer = api.request("POST", "/rpc/all_many?limit=10", json={}, headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (206, "0-9/2500")


def test_head_answers_as_get_without_the_body(api: Api) -> None:
    answer = api.request("HEAD", "/mentors?id=eq.1", headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"], answer.content) == (200, "0-0/1", b"")


def test_a_negative_limit_is_no_range(api: Api) -> None:
    assert refused(api.request("GET", "/mentors?limit=-1")) == (416, "PGRST103")


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("or=(id.eq.1,and(id.gt.3,active.not.is.true))", [1, 5]),
        ('or=(name.eq."O\'Neil, Jo",name.like.A*)', [2, 5]),
        ("and=(id.in.(1,2,3),or(mood.eq.low,mood.is.null))", [2, 3]),
        ("not.and=(id.gt.1,id.lt.5)", [1, 5]),
        ("id=not.in.(1,2)", [3, 4, 5]),
        ("mood=is.not_null&id=lte.2", [1, 2]),
        ("name=neq.Ana&id=gte.4", [4]),
        ('name=in.("a\\"b","Ana")', [5]),
        ("tags=eq.{walk}", [5]),
    ],
)
def test_filters_combine(api: Api, query: str, ids: list[int]) -> None:
    answer = api.request("GET", f"/mentors?select=id&order=id&{query}")
    assert answer.json() == [{"id": number} for number in ids]


@pytest.mark.parametrize(
    "query", ["select=id,", "order=id.sideways", "or=(id.eq.1", "id=is.maybe", "id=nonsense.1", "id=in.1", "columns=,"]
)
def test_a_query_that_cannot_be_read_is_refused(api: Api, query: str) -> None:
    assert refused(api.request("GET", f"/mentors?{query}")) == (400, "PGRST100")


def test_names_are_quoted_and_values_are_parameters(api: Api) -> None:
    answer = api.request("GET", f'{ODD}?select="c%25d","e\\"f"&"a b"=eq.1&order="a b".desc')
    assert answer.json() == [{"c%d": "one", 'e"f': "x"}]
    hostile = "1'); drop table api.visits; --"
    assert refused(api.request("GET", "/mentors", params={"id": f"eq.{hostile}"})) == (400, "22P02")
    assert api.request("GET", "/mentors", params={"name": f"eq.{hostile}"}).json() == []
    hostile_name = '/mentors?select="id%22;drop table api.visits;--"'
    assert api.request("GET", hostile_name).status_code == 400
    assert api.request("GET", "/visits?limit=1").status_code == 200


def test_text_with_nul_is_no_server_error(api: Api) -> None:
    assert api.request("GET", "/mentors?name=eq.a%00b").json() == []


# Writing


def test_a_mutation_that_does_not_give_one_object_is_rolled_back(api: Api) -> None:
    answer = api.request("PATCH", "/mentors?id=lt.3", json={"name": "N"}, headers={**BACK, **ONE})
    assert refused(answer) == (406, "PGRST116")
    assert api.request("GET", "/mentors?name=eq.N").json() == []


def test_an_update_ignores_limit(api: Api) -> None:
    answer = api.request("PATCH", "/mentors?id=lt.3&limit=1", json={"name": "N"}, headers={"Prefer": "count=exact"})
    assert (answer.status_code, answer.headers["content-range"]) == (204, "0-1/2")


def test_ignoring_duplicates_returns_only_the_new_rows(api: Api) -> None:
    headers = {"Prefer": "return=representation,resolution=ignore-duplicates"}
    answer = api.request("POST", "/pairs", json=[{"a": 1, "b": 1}, {"a": 9, "b": 9}], headers=headers)
    assert (answer.status_code, answer.json()) == (201, [{"a": 9, "b": 9, "c": "c"}])


@pytest.mark.parametrize("prefer", ["return=representation", "resolution=ignore-duplicates"])
def test_seeing_what_was_inserted_needs_select_rights(api: Api, prefer: str) -> None:
    answer = api.request("POST", "/dropbox", "authenticated", json={"id": 7, "note": "n"}, headers={"Prefer": prefer})
    assert refused(answer) == (403, "42501")


def test_an_empty_batch_inserts_nothing(api: Api) -> None:
    answer = api.request("POST", "/mentors", json=[], headers=BACK)
    assert (answer.status_code, answer.json()) == (201, [])


def test_a_batch_is_inserted_whole_or_not_at_all(api: Api) -> None:
    answer = api.request("POST", "/visits", json=[{"id": 50, "mentor_id": 1}, {"id": 51, "mentor_id": 999}])
    assert refused(answer) == (409, "23503")
    assert api.request("GET", "/visits?id=gte.50").json() == []


def test_a_key_of_two_columns_is_an_upserts_target(api: Api) -> None:
    headers = {"Prefer": "return=representation,resolution=merge-duplicates"}
    answer = api.request(
        "POST", "/pairs", json=[{"a": 1, "b": 1, "c": "new"}, {"a": 3, "b": 3, "c": "x"}], headers=headers
    )
    assert (answer.status_code, len(answer.json())) == (201, 2)
    assert api.request("GET", "/pairs?a=eq.1&b=eq.1").json() == [{"a": 1, "b": 1, "c": "new"}]


def test_types_with_lengths_take_whole_values(api: Api) -> None:
    row = {"id": 1, "code": "abc", "amount": 12.5, "checked": "1010", "note": "hello"}
    assert api.request("POST", "/stamped", json=row, headers=BACK).json() == [row]
    assert refused(api.request("PATCH", "/stamped?id=eq.1", json={"note": "too long"})) == (400, "22001")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'[{"id":1},2]', b"\xff", b'{"id":NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(api: Api, body: bytes) -> None:
    answer = api.request("POST", "/visits", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer) == (400, "PGRST102")


def test_a_body_of_another_type_is_refused(api: Api) -> None:
    answer = api.request("POST", "/visits", content=b"id", headers={"Content-Type": "application/toml"})
    assert refused(answer) == (400, "PGRST102")


# Calling


def test_a_function_nobody_made_is_unknown(api: Api) -> None:
    assert refused(api.request("POST", "/rpc/nobody_made_this", json={})) == (404, "PGRST202")


def test_a_null_row_is_an_object_of_nulls(api: Api) -> None:
    row = api.request("POST", "/rpc/one_mentor", json={"p_id": 99}).json()
    assert set(row) >= {"id", "name", "hours"}
    assert set(row.values()) == {None}


def test_overloads_that_take_the_same_names_are_ambiguous(api: Api) -> None:
    assert refused(api.request("POST", "/rpc/pick", json={"a": 1})) == (300, "PGRST203")


def test_a_single_unnamed_json_takes_the_whole_body(api: Api) -> None:
    assert api.request("POST", "/rpc/takes_json", json={"any": [1]}).json() == {"any": [1]}


def test_a_table_of_one_column_is_a_set_of_objects(api: Api) -> None:
    assert api.request("POST", "/rpc/one_column", json={}).json() == [{"x": 1}]


def test_an_empty_set_of_scalars_is_an_empty_array(api: Api) -> None:
    assert api.request("POST", "/rpc/no_rows_scalar", json={}).json() == []


def test_a_variadic_function_takes_an_array(api: Api) -> None:
    assert api.request("POST", "/rpc/join_words", json={"words": ["a", "b"]}).json() == "a-b"


def test_filters_on_a_function_called_by_get_are_told_from_its_arguments(api: Api) -> None:
    answer = api.request("GET", "/rpc/rows_of?p_active=true&id=gt.1&select=id")
    assert answer.json() == [{"id": 2}, {"id": 4}]


# Errors


@pytest.mark.parametrize(
    ("sqlstate", "status"),
    [
        *[
            ("PT404", 404),
            ("PT429", 429),
            ("PTABC", 500),
            ("42P01", 404),
            ("23505", 409),
            ("22P02", 400),
            ("AB123", 400),
        ],
        *[("40001", 500), ("40P01", 500), ("54000", 500), ("0L000", 403), ("08006", 503), ("57P01", 503)],
    ],
)
def test_an_sqlstate_has_its_status(api: Api, sqlstate: str, status: int) -> None:
    answer = api.request("POST", "/rpc/refuse", json={"p_code": sqlstate})
    assert refused(answer) == (status, sqlstate)
    assert answer.headers.get("retry-after") == ("0" if status == 503 else None)


def test_an_unknown_schema_is_not_acceptable(api: Api) -> None:
    assert refused(api.request("GET", "/mentors", headers={"Accept-Profile": "private"})) == (406, "PGRST106")
    assert refused(api.request("POST", "/mentors", json={}, headers={"Content-Profile": "private"})) == (
        406,
        "PGRST106",
    )


def test_a_deeper_path_is_not_found(api: Api) -> None:
    assert refused(api.request("GET", "/mentors/1")) == (404, "PGRST125")


# The schema cache


def test_ddl_is_seen_within_a_second(api: Api) -> None:
    with psycopg.connect(api.db_url, autocommit=True) as connection:
        connection.execute("create function api.brand_new() returns int language sql as 'select 7'")
        try:
            connection.execute("grant execute on function api.brand_new() to service_role")
            assert eventually(lambda: api.request("POST", "/rpc/brand_new", json={}).status_code == 200)
        finally:
            connection.execute("drop function api.brand_new()")
    assert eventually(lambda: api.request("POST", "/rpc/brand_new", json={}).status_code == 404)


def test_a_changed_result_type_is_seen_by_statements_already_prepared(api: Api) -> None:
    with psycopg.connect(api.db_url, autocommit=True) as connection:
        connection.execute("create table api.growing (id int primary key); grant all on api.growing to service_role")
        connection.execute("insert into api.growing values (1)")
        try:
            assert eventually(lambda: api.request("GET", "/growing").status_code == 200)
            for _ in range(20):
                assert api.request("GET", "/growing").json() == [{"id": 1}]
            connection.execute("alter table api.growing add column note text default 'n'")
            assert eventually(lambda: api.request("GET", "/growing").json() == [{"id": 1, "note": "n"}])
        finally:
            connection.execute("drop table api.growing")


def eventually(check: Any, seconds: float = 1.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False


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
