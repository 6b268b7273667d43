"""HTTP to engine: which path, who sent it, is it new, what is it; then the engine. Ports come in; no environment.

Order: path, method, settings, media type, size, signature, repetition, shape. Nothing is parsed before it is verified,
and nothing is written before it is parsed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.payload import Event, RowChange, parse_event
from functions.scenario_trigger_engine.settings import EngineSettings
from functions.scenario_trigger_engine.store import ScenarioStore
from shared import logs
from shared.deliveries import Deliveries
from shared.errors import NotVerified, UnknownPath
from shared.http import answer, read_body, require_json, require_method
from shared.runs import Pace
from shared.supabase_client import Supabase
from shared.webhooks import SHARED_SECRET_HEADER, SIGNATURE_HEADER, WebhookVerifier, verify_shared_secret

NAME = "scenario-trigger-engine"


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handler works with; one for each event loop."""

    settings: EngineSettings
    verifier: WebhookVerifier
    deliveries: Deliveries
    engine: ScenarioTriggerEngine
    now: Callable[[], datetime]

    @classmethod
    def build(
        cls, settings: EngineSettings, *, monotonic: Callable[[], float], stopping: Callable[[], bool]
    ) -> "Ports":
        """Wire the real ones. Opens no connection; the first call to the database does.

        Raises:
            SettingMissing, SettingInvalid: naming the variable.
        """
        logs.configure(settings.attend_log_level)
        logs.redaction.know(settings.secret_values())
        supabase = Supabase(settings)
        pace = Pace(
            time_budget=settings.attend_time_budget_seconds,
            chunk_size=settings.attend_chunk_size,
            lease_seconds=settings.attend_lease_seconds,
            monotonic=monotonic,
            stopping=stopping,
        )
        return cls(
            settings=settings,
            verifier=WebhookVerifier(settings.webhook_secrets),
            deliveries=Deliveries(supabase),
            engine=ScenarioTriggerEngine(ScenarioStore(supabase), pace),
            now=lambda: datetime.now(UTC),
        )


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is. `ports` is called only by paths that need them: /health answers without.

    Routes: POST / takes an event, GET /health says that the process answers. Both also below the function's own name,
    for callers who reach the process without the gateway that strips it.
    """

    async def route(request: Request) -> Response:
        match request.url.path.rstrip("/").removeprefix(f"/{NAME}"):
            case "":
                require_method(request, "POST")
                return await _events(request, ports())
            case "/health":
                # Shallow: a restart of the database must not make the platform restart the functions too.
                require_method(request, "GET", "HEAD")
                return JSONResponse({"status": "ok", "function": NAME})
            case _:
                raise UnknownPath("There is no such path.", hint="POST / takes events, GET /health answers.")

    return await answer(request, route)


async def _events(request: Request, ports: Ports) -> Response:
    require_json(request)
    body = await read_body(request, ports.settings.attend_max_body_bytes)
    if SIGNATURE_HEADER not in request.headers and SHARED_SECRET_HEADER in request.headers:
        return JSONResponse(await _dashboard_hook(request, body, ports))
    delivery = ports.verifier.verify(body, request.headers, now=ports.now())
    with logs.bound(webhook_id=delivery.id):

        async def work() -> dict[str, Any]:
            return await _work(parse_event(body), ports)

        return JSONResponse(await ports.deliveries.once(delivery.id, work))


async def _dashboard_hook(request: Request, body: bytes, ports: Ports) -> dict[str, Any]:
    # These have no id: a repetition evaluates the same people again, which tells nobody twice.
    verify_shared_secret(ports.settings.attend_hook_shared_secret, request.headers.get(SHARED_SECRET_HEADER))
    event = parse_event(body)
    if not isinstance(event, RowChange):
        raise NotVerified("bells and schedules are signed")
    return await _work(event, ports)


async def _work(event: Event, ports: Ports) -> dict[str, Any]:
    outcome = await ports.engine.handle_database_event(event)
    return outcome.model_dump(mode="json", exclude_none=True)
