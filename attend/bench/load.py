"""Table `load`: all four systems written to at once for minutes, while everybody is evaluated; hook and cron are on.

Changes are followed to their notifications. Afterwards everything is counted: where anything was lost or told twice,
there is no figure.
"""

from __future__ import annotations

import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from attend.bench.importing import private_megabytes
from attend.bench.measure import Figure, Size, percentile, require, say, timed
from attend.bench.population import first, vacuum
from attend.bench.stack import Whole, wait_for

TABLE = "load"
FOLLOWED, ACTIVITIES, CHECK_INS, RECORDS = 5, 30, 10, 5
"""Changes that somebody is told of, and other writes, a second."""
_RATE = FOLLOWED + ACTIVITIES + CHECK_INS + RECORDS
_OWED_MS, _DRAINED_MS, _WRITE_MS = 2_500.0, 60_000.0, 1_000.0
_MEMORY_MB = 20.0
_SERVICES = 12
_DEVICES = """
insert into public.devices (organization_id, user_id, provider, platform, token)
select u.organization_id, u.id, 'fcm', 'android', 'phone-of-' || u.id from public.users u
"""
_SERVANTS = 50
_OTHERS = (
    "insert into public.organizations (id, name) select gen_random_uuid(), n from unnest('{Church,School}'::text[]) n",
    """
    insert into public.users (organization_id, full_name, role)
    select o.id, 'Servant ' || n, 'servant' from public.organizations o, generate_series(1, %(servants)s) n
    where o.name = 'Church'
    """,
    """
    insert into public.families (organization_id, name, assigned_servant_id)
    select u.organization_id, 'Family of ' || u.full_name, u.id from public.users u where u.role = 'servant'
    """,
    """
    insert into public.people (organization_id, family_id, full_name)
    select f.organization_id, f.id, 'Member ' || n
    from public.families f, generate_series(1, %(others)s / %(servants)s) n
    """,
    """
    insert into public.services (organization_id, service_date, kind)
    select o.id, current_date - 7 * n, 'liturgy' from public.organizations o, generate_series(1, %(services)s) n
    where o.name = 'Church'
    """,
    """
    insert into public.students (organization_id, student_id, full_name)
    select o.id, n, 'Student ' || n from public.organizations o, generate_series(1, %(others)s) n
    where o.name = 'School'
    """,
)
_CANDIDATES = """
select u.id from public.users u
where u.role = 'peer_mentor'
  and exists (select from public.activity_statistics s where s.organization_id = u.organization_id and s.user_id = u.id
    and s.period_type = 'all_time' and s.last_activity_date > now() - interval '18 days')
  and not exists (select from public.notification_preferences np
    where np.organization_id = u.organization_id and np.user_id = u.id)
order by u.id limit %s
"""
# What they logged these weeks was a mistake, and so they have been quiet for long: they are told at once.
_TAKEN_BACK = "delete from public.activities where user_id = %s and occurred_at > now() - interval '22 days'"
_ACTIVITY = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() - interval '30 days' from public.users u where u.id = %s
"""
_CHECK_IN = """
insert into public.student_attendance (organization_id, student_id)
select s.organization_id, s.student_id from public.students s where s.student_id = %s
"""
_RECORD = """
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
select p.organization_id, p.id, s.id, s.service_date, 'absent'
from public.people p join public.services s on s.organization_id = p.organization_id
where p.id = %s and not exists (select from public.attendance_records r
  where r.organization_id = p.organization_id and r.person_id = p.id and r.service_id = s.id)
order by s.service_date limit 1
"""
_WAITING = """
select (select count(*) from private.scenario_marks) + (select count(*) from private.statistics_marks)
  + (select count(*) from private.care_marks)
  + (select count(*) from private.outbox where state in ('pending', 'deferred', 'failed', 'claimed'))
