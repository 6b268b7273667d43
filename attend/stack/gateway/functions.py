"""`/functions/v1/<name>`: requests handed to the function's process as they came.

Method, query, body bytes and headers are passed on unchanged (a signature covers the bytes), except the
headers that belong to one connection. The prefix is taken away: the function sees what follows its name.
"""

from collections.abc import Iterable, Mapping

import httpx
from starlette.requests import Request
from starlette.responses import Response

from attend.stack.gateway.errors import ApiError
from shared.errors import RequestError
from shared.http import LONGEST_BODY, read_body

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
RETRY_AFTER_SECONDS = 1


class FunctionProxy:
    """Forwards to the processes in `upstreams` (name to base URL)."""

    def __init__(self, upstreams: Mapping[str, str], seconds: float) -> None:
        self._upstreams = {name: url.rstrip("/") for name, url in upstreams.items()}
        # A kept-alive connection to a function that has just been restarted would turn into a lost request.
        limits = httpx.Limits(max_keepalive_connections=0)
        timeout = httpx.Timeout(seconds, connect=5, pool=None)
        self._client = httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def forward(self, request: Request) -> Response:
        """The function's answer. ApiError: 404 unknown function, 503 not running, 502 died, 504 too slow."""
        name = request.path_params["name"]
        upstream = self._upstreams.get(name)
        if upstream is None:
            raise ApiError(404, "function_not_found", f"There is no function {name!r}", hint=_known(self._upstreams))
        raw_path = request.scope["raw_path"].decode("ascii")
        rest = raw_path.split("/", 4)[4:]
        url = f"{upstream}/{rest[0] if rest else ''}"
        if request.scope["query_string"]:
            url += "?" + request.scope["query_string"].decode("ascii")
        outgoing = self._client.build_request(
            request.method, url, headers=_end_to_end(request.headers.raw), content=await _body(request)
        )
        return await self._send(name, outgoing)

    async def _send(self, name: str, outgoing: httpx.Request) -> Response:
        try:
            incoming = await self._client.send(outgoing, stream=True)
            try:
                # Raw: a compressed body stays compressed, as its headers say.
                body = b"".join([chunk async for chunk in incoming.aiter_raw()])
            finally:
                await incoming.aclose()
        except httpx.ConnectError as error:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            message = f"The function {name!r} is not running"
            raise ApiError(503, "function_unavailable", message, headers=headers) from error
        except httpx.TimeoutException as error:
            raise ApiError(504, "function_timeout", f"The function {name!r} did not answer in time") from error
        except httpx.TransportError as error:
            raise ApiError(502, "function_failed", f"The function {name!r} broke off its answer") from error
        response = Response(body, incoming.status_code)
        response.raw_headers = [
            *_end_to_end((key.lower(), value) for key, value in incoming.headers.raw),
            (b"content-length", str(len(body)).encode()),
        ]
        return response


async def _body(request: Request) -> bytes:
    # `attend serve` listens beyond this machine, and nobody is known before the function reads the signature.
    try:
        return await read_body(request, LONGEST_BODY)
    except RequestError as error:
        raise ApiError(error.http_status, error.code, error.message, headers=dict(error.headers)) from error


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in _HOP_BY_HOP]


def _known(upstreams: Mapping[str, str]) -> str | None:
    return "Known functions: " + ", ".join(sorted(upstreams)) if upstreams else None
