"""The embedded gateway, asked in every way that is no way to ask: as anybody, as somebody, with the secret key.

What PostgREST itself makes of such requests is compared elsewhere (tests/contract/postgrest); here nothing may be an
unforeseen error, no answer may have another shape than theirs, and nobody may get or change a row without a right.
"""

from __future__ import annotations

import json
import string
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attend.stack.keys import Keys
from tests.fuzz.conftest import FUZZING, Front
from tests.support.people import World

pytestmark = pytest.mark.embedded

PATHS = (
    *("users", "organizations", "health", "activities", "engagement_dau_90d_v", "runs", "private", "rpc", "rpc/"),
    *("rpc/export_my_data", "users?", "users/1", "users%00", "%2e%2e", "..", ".", "%", "", " ", "øl", "*", "'"),
)
COLUMNS = ("id", "full_name", "organization_id", "select", "order", "limit", "offset", "or", "and", "not.or")
FILTERS = (
    *("eq.", "in.(", ")", "(", "not.", "is.null", "is.", "id.eq.1", "*", ",", ".", "::", "->>", "a->b", "!inner"),
    *(
        "...",
        '"',
        "\\",
        "'",
        "--",
        ";",
        "%",
        "{",
        "}",
        "\0",
        "\ud7ff",
        "-1",
        "1e9",
        "null",
        "count()",
        "users(*)",
        "desc",
    ),
    "9" * 40,
)
WORDS, NAMES, PIECES = st.sampled_from(PATHS), st.sampled_from(COLUMNS), st.sampled_from(FILTERS)
VALUES = st.lists(PIECES | st.text(max_size=6), max_size=6).map("".join)
QUERY = st.lists(st.tuples(NAMES | st.text(max_size=8), VALUES), max_size=4)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "prefer", "accept-profile", "content-profile", "content-type", "range", "x-request-id"]),
    st.sampled_from(
        ["", "*/*", "text/csv", "application/json", "public", "mgmt", "private", "q=", ";;", "0-", "x" * 300]
    )
    | st.sampled_from(
        ["count=exact", "return=representation", "resolution=x", "tx=rollback", "application/vnd.pgrst.object"]
    ),
    max_size=3,
)
BODY = st.binary(max_size=60) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | NAMES, inner, max_size=3),
    max_leaves=6,
).map(lambda value: json.dumps(value).encode())
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "TRACE", "BREW"])
WHO = st.sampled_from(["nobody", "anon", "stranger", "rubbish"])


HTTP = httpx.Client(timeout=30)


def keys_of(who: str) -> dict[str, str]:
    keys = Keys()
    if who == "rubbish":
        return {
            "apikey": keys.publishable,
            "authorization": "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.",
        }
    if who == "stranger":
        token = keys.user_token("00000000-0000-4000-8000-000000000001")
        return {"apikey": keys.publishable, "authorization": f"Bearer {token}"}
    return {} if who == "nobody" else {"apikey": keys.publishable}


@FUZZING
@given(method=METHODS, path=WORDS, query=QUERY, headers=HEADERS, body=BODY, who=WHO)
@example(method="GET", path="users", query=[("or", "(" * 5_000)], headers={}, body=b"", who="anon")
@example(method="GET", path="users", query=[("id", "in.(" + "1," * 20_000 + ")")], headers={}, body=b"", who="anon")
@example(method="POST", path="users", query=[], headers={}, body=b"[" * 90_000, who="anon")
@example(method="POST", path="rpc/export_my_data", query=[], headers={}, body=b'{"a":NaN}', who="anon")
@example(method="PATCH", path="users", query=[("id", "eq.\0")], headers={}, body=b'{"role":"admin"}', who="stranger")
def ask(
    front: Front, method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes, who: str
) -> None:
    raw = "&".join(f"{quote(name, safe='.')}={quote(value, safe='.(),*:')}" for name, value in query)
    # Whatever is not ASCII does not get past the server's own reading of HTTP.
    target = f"/rest/v1/{quote(path, safe=string.printable)}?{raw}".encode()
    parts = urlsplit(front.url)
    url = httpx.URL(scheme="http", host=str(parts.hostname), port=parts.port, raw_path=target)
    sent = [(name.encode(), value.encode()) for name, value in (keys_of(who) | headers).items()]
    answer = HTTP.request(method, url, headers=sent, content=body)
    described = (method, target[:200], headers, body[:100], who, answer.status_code, answer.text[:500])
    assert answer.status_code < 500 or answer.status_code == 501, described
    if (
        answer.status_code >= 400
        and method != "HEAD"
        and answer.headers.get("content-type", "").startswith("application")
    ):
        assert set(answer.json()) == {"code", "details", "hint", "message"}, described
    for text in ("Kari Nordmann", "Per Mentor", "Norra", *front.secrets):
        assert text not in answer.text, described


def test_whatever_is_asked_is_answered_and_nothing_is_given_or_changed(front: Front, world: World) -> None:
    before = front.state()
    ask(front)
    assert front.state() == before
    assert world.organization
