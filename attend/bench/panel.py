"""Table `panel`: the views that managers look at, as they read them, and what a check-in costs for it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg

from attend.bench.measure import Figure, Size, alternating, require, say, timed
from attend.bench.population import first, vacuum
from attend.bench.workplace import Workplace

TABLE = "panel"
_OWED_MS = 200.0
_IN_A_ROW = 50
_SMALL = 50
_TRIGGER = "student_attendance_count"
_TABLES = (
    "public.organizations",
    "public.users",
    "public.user_logins",
    "public.students",
    "public.student_attendance",
    "public.learning_progress",
)
# Schools n from..to, each with a manager who may sign in.
_SCHOOLS = """
insert into public.organizations (id, name) select md5('school ' || n)::uuid, 'School ' || n
from generate_series(%(first)s::integer, %(last)s) n;
insert into auth.users (id) select md5('manager ' || n)::uuid from generate_series(%(first)s::integer, %(last)s) n;
insert into public.users (organization_id, id, full_name, role)
select md5('school ' || n)::uuid, md5('manager ' || n)::uuid, 'Manager', 'manager'
from generate_series(%(first)s::integer, %(last)s) n;
insert into public.user_logins (auth_user_id, organization_id, user_id)
select u.id, u.organization_id, u.id from public.users u
where not exists (select from public.user_logins l where l.auth_user_id = u.id);
insert into public.students (organization_id, student_id, full_name, level, is_active)
select md5('school ' || n)::uuid, s, 'Student number ' || s, 'Level ' || s %% 8, s %% 20 <> 0
from generate_series(%(first)s::integer, %(last)s) n, generate_series(1, %(students)s) s;
insert into public.learning_progress
  (organization_id, student_id, lessons_completed, lessons_total, average_score, started_at, last_progress_at)
select s.organization_id, s.student_id, s.student_id %% 60, 60, 40 + s.student_id %% 60, now() - interval '300 days',
  now() - make_interval(days => s.student_id %% 37)
from public.students s
where not exists (select from public.learning_progress p
  where p.organization_id = s.organization_id and p.student_id = s.student_id)
