"""shared/http.py: what is left when a whole function's tests are counted."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request

from shared import http
from shared.errors import BodyTooLarge, BodyTooSlow, MalformedBody
from shared.http import read_body


def request(*messages: dict[str, Any], **headers: str) -> Request:
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def piece(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_pieces_is_read_whole() -> None:
    assert await read_body(request(piece(b"ab"), piece(b"c", more=False)), 3) == b"abc"


async def test_a_body_announced_too_large_is_not_read_at_all() -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(request(content_length="4"), 3)


async def test_of_a_body_that_turns_out_too_large_the_rest_is_not_read() -> None:
    with pytest.raises(BodyTooLarge):
        await read_body(request(piece(b"ab"), piece(b"cd"), piece(b"never", more=False)), 3)


@pytest.mark.parametrize("announced", ["-1", "x", "", "1e9", "\u0663"])
async def test_a_length_that_is_no_number_is_not_believed(announced: str) -> None:
    assert await read_body(request(piece(b"a", more=False), content_length=announced), 3) == b"a"


async def test_a_caller_who_hangs_up_within_the_body_is_malformed() -> None:
    with pytest.raises(MalformedBody):
        await read_body(request(piece(b"a"), {"type": "http.disconnect"}), 3)


async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anybody is known: as many who wait as an instance takes requests would keep every bell out."""
    monkeypatch.setattr(http, "_LONGEST_BODY_SECONDS", 0.2)

    async def trickle() -> dict[str, Any]:
        await asyncio.sleep(0.05)
        return piece(b"a")

    slow = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, trickle)
    with pytest.raises(BodyTooSlow) as caught:
        async with asyncio.timeout(5):
            await read_body(slow, 1_000_000)
    assert (caught.value.http_status, caught.value.headers) == (408, {"Connection": "close"})
