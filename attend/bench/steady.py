"""Table `path`, third part: fifty writes a second, and when each of them shows in the statistics."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg

from attend.bench.measure import Figure, Size, percentile, require, say
from attend.bench.stack import Whole

TABLE = "path"
RATE = 50
_WRITERS = 5
_OWED_MS = 2_500.0
# A writer rings at most once in 0.8 s, and the drains that follow a ring once or twice more.
_CALLS_A_SECOND = 4
_CHANGE = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() from public.users u where u.id = %s
"""
# More activities than everybody was loaded with.
_SHOWN = """
select s.user_id from public.activity_statistics s
where s.period_type = 'all_time' and s.total_activities > 3 and s.computed_at > %s
"""
# Only this function's answers count rows.
_CALLS = "select count(*) from private.webhook_deliveries where answer ? 'rows'"


def figures(whole: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines of steady writing. Needs a stack with the statistics' function."""
    changes = RATE * size.steady_seconds
    say(f"path: loading people for {size.steady_seconds} seconds of {RATE} writes a second")
    whole.load(max(changes, 2_000))
    people = [row[0] for row in whole.admin.execute("select id from public.users limit %s", (changes,)).fetchall()]
    calls = whole.value(_CALLS)
    waited = follow(whole, people)
    calls = whole.value(_CALLS) - calls
    p50, p99 = statistics.median(waited), percentile(waited, 0.99)
    name = f"{RATE} writes a second for {size.steady_seconds} s"
    for what, value in (("p50", p50), ("p99", p99), ("longest", max(waited))):
        case = f"{name}: change → statistics, {what}, against the 2.5 s owed"
        yield Figure(TABLE, case, size.name, value, _OWED_MS, 1.0 if what == "p99" else None)
    case = f"{name}: {calls} calls of the function, against the writes"
    yield Figure(TABLE, case, size.name, None, None, _CALLS_A_SECOND / RATE, given_ratio=calls / changes)


def follow(whole: Whole, people: list[UUID]) -> list[float]:
    """Writes one activity of each, evenly; milliseconds from each commit to the row that shows it."""
    written: dict[UUID, float] = {}
    seen: dict[UUID, float] = {}
    over = threading.Event()
    threads = [threading.Thread(target=_write, args=(whole, people[n::_WRITERS], n, written)) for n in range(_WRITERS)]
    watcher = threading.Thread(target=_watch, args=(whole, seen, over))
    watcher.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deadline = time.monotonic() + 20
    while len(seen) < len(people) and time.monotonic() < deadline:
        time.sleep(0.05)
    over.set()
    watcher.join(10)
    require(len(written) == len(people), f"{len(people) - len(written)} changes were not written")
    require(len(seen) == len(people), f"{len(people) - len(seen)} changes never showed")
    return [(seen[person] - written[person]) * 1000 for person in people]


def _write(whole: Whole, people: list[UUID], number: int, written: dict[UUID, float]) -> None:
    began = time.perf_counter() + number / RATE
    with whole.connect() as connection:
        for turn, person in enumerate(people):
            time.sleep(max(0.0, began + turn * _WRITERS / RATE - time.perf_counter()))
            connection.execute(_CHANGE, (person,))
            written[person] = time.perf_counter()


def _watch(whole: Whole, seen: dict[UUID, float], over: threading.Event) -> None:
    with whole.connect() as connection:
        since: Any = _clock(connection)
        while not over.wait(0.02):
            rows = connection.execute(_SHOWN, (since,)).fetchall()
            now = time.perf_counter()
            for (person,) in rows:
                seen.setdefault(person, now)


def _clock(connection: psycopg.Connection[Any]) -> Any:
    row = connection.execute("select now() - interval '1 minute'").fetchone()
    return row[0] if row else None
