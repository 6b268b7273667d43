"""Erasing somebody while others work on them: whoever comes second waits, and nothing is left. Real transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.database import Database
from tests.support.races import answer, side_by_side, wait_until_blocked
from tests.support.team import Team

ERASE = "select public.erase_person(%s, 'user', %s)"


@pytest.fixture
def team(database: Database) -> Team:
    """Twenty mentors with activities on three days, quiet for long, and a rule that reminds them."""
    database.execute("delete from public.organizations")
    for table in ("scenario_marks", "statistics_marks", "care_marks"):
        database.execute(f"delete from private.{table}")
    team = Team(database)
    team.mentors(20, 3)
    database.execute("update public.activities set occurred_at = occurred_at - interval '60 days'")
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'quiet', true)",
        (team.id,),
    )
    database.execute("select public.drain_statistics_marks(100000)")
    database.execute("update private.rule_clocks set evaluated_until = now()")
    database.execute("delete from private.scenario_marks")
    return team


def people(team: Team) -> list[UUID]:
    rows = team.database.rows(
        "select id from public.users where organization_id = %s and full_name <> 'Erased' order by id", (team.id,)
    )
    return [row["id"] for row in rows]


class Second:
    """What comes second, on a connection of its own in a thread: its answer, or what the database said against it."""

    def __init__(self, database: Database, query: str, *arguments: Any) -> None:
        self._database, self._query, self._arguments = database, query, arguments
        self.answer: Any = None
        self.error: psycopg.Error | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._database.connect("service_role") as connection:
                self.answer = answer(connection, self._query, *self._arguments)
        except psycopg.Error as error:
            self.error = error

    def wait_until_blocked(self) -> None:
        wait_until_blocked(self._database)

    def end(self) -> Any:
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.answer


def traces(database: Database, person: UUID) -> dict[str, int]:
    """Where the id still is, beside marks and the list of erasures."""
    tables = database.rows(
        "select c.oid::regclass::text as name from pg_class c where c.relkind = 'r'"
        " and c.relnamespace in ('public'::regnamespace, 'private'::regnamespace)"
        " and c.relname !~ '_marks$|^erasures$'"
    )
    counts = {
        t["name"]: database.value(f"select count(*) from {t['name']} t where strpos(t::text, %s) > 0", (str(person),))
        for t in tables
    }
    return {name: number for name, number in counts.items() if number}


def totals(team: Team) -> tuple[int, int]:
    """Activities by the statistics, once everything is counted, and by the activities themselves."""
    team.database.execute("select public.drain_statistics_marks(100000)")
    return team.totals(), team.database.value(
        "select count(*) from public.activities where organization_id = %s and status = 'completed'", (team.id,)
    )


def test_an_evaluation_under_way_is_waited_for_and_what_it_told_goes(database: Database, team: Team) -> None:
    person = people(team)[0]
    with database.connect("service_role", autocommit=False) as evaluating:
        told = answer(evaluating, "select public.evaluate_people(%s, %s) -> 'counts'", team.id, people(team))
        eraser = Second(database, ERASE, team.id, str(person))
        eraser.wait_until_blocked()
    assert told == {"inactivity": {"sent": 20}}
    assert eraser.end()["erased"]["notifications"] == 1
    assert traces(database, person) == {}
    assert database.value("select count(*) from public.notifications where organization_id = %s", (team.id,)) == 19


@pytest.mark.parametrize("evaluate", ["evaluate_people", "decide_safely"])
def test_an_evaluation_that_comes_meanwhile_tells_the_others(database: Database, team: Team, evaluate: str) -> None:
    person, *others = people(team)
    query = {
        "evaluate_people": "select public.evaluate_people(%s, %s) -> 'counts'",
        "decide_safely": "select private.decide_safely(%s, null, null, null, now()) where %s is not null",
    }[evaluate]
    with database.connect(autocommit=False) as erasing:
        answer(erasing, ERASE, team.id, str(person))
        evaluation = Second(database, query, team.id, people(team))
        evaluation.wait_until_blocked()
    assert evaluation.end()["inactivity"]["sent"] == 19
    assert traces(database, person) == {}
    assert database.rows("select * from private.quarantine") == []
    told = database.rows("select user_id from public.notifications where organization_id = %s order by 1", (team.id,))
    assert [row["user_id"] for row in told] == others


def test_an_evaluation_that_had_matched_them_already_leaves_nothing(database: Database, team: Team) -> None:
    """It read the person before the erasure and writes after it: what it decided without a lock refers to nobody."""
    person = people(team)[0]
    # Crossed long before the rule: recorded as held, which takes no lock on the person.
    database.execute(
        "update public.scenario_rules set activation = 'skip', effective_from = now(), max_reminders = 1"
        " where organization_id = %s",
        (team.id,),
    )
    database.execute("select pg_advisory_lock(7)")
    database.execute(
        "create function public.wait_for_seven() returns trigger language plpgsql as"
        " $$ begin perform pg_advisory_xact_lock_shared(7); return null; end $$"
    )
    database.execute(
        "create trigger wait before insert on private.held_decisions"
        " for each statement execute function public.wait_for_seven()"
    )
    try:
        evaluation = Second(database, "select public.evaluate_people(%s, %s) -> 'counts'", team.id, people(team))
        evaluation.wait_until_blocked()
        with database.connect("service_role") as eraser:
            answer(eraser, ERASE, team.id, str(person))
        database.execute("select pg_advisory_unlock(7)")
        counts = evaluation.end()
    finally:
        database.execute("select pg_advisory_unlock_all()")
        database.execute("drop function public.wait_for_seven() cascade")
    assert counts.get("quarantined") is None
    assert traces(database, person) == {}
    held = "select count(*) from private.held_decisions where organization_id = %s"
    assert database.value(held, (team.id,)) == 19


@pytest.mark.parametrize("first", ["drain", "erasure"])
def test_a_drain_at_the_same_time_loses_no_activity(database: Database, team: Team, first: str) -> None:
    person = people(team)[0]
    team.activity(person, 1)
    database.execute(
        "delete from public.activities where user_id = %s and occurred_at < now() - interval '62 days'", (person,)
    )
    drain: tuple[Any, ...] = ("select public.drain_statistics_marks()",)
    erase: tuple[Any, ...] = (ERASE, team.id, str(person))
    one, two = (drain, erase) if first == "drain" else (erase, drain)
    with database.connect("service_role", autocommit=False) as connection:
        answer(connection, *one)
        second = Second(database, *two)
        second.wait_until_blocked()
    second.end()
    assert traces(database, person) == {}
    by_statistics, by_activities = totals(team)
    assert by_statistics == by_activities == 59
    assert team.wrong() == []


def test_whoever_writes_about_them_meanwhile_is_refused(database: Database, team: Team) -> None:
    person = people(team)[0]
    with database.connect("service_role", autocommit=False) as erasing:
        answer(erasing, ERASE, team.id, str(person))
        writer = Second(
            database,
            "insert into public.certificates (organization_id, user_id, name, expires_at)"
            " values (%s, %s, 'First aid', now()) returning id",
            team.id,
            person,
        )
        writer.wait_until_blocked()
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        writer.end()
    assert traces(database, person) == {}


def test_what_somebody_has_just_written_about_them_goes_along(database: Database, team: Team) -> None:
    person = people(team)[0]
    with database.connect("service_role", autocommit=False) as writing:
        writing.execute(
            b"insert into public.certificates (organization_id, user_id, name, expires_at)"
            b" values (%s, %s, 'First aid', now())",
            (team.id, person),
        )
        team.activity(people(team)[1], 1)
        eraser = Second(database, ERASE, team.id, str(person))
        eraser.wait_until_blocked()
    assert eraser.end()["erased"]["certificates"] == 1
    assert traces(database, person) == {}


@pytest.mark.parametrize("kind", ["user", "member", "contact", "student"])
def test_of_two_erasures_at_once_one_does_it_and_the_other_says_so(database: Database, team: Team, kind: str) -> None:
    person = {
        "user": "select min(id::text) from public.users where organization_id = %s",
        "member": "insert into public.people (organization_id, full_name) values (%s, 'Mina Moe') returning id",
        "contact": "insert into public.contacts (organization_id, display_name) values (%s, 'K') returning id",
        "student": "insert into public.students (organization_id, student_id, full_name) values (%s, 1, 'Siv')"
        " returning student_id",
    }[kind]
    erase = ("select public.erase_person(%s, %s, %s)", team.id, kind, str(database.value(person, (team.id,))))
    first, second = side_by_side(database, erase, erase)
    assert second == {**first, "erased": {}, "kept": {}, "mentions": {}}
    assert database.value("select count(*) from private.erasures where organization_id = %s", (team.id,)) == 1


def test_an_erasure_that_is_taken_back_was_none(database: Database, team: Team) -> None:
    person = people(team)[0]
    with database.connect("service_role", autocommit=False) as erasing:
        answer(erasing, ERASE, team.id, str(person))
        evaluation = Second(database, "select public.evaluate_people(%s, %s) -> 'counts'", team.id, people(team))
        evaluation.wait_until_blocked()
        erasing.rollback()
    assert evaluation.end() == {"inactivity": {"sent": 20}}


def test_attendance_taken_and_cases_tended_meanwhile(database: Database, team: Team) -> None:
    organization = team.id
    member = database.value(
        "insert into public.people (organization_id, full_name) values (%s, 'Mina Moe') returning id", (organization,)
    )
    services = [
        database.value(
            "insert into public.services (organization_id, service_date, kind)"
            " values (%s, current_date - %s, 'liturgy') returning id",
            (organization, n),
        )
        for n in range(1, 6)
    ]
    record = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " select organization_id, %s, id, service_date, 'absent' from public.services where id = any (%s) returning id"
    )
    database.execute(record, (member, services[1:]))
    erase = "select public.erase_person(%s, 'member', %s)"
    with database.connect("service_role", autocommit=False) as erasing:
        answer(erasing, erase, organization, str(member))
        night = Second(database, "select private.tend_cases(%s, null, now())", organization)
        night.wait_until_blocked()
        late = Second(database, record, member, services[:1])
    assert night.end() == {}
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        late.end()
    assert traces(database, member) == {}
    assert database.value("select count(*) from public.pastoral_cases where organization_id = %s", (organization,)) == 0
    kept = "select count(*) from public.attendance_records where organization_id = %s"
    assert database.value(kept, (organization,)) == 4


class Bustle:
    """Work that goes on and on, each on a connection of its own, and what the database said against it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.errors: list[str] = []
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def add(self, work: Callable[[psycopg.Connection[Any]], object], *, forever: bool = True) -> threading.Thread:
        thread = threading.Thread(target=self._run, args=(work, forever), daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _run(self, work: Callable[[psycopg.Connection[Any]], object], forever: bool) -> None:
        with self.database.connect("service_role") as connection:
            while not self.stopped.is_set():
                try:
                    work(connection)
                except psycopg.errors.ForeignKeyViolation:
                    continue  # nobody there any more
                except psycopg.Error as error:
                    self.errors.append(f"{error.sqlstate} {error}")
                if not forever:
                    return

    def stop(self) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(30)


def test_many_are_erased_while_everything_runs(database: Database, team: Team) -> None:
    """Half of the team, by two operators; six others log, drain, evaluate and tick. No error but "nobody there"."""
    everybody = people(team)
    gone = everybody[::2]
    database.execute(
        "update public.activities set proxy_registered_by = %s where organization_id = %s and user_id <> %s",
        (gone[0], team.id, gone[0]),
    )
    written: list[UUID] = []

    def log(connection: psycopg.Connection[Any]) -> None:
        for person in everybody:
            connection.execute(
                b"insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
                b" values (%s, %s, 'home-visit', now() - interval '1 day')",
                (team.id, person),
            )
            written.append(person)

    def erase(connection: psycopg.Connection[Any], them: list[UUID]) -> None:
        for person in them:
            threading.Event().wait(0.1)
            answer(connection, ERASE, team.id, str(person))

    bustle = Bustle(database)
    bustle.add(log)
    for query, *arguments in (
        ("select public.drain_statistics_marks(50)",),
        ("select public.drain_scenario_marks(50)",),
        ("select public.evaluate_people(%s, %s)", team.id, everybody),
        ("select private.decide_safely(%s, null, null, null, now())", team.id),
        ("select private.tick_scenarios(now())",),
    ):
        bustle.add(lambda c, q=query, a=arguments: answer(c, q, *a))
    operators = [bustle.add(lambda c, t=them: erase(c, t), forever=False) for them in (gone[::2], gone[1::2])]
    for operator in operators:
        operator.join(60)
    bustle.stop()

    assert bustle.errors == []
    assert database.value("select count(*) from private.erasures where organization_id = %s", (team.id,)) == len(gone)
    assert [trace for person in gone if (trace := traces(database, person))] == []
    by_statistics, by_activities = totals(team)
    assert by_statistics == by_activities == 60 + len(written)
    assert team.wrong() == []
    assert database.rows("select * from private.quarantine") == []
