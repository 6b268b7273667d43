"""HTTP manners that every function has: bounded bodies, one shape of error, a request id on every line and answer.

functions-framework 3.10 routes every path and the methods GET, POST, PUT, PATCH, DELETE, HEAD and OPTIONS to the one
function, answers /robots.txt and /favicon.ico itself, and turns a returned None into a 500: so functions dispatch
themselves and always return a response.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from uuid import uuid4

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from shared.errors import (
    AttendError,
    BodyTooLarge,
    BodyTooSlow,
    InternalError,
    MalformedBody,
    MethodNotAllowed,
    NotVerified,
    UnsupportedMediaType,
)
from shared.logs import bound, get_logger, redaction

log = get_logger(__name__)

REQUEST_ID_HEADER = "x-request-id"
LONGEST_BODY = 16_777_216
"""Bytes: the most that ATTEND_MAX_BODY_BYTES may say, and so the most that is passed on to a function."""
# Servers wait for a body as long as its sender likes, and it is read before anybody knows who that is.
_LONGEST_BODY_SECONDS = 10.0
# The caller's id, the platform's (Cloud Run), functions-framework's own: the first that is well-formed.
_REQUEST_ID_SOURCES = (REQUEST_ID_HEADER, "x-cloud-trace-context", "function-execution-id")
_REQUEST_ID = re.compile(r"[A-Za-z0-9_./:;=\-]{1,128}")
_JSON_MEDIA_TYPE = re.compile(r"application/(?:[a-z0-9.+\-]+\+)?json", re.IGNORECASE)


async def answer(request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    """Run `handle` and turn whatever it raises into an answer; the request's id is on the answer and on every line.

    Errors of our tree answer as they say. Anything else is a 500 that tells nothing, and a traceback in the log.
    """
    request_id = _request_id(request)
    with bound(request_id=request_id):
        try:
            response = await handle(request)
        except AttendError as error:
            response = _error_response(error)
            _log(request, error)
        except Exception:
            # The outermost frame of ours: beyond it is only the framework's plain-text 500.
            log.exception("request_failed", method=request.method, path=request.url.path)
            response = _error_response(InternalError())
    response.headers[REQUEST_ID_HEADER] = request_id
    return response


def _log(request: Request, error: AttendError) -> None:
    reason = error.reason if isinstance(error, NotVerified) else None
    values = {"method": request.method, "path": request.url.path, "code": error.code, "reason": reason}
    if error.http_status >= 500:
        log.error("request_failed", **values, details=error.details, exc_info=error)
    else:
        log.warning("request_refused", **values)


def _error_response(error: AttendError) -> JSONResponse:
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse(error.body(), status_code=error.http_status, headers=headers)


def _request_id(request: Request) -> str:
    for source in _REQUEST_ID_SOURCES:
        value = request.headers.get(source, "")
        # It is answered and logged: what looks like a secret, put into the wrong header, is none.
        if _REQUEST_ID.fullmatch(value) and redaction.text(value) == value:
            return value
    return uuid4().hex


def require_method(request: Request, *allowed: str) -> None:
    """Raise `MethodNotAllowed` unless the request's method is one of `allowed`."""
    if request.method not in allowed:
        raise MethodNotAllowed(allowed)


def require_json(request: Request) -> None:
    """Raise `UnsupportedMediaType` for bodies announced as something else or as compressed; silence counts as JSON."""
    announced = request.headers.get("content-type", "application/json").split(";")[0].strip()
    if not _JSON_MEDIA_TYPE.fullmatch(announced):
        raise UnsupportedMediaType("The body must be application/json.")
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("The body must not be compressed: it is verified as the bytes that were signed.")


async def read_body(request: Request, limit: int) -> bytes:
    """Read the raw body, at most `limit` bytes of it.

    Raises:
        BodyTooLarge: announced or actually longer; the rest is not read.
        BodyTooSlow: not whole in time.
        MalformedBody: the caller hung up before its end.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise BodyTooLarge(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(_LONGEST_BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    raise BodyTooLarge(limit)
    except TimeoutError:
        raise BodyTooSlow(_LONGEST_BODY_SECONDS) from None
    except ClientDisconnect:
        raise MalformedBody("The body ended before its announced length.") from None
    return bytes(body)
