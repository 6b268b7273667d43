"""Errors of the gateway: one exception that already knows its answer.

Contract (platform contract, "PostgREST 16" items 6 to 8): every error answer is
`{"code", "details", "hint", "message"}`; codes `PGRST…` are the API's own, all others are SQLSTATEs.
"""

from dataclasses import dataclass, field
from http import HTTPStatus

import psycopg

# First match wins, from the most specific to the class (two characters) of the SQLSTATE.
_EXACT = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42501": 403,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53400": 500,
    "57P01": 503,
    "P0001": 400,
}
_CLASSES = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}


@dataclass(eq=False)
class ApiError(Exception):
    """An error answer: HTTP status, the four fields of the body, and headers beside the usual ones."""

    status: int
    code: str
    message: str
    details: str | None = None
    hint: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self) -> dict[str, str | None]:
        return {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}


def left_out(feature: str) -> ApiError:
    """A feature of PostgREST that the gateway does not have: 501, never a silently different answer."""
    return ApiError(
        HTTPStatus.NOT_IMPLEMENTED,
        "not_implemented",
        f"The embedded gateway leaves out: {feature}",
        hint="Use a database function, or a real Supabase project.",
    )


def parse_error(message: str, details: str) -> ApiError:
    return ApiError(400, "PGRST100", message, details)


def invalid_body(message: str) -> ApiError:
    return ApiError(400, "PGRST102", message)


def not_singular(rows: int) -> ApiError:
    return ApiError(
        406, "PGRST116", "Cannot coerce the result to a single JSON object", f"The result contains {rows} rows"
    )


def status_of_sqlstate(sqlstate: str, message: str, *, anonymous: bool) -> int:
    """The HTTP status PostgREST gives a SQLSTATE; `anonymous` is whether the request ran as role anon."""
    if sqlstate.startswith("PT"):
        digits = sqlstate[2:]
        return int(digits) if digits.isdecimal() and int(digits) >= 200 else 500
    if sqlstate == "21000":
        # pg-safeupdate uses the code of an ordinary cardinality violation; only its text tells them apart.
        return 400 if message.endswith("requires a WHERE clause") else 500
    if sqlstate == "22023" and message.startswith("role") and message.endswith("does not exist"):
        return 401
    if sqlstate == "42501" and anonymous:
        return 401
    return _EXACT.get(sqlstate) or _CLASSES.get(sqlstate[:2]) or 400


def from_database(error: psycopg.Error, *, anonymous: bool) -> ApiError:
    """The answer to an error of the database, or of the connection to it (503)."""
    sqlstate = error.sqlstate
    if sqlstate is None:
        if isinstance(error, psycopg.OperationalError):
            return connection_lost(str(error).strip())
        return ApiError(400, "22021", "The request cannot be sent to the database", str(error))
    diag = error.diag
    message = diag.message_primary or ""
    status = status_of_sqlstate(sqlstate, message, anonymous=anonymous)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
    return ApiError(status, sqlstate, message, diag.message_detail, diag.message_hint, headers)


def connection_lost(details: str | None = None) -> ApiError:
    return ApiError(503, "PGRST001", "Database client error. Retrying the connection.", details)


def connection_refused(details: str | None = None) -> ApiError:
    return ApiError(503, "PGRST000", "Database connection error.", details)
