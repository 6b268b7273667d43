"""What attendance says of people: by the fast way and by the right way, and that both are one."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.congregation import Congregation, refused
from tests.support.database import Database
from tests.support.races import in_background, wait_until_blocked


@pytest.fixture
def church(database: Database) -> Congregation:
    return Congregation(database)


# ------------------------------------------------------------------------------------------- the document's trigger


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ("", (0, False)),
        ("a", (1, False)),
        ("aa", (2, False)),
        ("aaa", (3, True)),
        ("aaaa", (4, True)),
        ("aap", (0, False)),
        ("aaap", (0, False)),
        ("aaal", (0, False)),
        ("paaa", (3, True)),
        ("apaa", (2, False)),
        ("aeaea", (3, True)),
        ("aaae", (3, True)),
        ("a-a-a", (3, True)),
        ("aaapaa", (2, False)),
    ],
)
def test_in_order_it_counts_as_the_document_does(
    church: Congregation, records: str, expected: tuple[int, bool]
) -> None:
    person = church.person()
    church.records(person, records)
    assert church.state(person) == expected
    assert church.stored() == church.recomputed()


def test_last_attendance_is_the_check_in_or_local_midnight(church: Congregation, database: Database) -> None:
    person = church.person()
    church.record(person, 0, "present")
    last = "select last_attendance_at from public.people where id = %s"
    midnight = "select %s::timestamp at time zone 'Africa/Cairo'"
    assert database.value(last, (person,)) == database.value(midnight, (church.day(0),))
    checked_in = datetime.combine(church.day(7), datetime.min.time(), UTC) + timedelta(hours=9)
    church.record(person, 7, "late", checked_in)
    assert database.value(last, (person,)) == checked_in
    church.record(person, 14, "absent")
    church.record(person, 3, "present")
    assert database.value(last, (person,)) == checked_in


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        # Days that have no midnight, or two: clocks go forward or back at it.
        ("Africa/Cairo", "2025-04-25"),
        ("Africa/Cairo", "2025-10-31"),
        ("Asia/Beirut", "2025-03-30"),
        ("America/Santiago", "2025-09-07"),
        ("America/Santiago", "2026-04-05"),
        ("UTC", "2026-01-04"),
    ],
)
def test_the_midnight_of_one_record_is_that_of_many(database: Database, zone: str, day: str) -> None:
    church = Congregation(database, zone)
    one, *many = (church.person() for _ in range(3))
    service = database.value(
        "insert into public.services (organization_id, service_date, kind) values (%s, %s, 'liturgy') returning id",
        (church.id, day),
    )
    for people in ([one], many):
        database.execute(
            "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
            " select %s, p, %s, %s, 'present' from unnest(%s::uuid[]) p",
            (church.id, service, day, people),
        )
    seen = {row["last_attendance_at"] for row in church.stored()}
    assert seen == {database.value("select private.local_midnight(%s, %s)", (day, zone))}
    database.execute("update public.attendance_records set status = 'late' where organization_id = %s", (church.id,))
    assert {row["last_attendance_at"] for row in church.stored()} == seen


def test_of_one_day_whoever_came_at_all_came(church: Congregation, database: Database) -> None:
    person = church.person()
    vespers = database.value(
        "insert into public.services (organization_id, service_date, kind) values (%s, %s, 'vespers') returning id",
        (church.id, church.day(0)),
    )
    church.record(person, 0, "absent")
    insert = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " values (%s, %s, %s, %s, %s::public.attendance_status)"
    )
    database.execute(insert, (church.id, person, vespers, church.day(0), "absent"))
    assert church.state(person) == (2, False)
    database.execute("update public.attendance_records set status = 'late' where service_id = %s", (vespers,))
    assert church.state(person) == (0, False)


# ------------------------------------------------------------------------------------------- everything else


def test_late_corrected_and_deleted_records_count_as_if_they_had_always_been_so(
    church: Congregation, database: Database
) -> None:
    person = church.person()
    church.records(person, "aaa")
    assert church.state(person) == (3, True)
    church.record(person, 10, "present")
    assert church.state(person) == (1, False)
    church.record(person, 3, "absent")
    assert church.state(person) == (1, False)
    church.correct(person, 10, "absent")
    assert church.state(person) == (5, True)
    database.execute("delete from public.services where id = %s", (church.services.pop(10),))
    assert church.state(person) == (4, True)
    church.correct(person, 0, "excused")
    assert church.state(person) == (3, True)
    assert church.stored() == church.recomputed()


def test_a_service_that_is_moved_takes_its_records_along(church: Congregation, database: Database) -> None:
    person = church.person()
    church.records(person, "apa")
    database.execute(
        "update public.services set service_date = %s where id = %s", (church.day(100), church.services[7])
    )
    assert church.state(person) == (0, False)
    assert church.stored() == church.recomputed()


def test_a_record_that_turns_out_to_be_somebody_elses_concerns_both(church: Congregation, database: Database) -> None:
    one, other = church.person(), church.person()
    church.records(one, "aaa")
    database.execute(
        "update public.attendance_records set person_id = %s where person_id = %s and service_id = %s",
        (other, one, church.services[0]),
    )
    assert (church.state(one), church.state(other)) == ((2, False), (1, False))


def test_a_changed_threshold_flags_anew_at_once(church: Congregation, database: Database) -> None:
    two, four = church.person(), church.person()
    elsewhere = Congregation(database)
    stranger = elsewhere.person()
    elsewhere.records(stranger, "aa")
    church.records(two, "aa")
    church.records(four, "aaaa")
    for threshold, expected in ((2, (True, True)), (5, (False, False)), (4, (False, True))):
        church.set("absence_alert_threshold", threshold)
        assert (church.state(two)[1], church.state(four)[1]) == expected
    database.execute("delete from public.org_settings_kv where organization_id = %s", (church.id,))
    assert (church.state(two)[1], church.state(four)[1]) == (False, True)
    assert elsewhere.state(stranger) == (2, False)


def test_everything_forgotten_is_nobodys_history(church: Congregation, database: Database) -> None:
    person = church.person()
    church.records(person, "paaa")
    database.execute("truncate public.attendance_records")
    assert church.state(person) == (0, False)
    assert church.stored() == church.recomputed()


def test_an_organisation_can_go_with_everything_it_has(church: Congregation, database: Database) -> None:
    person = church.person(church.family(church.servant))
    church.set("absence_alert_threshold", 2)
    church.records(person, "aaa")
    church.generate()
    assert len(church.cases(person)) == 1
    database.execute("delete from public.organizations where id = %s", (church.id,))
    for table in ("people", "attendance_records", "pastoral_cases", "pastoral_case_events", "families"):
        assert database.value(f"select count(*) from public.{table} where organization_id = %s", (church.id,)) == 0


def test_a_servant_who_is_erased_leaves_families_and_cases(church: Congregation, database: Database) -> None:
    person = church.person(church.family(church.servant))
    church.records(person, "aaa")
    church.generate()
    database.execute("delete from public.users where id = %s", (church.servant,))
    assert church.cases(person)[0]["assigned_servant_id"] is None


# ------------------------------------------------------------------------------------------- bad input


def test_bad_input_is_refused_by_name_and_nothing_is_half_done(church: Congregation, database: Database) -> None:
    person, stranger = church.person(), Congregation(database).person()
    church.record(person, 0, "absent")
    insert = (
        "insert into public.attendance_records"
        " (organization_id, person_id, service_id, service_date, status, checked_in_at)"
        " values (%s, %s, %s, %s, %s::public.attendance_status, %s)"
    )
    service, day = church.services[0], church.day(0)
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    with database.connect() as connection:
        for word, arguments in (
            (
                "23503 attendance_records_organization_id_person_id_fkey",
                (church.id, stranger, service, day, "absent", None),
            ),
            ("23505 one_record_a_person_and_service", (church.id, person, service, day, "present", None)),
            (
                "23503 record_bears_the_date_of_its_service",
                (church.id, church.person(), service, church.day(1), "absent", None),
            ),
            ("23514 check_in_is_not_in_the_future", (church.id, church.person(), service, day, "present", tomorrow)),
            ("23514 only_who_came_checked_in", (church.id, church.person(), service, day, "absent", datetime.now(UTC))),
        ):
            assert refused(connection, insert, *arguments) == word
        unknown = refused(connection, insert, church.id, church.person(), service, day, "asleep", None)
        assert unknown == '22P02 invalid input value for enum attendance_status: "asleep"'
        future = "insert into public.services (organization_id, service_date, kind) values (%s, %s, 'liturgy')"
        assert refused(connection, future, church.id, tomorrow.date()) == "23514 service_is_not_in_the_future"
        setting = "insert into public.org_settings_kv values (%s, 'absence_alert_threshold', %s::jsonb)"
        for value in ("0", "-1", "2.5", '"3"', "null"):
            assert refused(connection, setting, church.id, value) == "23514 setting_value_fits_its_key"
        servant = "update public.families set assigned_servant_id = %s where id = %s"
        elsewhere = Congregation(database).servant
        assert (
            refused(connection, servant, elsewhere, church.family(None))
            == "23503 families_organization_id_assigned_servant_id_fkey"
        )
    assert church.state(person) == (1, False)
    assert church.stored() == church.recomputed()


def test_today_is_the_organisations_own(database: Database) -> None:
    insert = (
        "insert into public.services (organization_id, service_date, kind)"
        " values (%s, (now() at time zone %s)::date + %s, 'liturgy')"
    )
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        church = Congregation(database, zone)
        database.execute(insert, (church.id, zone, 0))
        with database.connect() as connection:
            assert refused(connection, insert, church.id, zone, 1) == "23514 service_is_not_in_the_future"


# ------------------------------------------------------------------------------------------- races

_ALL_ABSENT = """
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
select %s, unnest(%s::uuid[]), %s, %s, 'absent'
"""


def test_an_absence_and_a_late_return_written_at_once_agree(church: Congregation, database: Database) -> None:
    """The return does not see the absence when it begins, and must count it all the same."""
    person = church.person()
    church.records(person, "aa")
    insert = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " values (%s, %s, %s, %s, %s::public.attendance_status)"
    )
    absence = (church.id, person, church.service(21), church.day(21), "absent")
    back = (church.id, person, church.service(14), church.day(14), "present")
    with database.connect(autocommit=False) as first, database.connect() as second:
        first.execute(insert, absence)
        waiting = threading.Thread(target=lambda: second.execute(insert, back))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        first.commit()
        waiting.join(10)
    assert church.state(person) == (1, False)
    assert church.stored() == church.recomputed()


@pytest.mark.parametrize(("first_day", "second_day"), [(14, 21), (21, 14)])
def test_two_services_of_the_same_many_that_are_written_at_once_both_count(
    church: Congregation, database: Database, first_day: int, second_day: int
) -> None:
    many = [church.person() for _ in range(20)]
    for person in many:
        church.records(person, "aa")
    with database.connect(autocommit=False) as first, database.connect() as second:
        first.execute(_ALL_ABSENT, (church.id, many, church.service(first_day), church.day(first_day)))
        there = (church.id, many[::-1], church.service(second_day), church.day(second_day))
        waiting = in_background(lambda: second.execute(_ALL_ABSENT, there))
        wait_until_blocked(database)
        first.commit()
        waiting.join(10)
    assert {church.state(person) for person in many} == {(4, True)}
    assert church.stored() == church.recomputed()


@pytest.mark.parametrize("day", [7, 0], ids=["added", "recomputed"])
def test_many_are_locked_in_the_order_of_their_key(church: Congregation, database: Database, day: int) -> None:
    """Else two who write of the same people could wait for each other."""
    many = [church.person() for _ in range(20)]
    if day == 0:
        for person in many:
            church.record(person, 7, "absent")
    lock = "select from public.people where organization_id = %s and id = %s for no key update"
    unlocked = "select count(*) from (select from public.people where id = any (%s) for no key update skip locked) p"
    with database.connect(autocommit=False) as holder, database.connect() as second:
        holder.execute(lock, (church.id, min(many)))
        there = (church.id, many[::-1], church.service(day), church.day(day))
        waiting = in_background(lambda: second.execute(_ALL_ABSENT, there))
        wait_until_blocked(database)
        assert database.value(unlocked, (many,)) == len(many) - 1
        holder.commit()
        waiting.join(10)
    assert church.stored() == church.recomputed()


def test_a_correction_counts_what_was_being_written_when_it_began(church: Congregation, database: Database) -> None:
    person = church.person()
    church.records(person, "aa")
    insert = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " values (%s, %s, %s, %s, 'absent')"
    )
    correct = "update public.attendance_records set status = 'excused' where service_id = %s"
    with database.connect(autocommit=False) as first, database.connect() as second:
        first.execute(insert, (church.id, person, church.service(14), church.day(14)))
        waiting = in_background(lambda: second.execute(correct, (church.services[0],)))
        wait_until_blocked(database)
        first.commit()
        waiting.join(10)
    assert church.state(person) == (2, False)
    assert church.stored() == church.recomputed()


@pytest.mark.parametrize(
    ("before", "write"),
    [
        (
            "aa",
            """insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
               values (%(church)s, %(person)s, %(service)s, %(day)s, 'absent')""",
        ),
        ("aap", "update public.attendance_records set status = 'absent' where service_id = %(service)s"),
    ],
    ids=["at the door", "a correction"],
)
def test_a_threshold_changed_while_attendance_is_taken_holds_for_it(
    church: Congregation, database: Database, before: str, write: str
) -> None:
    person = church.person()
    church.records(person, before)
    record = {"church": church.id, "person": person, "service": church.service(14), "day": church.day(14)}
    with database.connect(autocommit=False) as first, database.connect() as second:
        first.execute(write.encode(), record)
        change = "insert into public.org_settings_kv values (%s, 'absence_alert_threshold', '5')"
        waiting = in_background(lambda: second.execute(change, (church.id,)))
        wait_until_blocked(database)
        first.commit()
        waiting.join(10)
    assert church.state(person) == (3, False)


def test_a_writer_whose_snapshot_is_older_than_the_threshold_is_told_to_try_again(
    church: Congregation, database: Database
) -> None:
    alone, *many = (church.person() for _ in range(3))
    for person in (alone, *many):
        church.records(person, "a")
    insert = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " select %s, unnest(%s::uuid[]), %s, %s, 'absent'"
    )
    church.service(7)
    for people in ([alone], many):
        church.set("absence_alert_threshold", 3)
        with database.connect(autocommit=False) as strict:
            strict.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            strict.execute("select 1 from public.people")
            church.set("absence_alert_threshold", 2)
            row = (church.id, people, church.service(7), church.day(7))
            with pytest.raises(psycopg.errors.SerializationFailure):
                strict.execute(insert, row)
            strict.rollback()
            strict.execute(insert, row)
            strict.commit()
        assert [church.state(person) for person in people] == [(2, True)] * len(people)


def test_a_threshold_is_not_changed_by_whoever_could_not_see_what_was_written_meanwhile(
    church: Congregation, database: Database
) -> None:
    person = church.person()
    church.records(person, "a")
    with database.connect(autocommit=False) as strict:
        strict.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        strict.execute("select 1 from public.people")
        church.records(person, "a", 7)
        change = "insert into public.org_settings_kv values (%s, 'absence_alert_threshold', '2')"
        assert refused(strict, change, church.id) == "25000 read_committed_is_needed"
    church.set("absence_alert_threshold", 2)
    assert church.state(person) == (2, True)


def test_days_begin_where_the_organisation_is_now(church: Congregation, database: Database) -> None:
    people = [church.person() for _ in range(4)]
    church.records(people[0], "pap")
    church.records(people[1], "paa")
    church.record(people[2], 0, "late", datetime.now(UTC) - timedelta(days=199))
    before = church.stored()
    move = "update public.organizations set time_zone = %s where id = %s"
    database.execute(move, ("America/New_York", church.id))
    assert church.stored() == church.recomputed()
    assert sum(now != then for now, then in zip(church.stored(), before, strict=True)) == 2
    database.execute(move, ("Africa/Cairo", church.id))
    assert church.stored() == before


def test_an_organisation_that_moves_waits_for_who_takes_attendance(church: Congregation, database: Database) -> None:
    person = church.person()
    move = "update public.organizations set time_zone = 'America/New_York' where id = %s"
    insert = (
        "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
        " values (%s, %s, %s, %s, 'present')"
    )
    church.service(0)
    with database.connect(autocommit=False) as first, database.connect() as second:
        first.execute(insert, (church.id, person, church.service(0), church.day(0)))
        waiting = threading.Thread(target=lambda: second.execute(move, (church.id,)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        first.commit()
        waiting.join(10)
    assert church.stored() == church.recomputed()


# ------------------------------------------------------------------------------------------- any order

PEOPLE, DAYS = 4, 12
STATUSES = st.sampled_from(["present", "late", "absent", "absent", "absent", "excused"])
WHO, WHEN = st.integers(0, PEOPLE - 1), st.integers(0, DAYS - 1)
CHECK_IN = st.none() | st.integers(0, 36)
STEPS = st.one_of(
    st.tuples(
        st.just("record"),
        st.lists(st.tuples(WHO, WHEN, st.integers(0, 1), STATUSES, CHECK_IN), min_size=1, max_size=12),
    ),
    st.tuples(st.just("correct"), st.lists(st.tuples(WHO, WHEN), min_size=1, max_size=6), STATUSES),
    st.tuples(st.just("give"), WHO, WHO, WHEN),
    st.tuples(st.just("delete"), st.lists(st.tuples(WHO, WHEN), min_size=1, max_size=6)),
    st.tuples(st.just("cancel"), WHEN),
    st.tuples(st.just("move"), WHEN, WHEN),
    st.tuples(st.just("threshold"), st.integers(1, 5)),
)


class AnyOrder:
    """Does steps, each one statement."""

    def __init__(self, church: Congregation, people: list[UUID], connection: psycopg.Connection[Any]) -> None:
        self.church, self.people, self.ask = church, people, connection.execute

    def do(self, step: tuple[Any, ...]) -> None:
        getattr(self, step[0])(*step[1:])

    def _services(self, days: set[tuple[int, int]]) -> None:
        self.ask(
            "insert into public.services (organization_id, service_date, kind)"
            " select %s, d.day, d.kind from unnest(%s::date[], %s::text[]) as d (day, kind) on conflict do nothing",
            (self.church.id, [self.church.day(day) for day, _ in days], [f"kind {kind}" for _, kind in days]),
        )

    def record(self, rows: list[tuple[int, int, int, str, int | None]]) -> None:
        self._services({(day, kind) for _, day, kind, _, _ in rows})
        midnights = [datetime.combine(self.church.day(day), datetime.min.time(), UTC) for _, day, _, _, _ in rows]
        check_ins = [
            midnight + timedelta(hours=hours) if hours is not None and status in {"present", "late"} else None
            for midnight, (_, _, _, status, hours) in zip(midnights, rows, strict=True)
        ]
        self.ask(
            "insert into public.attendance_records"
            " (organization_id, person_id, service_id, service_date, status, checked_in_at)"
            " select distinct on (n.person, s.id)"
            "   s.organization_id, n.person, s.id, s.service_date, n.status, n.check_in"
            " from unnest(%s::uuid[], %s::date[], %s::text[], %s::public.attendance_status[], %s::timestamptz[])"
            "   as n (person, day, kind, status, check_in)"
            " join public.services s on s.organization_id = %s and s.service_date = n.day and s.kind = n.kind"
            " on conflict (organization_id, person_id, service_id)"
            "   do update set status = excluded.status, checked_in_at = excluded.checked_in_at",
            (
                [self.people[who] for who, *_ in rows],
                [self.church.day(day) for _, day, *_ in rows],
                [f"kind {kind}" for _, _, kind, _, _ in rows],
                [status for *_, status, _ in rows],
                check_ins,
                self.church.id,
            ),
        )

    def _of(self, rows: list[tuple[int, int]]) -> tuple[UUID, list[UUID], list[Any]]:
        return self.church.id, [self.people[who] for who, _ in rows], [self.church.day(day) for _, day in rows]

    def correct(self, rows: list[tuple[int, int]], status: str) -> None:
        self.ask(
            "update public.attendance_records set status = %s::public.attendance_status, checked_in_at = null"
            " where organization_id = %s"
            " and (person_id, service_date) in (select * from unnest(%s::uuid[], %s::date[]))",
            (status, *self._of(rows)),
        )

    def give(self, one: int, other: int, day: int) -> None:
        self.ask(
            "update public.attendance_records r set person_id = %s where organization_id = %s and person_id = %s"
            " and service_date = %s and not exists (select from public.attendance_records o"
            "   where o.organization_id = r.organization_id and o.service_id = r.service_id and o.person_id = %s)",
            (self.people[other], self.church.id, self.people[one], self.church.day(day), self.people[other]),
        )

    def delete(self, rows: list[tuple[int, int]]) -> None:
        self.ask(
            "delete from public.attendance_records"
            " where organization_id = %s"
            " and (person_id, service_date) in (select * from unnest(%s::uuid[], %s::date[]))",
            self._of(rows),
        )

    def cancel(self, day: int) -> None:
        self.ask(
            "delete from public.services where organization_id = %s and service_date = %s",
            (self.church.id, self.church.day(day)),
        )

    def move(self, day: int, to: int) -> None:
        self.ask(
            "update public.services s set service_date = %s where organization_id = %s and service_date = %s"
            " and not exists (select from public.services o where o.organization_id = s.organization_id"
            "   and o.service_date = %s and o.kind = s.kind)",
            (self.church.day(to), self.church.id, self.church.day(day), self.church.day(to)),
        )

    def threshold(self, value: int) -> None:
        self.ask(
            "insert into public.org_settings_kv values (%s, 'absence_alert_threshold', to_jsonb(%s::integer))"
            " on conflict (organization_id, key) do update set value = excluded.value",
            (self.church.id, value),
        )


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=25))
def test_whatever_happens_in_whatever_order_equals_a_plain_recomputation(
    database: Database, steps: list[tuple[Any, ...]]
) -> None:
    church = Congregation(database)
    people = [church.person() for _ in range(PEOPLE)]
    with database.connect() as connection:
        doing = AnyOrder(church, people, connection)
        for step in steps:
            doing.do(step)
            assert church.stored() == church.recomputed(), step


def test_the_recomputation_of_these_tests_knows_more_than_one_answer(church: Congregation) -> None:
    """Or everything would equal it."""
    for records in ("", "aaa", "aap", "paa"):
        church.records(church.person(), records)
    answers = {(row["consecutive_absences"], row["at_risk_flag"]) for row in church.recomputed()}
    assert answers == {(0, False), (3, True), (2, False)}
