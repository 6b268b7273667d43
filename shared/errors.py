"""One tree of errors: stable `code`, `http_status`, `retryable`; the same four keys in every body.

Outcomes (cooling down, opted out, busy) are values, not errors: what is raised here is a surprise. Nobody branches on
message text: PostgREST and Postgres translate theirs, and reword them between versions. Source: style.md "Python".
"""

from collections.abc import Mapping
from typing import ClassVar, TypedDict


class ErrorBody(TypedDict):
    """The body of every answer that is an error: PostgREST's four keys, so that clients need one parser."""

    code: str
    message: str
    details: object
    hint: str | None


class AttendError(Exception):
    """Root of the tree; raised itself never.

    `code` is stable and branched on; `http_status` is what a caller over HTTP gets; `retryable` says that the same
    call may succeed later; `retry_after` is in seconds. `message`, `details` and `hint` go to the caller, so they
    hold no secret and no personal text.
    """

    code: str = "internal_error"
    http_status: int = 500
    retryable: bool = False
    retry_after: int | None = None
    headers: Mapping[str, str]

    def __init__(self, message: str, *, details: object = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.hint = hint
        self.headers = {}

    def body(self) -> ErrorBody:
        """The error as its answer's body."""
        return {"code": self.code, "message": self.message, "details": self.details, "hint": self.hint}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class InternalError(AttendError):
    """Something nobody foresaw. Says nothing about itself to the caller; the log has the traceback."""

    def __init__(self) -> None:
        super().__init__("An unexpected error happened. The log has it under this answer's x-request-id.")


# ------------------------------------------------------------------------------------------------ settings


class SettingMissing(AttendError):
    """A required variable is not set. Raised at the first request that needs it, never at import."""

    code = "setting_missing"

    def __init__(self, variable: str, hint: str | None = None) -> None:
        super().__init__(f"The setting {variable} is missing.", details={"variable": variable}, hint=hint)
        self.variable = variable


class SettingInvalid(AttendError):
    """A variable is set to something unusable. The value itself is not repeated: it may be a secret."""

    code = "setting_invalid"

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"The setting {variable} is not usable: {reason}", details={"variable": variable})
        self.variable = variable


# ------------------------------------------------------------------------------------------------ requests


class RequestError(AttendError):
    """The caller's mistake. Sending the same again gives the same answer."""

    code = "bad_request"
    http_status = 400


class MalformedBody(RequestError):
    """The body is not the JSON that this path takes. `details` lists places and reasons, never the values."""

    code = "malformed_body"


class NotVerified(RequestError):
    """Signature or shared secret missing, wrong, malformed or stale: one answer, so that probing teaches nothing."""

    code = "not_verified"
    http_status = 401

    def __init__(self, reason: str) -> None:
        super().__init__(
            "The request is not signed by anybody this function knows.",
            hint="Sign as Standard Webhooks do: webhook-id, webhook-timestamp (five minutes), webhook-signature.",
        )
        self.reason = reason  # for the log, never for the caller


class UnknownPath(RequestError):
    """No such path."""

    code = "unknown_path"
    http_status = 404


class MethodNotAllowed(RequestError):
    """The path exists, the method does not; `Allow` names those that do."""

    code = "method_not_allowed"
    http_status = 405

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path answers {' and '.join(allowed)}.", details={"allowed": list(allowed)})
        self.headers = {"Allow": ", ".join(allowed)}


class BodyTooLarge(RequestError):
    """More bytes than the setting allows; the rest is not read."""

    code = "body_too_large"
    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes.", details={"limit_bytes": limit})
        self.headers = {"Connection": "close"}


class BodyTooSlow(RequestError):
    """Not whole in time; what is missing is not waited for."""

    code = "body_too_slow"
    http_status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body was not whole within {seconds:g} s.", details={"limit_seconds": seconds})
        self.headers = {"Connection": "close"}


class UnsupportedMediaType(RequestError):
    """The body is announced as something other than plain JSON."""

    code = "unsupported_media_type"
    http_status = 415


# ------------------------------------------------------------------------------------------------ database


class DatabaseError(AttendError):
    """The database, or the API before it, did not answer as asked. Its own text is never passed on: it can quote rows.

    `sqlstate` is the SQLSTATE or PostgREST code, if there was one. `may_have_run` is False where it is certain that
    the statement had no effect, so that even a call that must not happen twice may be repeated.
    """

    code = "database_error"
    public_message: ClassVar[str] = "The database did not accept a statement of this function."
    may_have_run: bool = True

    def __init__(self, sqlstate: str | None = None, *, operation: str | None = None, hint: str | None = None) -> None:
        super().__init__(self.public_message, details={"sqlstate": sqlstate, "operation": operation}, hint=hint)
        self.sqlstate = sqlstate
        self.operation = operation


class DatabaseUnavailable(DatabaseError):
    """No connection, a restart, or a proxy's 502/503/504: nobody's mistake, and it passes."""

    code = "database_unavailable"
    http_status = 503
    retryable = True
    retry_after = 5
    public_message = "The database cannot be reached."


class DatabaseBusy(DatabaseUnavailable):
    """No connection to be had (pool exhausted, too many, starting up): the statement certainly never began."""

    code = "database_busy"
    public_message = "The database takes no further connection at the moment."
    may_have_run = False


class DatabaseConflict(DatabaseError):
    """Serialization failure, deadlock or lock time-out (40001, 40P01, 55P03): rolled back whole, may be repeated."""

    code = "database_conflict"
    http_status = 503
    retryable = True
    retry_after = 1
    public_message = "Two transactions were in each other's way."
    may_have_run = False


class DatabaseTimeout(DatabaseError):
    """The statement's own time-out (57014). Not repeated by itself: it would take as long again."""

    code = "database_timeout"
    http_status = 503
    retry_after = 5
    public_message = "The database needed longer than it may."
    may_have_run = False


class DatabaseRefused(DatabaseError):
    """The key is not accepted, or its role lacks a grant (401, 403, 42501, PGRST3xx)."""

    code = "database_refused"
    public_message = "The database does not accept this function's key, or its role lacks a grant."


class DatabaseOutdated(DatabaseError):
    """A function, table or schema that this version needs is not there (PGRST202, PGRST205, PGRST106, 42883, 42P01)."""

    code = "database_outdated"
    public_message = "The database lacks something this version of the function needs."


class UnexpectedAnswer(DatabaseError):
    """The database answered with a shape this version does not know: function and migrations do not fit."""

    code = "unexpected_answer"
    public_message = "The database answered in a shape this version of the function does not know."


class Refused(DatabaseError):
    """A rule in SQL said no: `raise … using errcode = 'PTxyz', message = '<stable_code>', detail = '<json>'`.

    `code` is that stable code and `http_status` is xyz; by our contract the message of a PT error *is* the code.
    """

    public_message = "The database's rules refuse this call."
    may_have_run = False

    def __init__(self, code: str, http_status: int, details: object, *, sqlstate: str, operation: str | None) -> None:
        super().__init__(sqlstate, operation=operation)
        self.code = code
        self.http_status = http_status
        self.message = f"The database's rules refuse this call: {code.replace('_', ' ')}."
        self.details = details


class LeaseLost(Refused):
    """Another holder has the run by now (PT409 `lease_lost`). Runs end on it quietly, as an outcome."""
