"""Table `scenarios`, in SQL: evaluating everybody, against the limits of performance.md."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from attend.bench.measure import Figure, Size, alternating, fifths, require, say, timed
from attend.bench.population import clear_effects, due, first, vacuum
from attend.bench.workplace import Workplace

TABLE = "scenarios"
CHUNK = 10_000
_MANY_ORGANIZATIONS = 100
_FEW = 10_000

# The least any evaluator can do: write the same rows, keys, foreign keys and indexes included, from a list at hand.
_REMEMBER_DUE = """
create temp table bench_due as
select g.*, gen_random_uuid() as notification_id
from public.organizations o
cross join lateral private.scenario_gates(o.id, null, null, null, private.rules_of(o.id, null), now(), null) g
where g.gate = 'would_send'
"""
_INSERT_ALONE = """
with o as (select id from public.organizations limit 1),
cooled as (
  insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
  select o.id, d.user_id, d.scenario, d.subject, now(), 14 from bench_due d cross join o
), notified as (
  insert into public.notifications
    (organization_id, id, user_id, scenario, subject, rule_id, rule_version, context, crossed_at, triggered_at,
     release_on)
  select o.id, d.notification_id, d.user_id, d.scenario, d.subject, d.rule_id, d.rule_version, d.detail, d.crossed_at,
    now(), current_date
  from bench_due d cross join o
)
insert into private.outbox (organization_id, notification_id, user_id, channel)
select o.id, d.notification_id, d.user_id, 'push' from bench_due d cross join o
"""
_DECIDE_ALL = "select private.decide(o.id, null, null, null, now()) from public.organizations o"
_TICK = "select private.tick_scenarios(now())"
_SAMPLE = "select organization_id, id from public.users order by id limit %s"


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines of the table, most telling first. Leaves everybody told."""
    few = min(_FEW, size.people)
    say(f"scenarios: loading {few:,} people of one organisation")
    place.load(few)
    idle_with_few = _idle_tick(place, size, due(place.admin))
    say(f"scenarios: loading {size.people:,} people of one organisation")
    place.load(size.people)
    expected = due(place.admin)
    say(f"scenarios: {expected:,} of them are due")
    place.own.execute(_REMEMBER_DUE)
    yield from _first_run(place, size, expected)
    yield from _next_run(place, size, expected)
    yield from _ticks(place, size, expected, few, idle_with_few)
    yield _two_workers(place, size, expected)
    yield from _many_organizations(place, size)


def _first_run(place: Workplace, size: Size, expected: int) -> Iterator[Figure]:
    say("scenarios: first run, in one statement and in chunks, against the inserts alone")
    chunk_times: list[float] = []

    def one_statement() -> float:
        with _rolled_back(place) as connection:
            return timed(lambda: connection.execute(_DECIDE_ALL))

    def inserts() -> float:
        with _rolled_back(place) as connection:
            return timed(lambda: connection.execute(_INSERT_ALONE))

    def chunks() -> float:
        clear_effects(place.admin)
        chunk_times[:] = run_in_chunks(place, expected, size.people)
        return sum(chunk_times)

    ours, chunked, limit = alternating(size.rounds, one_statement, chunks, inserts)
    say(f"scenarios: {size.sample} people one by one, scaled to all")
    clear_effects(place.admin)
    per_person, naive = (
        t * size.people / size.sample for t in (_per_person(place, size), _as_users_write_it(place, size))
    )
    first_fifth, last_fifth = fifths(chunk_times[:-1] or chunk_times)
    yield Figure(TABLE, "first run, one statement", size.name, ours, limit, 1.5, naive)
    yield Figure(TABLE, f"first run, committed chunks of {CHUNK:,}", size.name, chunked, limit, 2.0, naive)
    yield Figure(TABLE, "chunk time in SQL, last fifth against first", size.name, last_fifth, first_fifth, 1.2)
    yield Figure(TABLE, "one statement, against one call a person", size.name, ours, per_person, 1 / 300)


