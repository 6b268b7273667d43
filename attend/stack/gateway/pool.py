"""Connections of the gateway, pooled as PostgREST pools them.

Not psycopg's own pool: that one mends itself in the background and lets requests wait for it, while PostgREST
answers 503 at once when the database is down, and once for every pooled connection that a restart has broken.
Clients must be ready for that, so the gateway does not spare them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus

from attend.stack.gateway.errors import ApiError, connection_refused

type Connection = AsyncConnection[Any]


async def connect(url: str) -> Connection:
    """A connection in autocommit mode (transactions are written out) whose cursors take `$1`."""
    connection = await AsyncConnection.connect(
        url, autocommit=True, prepare_threshold=2, connect_timeout=5, application_name="attend-gateway"
    )
    connection.prepared_max = 500
    connection.cursor_factory = AsyncRawCursor
    return connection


class Pool:
    """At most `size` connections; a request waits `acquire_seconds` for one, then ApiError 504 PGRST003."""

    def __init__(self, url: str, size: int, acquire_seconds: float) -> None:
        self._url = url
        self._acquire_seconds = acquire_seconds
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection; it comes back only when it is healthy and outside a transaction."""
        try:
            async with asyncio.timeout(self._acquire_seconds):
                await self._places.acquire()
        except TimeoutError:
            message = "Timed out acquiring connection from connection pool."
            raise ApiError(504, "PGRST003", message) from None
        try:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                yield connection
            finally:
                await self._give_back(connection)
        finally:
            self._places.release()

    async def _open(self) -> Connection:
        try:
            return await connect(self._url)
        except psycopg.OperationalError as error:
            # Only the first line: the rest repeats it for every address tried.
            raise connection_refused(str(error).partition("\n")[0]) from error

    async def _give_back(self, connection: Connection) -> None:
        if not connection.closed and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Close what is idle; connections on loan are closed by who returns them last."""
        while self._idle:
            await self._idle.pop().close()
