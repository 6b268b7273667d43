"""A push service that takes everything after 50 ms, in a process of its own: `python -m attend.bench.push_service`.

It speaks HTTP/1.1 with keep-alive as far as one client needs it, and costs as little as it can: it must not be what is
measured. A token endpoint answers at once. Prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast, override

LATENCY_SECONDS = 0.05
_TOKEN = json.dumps({"access_token": "ya29.bench", "expires_in": 3599, "token_type": "Bearer"}).encode()
_TAKEN = b'{"name": "projects/attend-bench/messages/0:1"}'


class _Connection(asyncio.Protocol):
    """Requests one after the other, which is how HTTP clients send them."""

    _transport: asyncio.Transport
    _received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if len(rest) < int(fields.get(b"content-length", b"0")):
            return
        self._received = b""
        if head.startswith(b"POST /token "):
            self._answer(_TOKEN)
        else:
            asyncio.get_running_loop().call_later(LATENCY_SECONDS, self._answer, _TAKEN)

    def _answer(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
