"""HTTP to files: the page, what it is made of, and health. No path leads to the database."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.engagement_panel.files import File, Files
from functions.engagement_panel.settings import PanelSettings
from functions.engagement_panel.store import Reach
from shared import logs
from shared.errors import UnknownPath
from shared.http import answer, require_method

NAME = "engagement-panel"
_ASSETS = "/assets/"
_A_YEAR = "public, max-age=31536000, immutable"
# On every answer that does not say otherwise. The page's own are in `_page_headers`.
_HARDENING = {
    # A refusal of a file of another version must not be kept for it: some who stand between keep a 404 of which nothing
    # is said.
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the handler works with; one for each event loop."""

    page: File
    page_headers: dict[str, str]
    reach: Reach


def make_ports(
    settings: PanelSettings, *, monotonic: Callable[[], float], transport: httpx.AsyncBaseTransport | None = None
) -> Ports:
    """Wire the real ones. Opens no connection. `transport` replaces the network, for tests.

    Raises:
        SettingMissing: naming the variable.
    """
    logs.configure(settings.attend_log_level)
    key = settings.key
    return Ports(
        page=_files().page_for(NAME, settings.supabase_url, key),
        page_headers=_page_headers(settings.supabase_url),
        reach=Reach(settings.supabase_url, key, monotonic=monotonic, transport=transport),
    )


async def handle(request: Request, ports: Callable[[], Ports]) -> Response:
    """Answer a request, whatever it is. `ports` is called only by paths that need them: files and /health do without.

    Routes: GET / is the page, GET /assets/<version>/<name> what it is made of, GET /health says that the process
    answers, GET /health/deep whether the project would answer the page.
    """

    async def route(request: Request) -> Response:
        path = _path_of(request)
        if path == "":
            require_method(request, "GET", "HEAD")
            loaded = ports()
            return _send(request, loaded.page, loaded.page_headers)
        if path.startswith(_ASSETS):
            require_method(request, "GET", "HEAD")
            return _asset(request, path.removeprefix(_ASSETS))
        if path in {"/health", "/health/deep"}:
            require_method(request, "GET", "HEAD")
            return await _health(path, ports)
        raise UnknownPath("There is no such path.", hint="GET / is the page, GET /health answers.")

    response = await answer(request, route)
    response.headers.update({name: value for name, value in _HARDENING.items() if name not in response.headers})
    return response


def _path_of(request: Request) -> str:
    # The page names its files below the function's name, relative to wherever it was opened: that is right with and
    # without a slash at the end, behind a gateway that takes the name away and behind none. So the name may come twice.
    path = request.url.path.rstrip("/")
    while path == f"/{NAME}" or path.startswith(f"/{NAME}/"):
        path = path.removeprefix(f"/{NAME}")
    return path


def _asset(request: Request, path: str) -> Response:
    files = _files()
    version, _, name = path.partition("/")
    # Looked up among names that were read, never opened: there is nothing to climb out of.
    file = files.assets.get(name)
    if version != files.version or file is None:
        # Of another version, while two are deployed: not kept, and the page asks for its own again.
        raise UnknownPath("There is no such file.", hint="Reload the page.")
    return _send(request, file, {"cache-control": _A_YEAR})


def _send(request: Request, file: File, headers: dict[str, str]) -> Response:
    sent = {**headers, "vary": "accept-encoding"}
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(file.compressed, media_type=file.media_type, headers={**sent, "content-encoding": "gzip"})
    return Response(file.body, media_type=file.media_type, headers=sent)


def _takes_gzip(accepted: str) -> bool:
    # RFC 9110: a weight of 0 is a refusal, and a star stands for whatever is not named.
    weights = {
        coding.strip().lower(): parameter.replace(" ", "").lower()
        for coding, _, parameter in (one.partition(";") for one in accepted.split(","))
    }
    weight = weights.get("gzip", weights.get("*"))
    return weight is not None and re.fullmatch(r"q=0(\.0*)?", weight) is None


async def _health(path: str, ports: Callable[[], Ports]) -> Response:
    # Shallow: a restart of the project must not make the platform restart the page too.
    problem = None if path == "/health" else await ports().reach.problem()
    body = {"status": "not_ok" if problem else "ok", "function": NAME}
    return JSONResponse(body | ({"problem": problem} if problem else {}), status_code=503 if problem else 200)


def _page_headers(url: str) -> dict[str, str]:
    address = urlsplit(url)
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"{address.scheme}://{address.netloc}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        # No text becomes markup, whoever writes the code.
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        # The page is the one thing whose name stays when it changes.
        "cache-control": "no-cache",
    }


@cache
def _files() -> Files:
    # Files do not change under a deployed function.
    return Files.read()
