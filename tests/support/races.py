"""Two callers at the same moment, on real connections: the second comes before the first has committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from tests.support.database import Database

# A query, and its arguments after it.
Call = tuple[Any, ...]


def answer(connection: psycopg.Connection[Any], query: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None, f"no row from {query}"
    return next(iter(row.values()))


def side_by_side(database: Database, first: Call, second: Call) -> tuple[Any, Any]:
    """What each answers, `second` being called after `first` has answered and before it has committed.

    The first commits once the second waits for it, or is done without waiting.
    """
    with (
        database.connect("service_role", autocommit=False) as one,
        database.connect("service_role") as two,
        ThreadPoolExecutor(1) as pool,
    ):
        answered = answer(one, *first)
        later = pool.submit(answer, two, *second)
        until(lambda: later.done() or waits(database, two))
        one.commit()
        return answered, later.result(10)


def waits(database: Database, connection: psycopg.Connection[Any]) -> bool:
    """Whether it waits for a lock, or (a drain, for people who are being erased) for another try."""
    return database.value(
        "select exists (select from pg_stat_activity"
        " where pid = %s and (wait_event_type = 'Lock' or wait_event = 'PgSleep'))",
        (connection.info.backend_pid,),
    )


def wait_until_blocked(database: Database) -> None:
    """Until some session of this database waits, as `waits` says."""
    waiting = (
        "select exists (select from pg_stat_activity where datname = current_database()"
        " and (wait_event_type = 'Lock' or wait_event = 'PgSleep'))"
    )
    until(lambda: database.value(waiting))


def until(condition: Callable[[], bool]) -> None:
    """Waits for it; fails after ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.005)


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Begins it in a thread, to be joined."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
