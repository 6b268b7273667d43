"""Preferences, media types, schemas and error statuses."""

from typing import Any

import pytest

from attend.stack.gateway.answers import content_range
from attend.stack.gateway.body import parse_body
from attend.stack.gateway.errors import ApiError, status_of_sqlstate
from attend.stack.gateway.negotiate import (
    JSON,
    OBJECT,
    accepted_type,
    check_content_type,
    negotiated_schema,
    parse_preferences,
    preference_applied,
)
from attend.stack.gateway.sql import array_literal
from attend.stack.gateway.transaction import settings_query


def test_unknown_preferences_are_ignored() -> None:
    preferences = parse_preferences("return=everything, return=minimal, count=exact, max-affected=1, wait=5")
    assert (preferences.representation, preferences.counts, preferences.resolution) == ("minimal", True, None)


def test_applied_preferences_have_an_order_of_their_own() -> None:
    preferences = parse_preferences("count=exact,return=representation,missing=default,resolution=merge-duplicates")
    names = ("resolution", "missing", "return", "count")
    assert preference_applied(preferences, names) == {
        "Preference-Applied": "resolution=merge-duplicates, missing=default, return=representation, count=exact"
    }
    assert preference_applied(preferences, ()) == {}


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("image/png, application/json;q=0.5", JSON),
        ("application/json;q=0.1, application/vnd.pgrst.object+json", OBJECT),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),
    ],
)
def test_the_best_media_type_there_is_wins(header: str | None, media_type: str) -> None:
    assert accepted_type(header) == media_type


@pytest.mark.parametrize(("header", "status"), [("image/png", 406), ("text/csv", 501), ("", 200)])
def test_media_types_nobody_has_are_refused(header: str, status: int) -> None:
    assert _status(accepted_type, header) == status


@pytest.mark.parametrize(
    ("header", "call", "status"),
    [
        (None, False, 200),
        ("application/JSON;charset=utf-8", False, 200),
        ("text/plain", False, 400),
        ("text/plain", True, 501),
        ("text/csv", False, 501),
        ("image/png", True, 400),
    ],
)
def test_bodies_are_json(header: str | None, call: bool, status: int) -> None:
    assert _status(check_content_type, header, call=call) == status


def test_reads_and_writes_name_their_schema_in_different_headers() -> None:
    schemas = ("public", "mgmt")
    assert negotiated_schema({"accept-profile": "mgmt"}, "GET", schemas) == ("mgmt", True)
    assert negotiated_schema({"accept-profile": "mgmt"}, "POST", schemas) == ("public", True)
    assert negotiated_schema({"content-profile": "mgmt"}, "POST", schemas) == ("mgmt", True)
    assert negotiated_schema({}, "GET", ("public",)) == ("public", False)


@pytest.mark.parametrize(
    ("sqlstate", "message", "anonymous", "status"),
    [
        ("42501", "", True, 401),
        ("42501", "", False, 403),
        ("21000", "UPDATE requires a WHERE clause", False, 400),
        ("21000", "more than one row returned by a subquery", False, 500),
        ("22023", 'role "x" does not exist', False, 401),
        ("22023", "invalid", False, 400),
        ("PT418", "", False, 418),
        ("PT99", "", False, 500),
        ("PT²²²", "", False, 500),
    ],
)
def test_statuses_of_sqlstates(sqlstate: str, message: str, anonymous: bool, status: int) -> None:
    assert status_of_sqlstate(sqlstate, message, anonymous=anonymous) == status


@pytest.mark.parametrize(
    ("lower", "upper", "total", "text"),
    [(0, 4, None, "0-4/*"), (0, -1, None, "*/*"), (1, 2, 5, "1-2/5"), (5, 4, 5, "*/5"), (0, -1, 0, "*/0")],
)
def test_content_ranges(lower: int, upper: int, total: int | None, text: str) -> None:
    assert content_range(lower, upper, total) == text


def test_bodies_tell_their_keys() -> None:
    assert parse_body(b"", empty_is_object=True) == ("{}", frozenset())
    assert parse_body(b'[{"a":1},{"a":2}]', empty_is_object=False)[1] == {"a"}
    assert parse_body(b"5", empty_is_object=False) == ("[]", frozenset())
    assert _status(parse_body, b"", empty_is_object=False) == 400


def test_array_literals_quote_everything() -> None:
    assert array_literal(["a", 'b"', "c\\", "NULL", ""]) == '{"a","b\\"","c\\\\","NULL",""}'


def test_role_settings_come_before_the_role_and_function_settings_last() -> None:
    text = settings_query(1, 1).decode()
    assert text.startswith(
        "select set_config('search_path', $1, true), set_config($2, $3, true), set_config('role', $4"
    )
    assert text.endswith("set_config($10, $11, true)")


def _status(check: Any, *arguments: Any, **options: Any) -> int:
    try:
        check(*arguments, **options)
    except ApiError as refusal:
        return refusal.status
    return 200
