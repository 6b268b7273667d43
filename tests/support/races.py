"""Two callers at the same moment, on real connections: the second comes before the first has committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.support.database import Database

Call = tuple[str, Sequence[Any]]


def value(connection: psycopg.Connection[Any], call: Call) -> Any:
    """The first column of the first row of a query with its arguments."""
    row = connection.execute(call[0].encode(), call[1]).fetchone()
    assert row is not None, f"no row from {call[0]}"
    return next(iter(row.values()))


def side_by_side(database: Database, first: Call, second: Call, role: str = "service_role") -> tuple[Any, Any]:
    """What each answers, `second` being called after `first` has answered and before it has committed.

    The first commits once the second waits for it, or is done without waiting.
    """
    with (
        database.connect(role, autocommit=False) as one,
        database.connect(role) as two,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = value(one, first)
        later = pool.submit(value, two, second)
        until(lambda: later.done() or waits(database, two))
        one.commit()
        return answer, later.result(10)


def waits(database: Database, *connections: psycopg.Connection[Any]) -> bool:
    """Whether each of them waits for a lock."""
    pids = [connection.info.backend_pid for connection in connections]
    waiting = database.value(
        "select count(*) from pg_stat_activity where pid = any (%s) and wait_event_type = 'Lock'", (pids,)
    )
    return waiting == len(pids)


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for it; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)
