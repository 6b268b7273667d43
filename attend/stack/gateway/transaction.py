"""One transaction per request, in one round trip where nothing has to be decided in between.

Every setting is local to the transaction (platform contract, "PostgREST 16" items 1 and 2): nothing that a
request sets can reach the next one on the same connection, except what a function sets for the session.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from psycopg import AsyncCursor, sql
from psycopg.pq import TransactionStatus

from attend.stack.gateway.errors import ApiError, from_database, not_singular
from attend.stack.gateway.keys import Identity
from attend.stack.gateway.pool import Connection, Pool
from attend.stack.gateway.sql import Statement, join, raw

_LOCAL = ("role", "request.jwt.claims", "request.method", "request.path", "request.headers", "request.cookies")


@dataclass(frozen=True)
class Context:
    """What a statement may know of its request."""

    identity: Identity
    method: str
    path: str
    headers: Mapping[str, str]
    search_path: str


@dataclass(frozen=True)
class Result:
    """The one row of a statement; `body` is JSON as bytes, `location` pairs of `column=eq.value`."""

    total: int | None
    rows: int
    body: bytes
    location: tuple[str, ...]
    inserted: int | None


@dataclass(frozen=True)
class Work:
    """A statement and how to run it. `singular`: anything but one row is rolled back and refused (406)."""

    statement: Statement
    read_only: bool
    singular: bool = False
    role_settings: Sequence[tuple[str, str]] = ()
    routine_settings: Sequence[tuple[str, str]] = ()


@lru_cache(maxsize=64)
def settings_query(before: int, after: int) -> bytes:
    """`select set_config(…)`: search path, `before` settings given as name and value, the fixed ones, `after` more."""
    fixed: list[sql.Composable | None] = [sql.Literal(name) for name in _LOCAL]
    names = [sql.Literal("search_path"), *[None] * before, *fixed, *[None] * after]
    calls: list[sql.Composable] = []
    values = count(1)
    for name in names:
        label = raw(f"${next(values)}") if name is None else name
        calls.append(sql.SQL("set_config({}, {}, true)").format(label, raw(f"${next(values)}")))
    return (sql.SQL("select ") + join(calls)).as_bytes(None)


def local_settings(context: Context, work: Work) -> Statement:
    """The settings of a request. Those of its role come before the role: set later, they might not be allowed."""
    pairs = (part.strip().partition("=") for part in context.headers.get("cookie", "").split(";") if part)
    cookies = {name: value for name, _, value in pairs}
    headers = {name: value for name, value in context.headers.items() if name != "cookie"}
    values = [
        context.search_path,
        *(text for pair in work.role_settings for text in pair),
        context.identity.role,
        context.identity.claims,
        context.method,
        context.path,
        json.dumps(headers, ensure_ascii=False),
        json.dumps(cookies, ensure_ascii=False),
        *(text for pair in work.routine_settings for text in pair),
    ]
    return Statement(settings_query(len(work.role_settings), len(work.routine_settings)), tuple(values))


async def run(pool: Pool, context: Context, work: Work) -> Result:
    """Run `work` in a transaction of its own; raises ApiError for every failure, which rolls everything back."""
    async with pool.connection() as connection:
        try:
            result = await _run(connection, context, work)
        except psycopg.Error as error:
            await _roll_back(connection, error)
            raise from_database(error, anonymous=context.identity.anonymous) from error
        except ApiError as error:
            await _roll_back(connection, error)
            raise
    return result


async def _run(connection: Connection, context: Context, work: Work) -> Result:
    settings = local_settings(context, work)
    async with connection.pipeline():
        await connection.execute("begin read only" if work.read_only else "begin read write")
        await connection.execute(settings.text, settings.values)
        cursor = await connection.execute(work.statement.text, work.statement.values)
        if not work.singular:
            # Never prepared: behind a statement that fails its own Parse is skipped, and psycopg would go on believing
            # that the server has it, for every later request of the connection.
            await connection.execute("commit", prepare=False)
    result = _result(cursor)
    if work.singular:
        if result.rows != 1:
            raise not_singular(result.rows)
        await connection.execute("commit")
    return result


def _result(cursor: AsyncCursor[Any]) -> Result:
    answer = cursor.pgresult
    if answer is None or answer.ntuples != 1:
        raise ApiError(500, "PGRSTX00", "The statement of the request gave no row")
    total, rows, body, location, inserted = (answer.get_value(0, index) for index in range(5))
    return Result(
        total=None if total is None else int(total),
        rows=int(rows or 0),
        body=bytes(body or b""),
        location=tuple(json.loads(location)) if location else (),
        inserted=None if inserted is None else int(inserted),
    )


async def _roll_back(connection: Connection, error: Exception) -> None:
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if isinstance(error, psycopg.Error) and (idle or isinstance(error, psycopg.errors.QueryCanceled)):
        # Stopped somewhere in the pipeline: psycopg may be wrong about what the server has prepared, and a later
        # request would be told that its statement does not exist (26000, a 400).
        await connection.close()
    if connection.closed or idle:
        return
    with suppress(psycopg.Error):
        await connection.execute("rollback")
