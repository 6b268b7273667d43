"""What is kept of students is what their check-ins say, whatever anybody does to these, and however many at once."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.errors import lookup

from tests.support.database import Database
from tests.support.races import in_background, wait_until_blocked
from tests.support.school import School

START = datetime(2025, 1, 1, tzinfo=UTC)
STUDENTS = 4
DIFFERENCES = """
select s.student_id, s.checkins, s.first_checkin_at, s.last_checkin_at, s.left_at, s.returned_at, a.*, r.*
from public.students s
cross join lateral (
  select count(*) as number, min(a.checkin_time) as first_at, max(a.checkin_time) as last_at
  from public.student_attendance a where a.organization_id = s.organization_id and a.student_id = s.student_id
) a
left join lateral (
  select g.before_at, g.checkin_time
  from (
    select a.checkin_time, lag(a.checkin_time) over (order by a.checkin_time) as before_at
    from public.student_attendance a where a.organization_id = s.organization_id and a.student_id = s.student_id
  ) g
  where g.checkin_time - g.before_at >= interval '14 days'
  order by g.checkin_time desc limit 1
) r on true
where (s.checkins, s.first_checkin_at, s.last_checkin_at, s.left_at, s.returned_at)
  is distinct from (a.number, a.first_at, a.last_at, r.before_at, r.checkin_time)
