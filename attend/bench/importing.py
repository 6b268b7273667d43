"""Table `path`, fourth part: an import in one `copy`, drained by the function while single writes go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from attend.bench.measure import Figure, Size, percentile, require, say, timed
from attend.bench.stack import Whole, wait_for

TABLE = "path"
FUNCTION = "statistics-recompute"
_PEOPLE = 500
_BOUND_MB = 20.0
_COPY = "copy public.activities (organization_id, user_id, activity_type_id, occurred_at, duration_minutes) from stdin"
_LINES = """
select string_agg(format(E'%%s\\t%%s\\thome-visit\\t%%s\\t30\\n', u.organization_id, u.id, d.at), '')
from (select * from public.users order by id limit %s) u
cross join (select now() - make_interval(days => n %% 400, mins => 5 + n / 400) as at from generate_series(1, %s) n) d
"""
_ONE = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() from public.users u where u.id = %s
"""
_RUNG = "select rung from private.bells where function_name = 'statistics-recompute'"


@dataclass
class _Bystander:
    """Writes an activity of one person every 20 ms, and looks at memory ten times a second."""

    whole: Whole
    writes: list[float] = field(default_factory=list[float])
    of_function: list[float] = field(default_factory=list[float])
    of_backends: list[float] = field(default_factory=list[float])
    over: threading.Event = field(default_factory=threading.Event)

    def write(self) -> None:
        with self.whole.connect() as connection:
            person = connection.execute("select id from public.users order by id desc limit 1").fetchone()
            while not self.over.wait(0.02):
                self.writes.append(timed(lambda: connection.execute(_ONE, person)))

    def look(self) -> None:
        with self.whole.connect() as connection:
            while not self.over.wait(0.1):
                pids = connection.execute("select pid from pg_stat_activity where usename = 'authenticator'").fetchall()
                self.of_backends.append(max((private_megabytes(pid) for (pid,) in pids), default=0.0))
                self.of_function.append(self.whole.megabytes(FUNCTION))


def figures(whole: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines of the import. Needs a stack with the statistics' function."""
    rows = size.many_rows // _PEOPLE * _PEOPLE
    say(f"path: {rows:,} activities of {_PEOPLE} people in one copy")
    whole.load(2_000)
    lines = whole.value(_LINES, _PEOPLE, rows // _PEOPLE)
    bystander = _Bystander(whole)
    with whole.connect() as connection, connection.transaction():
        rung = whole.value(_RUNG)

        def copy() -> None:
            with connection.cursor().copy(_COPY) as copy:
                copy.write(lines)

        copied = timed(copy)
    rung = whole.value(_RUNG) - rung
    threads = [threading.Thread(target=work) for work in (bystander.write, bystander.look)]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    counted = wait_for(lambda: whole.value("select count(*) from private.statistics_marks") < 50, 1_200, 0.2)
    drained = (time.perf_counter() - began) * 1000
    bystander.over.set()
    for thread in threads:
        thread.join()
    require(counted, "the import was not drained")
    require(
        wait_for(lambda: _total(whole) == 6_000 + rows + len(bystander.writes), 10), "not every activity was counted"
    )
    name = f"{rows:,} activities in one copy"
    yield Figure(TABLE, f"{name}: drained by the function, against the copy", size.name, drained, copied, None)
    p99 = percentile(bystander.writes, 0.99)
    case = f"{name} ({rung} bell): {len(bystander.writes)} single writes meanwhile, p99, against a second"
    yield Figure(TABLE, case, size.name, p99, 1_000.0, 1.0)
    for what, samples in (("the function", bystander.of_function), ("a database process", bystander.of_backends)):
        grown = max(samples) - samples[len(samples) // 10]
        case = f"{name}: memory of {what}, {grown:.1f} MB more than after a tenth, of {_BOUND_MB:.0f}"
        yield Figure(TABLE, case, size.name, None, None, 1.0, given_ratio=grown / _BOUND_MB)


def _total(whole: Whole) -> int:
    return whole.value("select sum(total_activities) from public.activity_statistics where period_type = 'all_time'")


def private_megabytes(pid: int) -> float:
    """Resident and not shared: what a process has of its own."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(fields[1]) - int(fields[2])) * 4096 / 2**20
