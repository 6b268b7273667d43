"""Table `outbox`, its second half: pushes to a service of 50 ms, against what the connections to it allow."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from attend.bench.measure import Figure, Size, alternating, require, say
from attend.bench.push_service import LATENCY_SECONDS
from attend.bench.stack import resident_megabytes
from functions.push_notification_dispatcher.providers.fcm import Fcm
from functions.push_notification_dispatcher.providers.protocol import Message
from functions.push_notification_dispatcher.providers.settings import ProviderSettings

TABLE = "outbox"
_MEMORY_ALLOWED_MB = 20.0


def sending_figures(size: Size) -> Iterator[Figure]:
    """Yields the lines of sending: throughput, and memory."""
    with _push_service() as url:
        settings = ProviderSettings.load(
            attend_push_fcm_service_account=_service_account(f"{url}/token"), attend_push_fcm_url=url
        )
        connections = settings.attend_push_connections
        number = max(size.sends // size.rounds, connections)
        say(f"outbox: {size.rounds} times {number:,} pushes over {connections} connections, and as many bare requests")
        asyncio.run(_send(settings, connections))  # what is made once is made
        began = resident_megabytes()
        ours, limit = alternating(
            size.rounds,
            lambda: asyncio.run(_send(settings, number)),
            lambda: asyncio.run(_bare(url, connections, number)),
        )
        growth = resident_megabytes() - began
    latency = f"{LATENCY_SECONDS * 1000:g} ms"
    case = f"one push to a service of {latency}, against what {connections} bare connections take"
    yield Figure(TABLE, case, size.name, ours, limit, 1.25)
    allowed = LATENCY_SECONDS * 1000 / connections
    yield Figure(TABLE, "the same, against what they could take at most", size.name, ours, allowed, None)
    case = "memory while sending, growth, of 20 MB"
    yield Figure(TABLE, case, size.name, None, None, 1.0, given_ratio=max(growth, 0.0) / _MEMORY_ALLOWED_MB)


async def _send(settings: ProviderSettings, number: int) -> float:
    """Milliseconds a push, with connections and access token at hand."""
    fcm = Fcm(settings)
    try:
        await _send_batch(fcm, 0, settings.attend_push_connections)
        began = time.perf_counter()
        # At once, as a dispatcher keeps the connections busy from one batch to the next.
        await _send_batch(fcm, 0, number)
        return (time.perf_counter() - began) * 1000 / number
    finally:
        await fcm.close()


async def _bare(url: str, connections: int, number: int) -> float:
    """Milliseconds a request of a push's size: bytes at hand, over connections that are open, and nothing else."""
    host, port = url.removeprefix("http://").split(":")
    request = (
        b"POST /v1/projects/attend-bench/messages:send HTTP/1.1\r\nhost: x\r\ncontent-length: 800\r\n\r\n" + b" " * 800
    )
    opened = [await asyncio.open_connection(host, int(port)) for _ in range(connections)]
    left = iter(range(number))

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in left:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.rpartition(b"content-length: ")[2]))

    began = time.perf_counter()
    await asyncio.gather(*(work(reader, writer) for reader, writer in opened))
    spent = time.perf_counter() - began
    for _, writer in opened:
        writer.close()
    return spent * 1000 / number


async def _send_batch(fcm: Fcm, first: int, number: int) -> None:
    expires = datetime.now(UTC) + timedelta(hours=24)
    messages = [
        Message(
            device_id=UUID(int=index),
            token=f"token-{index:0120}",
            title="We miss you",
            body=f"It has been {index} days since your last activity. How are you?",
            collapse_key=str(UUID(int=index)),
            expires_at=expires,
            data={"notification_id": str(UUID(int=index)), "scenario": "inactivity"},
        )
        for index in range(first, first + number)
    ]
    results = await fcm.send(messages)
    wrong = [result for result in results if result.verdict != "sent"]
    require(len(results) == number and not wrong, f"{len(wrong)} of {number} were not sent: {wrong[:1]}")


@contextmanager
def _push_service() -> Iterator[str]:
    command = [sys.executable, "-m", "attend.bench.push_service"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        port = service.stdout.readline().strip() if service.stdout else ""
        yield f"http://127.0.0.1:{port}"
        service.communicate()  # its standard input ends, and so does it


def _service_account(token_uri: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "attend-bench",
            "client_email": "push@attend-bench.iam.gserviceaccount.com",
            "private_key": pem,
            "token_uri": token_uri,
        }
    )
