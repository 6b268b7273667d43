"""The sending half of pg_net: takes requests from the queue, sends each at most once, records what came back.

Behaviour held to pg_net 0.20: woken at commit, batches of at most 200, all of a batch in flight together, at least
one second of pause after a batch, no retries, one slow receiver holds up the batches behind it. Departures, all on
the safe side: a header value with a line break is refused instead of injecting a header, and a redirect loop ends
after 20 hops.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

BATCH_SIZE = 200
PAUSE_SECONDS = 1.0
RESPONSES_KEPT = "6 hours"
CHANNEL = "attend_net_wake"
# net.check_worker_is_up() and net.wait_until_running() look for this name.
APPLICATION_NAME = "pg_net worker"

_TAKE = """
delete from net.http_request_queue q
where q.id in (select n.id from net.http_request_queue n order by n.id limit %s for update skip locked)
returning q.id, q.method, q.url, q.headers, q.body, q.timeout_milliseconds
"""
_RECORD = """
insert into net._http_response (id, status_code, content_type, headers, content, timed_out, error_msg)
values (%(id)s, %(status_code)s, %(content_type)s, %(headers)s, %(content)s, %(timed_out)s, %(error_msg)s)
"""
_EXPIRE = "delete from net._http_response r where r.created < now() - %s::interval"


@dataclass(frozen=True)
class NetWorkerSettings:
    """`loses_everything` is asked before every batch: while true, a batch is taken and thrown away unsent.

    That is what a crash of the server right after commit does to the unlogged queue; fault tests use it.
    """

    dsn: str
    loses_everything: Callable[[], bool] = lambda: False
    batch_size: int = BATCH_SIZE
    pause_seconds: float = PAUSE_SECONDS


class NetWorker:
    """Serves one database until cancelled. A lost connection raises psycopg.OperationalError: run it again."""

    def __init__(self, settings: NetWorkerSettings) -> None:
        self.settings = settings

    async def run(self) -> None:
        """Listens first, then empties what is queued: nothing committed in between can be missed."""
        connect = psycopg.AsyncConnection.connect
        async with (
            await connect(self.settings.dsn, autocommit=True, application_name=APPLICATION_NAME) as bell,
            await psycopg.AsyncConnection[dict[str, Any]].connect(
                self.settings.dsn, autocommit=True, application_name="pg_net sender", row_factory=dict_row
            ) as connection,
            # A connection per request: one that went stale would need a retry, and pg_net never retries.
            httpx.AsyncClient(
                follow_redirects=True,
                trust_env=False,
                timeout=None,  # noqa: S113 - each request is bounded by its own time-out below
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            ) as client,
        ):
            await bell.execute(f"listen {CHANNEL}")
            while True:
                await self._empty_queue(connection, client)
                async for notification in bell.notifies(stop_after=1):
                    if notification.payload == "restart":
                        return

    async def _empty_queue(self, connection: psycopg.AsyncConnection[Any], client: httpx.AsyncClient) -> None:
        while True:
            lost = self.settings.loses_everything()
            try:
                cursor = await connection.execute(_TAKE, (self.settings.batch_size,))
                batch = await cursor.fetchall()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                return  # the extension is not there; creating it rings no bell, the first request does
            if not batch:
                return
            # Asked on both sides of the taking: switched at any moment, no request queued meanwhile slips through.
            if not lost and not self.settings.loses_everything():
                answers = await asyncio.gather(*(_send(client, request) for request in batch))
                async with connection.cursor() as recorder:
                    await recorder.executemany(_RECORD, answers)
                await connection.execute(_EXPIRE, (RESPONSES_KEPT,))
            await asyncio.sleep(self.settings.pause_seconds)


async def _send(client: httpx.AsyncClient, request: dict[str, Any]) -> dict[str, Any]:
    """One attempt; every outcome is a row for net._http_response."""
    milliseconds = request["timeout_milliseconds"]
    answer = dict.fromkeys(("status_code", "content_type", "headers", "content", "error_msg"), None)
    answer |= {"id": request["id"], "timed_out": False}
    started = time.monotonic()
    try:
        # Zero is no limit, as in curl; a negative one is an error there, too.
        if milliseconds < 0:
            raise ValueError("A libcurl function was given a bad argument")
        async with asyncio.timeout(milliseconds / 1000 if milliseconds else None):
            response = await client.request(
                request["method"].upper(),
                request["url"],
                headers={name: str(value) for name, value in (request["headers"] or {}).items()},
                content=bytes(request["body"]) if request["body"] is not None else None,
            )
    except TimeoutError:
        spent = (time.monotonic() - started) * 1000
        message = f"Timeout of {milliseconds} ms reached. Total time: {spent:.3f} ms"
        return answer | {"timed_out": True, "error_msg": message}
    except httpx.ConnectError as error:
        return answer | {"error_msg": f"Couldn't connect to server: {error}"}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, UnicodeError) as error:
        return answer | {"error_msg": str(error) or type(error).__name__}
    return answer | {
        "status_code": response.status_code,
        "content_type": response.headers.get("content-type"),
        "headers": json.dumps(
            {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers.raw}
        ),
        # Postgres text holds no NUL.
        "content": response.text.replace("\x00", ""),
    }