"""
# Each must be nothing when all is done.
_MISTAKES = {
    "activities that the statistics do not count": """
        select (select count(*) from public.activities) - (select sum(s.total_activities)
          from public.activity_statistics s where s.period_type = 'all_time')""",
    "people at risk without a case": """
        select count(*) from public.people p where p.at_risk_flag and not exists (select from public.pastoral_cases c
          where c.organization_id = p.organization_id and c.person_id = p.id and c.status = 'open')""",
    "cases that no servant was told of": """
        select (select count(*) from public.pastoral_cases) - (select count(distinct n.context ->> 'case_id')
          from public.notifications n where n.scenario = 'pastoral_case')""",
    "check-ins that the panel does not count": """
        select (select count(*) from public.student_attendance) - (select sum(s.checkins) from public.students s)""",
    "pushes not sent": "select count(*) from private.outbox where state <> 'sent'",
    "people told twice": """
        select count(*) from (select from public.notifications n
          group by n.organization_id, n.user_id, n.subject having count(*) > 1) twice""",
}


@dataclass
class Load:
    """What is written and followed, and what was seen meanwhile. Times are of `time.perf_counter`."""

    whole: Whole
    seconds: int
    written: dict[UUID, float] = field(default_factory=dict)
    seen: dict[UUID, float] = field(default_factory=dict)
    writes: list[float] = field(default_factory=list)
    of_functions: list[dict[str, float]] = field(default_factory=list)
    of_backends: list[float] = field(default_factory=list)
    late: float = 0.0
    """The most seconds that a writer was behind its time."""
    _over: threading.Event = field(default_factory=threading.Event)

    def write(self, statement: str, rate: int, keys: list[Any], written: dict[UUID, float] | None = None) -> None:
        """So many a second, for the whole time, of one after the other."""
        began = time.perf_counter()
        with self.whole.connect() as connection:
            for turn in range(rate * self.seconds):
                wait = began + turn / rate - time.perf_counter()
                self.late = max(self.late, -wait)
                time.sleep(max(0.0, wait))
                key = keys[turn % len(keys)]
                self.writes.append(timed(lambda: connection.execute(statement.encode(), (key,))))  # noqa: B023
                if written is not None:
                    written[key] = time.perf_counter()

    def watch(self) -> None:
        """When each of those followed was told."""
        with self.whole.connect() as connection:
            while not self._over.wait(0.01):
                waiting = [person for person in list(self.written) if person not in self.seen]
                query = "select user_id from public.notifications where user_id = any(%s)"
                rows = connection.execute(query, (waiting,)).fetchall()
                now = time.perf_counter()
                for (person,) in rows:
                    self.seen.setdefault(person, now)

    def look(self) -> None:
        """How much memory everybody has of their own."""
        names = sorted(self.whole.stack.state.processes.keys() - {"gateway", "background", "postgres"})
        with self.whole.connect() as connection:
            while not self._over.wait(0.25):
                query = "select pid from pg_stat_activity where usename = 'authenticator'"
                pids = [pid for (pid,) in connection.execute(query).fetchall()]
                self.of_backends.append(max((private_megabytes(pid) for pid in pids), default=0.0))
                self.of_functions.append({name: self.whole.megabytes(name) for name in names})

    def stop_watching(self) -> None:
        self._over.set()

    def delays(self, since: float = 0.0, until: float = float("inf")) -> list[float]:
        """Milliseconds from commit to notification of what was written in a span of time."""
        return [
            (self.seen[person] - at) * 1000
            for person, at in self.written.items()
            if person in self.seen and since <= at <= until
        ]


def figures(whole: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines of the load. Needs a stack with everything in it and cron on."""
    say(f"load: {size.scheduled_people:,} people, a church and a school")
    whole.stack.set_cron(False)
    due = _fill(whole, size)
    load = Load(whole, size.load_seconds)
    followed = [row[0] for row in whole.admin.execute(_CANDIDATES, (FOLLOWED * load.seconds,)).fetchall()]
    require(len(followed) == FOLLOWED * load.seconds, "too few people can be followed")
    whole.stack.set_cron(True)
    say(f"load: {_RATE} writes a second for {load.seconds} s, and everybody is evaluated meanwhile")
    evaluated_since = time.perf_counter()
    evaluated: list[float] = []
    with _working(load, followed):
        time.sleep(load.seconds / 4)
        evaluated_since = time.perf_counter()
        evaluated.append(_evaluate(whole))
    evaluated_until = evaluated_since + evaluated[0] / 1000
    say("load: the writers are done; until nothing waits")
    drained = timed(lambda: require(_is_drained(whole), "the backlog is not back at zero"))
    require(wait_for(lambda: len(load.seen) == len(followed), 10), "a change was not followed by a notification")
    load.stop_watching()
    _require_right(whole, due + len(followed), size.scheduled_people)
    yield from _lines(load, size, evaluated[0], drained, load.delays(evaluated_since, evaluated_until))


def _lines(load: Load, size: Size, evaluated: float, drained: float, meanwhile: list[float]) -> Iterator[Figure]:
    name = f"{_RATE} writes a second for {load.seconds} s"
    delays = load.delays()
    for what, value, target in (
        ("p50", statistics.median(delays), None),
        ("p99", percentile(delays, 0.99), 1.0),
        ("longest", max(delays), None),
        ("p99 of those during the evaluation", percentile(meanwhile or delays, 0.99), None),
    ):
        case = f"{name}: change → notification, {what}, against the 2.5 s owed"
        yield Figure(TABLE, case, size.name, value, _OWED_MS, target)
    yield Figure(
        TABLE,
        f"{name}: one write, p99, against a second",
        size.name,
        percentile(load.writes, 0.99),
        _WRITE_MS,
        1.0,
    )
    window = 1000 * float(
        load.whole.value(
            "select extract(epoch from coalesce(window_length, expected_interval)) from private.schedules"
            " where name = 'scenario-evaluation'"
        )
    )
    case = f"{size.scheduled_people:,} people evaluated meanwhile, against their window"
    yield Figure(TABLE, case, size.name, evaluated, window, 1.0)
    yield Figure(TABLE, f"{name}: backlog back at zero, of 60 s", size.name, drained, _DRAINED_MS, 1.0)
    for what, grown in _growth(load).items():
        case = f"{name}: memory of {what}, {grown:.1f} MB more than after a tenth, of {_MEMORY_MB:.0f}"
        yield Figure(TABLE, case, size.name, None, None, 1.0, given_ratio=grown / _MEMORY_MB)


