"""The gateway's application: routes, errors, cross-origin headers, readiness.

Routes: `/rest/v1/*`, `/auth/v1/*` where there is a local identity, `/functions/v1/<name>[/*]`, `GET /_ready` (200 once
the schema cache is loaded, else 503; for the supervisor). The other services of a project (storage, realtime, GraphQL)
are 501, the rest 404.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attend.stack.gateway.answers import error_answer
from attend.stack.gateway.auth import AuthApi
from attend.stack.gateway.errors import ApiError, left_out
from attend.stack.gateway.functions import FunctionProxy
from attend.stack.gateway.pool import Pool
from attend.stack.gateway.rest import RestApi
from attend.stack.gateway.settings import GatewaySettings
from attend.stack.gateway.watcher import SchemaCache

type Endpoint = Callable[[Request], Awaitable[Response]]

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_OTHER_SERVICES = ("auth", "storage", "realtime", "graphql", "pg", "analytics")
_EXPOSED = "Content-Range, Content-Profile, Location, Preference-Applied, Retry-After, X-Supabase-Api-Version"
# Signing in is rare, and each is most of a second of a connection's time.
_AUTH_CONNECTIONS = 3

_log = logging.getLogger(__name__)


def create_app(settings: GatewaySettings) -> Starlette:
    """The gateway as an ASGI application; it connects to the database when it starts up.

    It starts without a database too, and answers 503 until there is one.
    """
    url = settings.db_url.get_secret_value()
    pool = Pool(url, settings.pool_size, settings.pool_acquire_seconds)
    cache = SchemaCache(url, settings.schemas)
    rest = RestApi(settings, pool, cache)
    proxy = FunctionProxy(settings.functions, settings.function_seconds)
    auth_pool = _auth_pool(settings)
    auth = _nothing_here if auth_pool is None else _cross_origin(AuthApi(settings, auth_pool).answer)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        cache.start()
        try:
            yield
        finally:
            await cache.stop()
            await proxy.close()
            await pool.close()
            if auth_pool is not None:
                await auth_pool.close()

    async def ready(_: Request) -> Response:
        cache.current()
        return JSONResponse({"ready": True})

    return Starlette(
        routes=[
            Route("/_ready", _guarded(ready), methods=["GET"]),
            Route("/rest/v1", _guarded(_cross_origin(rest.answer)), methods=METHODS),
            Route("/rest/v1/{path:path}", _guarded(_cross_origin(rest.answer)), methods=METHODS),
            Route("/auth/v1/{path:path}", _guarded(auth), methods=METHODS),
            Route("/functions/v1/{name}", _guarded(proxy.forward), methods=METHODS),
            Route("/functions/v1/{name}/{path:path}", _guarded(proxy.forward), methods=METHODS),
            Route("/{path:path}", _guarded(_nothing_here), methods=METHODS),
        ],
        lifespan=lifespan,
    )


def _auth_pool(settings: GatewaySettings) -> Pool | None:
    if settings.auth_db_url is None:
        return None
    return Pool(settings.auth_db_url.get_secret_value(), _AUTH_CONNECTIONS, settings.pool_acquire_seconds)


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Every failure becomes the four-field body; what nobody foresaw is logged and says nothing about itself."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ApiError as error:
            return error_answer(error)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        except Exception:  # noqa: BLE001 - the edge of the process: one request must not end it
            _log.exception("%s %s failed", request.method, request.url.path)
            return error_answer(ApiError(500, "internal_error", "The gateway failed; see its log"))

    return answer


def _cross_origin(endpoint: Endpoint) -> Endpoint:
    """Browsers of any origin may ask, as at the real gateway: keys are what protects, not origins."""

    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=200)
            wanted = request.headers.get("access-control-request-headers")
            response.headers["Access-Control-Allow-Methods"] = ",".join(METHODS)
            response.headers["Access-Control-Allow-Headers"] = wanted or "*"
            response.headers["Access-Control-Max-Age"] = "3600"
        else:
            try:
                response = await endpoint(request)
            except ApiError as error:
                response = error_answer(error)
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return answer


async def _nothing_here(request: Request) -> Response:
    first = request.url.path.strip("/").partition("/")[0]
    if first in _OTHER_SERVICES:
        raise left_out(f"the service {first}")
    raise ApiError(404, "not_found", f"Nothing is at {request.url.path}")
