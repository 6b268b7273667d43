"""From an error answer of PostgREST, or of any proxy in front of it, to `shared.errors`.

Source: platform.md "PostgREST 16" point 8 and 11 (which code means what, and that none is retried for us).
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from shared.errors import (
    DatabaseBusy,
    DatabaseConflict,
    DatabaseError,
    DatabaseOutdated,
    DatabaseRefused,
    DatabaseTimeout,
    DatabaseUnavailable,
    LeaseLost,
    Refused,
)

_PUSH_HINT = "Push the migrations that belong to this version: supabase db push --remote."
_KEY_HINT = "Check SUPABASE_URL and SUPABASE_SECRET_KEY."
_STABLE_CODE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_PT_CODE = re.compile(r"PT([45]\d\d)")
_KINDS: tuple[tuple[re.Pattern[str], type[DatabaseError], str | None], ...] = (
    (re.compile(r"40001|40P01|55P03"), DatabaseConflict, None),
    (re.compile(r"57014"), DatabaseTimeout, None),
    (re.compile(r"PGRST003|53..."), DatabaseBusy, None),
    # Not connected, schema cache not loaded, "starting up": the statement never began either.
    (re.compile(r"PGRST00[012]|57P03"), DatabaseBusy, None),
    (re.compile(r"08...|57P0[12]"), DatabaseUnavailable, None),
    (re.compile(r"42501|PGRST3.."), DatabaseRefused, _KEY_HINT),
    (re.compile(r"PGRST(?:106|20[2-5])|42883|42P01|42703|3F000"), DatabaseOutdated, _PUSH_HINT),
)
_PROXY_STATUS = frozenset({429, 502, 503, 504, 520, 521, 522, 523, 524})


def from_postgrest(status: int, body: bytes, *, operation: str, retry_after: str | None = None) -> DatabaseError:
    """Map an error answer of PostgREST, or of any proxy before it, to the tree.

    Branches on `code` first (SQLSTATE or PGRST…), on the HTTP status only where a body has no code that we know: a
    proxy's own 503 has none. `operation` is the RPC's or table's name, for the log.
    """
    answer = _json_object(body)
    code = answer.get("code")
    sqlstate = code if isinstance(code, str) and re.fullmatch(r"[A-Z0-9]{5,8}", code) else None
    refusal = _refusal(sqlstate, answer, operation)
    if refusal is not None:
        return refusal
    error = _by_code(sqlstate, operation) or _by_status(status, sqlstate, operation)
    # "Retry-After: 0" is PostgREST's word for "now": our caller is told at least a second.
    if retry_after is not None and retry_after.isdecimal() and error.retryable:
        # Cut, because int() refuses thousands of digits.
        error.retry_after = min(max(int(retry_after[:9]), error.retry_after or 1), 60)
    return error


def _refusal(sqlstate: str | None, answer: Mapping[str, Any], operation: str) -> Refused | None:
    match = _PT_CODE.fullmatch(sqlstate or "")
    message: object = answer.get("message")
    if sqlstate is None or match is None or not isinstance(message, str) or not _STABLE_CODE.fullmatch(message):
        return None
    details: Any = answer.get("details")
    if isinstance(details, str):
        try:
            details = json.loads(details, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            details = None  # not ours: a PT error's detail is JSON by contract, and free text could quote a row
    kind = LeaseLost if message == "lease_lost" else Refused
    return kind(message, int(match[1]), details, sqlstate=sqlstate, operation=operation)


def _no_constant(name: str) -> NoReturn:
    # Python reads NaN where JSON has none, and the answer that repeats it could not be written.
    raise ValueError(f"{name} is no JSON")


def _by_code(sqlstate: str | None, operation: str) -> DatabaseError | None:
    for pattern, kind, hint in _KINDS:
        if pattern.fullmatch(sqlstate or ""):
            return kind(sqlstate, operation=operation, hint=hint)
    return None


def _by_status(status: int, sqlstate: str | None, operation: str) -> DatabaseError:
    if status in _PROXY_STATUS:
        return DatabaseUnavailable(sqlstate, operation=operation)
    if status in {401, 403}:
        return DatabaseRefused(sqlstate, operation=operation, hint=_KEY_HINT)
    return DatabaseError(sqlstate or f"HTTP {status}", operation=operation)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        parsed: object = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
