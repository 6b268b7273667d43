"""Table `scenarios`, through the function: one scheduled run over everybody, as cron starts it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from uuid import uuid4

from attend.bench.measure import Figure, Size, fifths, require, say, timed
from attend.bench.population import clear_effects, first, truncate
from attend.bench.stack import ENGINE, RUN, Whole, wait_for
from attend.stack.errors import StackError

TABLE = "scenarios"
# The engine's default; so that SQL and function do the same transactions.
CHUNK = 10_000
_MEMORY_ALLOWED_MB = 20
# When each chunk was committed, to the moment its people were counted.
_REMEMBER_CHUNKS = """
create schema bench;
create table bench.chunks (people bigint, at timestamptz);
create function bench.remember() returns trigger language plpgsql security definer as $$
begin
  insert into bench.chunks values (new.people, clock_timestamp());
  return null;
end $$;
create trigger bench_remember after update of chunks on private.runs for each row
  when (new.chunks > old.chunks) execute function bench.remember();
"""


class _Memory:
    """Watches the engine's memory against the people it has worked through."""

    def __init__(self, whole: Whole) -> None:
        self._whole = whole
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.samples: list[tuple[int, float]] = []

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def _watch(self) -> None:
        with self._whole.connect() as connection:
            while not self._over.wait(0.02):
                row = connection.execute("select max(people) from private.runs").fetchone()
                # Between a kill and the new process there is none.
                with contextlib.suppress(OSError, StackError):
                    self.samples.append(((row and row[0]) or 0, self._whole.megabytes()))

    def peak(self) -> float:
        """The most megabytes a process of it ever had."""
        return max(megabytes for _, megabytes in self.samples)

    def growth(self, people: int) -> float:
        """Megabytes from a tenth of the people to the end."""
        working = [megabytes for reached, megabytes in self.samples if reached >= people / 10]
        return max(0.0, working[-1] - working[0]) if working else 0.0


def figures(whole: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines of the scheduled run. Needs a stack; leaves everybody told."""
    people = size.scheduled_people
    say(f"scenarios: loading {people:,} people for a scheduled run")
    expected = whole.load(people)
    whole.admin.execute(_REMEMBER_CHUNKS)
    say("scenarios: one scheduled run, cron's call → signature → function → RPC")
    whole.call(RUN)  # the first call of a process opens its connections
    _settle(whole)
    with _Memory(whole) as memory:
        ours = timed(lambda: _tick_and_wait(whole))
    _require_everybody(whole, people, expected)
    # The first chunk has no start to be measured from.
    times = [(after - before).total_seconds() * 1000 for before, after in pairwise(_committed_at(whole))]
    first_fifth, last_fifth = fifths(times or [1.0])
    say("scenarios: the same run by RPC in SQL alone")
    _settle(whole)
    limit = timed(lambda: _same_in_sql(whole))
    _require_everybody(whole, people, expected)
    case = f"{people:,} people in one scheduled run through the function, against SQL alone"
    yield Figure(TABLE, case, size.name, ours, limit, None)
    yield Figure(
        TABLE, "chunk time through the function, last fifth against first", size.name, last_fifth, first_fifth, 1.2
    )
    growth = memory.growth(people) / _MEMORY_ALLOWED_MB
    yield Figure(
        TABLE,
        "memory of the function, growth from 10 % to the end, of 20 MB",
        size.name,
        None,
        None,
        1.0,
        given_ratio=growth,
    )
    yield from _killed(whole, size, people, expected, undisturbed=ours, peak=memory.peak())


def _killed(
    whole: Whole, size: Size, people: int, expected: int, *, undisturbed: float, peak: float
) -> Iterator[Figure]:
    say("scenarios: the same run, the function killed -9 three times on the way")
    _settle(whole)
    with _Memory(whole) as memory:
        ours = timed(lambda: _tick_and_kill(whole, people))
    _require_everybody(whole, people, expected)
    yield Figure(
        TABLE, "the same run, killed -9 three times on the way, against undisturbed", size.name, ours, undisturbed, None
    )
    yield Figure(
        TABLE,
        "memory of the function, its peak above that of the undisturbed run, of 20 MB",
        size.name,
        None,
        None,
        1.0,
        given_ratio=max(0.0, memory.peak() - peak) / _MEMORY_ALLOWED_MB,
    )


def _settle(whole: Whole) -> None:
    clear_effects(whole.admin)
    truncate(whole.admin, "private.runs", "private.run_slices", "bench.chunks")
    whole.admin.execute("update private.schedules set last_started_at = null, last_rung_at = null")


def _tick_and_wait(whole: Whole) -> None:
    _ring(whole)
    finished = "select count(*) = 1 from private.runs where state = 'finished'"
    require(wait_for(lambda: whole.value(finished), 600, 0.01), "the scheduled run did not finish")


def _tick_and_kill(whole: Whole, people: int) -> None:
    reached = "select coalesce(max(people), 0) >= %s from private.runs"
    for share in (0.25, 0.5, 0.75):
        # Rung again and again, as cron does: a function that is just starting may miss a bell.
        far = wait_for(lambda: whole.value(reached, share * people) or _ring(whole), 600, 0.01)  # noqa: B023 - called here
        require(far, f"the run did not get to {share:.0%}")
        whole.stack.wait_restarted(ENGINE, whole.stack.kill(ENGINE))
    finished = "select count(*) = 1 from private.runs where state = 'finished'"
    require(wait_for(lambda: whole.value(finished) or _ring(whole), 600, 0.5), "the killed run did not finish")


def _ring(whole: Whole) -> bool:
    """Cron's minute: rings where nobody works. Always false."""
    whole.admin.execute("select private.tick_run('scenario-evaluation', 'scenario-trigger-engine')")
    return False


def _committed_at(whole: Whole) -> list[Any]:
    # The last transaction of a run finds nobody left, and is no chunk.
    rows = whole.admin.execute("select min(at) from bench.chunks group by people order by people").fetchall()
    return [row[0] for row in rows]


def _same_in_sql(whole: Whole) -> None:
    holder = uuid4()
    with whole.connect() as connection:
        run = first(connection, "select public.start_run('scenario-evaluation', %s)", holder)
        chunk = "select public.evaluate_chunk(%s, %s, %s)"
        while not first(connection, chunk, run["run_id"], holder, CHUNK)["done"]:
            pass


def _require_everybody(whole: Whole, people: int, expected: int) -> None:
    counted = whole.value("select max(people) from private.runs")
    told = whole.value("select count(*) from public.notifications")
    once = whole.value("select count(distinct (organization_id, user_id)) from public.notifications")
    require(counted == people, f"the run counted {counted} of {people} people")
    require(told == once == expected, f"{told} notifications to {once} people, {expected} were due")