def _next_run(place: Workplace, size: Size, expected: int) -> Iterator[Figure]:
    say("scenarios: next run, everybody cooling down")
    clear_effects(place.admin)
    run_in_chunks(place, expected, size.people)
    vacuum(place.admin, "public.notifications", "private.cooldowns", "private.outbox")

    ours, limit = alternating(
        size.rounds,
        lambda: timed(lambda: place.own.execute(_DECIDE_ALL)),
        lambda: timed(lambda: place.own.execute("select count(*) from public.users")),
    )
    told = place.value("select count(*) from public.notifications")
    require(told == expected, f"the next run told {told - expected} people again")
    yield Figure(TABLE, "next full evaluation, everybody cooling down", size.name, ours, limit, 0.5)


def _ticks(place: Workplace, size: Size, expected: int, few: int, idle_with_few: float) -> Iterator[Figure]:
    say("scenarios: ticks")
    clear_effects(place.admin, new_rules=True)
    first_tick = timed(lambda: place.own.execute(_TICK))
    marked = place.value("select count(distinct (organization_id, user_id)) from private.scenario_marks")
    require(marked >= expected, f"the first tick of a rule marked {marked} people, {expected} are due")
    idle = _idle_tick(place, size, expected)
    count = alternating(size.rounds, lambda: timed(lambda: place.own.execute("select count(*) from public.users")))[0]
    yield Figure(TABLE, "idle tick, against count(*)", size.name, idle, count, 0.05)
    yield Figure(TABLE, f"idle tick, against the same with {few:,} people", size.name, idle, idle_with_few, 2.0)
    yield Figure(TABLE, "tick that finds everybody due, against count(*)", size.name, first_tick, count, None)


def _idle_tick(place: Workplace, size: Size, expected: int) -> float:
    """Milliseconds of a tick that finds nobody, when everybody due has been told. Leaves them told."""
    clear_effects(place.admin, new_rules=True)
    place.own.execute(_TICK)
    with place.connect() as connection:
        while first(connection, "select public.drain_scenario_marks(%s)", CHUNK)["marks"]:
            pass
    told = place.value("select count(*) from public.notifications")
    require(told == expected, f"the tick had {told} people told, {expected} were due")
    vacuum(place.admin, "public.notifications", "private.cooldowns", "private.held_decisions", "private.rule_clocks")
    found: list[int] = []

    def idle() -> float:
        return timed(lambda: found.append(first(place.own, _TICK)["people"]))

    spent = alternating(max(size.rounds, 5), idle)[0]
    require(not any(found), f"ticks with nobody due found {found} people")
    return spent


def _two_workers(place: Workplace, size: Size, expected: int) -> Figure:
    say("scenarios: everybody marked, drained by one worker and by two")
    ours, limit = alternating(size.rounds, lambda: _drain(place, 2, expected), lambda: _drain(place, 1, expected))
    return Figure(TABLE, "marks of everybody drained by two workers, against one", size.name, ours, limit, 1 / 1.6)


def _many_organizations(place: Workplace, size: Size) -> Iterator[Figure]:
    clear_effects(place.admin)
    one = run_in_chunks(place, due(place.admin), size.people)
    people = min(size.people, 100_000)
    say(f"scenarios: loading {people:,} people of {_MANY_ORGANIZATIONS} organisations")
    place.load(people, _MANY_ORGANIZATIONS)
    many = run_in_chunks(place, due(place.admin), people)
    limit = sum(one) * people / size.people
    yield Figure(
        TABLE, f"the same people in {_MANY_ORGANIZATIONS} organisations, against one", size.name, sum(many), limit, None
    )


def run_in_chunks(place: Workplace, expected: int, people: int) -> list[float]:
    """One scheduled run by RPC, chunk by chunk, each committed; milliseconds of each. Effects must be cleared."""
    holder = uuid4()
    connection = place.connect()
    times: list[float] = []
    with connection:
        run = first(connection, "select public.start_run('scenario-evaluation', %s)", holder)
        done = False
        while not done:
            answer: dict[str, Any] = {}

            def chunk(answer: dict[str, Any] = answer) -> None:
                answer |= first(connection, "select public.evaluate_chunk(%s, %s, %s)", run["run_id"], holder, CHUNK)

            times.append(timed(chunk))
            done = answer["done"]
        report = first(connection, "select public.run_report(%s)", run["run_id"])
        told = first(connection, "select count(distinct (organization_id, user_id)) from public.notifications")
    require(report["people"] == people, f"the run counted {report['people']} of {people} people")
    require(told == expected, f"the run told {told} people, {expected} were due")
    return times


