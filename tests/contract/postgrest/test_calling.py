"""Calls and their errors that the platform contract lists and the recordings do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import refused

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api


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


def test_half_a_surrogate_pair_in_a_key_is_an_ordinary_refusal(api: Api) -> None:
    answer = api.request("POST", "/rpc/add", content=b'{"\\ud800": 1}', headers={"Content-Type": "application/json"})
    assert refused(answer) == (404, "PGRST202")


@pytest.mark.embedded
def test_a_raised_status_without_a_body_does_not_break_the_connection(api: Api) -> None:
    assert api.request("POST", "/rpc/refuse", json={"p_code": "PT204"}).status_code == 204
    assert api.request("GET", "/mentors?limit=1").status_code == 200