"""
# Three years, on any day from seven to twenty-one o'clock in Guayaquil, in the order in which they came. One student in
# four has stopped at some time.
_CHECKINS = """
insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
select md5('school ' || %(first)s + v.k / %(students)s)::uuid, 1 + v.k %% %(students)s, v.at, v.minutes
from (
  select r.k, (20 + 70 * r.hour)::integer as minutes,
    least(now(), date_trunc('day', now()) + make_interval(hours => 12, secs => r.hour * 50400,
      days => -floor(1095 * r.day + r.stopped * (1 - r.day))::integer)) as at
  from (
    select p.*, case when p.k %% 4 = 0 then p.k * 7919 %% 1095 else 0 end as stopped
    from (select (random() * 1e9)::bigint %% ((%(last)s - %(first)s + 1) * %(students)s) as k, random() as day,
        random() as hour from generate_series(1, %(checkins)s)) p
  ) r
) v
order by v.at
"""
_RECENT = "a.organization_id = %s and a.checkin_time >= now() - make_interval(hours => {hours})"
_COUNTED = (
    "select a.student_id, count(*) from public.student_attendance a"
    f" where {_RECENT.format(hours=720)} group by a.student_id"
)
_HANDED_OVER = (
    "select s.student_id, s.full_name, s.level, s.last_checkin_at from public.students s"
    " where s.organization_id = %s order by s.last_checkin_at"
)
_LEARNING = (
    "select s.student_id, s.full_name, s.level, s.last_checkin_at from public.students s"
    " join public.learning_progress p using (organization_id, student_id) where s.organization_id = %s"
)
_SUMMED = (
    f"select count(a.student_id), sum(a.minutes) from public.student_attendance a where {_RECENT.format(hours=2160)}"
)
# The least each can do, as its owner: no policies, no arithmetic.
_FLOORS = {
    "engagement_inactive_roster_v": (_HANDED_OVER,),
    "engagement_student_activity_v": (_HANDED_OVER, _COUNTED),
    "engagement_recent_reactivated_14d_v": (_HANDED_OVER,),
    "engagement_session_frequency_30d_v": (_COUNTED,),
    "engagement_daypart_retention_v": (_COUNTED,),
    "engagement_dual_risk_students_v": (_LEARNING,),
    "engagement_dau_90d_v": (_SUMMED,),
}
# The document's sketches, word for word where it has one; where it has only words, what somebody would write first.
_LAST = "select a.student_id, max(a.checkin_time) as at from public.student_attendance a group by a.student_id"
_NAIVE = {
    "engagement_inactive_roster_v": (
        "select s.student_id, s.full_name, s.level, l.at, extract(epoch from now() - l.at) / 86400"
        f" from public.students s left join ({_LAST}) l using (student_id) order by 5 desc nulls last"
    ),
    "engagement_student_activity_v": (
        "select s.student_id, s.full_name, s.level, l.sessions, l.gap, extract(epoch from now() - l.at) / 86400,"
        "  100 * (l.sessions / 30.0) * (1 / (1 + extract(epoch from now() - l.at) / 86400 / 7))"
        " from public.students s left join ("
        "  select a.student_id, count(*) filter (where a.checkin_time >= now() - interval '30 days') as sessions,"
        "    extract(epoch from max(a.checkin_time) - min(a.checkin_time)) / 86400 / nullif(count(*) - 1, 0) as gap,"
        "    max(a.checkin_time) as at from public.student_attendance a group by a.student_id) l using (student_id)"
        " where s.is_active order by 6 desc nulls last, 7 desc"
    ),
    "engagement_recent_reactivated_14d_v": (
        "with gaps as (select student_id, checkin_time,"
        "  lag(checkin_time) over (partition by student_id order by checkin_time) as prev_checkin,"
        "  extract(epoch from (checkin_time - lag(checkin_time) over (partition by student_id order by checkin_time)))"
        "    / 86400 as days_gap"
        " from public.student_attendance where checkin_time >= now() - interval '90 days')"
        " select student_id, full_name, days_gap, checkin_time::date from gaps join public.students using (student_id)"
        " where days_gap >= 14 and checkin_time >= now() - interval '14 days' order by checkin_time desc"
    ),
    "engagement_session_frequency_30d_v": (
        "with session_counts as (select student_id, count(*) as session_count from public.student_attendance"
        " where checkin_time >= now() - interval '30 days' group by student_id)"
        " select least(session_count, 11), count(*) from session_counts group by 1 order by 1"
    ),
    "engagement_daypart_retention_v": (
        "with daypart_visits as (select student_id, case"
        "  when extract(hour from checkin_time at time zone 'America/Guayaquil') between 8 and 11 then 'morning_08_12'"
        "  when extract(hour from checkin_time at time zone 'America/Guayaquil') between 12 and 16"
        "    then 'afternoon_12_17'"
        "  when extract(hour from checkin_time at time zone 'America/Guayaquil') between 17 and 19"
        "    then 'evening_17_20' end as daypart, count(*) as visit_count"
        " from public.student_attendance where checkin_time >= now() - interval '30 days'"
        "  and extract(hour from checkin_time at time zone 'America/Guayaquil') between 8 and 19"
        " group by student_id, daypart)"
        " select daypart, count(case when visit_count >= 2 then 1 end)::numeric / nullif(count(*), 0)"
        " from daypart_visits group by daypart"
    ),
    "engagement_dau_90d_v": (
        "select (checkin_time at time zone 'America/Guayaquil')::date, count(distinct student_id), sum(minutes)"
        " from public.student_attendance where checkin_time >= now() - interval '90 days' group by 1 order by 1"
    ),
}


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines of the table."""
    say(f"panel: loading {size.students:,} students with {size.checkins:,} check-ins")
    _empty(place)
    load(place.admin, 1, 1, size.students, size.checkins)
    say("panel: the views")
    with _manager(place, 1) as manager:
        _check(place, manager, size.students)
        yield from _views(place, manager, size)
    say("panel: writing check-ins")
    yield from _one(place, size)
    yield from _many(place, size)
    schools = max(size.students // _SMALL, 2)
    say(f"panel: {schools:,} schools of {_SMALL} beside it, with as many check-ins")
    load(place.admin, 2, schools + 1, _SMALL, size.checkins)
    yield from _beside(place, size, schools)


def _beside(place: Workplace, size: Size, schools: int) -> Iterator[Figure]:
    """The planner knows of a reader's school only the average: too much of a small one, too little of a large one."""
    for school, students in ((2, _SMALL), (1, size.students)):
        with _manager(place, school) as manager:
            slowest = max(
                (alternating(size.rounds, partial(_asked, manager, f"select * from mgmt.{view}"))[0], view)
                for view in _FLOORS
            )
        what = f"slowest view, a school of {students:,} beside {schools:,} of {_SMALL}"
        yield Figure(TABLE, f"{what} ({slowest[1]})", size.name, slowest[0], _OWED_MS, 1.0)


def _views(place: Workplace, manager: psycopg.Connection[Any], size: Size) -> Iterator[Figure]:
    school = place.value("select id from public.organizations")
    # The owner's sessions have the same memory and planner as the manager's.
    for view, floors in _FLOORS.items():
        works: list[Callable[[], float]] = [
            partial(_asked, manager, f"select * from mgmt.{view}"),
            lambda floors=floors: sum(_asked(place.own, floor, school) for floor in floors),
        ]
        if view in _NAIVE:
            works.append(partial(_asked, place.own, _NAIVE[view]))
        ours, floor, *naive = alternating(size.rounds, *works)
        yield Figure(TABLE, f"{view}, of the 200 ms owed", size.name, ours, _OWED_MS, 1.0, naive[0] if naive else None)
        yield Figure(TABLE, f"{view}, against its floor", size.name, ours, floor, None)


def _asked(connection: psycopg.Connection[Any], query: str, *params: object) -> float:
    """Milliseconds that the server takes to plan, work and write all rows as text; a client's own time is its own."""
    (said,) = first(connection, f"explain (analyze, timing off, serialize text, format json) {query}", *params)
    return said["Planning Time"] + said["Execution Time"]


def _check(place: Workplace, manager: psycopg.Connection[Any], students: int) -> None:
    seen = partial(first, manager)
    active = place.value("select count(*) from public.students where is_active")
    recent = place.value(
        "select count(*) from public.student_attendance a join public.students s using (organization_id, student_id)"
        " where s.is_active and a.checkin_time >= now() - interval '720 hours'"
    )
    require(seen("select count(*) from mgmt.engagement_inactive_roster_v") == students, "everybody is on the roster")
    activity = "from mgmt.engagement_student_activity_v"
    require(seen(f"select count(*) {activity}") == active, "every active student has a row")
    require(abs(seen(f"select sum(sessions_30d) {activity}") - recent) < 10, "every visit is counted")
    bins = seen("select sum(student_count) from mgmt.engagement_session_frequency_30d_v")
    require(bins == active, "every active student is in one bin")


def _one(place: Workplace, size: Size) -> Iterator[Figure]:
    students = min(200, size.students)

    def one(*, counted: bool) -> float:
        insert = (
            "insert into public.student_attendance (organization_id, student_id)"
            " select o.id, %s from public.organizations o"
        )
        with _trigger(place, on=counted):
            # A plan is settled after its sixth use: the first writes are not what a pooled connection sees.
            for student in range(1, 9):
                place.own.execute(insert, (student,))
            return statistics.median(
                timed(partial(place.own.execute, insert, (1 + n % students,))) for n in range(_IN_A_ROW)
            )

    ours, limit = alternating(max(3, size.sample // 30), partial(one, counted=True), partial(one, counted=False))
    yield Figure(TABLE, "one check-in, against no trigger", size.name, ours, limit, 1.5)
    _recount(place.admin)


def _many(place: Workplace, size: Size) -> Iterator[Figure]:
    insert = (
        "insert into public.student_attendance (organization_id, student_id, minutes)"
        " select o.id, 1 + n %% %s, 45 from public.organizations o, generate_series(1, %s) n"
    )

    def many(*, counted: bool) -> float:
        with place.own.transaction(force_rollback=True), _trigger(place, on=counted):
            spent = timed(partial(place.own.execute, insert, (size.students, size.rows)))
            kept = place.value("select sum(checkins) from public.students")
            rows = place.value("select count(*) from public.student_attendance")
            require((kept == rows) == counted, f"{kept} check-ins are kept of {rows}")
        vacuum(place.admin, "public.student_attendance", "public.students")
        return spent

    ours, limit = alternating(size.rounds, partial(many, counted=True), partial(many, counted=False))
    yield Figure(TABLE, f"{size.rows:,} check-ins in one statement, against no trigger", size.name, ours, limit, 1.5)


def _empty(place: Workplace) -> None:
    place.admin.execute("set statement_timeout = 0")
    place.admin.execute("truncate public.organizations cascade")
    place.admin.execute("delete from auth.users where true")


def load(admin: psycopg.Connection[Any], first: int, last: int, students: int, checkins: int) -> None:
    """Schools of so many students each, past triggers; counted by set afterwards. `admin` is a superuser's."""
    numbers = {"first": first, "last": last, "students": students, "checkins": checkins}
    admin.execute("set session_replication_role = replica")
    for statement in (*_SCHOOLS.split(";\n"), _CHECKINS):
        admin.execute(statement.encode(), numbers)
    admin.execute("set session_replication_role = origin")
    vacuum(admin, *_TABLES)
    _recount(admin)


def _recount(admin: psycopg.Connection[Any]) -> None:
    admin.execute("select private.recount_checkins()")
    vacuum(admin, "public.student_attendance", "public.students")


@contextmanager
def _manager(place: Workplace, school: int) -> Iterator[psycopg.Connection[Any]]:
    """A connection as the API gives it to a school's manager."""
    login = place.value("select md5('manager ' || %s)::uuid", school)
    with place.connect() as connection:
        connection.execute("set statement_timeout = '8s'")
        connection.execute(
            "select set_config('request.jwt.claims', %s, false)",
            (json.dumps({"sub": str(login), "role": "authenticated"}),),
        )
        connection.execute("set role authenticated")
        yield connection


@contextmanager
def _trigger(place: Workplace, *, on: bool) -> Iterator[None]:
    switch = "alter table public.student_attendance {} trigger {}"
    place.own.execute(switch.format("enable" if on else "disable", _TRIGGER).encode())
    yield
    place.own.execute(switch.format("enable", _TRIGGER).encode())
