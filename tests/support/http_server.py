"""A real HTTP server on a real socket that can misbehave: hang, trickle, reset within an answer, send rubbish."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request. `at` is a monotonic time in seconds; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    def json(self) -> Any:
        """The body, unpacked where it was packed."""
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.body) if packed else self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered, and how badly."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the first byte."""
    trickle: float = 0.0
    """Seconds before each byte of the body, or of `raw`."""
    reset_after: int | None = None
    """The whole body is announced, so many bytes of it are sent, and then the connection is reset."""
    raw: bytes | None = None
    """Sent as it stands in place of an answer, and the connection closed."""

    def but(self, **changes: Any) -> Reply:
        """The same with changes; `headers` are added."""
        if "headers" in changes:
            changes["headers"] = {**self.headers, **changes["headers"]}
        return replace(self, **changes)


def json_reply(status: int, value: object, **headers: str) -> Reply:
    """An answer in JSON; underscores of header names become hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json; charset=UTF-8", **named})


HTML = Reply(
    502, b"<!DOCTYPE html><html><title>Error 502 (Server Error)!!1</title></html>", {"content-type": "text/html"}
)
RUBBISH = Reply(200, b'{"name": "projects/x/mess', {"content-type": "application/json"})
NOT_HTTP = Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n")
RESET_AT_ONCE = Reply(raw=b"", reset_after=0)


class HttpServer:
    """Serves in a thread of its own until closed. `answer` is called in that thread, for one request at a time."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.requests: list[Asked] = []
        self.open_connections = 0
        self.most_connections = 0
        self.connections_made = 0
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self._port}"

    def to(self, path: str) -> list[Asked]:
        """The requests to one path."""
        return [request for request in list(self.requests) if request.path == path]

    def close(self) -> None:
        """Stop, and drop who is connected."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024))
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_made += 1
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller's time-out is over
        finally:
            self.open_connections -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Asked(method, path, headers, body)
        self.requests.append(request)
        reply = self._answer(request)
        await asyncio.sleep(reply.delay)
        if reply.raw is not None:
            await _write_bytes(writer, reply.raw, reply.trickle)
        else:
            await _write(writer, reply)
        await writer.drain()
        if reply.reset_after is not None:
            # Linger of zero: the socket is closed with a reset, whatever has not been read yet.
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.raw is None and reply.reset_after is None


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    reason = HTTPStatus(reply.status).phrase
    headers = {"content-length": str(len(reply.body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    await _write_bytes(
        writer, reply.body if reply.reset_after is None else reply.body[: reply.reset_after], reply.trickle
    )


async def _write_bytes(writer: asyncio.StreamWriter, content: bytes, trickle: float) -> None:
    if not trickle:
        writer.write(content)
        return
    for byte in content:
        await asyncio.sleep(trickle)
        writer.write(bytes([byte]))
        await writer.drain()