def _growth(load: Load) -> dict[str, float]:
    """The most that anybody grew after a tenth of the time: of the functions the one that grew most."""
    after = len(load.of_functions) // 10
    grown = {
        name: max(sample[name] for sample in load.of_functions[after:]) - megabytes
        for name, megabytes in load.of_functions[after].items()
    }
    most = max(grown, key=lambda name: grown[name])
    backends = max(load.of_backends[after:]) - load.of_backends[after]
    return {most: grown[most], "a database process": backends}


def _fill(whole: Whole, size: Size) -> int:
    """People with a phone each, a church and a school; returns how many are due."""
    due = whole.load(size.scheduled_people)
    whole.admin.execute("set session_replication_role = replica")
    numbers = {"servants": _SERVANTS, "services": _SERVICES, "others": max(_SERVANTS, size.scheduled_people // 50)}
    for statement in _OTHERS:
        whole.admin.execute(statement.encode(), numbers)
    whole.admin.execute(_DEVICES)
    whole.admin.execute("set session_replication_role = origin")
    vacuum(whole.admin, "public.users", "public.devices", "public.people", "public.students")
    # Whatever is due once a day has been done: the evaluation is begun below, and nothing else.
    whole.admin.execute("update private.schedules set last_started_at = now(), last_rung_at = now()")
    return due


@contextmanager
def _working(load: Load, followed: list[UUID]) -> Iterator[None]:
    """Writers and watchers, until every writer is done; the watchers go on."""
    chance = random.Random(7)

    def some(query: str, number: int) -> list[Any]:
        found = [row[0] for row in load.whole.admin.execute(query.encode(), (4 * number,)).fetchall()]
        chance.shuffle(found)
        return found

    others = "select id from public.users where role = 'peer_mentor' order by id desc limit %s"
    students = "select student_id from public.students order by student_id limit %s"
    # Three absences each, so that a case is opened of most.
    members = some("select id from public.people order by id limit %s", RECORDS * load.seconds // 12 or 1)
    works: list[Callable[[], None]] = [
        lambda: load.write(_TAKEN_BACK, FOLLOWED, followed, load.written),
        lambda: load.write(_ACTIVITY, ACTIVITIES, some(others, 500)),
        lambda: load.write(_CHECK_IN, CHECK_INS, some(students, 500)),
        lambda: load.write(_RECORD, RECORDS, members),
    ]
    writers = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in (*writers, *(threading.Thread(target=work, daemon=True) for work in (load.watch, load.look))):
        thread.start()
    try:
        yield
    finally:
        for thread in writers:
            thread.join()
    require(len(load.writes) == _RATE * load.seconds, "not everything was written")


def _evaluate(whole: Whole) -> float:
    """Milliseconds from cron's ring until everybody was evaluated; cron goes on with it each minute."""
    whole.admin.execute(
        "update private.schedules set last_started_at = null, last_rung_at = null where name = 'scenario-evaluation'"
    )

    def run() -> None:
        whole.admin.execute("select private.tick_run('scenario-evaluation', 'scenario-trigger-engine')")
        finished = "select count(*) = 1 from private.runs where kind = 'scenario-evaluation' and state = 'finished'"
        require(wait_for(lambda: whole.value(finished), 3_600, 0.05), "the evaluation did not finish")

    return timed(run)


def _is_drained(whole: Whole) -> bool:
    return wait_for(lambda: whole.value(_WAITING) == 0, 1_200, 0.2)


def _require_right(whole: Whole, told: int, people: int) -> None:
    """Nothing was lost, and nobody told twice: a fast wrong answer is no figure."""
    for what, query in _MISTAKES.items():
        number = first(whole.admin, query)
        require(number == 0, f"{number} {what}")
    found = whole.value("select count(*) from public.notifications where scenario = 'inactivity'")
    require(found == told, f"{found} were told that they have been quiet, {told} have been")
    counted = whole.value("select max(people) from private.runs where kind = 'scenario-evaluation'")
    # Servants are people of the organisation, too.
    require(counted == people + _SERVANTS, f"the evaluation counted {counted} of {people + _SERVANTS} people")
