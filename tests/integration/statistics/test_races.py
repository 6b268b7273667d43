"""Writers and drains side by side on real connections: no mark is lost, and nothing stops the drain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.integration.statistics.conftest import NOW, Programme
from tests.support.races import until, waits
from tests.support.statistics import drain

SECONDS = 12
ROUNDS = 3_000
_HOLD_A_DAY = "select from public.activity_statistics where user_id = %s and period_type = 'day' for update"
_REBUILD = "select private.rebuild_statistics(%s, null, null, now(), null)"


def together(*tasks: Callable[[], object]) -> list[object]:
    """Runs them at once; raises what any of them raised."""
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result(timeout=240) for future in [pool.submit(task) for task in tasks]]


def test_a_mark_made_while_the_same_day_is_drained_is_not_lost(programme: Programme, mentor: UUID) -> None:
    """The race that `on conflict do nothing` loses: thousands of times, one day of one person, two drains at once."""
    stop = threading.Event()
    rounds = [0]

    def write() -> None:
        try:
            with programme.database.connect() as connection:
                while rounds[0] < ROUNDS:
                    programme.activity(mentor, NOW - timedelta(minutes=1), connection=connection)
                    rounds[0] += 1
        finally:
            stop.set()

    def drain_on() -> int:
        drains = 0
        with programme.database.connect() as connection:
            while not stop.is_set():
                drain(connection)
                drains += 1
        return drains

    _, *drains = together(write, drain_on, drain_on)
    assert rounds[0] == ROUNDS
    assert all(isinstance(n, int) and n > 10 for n in drains)
    programme.drain()
    assert programme.row(mentor)["total_activities"] == rounds[0]
    programme.assert_right()


def test_many_writers_and_drains_on_many_people_end_right(programme: Programme) -> None:
    people = [programme.person() for _ in range(6)]
    contacts = [programme.contact() for _ in range(3)]
    stop = threading.Event()

    def write(turn: int) -> int:
        written: list[UUID] = []
        deadline = time.monotonic() + SECONDS / 3
        with programme.database.connect(autocommit=False) as connection:
            while time.monotonic() < deadline:
                n = len(written) + turn
                at = NOW - timedelta(days=n % 4, minutes=1)
                written.append(programme.activity(people[n % 6], at, contacts[n % 3], connection=connection))
                if n % 3 == 0:
                    connection.execute(
                        "update public.activities set user_id = %s, occurred_at = occurred_at - interval '1 day'"
                        " where id = %s",
                        (people[(n + 1) % 6], written[n // 2 % len(written)]),
                    )
                if n % 7 == 0:
                    connection.execute("delete from public.activities where id = %s", (written[n // 3],))
                (connection.rollback if n % 11 == 0 else connection.commit)()
        return len(written)

    def drain_on(limit: int) -> None:
        with programme.database.connect() as connection:
            while not stop.is_set():
                drain(connection, limit)

    with ThreadPoolExecutor(3) as pool:
        drains = [pool.submit(drain_on, limit) for limit in (2, 50, 2000)]
        written = together(lambda: write(0), lambda: write(1), lambda: write(2))
        stop.set()
        for each in drains:
            each.result(timeout=60)
    assert sum(n for n in written if isinstance(n, int)) > 200
    programme.drain()
    programme.assert_right()


def test_two_drains_of_one_person_never_leave_what_the_slower_one_saw_earlier(
    programme: Programme, mentor: UUID
) -> None:
    programme.activity(mentor, NOW - timedelta(days=1))
    with programme.database.connect(autocommit=False) as slow, programme.database.connect() as quick:
        drain(slow)
        programme.activity(mentor, NOW - timedelta(days=1))
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(drain, quick)
            while not waits(programme.database, quick):
                assert not later.done(), "the later drain did not wait for the earlier one"
            slow.commit()
            assert later.result(10)["marks"] == 1
    assert programme.row(mentor)["total_activities"] == 2
    programme.assert_right()


@pytest.mark.parametrize("first", [0, 1])
def test_a_drain_that_saw_less_never_writes_last(programme: Programme, first: int) -> None:
    """It is held up at the row of one person, having read the activities of both."""
    people = sorted(programme.person() for _ in range(2))
    for user_id in people:
        programme.activity(user_id)
    programme.drain()
    with (
        programme.database.connect(autocommit=False) as obstacle,
        programme.database.connect() as slow,
        programme.database.connect() as quick,
        ThreadPoolExecutor(2) as pool,
    ):
        obstacle.execute(_HOLD_A_DAY, (people[first],))
        for user_id in people:
            programme.activity(user_id)
        earlier = pool.submit(drain, slow)
        until(lambda: waits(programme.database, slow))
        programme.activity(people[1 - first])
        later = pool.submit(drain, quick)
        until(lambda: later.done() or waits(programme.database, quick))
        obstacle.rollback()
        assert [each.result(10)["people"] for each in (earlier, later)] == [2, 1]
    assert programme.row(people[1 - first])["total_activities"] == 3
    programme.assert_right()


def test_a_drain_skips_the_marks_another_holds(programme: Programme) -> None:
    one, two = programme.person(), programme.person()
    programme.activity(one)
    programme.activity(two)
    with programme.database.connect(autocommit=False) as first, programme.database.connect() as second:
        assert drain(first, limit=1)["people"] == 1
        second.execute("set lock_timeout = '1s'")
        assert drain(second)["people"] == 1
        first.commit()
    programme.assert_right()


def test_a_drain_that_is_undone_leaves_its_marks(programme: Programme, mentor: UUID) -> None:
    programme.activity(mentor)
    with programme.database.connect(autocommit=False) as connection:
        assert drain(connection)["marks"] == 1
        connection.rollback()
    assert programme.marks() == 1
    assert programme.row(mentor)["total_activities"] == 0
    programme.drain()
    programme.assert_right()


# --- A change that is not yet committed when what depends on it is drained ------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "update public.activities set user_id = %(other)s where id = %(activity)s",
        "update public.activities set occurred_at = occurred_at - interval '400 days' where id = %(activity)s",
    ],
    ids=["moved to another person", "moved to another day"],
)
def test_a_contact_added_while_its_activity_moves_is_counted_where_it_went(
    programme: Programme, mentor: UUID, change: str
) -> None:
    other, contact = programme.person(), programme.contact()
    activity = programme.activity(mentor)
    programme.drain()
    _side_by_side(
        programme,
        (change, {"other": other, "activity": activity}),
        ("insert into public.activity_contacts values (%s, %s, %s)", (programme.id, activity, contact)),
    )
    programme.assert_right()


def test_a_contact_added_while_its_activity_is_completed_is_counted(programme: Programme, mentor: UUID) -> None:
    contact, activity = programme.contact(), programme.activity(mentor, status="planned")
    _side_by_side(
        programme,
        ("update public.activities set status = 'completed' where id = %s", (activity,)),
        ("insert into public.activity_contacts values (%s, %s, %s)", (programme.id, activity, contact)),
    )
    assert programme.row(mentor)["unique_contacts_reached"] == 1
    programme.assert_right()


def test_a_contact_erased_while_an_activity_moves_is_forgotten_where_it_went(
    programme: Programme, mentor: UUID
) -> None:
    other, contact = programme.person(), programme.contact()
    activity = programme.activity(mentor, NOW - timedelta(hours=1), contact)
    programme.drain()
    _side_by_side(
        programme,
        ("update public.activities set user_id = %s where id = %s", (other, activity)),
        ("delete from public.contacts where id = %s", (contact,)),
    )
    programme.assert_right()


@pytest.mark.parametrize(
    ("change", "prepare"),
    [
        ("insert into public.bufdir_rules values (%(id)s, '2020-01-01', 0, false, false)", None),
        ("update public.bufdir_rules set min_duration_minutes = 0", "(%(id)s, '2020-01-01', 60, false, false)"),
        ("delete from public.bufdir_rules", "(%(id)s, '2020-01-01', 0, false, false)"),
        ("update public.activity_types set category = 'group' where organization_id = %(id)s and id = 'other'", None),
    ],
    ids=["a rule is added", "a rule changes", "a rule is deleted", "a type becomes a group"],
)
@pytest.mark.parametrize("has_marked", [False, True], ids=["before its marks", "between its marks and its commit"])
def test_an_activity_drained_before_a_change_of_rules_commits_is_judged_by_it_in_the_end(
    programme: Programme, mentor: UUID, change: str, prepare: str | None, has_marked: bool
) -> None:
    """The change cannot see the activity, which is written after it; the drain cannot see the change."""
    if prepare:
        programme.database.execute(f"insert into public.bufdir_rules values {prepare}", {"id": programme.id})
    with programme.database.connect(autocommit=False) as admin, programme.database.connect() as drainer:
        admin.execute(change.encode(), {"id": programme.id})
        if has_marked:
            admin.execute("set constraints all immediate")
        programme.activity(mentor)
        with ThreadPoolExecutor(1) as pool:
            drained = pool.submit(drain, drainer)
            until(lambda: drained.done() or waits(programme.database, drainer))
            admin.commit()
            drained.result(10)
    programme.drain()
    programme.assert_right()


def _side_by_side(programme: Programme, first: tuple[str, Any], second: tuple[str, Any]) -> None:
    """`second` begins before `first` commits; `first` is drained before `second` commits, unless that waits."""
    with (
        programme.database.connect(autocommit=False) as one,
        programme.database.connect(autocommit=False) as two,
        programme.database.connect() as drainer,
        ThreadPoolExecutor(1) as pool,
    ):
        one.execute(first[0].encode(), first[1])
        later = pool.submit(two.execute, second[0].encode(), second[1])
        until(lambda: later.done() or waits(programme.database, two))
        one.commit()
        later.result(10)
        drainer.execute("set lock_timeout = '200ms'")
        drain(drainer)
        two.commit()
    programme.drain()


# --- A rebuild beside drains -----------------------------------------------------------------------------------------


def test_a_rebuild_does_not_wait_for_marks_that_a_drain_holds(programme: Programme, mentor: UUID) -> None:
    programme.activity(mentor)
    with programme.database.connect(autocommit=False) as drainer, programme.database.connect() as rebuilder:
        drainer.execute("select from private.statistics_marks for update")
        rebuilder.execute("set lock_timeout = '1s'")
        rebuilder.execute(_REBUILD, (programme.id,))
        drainer.commit()
    assert programme.marks() == 1
    programme.assert_right()


def test_a_rebuild_takes_everybody_in_the_order_of_a_drain(programme: Programme) -> None:
    """One that took only those with marks first, and then everybody, would wait in a circle with a drain of both."""
    one, two = sorted(programme.person() for _ in range(2))
    for user_id in (one, two):
        programme.activity(user_id)
    programme.drain()
    programme.activity(two)
    with (
        programme.database.connect(autocommit=False) as obstacle,
        programme.database.connect() as rebuilder,
        programme.database.connect() as drainer,
        ThreadPoolExecutor(2) as pool,
    ):
        obstacle.execute(_HOLD_A_DAY, (two,))
        rebuilt = pool.submit(rebuilder.execute, _REBUILD, (programme.id,))
        until(lambda: waits(programme.database, rebuilder))
        for user_id in (one, two):
            programme.activity(user_id)
        drained = pool.submit(drain, drainer)
        until(lambda: waits(programme.database, drainer))
        obstacle.rollback()
        rebuilt.result(10)
        assert drained.result(10)["people"] == 2
    programme.assert_right()


def test_a_rebuild_that_meets_an_erasure_under_way_goes_on_without_them(programme: Programme, mentor: UUID) -> None:
    staying = programme.person()
    programme.activity(staying)
    with (
        programme.database.connect(autocommit=False) as eraser,
        programme.database.connect() as rebuilder,
        ThreadPoolExecutor(1) as pool,
    ):
        eraser.execute("delete from public.users where id = %s", (mentor,))
        rebuilt = pool.submit(rebuilder.execute, _REBUILD, (programme.id,))
        until(lambda: waits(programme.database, rebuilder) or rebuilt.done())
        eraser.commit()
        rebuilt.result(10)
    assert programme.row(mentor) == {}
    programme.assert_right()


# --- Who is erased ---------------------------------------------------------------------------------------------------


def test_erasing_a_login_erases_no_figure_and_stops_no_drain(programme: Programme, mentor: UUID) -> None:
    login = programme.login(mentor)
    programme.activity(mentor)
    with programme.database.connect("supabase_auth_admin") as auth:
        auth.execute("delete from auth.users where id = %s", (login,))
    programme.drain()
    assert programme.marks() == 0
    assert programme.row(mentor)["total_activities"] == 1


@pytest.mark.parametrize("drained_before", [True, False])
@pytest.mark.parametrize("what", ["person", "organisation"])
def test_marks_of_who_is_gone_are_dropped_and_stop_no_drain(
    programme: Programme, mentor: UUID, what: str, drained_before: bool
) -> None:
    other = programme.database.value("insert into public.organizations (name) values ('Q') returning id")
    bystander = Programme(programme.database, other)
    staying = bystander.person()
    programme.activity(mentor, NOW - timedelta(hours=1), programme.contact())
    bystander.activity(staying)
    if drained_before:
        programme.drain()
    query = {
        "person": "delete from public.users where id = %s",
        "organisation": "delete from public.organizations where id = %s",
    }[what]
    programme.database.execute(query, (mentor if what == "person" else programme.id,))
    assert programme.marks() > 0
    programme.drain()
    assert programme.marks() == 0
    assert programme.row(mentor) == {}
    assert bystander.row(staying)["total_activities"] == 1
    bystander.assert_right()


@pytest.mark.parametrize("what", ["person", "organisation"])
def test_who_is_erased_while_their_marks_are_drained_is_erased_without_a_deadlock(
    programme: Programme, what: str
) -> None:
    """Many times, because it is about who takes which lock first."""
    for _ in range(12):
        each = Programme(
            programme.database,
            programme.database.value("insert into public.organizations (name) values ('G') returning id"),
        )
        people = [each.person() for _ in range(3)]
        for user_id in people:
            for day in range(3):
                each.activity(user_id, NOW - timedelta(days=day))
        start = threading.Barrier(2)

        def erase(each: Programme = each, people: list[UUID] = people, start: threading.Barrier = start) -> None:
            query, key = ("users", people) if what == "person" else ("organizations", [each.id])
            with each.database.connect() as connection:
                start.wait(10)
                connection.execute(f"delete from public.{query} where id = any (%s)".encode(), (key,))

        def drain_once(start: threading.Barrier = start) -> None:
            with programme.database.connect() as connection:
                start.wait(10)
                drain(connection)

        together(erase, drain_once)
        programme.drain()
        assert each.marks() == 0
        assert [each.row(user_id) for user_id in people] == [{}] * 3


def test_a_person_erased_in_the_midst_of_a_drain_waits_for_its_end(programme: Programme, mentor: UUID) -> None:
    """Not the other way round: a drain that held her row and then waited for her key would be a deadlock."""
    programme.activity(mentor)
    with (
        programme.database.connect(autocommit=False) as drainer,
        programme.database.connect() as eraser,
        ThreadPoolExecutor(1) as pool,
    ):
        drain(drainer)
        erased = pool.submit(eraser.execute, "delete from public.users where id = %s", (mentor,))
        until(lambda: waits(programme.database, eraser) or erased.done())
        programme.database.execute("select 1")
        drainer.commit()
        erased.result(10)
    programme.drain()
    assert programme.row(mentor) == {}


def test_a_drain_that_meets_an_erasure_under_way_waits_and_goes_on(programme: Programme, mentor: UUID) -> None:
    programme.activity(mentor)
    staying = programme.person()
    programme.activity(staying)
    with (
        programme.database.connect(autocommit=False) as eraser,
        programme.database.connect() as drainer,
        ThreadPoolExecutor(1) as pool,
    ):
        eraser.execute("delete from public.users where id = %s", (mentor,))
        drained = pool.submit(drain, drainer)
        until(lambda: waits(programme.database, drainer) or drained.done())
        eraser.commit()
        drained.result(10)
    programme.drain()
    assert programme.row(mentor) == {}
    assert programme.row(staying)["total_activities"] == 1
    assert programme.marks() == 0


@pytest.mark.parametrize("tables", ["public.activities cascade", "public.activity_contacts", "public.users cascade"])
def test_a_truncate_empties_what_it_must_and_stops_no_drain(programme: Programme, mentor: UUID, tables: str) -> None:
    programme.activity(mentor, NOW - timedelta(hours=1), programme.contact())
    programme.drain()
    programme.database.execute(f"truncate {tables}")
    programme.drain()
    assert programme.marks() == 0
    programme.assert_right()


@pytest.mark.parametrize(
    "change",
    [
        "update public.bufdir_rules set min_duration_minutes = 0 where organization_id = %s",
        "update public.activity_types set category = 'group' where organization_id = %s and id = 'other'",
    ],
    ids=["rule", "category"],
)
def test_what_cannot_see_the_activities_written_meanwhile_does_not_change_how_they_count(
    programme: Programme, mentor: UUID, change: str
) -> None:
    rule = "insert into public.bufdir_rules values (%s, '2020-01-01', 60, false, false)"
    programme.database.execute(rule, (programme.id,))
    with programme.database.connect(autocommit=False) as strict:
        strict.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        strict.execute("select 1 from public.activities")
        programme.activity(mentor)
        programme.drain()
        strict.execute(change.encode(), (programme.id,))
        with pytest.raises(psycopg.errors.InvalidTransactionState, match="read_committed_is_needed"):
            strict.commit()
    programme.drain()
    programme.assert_right()
    programme.database.execute(change, (programme.id,))
    programme.drain()
    programme.assert_right()
