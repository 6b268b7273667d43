"""Writes that the platform contract lists and the recordings do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import refused

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

ONE = {"Accept": "application/vnd.pgrst.object+json"}
BACK = {"Prefer": "return=representation"}


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
