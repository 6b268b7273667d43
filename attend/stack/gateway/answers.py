"""From a statement's row to the HTTP answer: status, `Content-Range`, applied preferences, body."""

import json
from urllib.parse import quote

from starlette.responses import Response

from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.negotiate import JSON, Preferences, preference_applied
from attend.stack.gateway.query import Query
from attend.stack.gateway.transaction import Result


def content_range(lower: int, upper: int, total: int | None) -> str:
    """`lower-upper/total`; `*` for no rows and for an unknown total."""
    rows = f"{lower}-{upper}" if total != 0 and lower <= upper else "*"
    return f"{rows}/{'*' if total is None else total}"


def error_answer(error: ApiError) -> Response:
    headers = {"Content-Type": f"{JSON}; charset=utf-8", **error.headers}
    if error.status == 503:
        headers.setdefault("Retry-After", "0")
    if error.status in {204, 304}:  # a function may raise PT204; HTTP lets such an answer have no body
        return Response(status_code=error.status)
    # A key of the request may hold half a surrogate pair, which is JSON but no text.
    body = json.dumps(error.body(), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, error.status, headers)


def read_answer(
    result: Result, query: Query, preferences: Preferences, media_type: str, *, void: bool = False
) -> Response:
    """The rows of a relation or the result of a function: 200, 206 (counted, partial), 416, or 204 for void."""
    headers = {
        "Content-Range": content_range(query.offset, query.offset + result.rows - 1, result.total),
        **preference_applied(preferences, ("count", "handling")),
    }
    if void:
        return Response(status_code=204, headers=headers)
    status = _range_status(query.offset, result)
    if status == 416:
        details = f"An offset of {query.offset} was requested, but there are only {result.total} rows."
        refusal = ApiError(416, "PGRST103", "Requested range not satisfiable", details, headers=headers)
        return error_answer(refusal)
    headers["Content-Type"] = f"{media_type}; charset=utf-8"
    return Response(result.body, status, headers)


def _range_status(offset: int, result: Result) -> int:
    if result.total is None:
        return 200
    if offset > result.total:
        return 416
    return 206 if result.rows < result.total else 200


def insert_answer(result: Result, name: str, preferences: Preferences, media_type: str, *, upserts: bool) -> Response:
    """201; 200 when a merging upsert inserted nothing."""
    merged = preferences.resolution == "merge-duplicates" and result.inserted is not None and result.inserted <= 0
    names = (
        ("resolution", "missing", "return", "count", "handling")
        if upserts
        else ("missing", "return", "count", "handling")
    )
    headers = {
        "Content-Range": content_range(1, 0, result.rows if preferences.counts else None),
        **preference_applied(preferences, names),
    }
    if result.location:
        pairs = (pair.partition("=") for pair in result.location)
        headers["Location"] = f"/{quote(name)}?" + "&".join(f"{quote(key)}={quote(value)}" for key, _, value in pairs)
    return _written(200 if merged else 201, result, preferences, media_type, headers)


def change_answer(result: Result, preferences: Preferences, media_type: str, *, deletes: bool) -> Response:
    """An update or delete: 200 with the rows, else 204."""
    total = result.rows if preferences.counts else None
    names = ("return", "count", "handling") if deletes else ("missing", "return", "count", "handling")
    headers = {
        "Content-Range": content_range(1, 0, total) if deletes else content_range(0, result.rows - 1, total),
        **preference_applied(preferences, names),
    }
    status = 200 if preferences.representation == "representation" else 204
    return _written(status, result, preferences, media_type, headers)


def _written(
    status: int, result: Result, preferences: Preferences, media_type: str, headers: dict[str, str]
) -> Response:
    if preferences.representation != "representation":
        return Response(status_code=status, headers=headers)
    headers["Content-Type"] = f"{media_type}; charset=utf-8"
    return Response(result.body, status, headers)
