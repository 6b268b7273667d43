"""HTTP to work, the same for every function: which path, who sent it, is it new, what is it; then the function's own.

Order: path, method, settings, media type, size, signature, repetition, shape. Nothing is parsed before it is verified,
and nothing is written before it is parsed. Ports come in; no environment.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared import logs, openapi
from shared.deliveries import Deliveries
from shared.errors import NotVerified, UnknownPath
from shared.events import RowChange
from shared.health import FunctionHealth
from shared.http import answer, read_body, require_json, require_method
from shared.openapi import FunctionApi
from shared.settings import FunctionSettings
from shared.supabase_client import Supabase
from shared.webhooks import (
    ID_HEADER,
    SHARED_SECRET_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    WebhookVerifier,
    verify_shared_secret,
)


@dataclass(frozen=True, slots=True)
class Ports[Event: BaseModel]:
    """What a handler works with; one for each event loop. `parse` and `work` are the function's own."""

    settings: FunctionSettings
    verifier: WebhookVerifier
    deliveries: Deliveries
    health: FunctionHealth
    parse: Callable[[bytes], Event]
    work: Callable[[Event], Awaitable[BaseModel]]
    now: Callable[[], datetime]


def make_ports[Event: BaseModel](
    settings: FunctionSettings,
    supabase: Supabase,
    *,
    parse: Callable[[bytes], Event],
    work: Callable[[Event], Awaitable[BaseModel]],
) -> Ports[Event]:
    """Wire the real ones. Opens no connection; the first call to the database does.

    Raises:
        SettingInvalid: naming the variable.
    """
    logs.configure(settings.attend_log_level)
    logs.redaction.know(settings.secret_values())
    return Ports(
        settings=settings,
        verifier=WebhookVerifier(settings.webhook_secrets),
        deliveries=Deliveries(supabase),
        health=FunctionHealth(supabase),
        parse=parse,
        work=work,
        now=lambda: datetime.now(UTC),
    )


async def handle[Event: BaseModel](request: Request, api: FunctionApi, ports: Callable[[], Ports[Event]]) -> Response:
    """Answer a request, whatever it is. `ports` is called only by paths that need them: /health answers without.

    Routes: POST / takes an event, GET /health says that the process answers, GET /health/deep whether all is well with
    this function, GET /openapi.json what all that is. All also below the function's own name, for callers who reach the
    process without the gateway that strips it.
    """
    name = api.name

    async def route(request: Request) -> Response:
        match request.url.path.rstrip("/").removeprefix(f"/{name}"):
            case "":
                require_method(request, "POST")
                return await _events(request, name, ports())
            case "/health":
                # Shallow: a restart of the database must not make the platform restart the functions too.
                require_method(request, "GET", "HEAD")
                return JSONResponse({"status": "ok", "function": name})
            case "/health/deep":
                require_method(request, "GET", "HEAD")
                return await _deep_health(request, name, ports())
            case openapi.PATH:
                require_method(request, "GET", "HEAD")
                return JSONResponse(api.document())
            case _:
                raise UnknownPath("There is no such path.", hint="POST / takes events; see GET /openapi.json.")

    return await answer(request, route)


async def _deep_health[Event: BaseModel](request: Request, name: str, ports: Ports[Event]) -> Response:
    # Anybody hears yes or no, as a status, which a monitor needs. How much waits and since when is told to whoever
    # signs (the empty body) as bells do, or brings the shared secret. A wrong proof is refused, not answered in short.
    if SIGNATURE_HEADER in request.headers:
        ports.verifier.verify(b"", _proof(request), now=ports.now())
    elif SHARED_SECRET_HEADER in request.headers:
        verify_shared_secret(ports.settings.attend_hook_shared_secret, _proof(request)[SHARED_SECRET_HEADER])
    else:
        is_ok = await ports.health.is_ok(name)
        status = "ok" if is_ok else "not_ok"
        return JSONResponse({"status": status, "function": name}, status_code=200 if is_ok else 503)
    report = await ports.health.report(name)
    return JSONResponse(report.model_dump(mode="json"), status_code=200 if report.is_ok else 503)


def _proof(request: Request) -> dict[str, str]:
    # A header that comes twice is joined, as a proxy might: several signatures are allowed, and any other one is then
    # malformed. To believe one of two is to believe another than whoever stands before us.
    names = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER, SHARED_SECRET_HEADER)
    return {name: ", ".join(request.headers.getlist(name)) for name in names}


async def _events[Event: BaseModel](request: Request, name: str, ports: Ports[Event]) -> Response:
    require_json(request)
    body = await read_body(request, ports.settings.attend_max_body_bytes)
    if SIGNATURE_HEADER not in request.headers and SHARED_SECRET_HEADER in request.headers:
        return JSONResponse(await _dashboard_hook(request, body, ports))
    delivery = ports.verifier.verify(body, _proof(request), now=ports.now())
    with logs.bound(webhook_id=delivery.id):

        async def work() -> dict[str, Any]:
            return await _work(ports.parse(body), ports)

        return JSONResponse(await ports.deliveries.once(name, delivery.id, work))


async def _dashboard_hook[Event: BaseModel](request: Request, body: bytes, ports: Ports[Event]) -> dict[str, Any]:
    # These have no id: a repetition does the same work again, which functions bear (nobody is told twice).
    verify_shared_secret(ports.settings.attend_hook_shared_secret, _proof(request)[SHARED_SECRET_HEADER])
    event = ports.parse(body)
    if not isinstance(event, RowChange):
        raise NotVerified("bells and schedules are signed")
    return await _work(event, ports)


async def _work[Event: BaseModel](event: Event, ports: Ports[Event]) -> dict[str, Any]:
    outcome = await ports.work(event)
    return outcome.model_dump(mode="json", exclude_none=True)