"""

# Each with %(id)s, the organisation, and arrays of students and times; `some` are the rows it is about.
SOME = (
    "a.organization_id = %(id)s and (a.student_id, a.checkin_time) in"
    " (select * from unnest(%(students)s::integer[], %(times)s::timestamptz[]))"
)
INSERT = (
    "insert into public.student_attendance (organization_id, student_id, checkin_time)"
    " select %(id)s, v.* from unnest(%(students)s::integer[], %(times)s::timestamptz[]) v"
)
STATEMENTS = {
    "insert": INSERT,
    "delete": f"delete from public.student_attendance a where {SOME}",
    "move in time": (
        "update public.student_attendance a set checkin_time = a.checkin_time + make_interval(days => %(shift)s)"
        f" where {SOME}"
    ),
    # As a school's system writes all its rows again, of which some have changed.
    "move some of all": (
        "update public.student_attendance a set minutes = 30, checkin_time = a.checkin_time"
        f" + make_interval(days => case when {SOME} then %(shift)s else 0 end) where a.organization_id = %(id)s"
    ),
    "give to another": (
        f"update public.student_attendance a set student_id = 1 + (a.student_id %% {STUDENTS}) where {SOME}"
    ),
    "enter minutes": f"update public.student_attendance a set minutes = 30 where {SOME}",
    "delete and insert": f"with gone as (delete from public.student_attendance a where {SOME}) {INSERT}",
    # Which trigger comes first is the other way round.
    "insert and delete": f"with come as ({INSERT}) delete from public.student_attendance a where {SOME}",
    "insert or correct": (
        "insert into public.student_attendance (organization_id, student_id, checkin_time, id)"
        " overriding system value"
        " select a.organization_id, a.student_id, a.checkin_time, a.id from public.student_attendance a"
        f" where {SOME}"
        " union select %(id)s, v.student, v.at, %(fresh)s + v.n"
        " from unnest(%(students)s::integer[], %(times)s::timestamptz[]) with ordinality v (student, at, n)"
        " on conflict (organization_id, student_id, checkin_time, id)"
        " do update set checkin_time = excluded.checkin_time - make_interval(days => abs(%(shift)s) + 20)"
    ),
    "truncate": "truncate public.student_attendance",
}


@pytest.fixture(scope="module")
def school(database: Database) -> School:
    school = School(database)
    for student in range(1, STUDENTS + 1):
        school.student(student)
    return school


steps = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", *STATEMENTS]),
        # Few days, so that the same rows are met again; some of them fourteen apart.
        st.lists(st.tuples(st.integers(1, STUDENTS), st.sampled_from([0, 1, 2, 14, 15, 28, 29, 40])), max_size=8),
        st.sampled_from([-14, -13, -1, 0, 1, 13, 14]),
    ),
    max_size=14,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
@example(steps=[("insert", [(1, 0), (1, 14), (1, 28)], 0), ("move some of all", [(1, 14)], -1)])
def test_every_statement_leaves_what_the_rows_say(
    school: School, steps: list[tuple[str, list[tuple[int, int]], int]]
) -> None:
    school.database.execute("truncate public.student_attendance")
    for number, (name, rows, shift) in enumerate(steps, start=1):
        parameters = {
            "fresh": 10**12 + 1000 * number,
            "id": school.id,
            "students": [student for student, _ in rows],
            "times": [START + timedelta(days=day) for _, day in rows],
            "shift": shift,
        }
        school.database.execute(STATEMENTS[name], None if name == "truncate" else parameters)
        assert school.database.rows(DIFFERENCES) == [], name


def test_a_hundred_thousand_at_once_and_each_alone_say_the_same(database: Database) -> None:
    school = School(database)
    for student in range(1, 51):
        school.student(student)
    chance = random.Random(7)
    visits = [(chance.randint(1, 50), START + timedelta(minutes=chance.randint(0, 400_000)), None) for _ in range(100)]
    school.came_at(visits)
    for visit in visits:
        school.came_at([visit])
    database.execute(
        "insert into public.student_attendance (organization_id, student_id, checkin_time)"
        " select %s, 1 + n %% 50, %s + make_interval(mins => (n * 7919) %% 400000) from generate_series(1, 100000) n",
        (school.id, START),
    )
    assert database.rows(DIFFERENCES) == []
    assert database.value("select sum(checkins) from public.students where organization_id = %s", (school.id,)) == (
        100_200
    )
    school.remove()


def test_an_erased_student_takes_nothing_from_the_others(database: Database) -> None:
    school = School(database)
    for student in (1, 2):
        school.student(student)
        school.came(student, 3, 2, 1)
    database.execute("delete from public.students where student_id = 1 and organization_id = %s", (school.id,))
    assert database.rows(DIFFERENCES) == []
    assert database.value("select checkins from public.students where organization_id = %s", (school.id,)) == 3
    school.remove()
    assert not database.rows("select from public.student_attendance where organization_id = %s", (school.id,))


# --- Two at once ----------------------------------------------------------------------------------------------------


def insert(connection: psycopg.Connection[Any], school: School, student: int, *days: int) -> None:
    connection.execute(
        INSERT,
        {"id": school.id, "students": [student] * len(days), "times": [START + timedelta(days=d) for d in days]},
    )


def delete(connection: psycopg.Connection[Any], school: School, student: int, *days: int) -> None:
    connection.execute(
        STATEMENTS["delete"].encode(),
        {"id": school.id, "students": [student] * len(days), "times": [START + timedelta(days=d) for d in days]},
    )


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ((insert, 8), (insert, 9), (3, 5, 9)),
        ((insert, 9), (delete, 5), (1, 9, 9)),
        ((delete, 5), (insert, 9), (1, 9, 9)),
        ((delete, 5), (insert, 3), (1, 3, 3)),
        ((insert, 1), (insert, 0), (3, 0, 5)),
    ],
)
def test_whoever_writes_of_the_same_student_waits_and_adds_to_what_the_other_left(
    school: School,
    first: tuple[Callable[..., None], int],
    second: tuple[Callable[..., None], int],
    kept: tuple[int, int, int],
) -> None:
    school.database.execute("truncate public.student_attendance")
    with school.database.connect(autocommit=False) as one, school.database.connect(autocommit=False) as other:
        insert(one, school, 1, 5)
        one.commit()
        first[0](one, school, 1, first[1])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(second[0], other, school, 1, second[1])
            wait_until_blocked(school.database)
            assert not waiting.done()
            one.commit()
            waiting.result(10)
        other.commit()
    assert school.database.rows(DIFFERENCES) == []
    row = school.database.rows(
        "select checkins, extract(day from first_checkin_at - %s)::integer as first,"
        " extract(day from last_checkin_at - %s)::integer as last from public.students"
        " where organization_id = %s and student_id = 1",
        (START, START, school.id),
    )
    assert row == [dict(zip(("checkins", "first", "last"), kept, strict=True))]


def test_a_recount_waits_for_whoever_is_writing_and_counts_what_they_wrote(school: School) -> None:
    school.database.execute("truncate public.student_attendance")
    with school.database.connect() as other, school.database.connect(autocommit=False) as writer:
        insert(other, school, 1, 5)
        other.execute(
            "update public.students set checkins = 7 where organization_id = %s and student_id = 1", (school.id,)
        )
        insert(writer, school, 1, 6)
        recount = in_background(lambda: other.execute("select private.recount_checkins()"))
        wait_until_blocked(school.database)
        writer.commit()
        recount.join(10)
    assert school.database.rows(DIFFERENCES) == []


def test_many_writers_of_the_same_students_never_lock_each_other_out(school: School) -> None:
    """In opposite orders, single and many rows, inserts and deletes: no deadlock, and all of it counted."""
    school.database.execute("truncate public.student_attendance")

    def write(seed: int) -> list[str]:
        chance = random.Random(seed)
        failures: list[str] = []
        with school.database.connect() as connection:
            for _ in range(60):
                rows = [
                    (chance.randint(1, STUDENTS), chance.randint(0, 30)) for _ in range(chance.choice([1, 1, 3, 9]))
                ]
                parameters = {
                    "id": school.id,
                    "students": [student for student, _ in rows],
                    "times": [START + timedelta(days=day) for _, day in rows],
                }
                try:
                    connection.execute(STATEMENTS[chance.choice(["insert", "insert", "delete"])].encode(), parameters)
                except psycopg.Error as error:
                    failures.append(f"{error.sqlstate} {error}")
        return failures

    with ThreadPoolExecutor(6) as pool:
        failures = [failure for some in pool.map(write, range(6)) for failure in some]
    assert failures == []
    assert school.database.rows(DIFFERENCES) == []


def test_a_writer_at_a_stricter_level_is_told_to_try_again_and_nothing_is_lost(school: School) -> None:
    school.database.execute("truncate public.student_attendance")
    with school.database.connect(autocommit=False) as strict:
        strict.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        strict.execute("select 1 from public.students")
        insert(school.database._own or strict, school, 1, 5)
        with pytest.raises(lookup("40001")):
            insert(strict, school, 1, 6)
        strict.rollback()
        insert(strict, school, 1, 6)
    assert school.database.rows(DIFFERENCES) == []
