"""Reads that the platform contract lists and the recordings do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.gateway import refused

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

ODD = "/Odd%20%22names%25s"


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
