"""Keeps the schema cache: loads it, and loads it again when the database says that its schema changed.

The platform's event triggers send `notify pgrst, 'reload schema'` after DDL; anybody may send it too. Several
in a row make one reload, so the cache is stale for a few hundred milliseconds, as PostgREST's is.
"""

import asyncio
import logging
from contextlib import suppress

import psycopg

from attend.stack.gateway.catalog import Catalog
from attend.stack.gateway.catalog_queries import load_catalog
from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.pool import Connection, connect

CHANNEL = "pgrst"
SETTLE_SECONDS = 0.1
_SHORTEST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class SchemaCache:
    """The catalogue of the exposed schemas. It keeps the last one it could read while the database is down."""

    def __init__(self, url: str, schemas: tuple[str, ...]) -> None:
        self._url = url
        self._schemas = schemas
        self._catalog: Catalog | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> bool:
        """Whether requests can be answered."""
        return self._catalog is not None

    def current(self) -> Catalog:
        """The catalogue, or ApiError 503 PGRST002 until the first one is read."""
        if self._catalog is None:
            raise ApiError(503, "PGRST002", "Could not query the database for the schema cache. Retrying.")
        return self._catalog

    def start(self) -> None:
        """Begin to watch, in the running event loop."""
        self._task = asyncio.create_task(self._watch_forever())

    async def stop(self) -> None:
        """End the watch; idempotent."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _watch_forever(self) -> None:
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            try:
                async with await connect(self._url) as connection:
                    # Listening starts before reading, so that no change falls between the two.
                    await connection.execute(f"listen {CHANNEL}")
                    self._catalog = await load_catalog(connection, self._schemas)
                    pause = _SHORTEST_PAUSE_SECONDS
                    await self._follow(connection)
            except psycopg.Error as error:
                _log.warning("schema cache: %s", str(error).partition("\n")[0])
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _follow(self, connection: Connection) -> None:
        while True:
            async for _ in connection.notifies(stop_after=1):
                pass
            await asyncio.sleep(SETTLE_SECONDS)
            async for _ in connection.notifies(timeout=0):
                pass
            self._catalog = await load_catalog(connection, self._schemas)
