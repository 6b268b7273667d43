"""What the gateway leaves out of PostgREST is 501 with the four-field body, never a silently different answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api

pytestmark = pytest.mark.embedded

LEFT_OUT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "casts": ("GET", "/mentors?select=id::text", {}),
    "json paths in select": ("GET", "/mentors?select=facts->lang", {}),
    "json paths in filters": ("GET", "/mentors?facts->>lang=eq.nb", {}),
    "json paths in order": ("GET", "/mentors?order=facts->lang", {}),
    "embedding": ("GET", "/visits?select=id,mentors(name)", {}),
    "embedding with a hint": ("GET", "/visits?select=mentors!inner(name)", {}),
    "spread embedding": ("GET", "/visits?select=...mentors(name)", {}),
    "filters on embedded relations": ("GET", "/visits?mentors.id=eq.1", {}),
    "order of embedded relations": ("GET", "/visits?mentors.order=id", {}),
    "aggregates": ("GET", "/mentors?select=hours.sum()", {}),
    "count as a column": ("GET", "/mentors?select=count()", {}),
    "full-text search": ("GET", "/mentors?name=fts.ana", {}),
    "array containment": ("GET", "/mentors?tags=cs.{walk}", {}),
    "regular expressions": ("GET", "/mentors?name=match.A", {}),
    "quantified operators": ("GET", "/mentors?id=eq(any).{1,2}", {}),
    "csv answers": ("GET", "/mentors", {"headers": {"Accept": "text/csv"}}),
    "plans": ("GET", "/mentors", {"headers": {"Accept": "application/vnd.pgrst.plan+json"}}),
    "stripped nulls": ("GET", "/mentors", {"headers": {"Accept": "application/vnd.pgrst.object+json;nulls=stripped"}}),
    "planned counts": ("GET", "/mentors", {"headers": {"Prefer": "count=planned"}}),
    "strict preferences": ("GET", "/mentors", {"headers": {"Prefer": "handling=strict"}}),
    "time zones": ("GET", "/mentors", {"headers": {"Prefer": "timezone=UTC"}}),
    "the Range header": ("GET", "/mentors", {"headers": {"Range": "0-1"}}),
    "csv bodies": ("POST", "/mentors", {"content": b"id\n1", "headers": {"Content-Type": "text/csv"}}),
    "form bodies": ("POST", "/rpc/add", {"data": {"a": "1"}}),
    "put": ("PUT", "/mentors?id=eq.1", {"json": {"id": 1}}),
    "the api's description": ("GET", "/", {}),
}


@pytest.mark.parametrize("feature", list(LEFT_OUT))
def test_it_is_not_implemented(api: Api, feature: str) -> None:
    method, path, options = LEFT_OUT[feature]
    answer = api.request(method, path, **options)
    assert (answer.status_code, answer.json()["code"]) == (501, "not_implemented"), answer.text
    assert set(answer.json()) == {"code", "details", "hint", "message"}


def test_browsers_of_any_origin_may_ask(api: Api) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Headers": "apikey,content-type"}
    answer = api.request("OPTIONS", "/mentors", None, headers=asked)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")
    assert answer.headers["access-control-allow-headers"] == "apikey,content-type"
    assert api.request("GET", "/nope").headers["access-control-allow-origin"] == "*"
