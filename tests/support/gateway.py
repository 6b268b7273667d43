"""A gateway for tests, in a thread of the test process, and requests to it or to any other address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import uvicorn
from starlette.types import ASGIApp

from attend.stack.gateway import GatewaySettings, create_app

FRESH_SECONDS = 10


def token(secret: str, role: str | None, **claims: Any) -> str:
    """A legacy JWT that lasts an hour unless `exp` says otherwise."""
    payload = {"exp": int(time.time()) + 3600, **({} if role is None else {"role": role}), **claims}
    return jwt.encode(payload, secret, algorithm="HS256")


@contextlib.contextmanager
def serving(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serves an ASGI application on a free port; gives its base URL. Ends with its lifespan's shutdown."""
    listener = socket.create_server(("127.0.0.1", port))
    # asyncio sets it only on sockets it made itself; without it every small answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def running_gateway(db_url: str, *, wait: bool = True, **settings: Any) -> Iterator[str]:
    """A gateway over `db_url`; gives its base URL once it is ready (`wait=False`: at once)."""
    with serving(create_app(GatewaySettings.model_validate({"db_url": db_url, **settings}))) as url:
        if wait:
            wait_until_ready(url)
        yield url


def wait_until_ready(url: str, seconds: float = FRESH_SECONDS) -> None:
    """Waits for `GET /_ready` to answer 200."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/_ready").status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"the gateway at {url} is not ready after {seconds} s")


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error answer, whose body must have exactly the four fields."""
    body = answer.json()
    assert set(body) == {"code", "details", "hint", "message"}
    return answer.status_code, body["code"]
