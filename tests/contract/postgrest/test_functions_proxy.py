"""`/functions/v1/<name>` hands requests to the function's process as they came."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from attend.stack.processes import free_port
from tests.support.gateway import running_gateway, serving

pytestmark = pytest.mark.embedded
NO_DATABASE = "postgresql://authenticator:postgres@127.0.0.1:1/postgres"


async def echo(request: Request) -> Response:
    body = await request.body()
    seen = {
        "method": request.method,
        "path": request.scope["raw_path"].decode(),
        "query": request.scope["query_string"].decode(),
        "headers": [[key.decode("latin-1"), value.decode("latin-1")] for key, value in request.headers.raw],
        "body": body.decode("latin-1"),
    }
    return JSONResponse(seen, 207, {"X-Answer": "yes"})


async def packed(_: Request) -> Response:
    return Response(gzip.compress(b"packed"), headers={"Content-Encoding": "gzip"}, media_type="text/plain")


async def empty(_: Request) -> Response:
    return Response(status_code=204)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    routes = [Route("/packed", packed), Route("/empty", empty), Route("/{path:path}", echo, methods=methods)]
    with serving(Starlette(routes=routes)) as upstream:
        functions = {"echo": upstream, "gone": f"http://127.0.0.1:{free_port()}"}
        with running_gateway(NO_DATABASE, wait=False, functions=functions) as gateway:
            yield f"{gateway}/functions/v1"


def test_body_bytes_and_headers_arrive_as_they_were_sent(url: str) -> None:
    body = b'{ "a":1,\r\n"\xc3\xa5": "\\u00e5" }\x00\xff'
    headers = [
        ("webhook-signature", "v1,abc v1,def"),
        ("Authorization", "Bearer sb_secret_x"),
        ("X-Twice", "1"),
        ("X-Twice", "2"),
    ]
    seen: dict[str, Any] = httpx.post(f"{url}/echo", content=body, headers=headers).json()
    assert seen["body"].encode("latin-1") == body
    for name, value in headers:
        assert [name.lower(), value] in seen["headers"]


@pytest.mark.parametrize(
    ("address", "path", "query"),
    [
        ("/echo", "/", ""),
        ("/echo/", "/", ""),
        ("/echo/health", "/health", ""),
        ("/echo/a%2Fb/c%20d?x=%20y&x=z", "/a%2Fb/c%20d", "x=%20y&x=z"),
    ],
)
def test_the_function_sees_what_follows_its_name(url: str, address: str, path: str, query: str) -> None:
    seen = httpx.get(url + address).json()
    assert (seen["path"], seen["query"]) == (path, query)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_is_passed_on(url: str, method: str) -> None:
    assert httpx.request(method, f"{url}/echo").json()["method"] == method


def test_status_headers_and_body_come_back(url: str) -> None:
    answer = httpx.post(f"{url}/echo", content=b"x")
    assert (answer.status_code, answer.headers["x-answer"]) == (207, "yes")
    assert httpx.get(f"{url}/echo/packed").text == "packed"
    assert (httpx.get(f"{url}/echo/empty").status_code, httpx.get(f"{url}/echo/empty").content) == (204, b"")


def test_a_body_that_no_function_takes_is_not_kept(url: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(18):
            yield bytes(1_048_576)

    for announced in ({}, {"content-length": str(18 * 1_048_576)}):
        try:
            answer = httpx.post(f"{url}/echo", content=pieces(), headers=announced)
        except httpx.WriteError:
            continue  # closed while it was being sent
        assert answer.status_code == 413
        assert answer.json()["code"] == "body_too_large"
    fits = httpx.post(f"{url}/echo", content=bytes(1_048_576))
    assert (fits.status_code, len(fits.json()["body"])) == (207, 1_048_576)


def test_an_unknown_function_is_not_found(url: str) -> None:
    answer = httpx.post(f"{url}/nobody")
    assert answer.status_code == 404
    assert set(answer.json()) == {"code", "details", "hint", "message"}


def test_a_function_that_is_down_is_a_503_to_try_again(url: str) -> None:
    answer = httpx.post(f"{url}/gone", content=b"x")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "function_unavailable"


def test_a_function_that_comes_up_is_reached() -> None:
    port = free_port()
    with running_gateway(NO_DATABASE, wait=False, functions={"late": f"http://127.0.0.1:{port}"}) as gateway:
        assert httpx.get(f"{gateway}/functions/v1/late").status_code == 503
        for _ in range(2):  # started, and started again
            with serving(Starlette(routes=[Route("/", empty)]), port):
                assert httpx.get(f"{gateway}/functions/v1/late").status_code == 204


@pytest.mark.parametrize(
    ("path", "status"), [("/auth/v1/user", 501), ("/storage/v1/bucket", 501), ("/", 404), ("/x/y", 404)]
)
def test_other_addresses_say_so(url: str, path: str, status: int) -> None:
    answer = httpx.get(url.removesuffix("/functions/v1") + path)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "details", "hint", "message"}