def _drain(place: Workplace, workers: int, expected: int) -> float:
    clear_effects(place.admin)
    place.admin.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) "
        "select organization_id, id, false from public.users"
    )
    vacuum(place.admin, "private.scenario_marks")
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with place.connect() as connection:
                while first(connection, "select public.drain_scenario_marks(%s)", CHUNK)["marks"]:
                    pass
        except psycopg.Error as error:
            failures.append(error)

    def all_workers() -> None:
        threads = [threading.Thread(target=work) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    spent = timed(all_workers)
    require(not failures, f"a worker failed: {failures}")
    told = place.value("select count(*) from public.notifications")
    require(told == expected, f"{workers} workers told {told} times, {expected} people were due")
    return spent


def _per_person(place: Workplace, size: Size) -> float:
    people = place.own.execute(_SAMPLE, (size.sample,)).fetchall()
    return timed(
        lambda: [place.own.execute("select public.evaluate_people(%s, array[%s]::uuid[])", person) for person in people]
    )


@dataclass(frozen=True)
class _Naive:
    """What somebody writes first: reads for each person, the decision in Python, three inserts."""

    connection: psycopg.Connection[Any]
    rule_id: UUID
    threshold_days: int
    cooldown_days: int

    def evaluate(self, organization_id: UUID, user_id: UUID, now: datetime) -> None:
        key = (organization_id, user_id)
        ask = self.connection.execute
        last = ask(
            "select max(occurred_at) from public.activities "
            "where organization_id = %s and user_id = %s and status = 'completed'",
            key,
        ).fetchone()
        if last is None or last[0] is None or last[0] > now - timedelta(days=self.threshold_days):
            return
        if ask(
            "select from public.notification_preferences "
            "where organization_id = %s and user_id = %s and not is_enabled",
            key,
        ).fetchone():
            return
        told = ask(
            "select last_triggered_at from private.cooldowns where organization_id = %s and user_id = %s", key
        ).fetchone()
        if told is not None and told[0] > now - timedelta(days=self.cooldown_days):
            return
        self._tell(organization_id, user_id, now)

    def _tell(self, organization_id: UUID, user_id: UUID, now: datetime) -> None:
        subject, notification_id = str(self.rule_id), uuid4()
        self.connection.execute(
            "insert into public.notifications (organization_id, id, user_id, scenario, subject, triggered_at) "
            "values (%s, %s, %s, 'inactivity', %s, %s)",
            (organization_id, notification_id, user_id, subject, now),
        )
        self.connection.execute(
            "insert into private.cooldowns values (%s, %s, 'inactivity', %s, %s, 14)",
            (organization_id, user_id, subject, now),
        )
        self.connection.execute(
            "insert into private.outbox (organization_id, notification_id, user_id, channel) "
            "values (%s, %s, %s, 'push')",
            (organization_id, notification_id, user_id),
        )


def _as_users_write_it(place: Workplace, size: Size) -> float:
    clear_effects(place.admin)
    rule = place.own.execute("select id, threshold_days, cooldown_days from public.scenario_rules").fetchall()[0]
    now = place.value("select now()")
    people = place.own.execute(_SAMPLE, (size.sample,)).fetchall()
    with place.connect() as connection:
        naive = _Naive(connection, *rule)
        return timed(lambda: [naive.evaluate(organization, user, now) for organization, user in people])


@contextmanager
def _rolled_back(place: Workplace) -> Iterator[psycopg.Connection[Any]]:
    """Effects of the block are measured without the commit, and leave no row behind."""
    clear_effects(place.admin)
    with place.own.transaction(force_rollback=True):
        yield place.own
    clear_effects(place.admin)
