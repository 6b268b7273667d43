"""Table `statistics`, second part: what drains and rebuilds cost, against reading and writing the same rows alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import psycopg

from attend.bench.measure import Figure, Size, alternating, require, say, timed
from attend.bench.population import clear_effects, first, vacuum
from attend.bench.workplace import Workplace

TABLE = "statistics"
ACTIVITIES_A_PERSON = 200
LONG_HISTORY = 50_000
CHUNK = 200
LIMIT = 2_000
_ORGANIZATION = """
insert into public.organizations (name) values ('Organisation');
insert into public.users (organization_id, id, full_name, role, joined_at)
select o.id, gen_random_uuid(), 'Person ' || n, 'peer_mentor', now() - interval '3 years'
from public.organizations o cross join generate_series(1, {people}) n;
insert into public.contacts (organization_id)
select o.id from public.organizations o cross join generate_series(1, 1000);
insert into public.bufdir_rules select o.id, '2000-01-01', 15, false, false from public.organizations o;
insert into public.bufdir_rules select o.id, current_date - 400, 15, true, false from public.organizations o;
"""
# Three years of everybody, at random; what is loaded together lies together, as it does where people log as they go.
_ACTIVITIES = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, duration_minutes, approval)
select u.organization_id, u.id,
  (array['home-visit', 'phone-call', 'group-meeting', 'other'])[1 + floor(4 * random())::int],
  now() - interval '1 hour' - random() * interval '1095 days', 10 + floor(90 * random())::int, 'approved'
from public.users u cross join generate_series(1, {each}) n
order by random()
"""
_CONTACTS = """
insert into public.activity_contacts
select a.organization_id, a.id, c.ids[1 + floor(1000 * random())::int]
from public.activities a cross join (select array_agg(id) as ids from public.contacts) c
where a.duration_minutes % 2 = 0
on conflict do nothing
"""
# Of the tables that are filled, all but their keys.
_INDEXES = """
select i.indexname, i.indexdef from pg_indexes i
where i.schemaname = 'public' and i.tablename in ('activities', 'activity_contacts')
  and not exists (select from pg_constraint c where c.conindid = ('public.' || i.indexname)::regclass)
"""
_LONG = """
with person as (
  insert into public.users (organization_id, full_name, role)
  select o.id, 'Everywhere', 'peer_mentor' from public.organizations o returning organization_id, id
), logged as (
  insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, duration_minutes)
  select p.organization_id, p.id, 'home-visit', now() - interval '1 hour' - random() * interval '1825 days', 30
  from person p cross join generate_series(1, {each}) n
)
select id from person
"""
_TABLES = ("public.users", "public.contacts", "public.activities", "public.activity_contacts")
# What is touched by one day of each of some people: their rows that contain it.
_TOUCHED = """
create temp table bench_touched as
select s.organization_id, s.id, s.user_id, coalesce(s.period_start, '-infinity') as starts,
  coalesce(s.period_end, 'infinity') as ends
from private.statistics_marks m
join public.activity_statistics s on s.organization_id = m.organization_id and s.user_id = m.user_id
  and (s.period_type = 'all_time' or m.day::timestamp at time zone 'UTC' >= s.period_start
    and m.day::timestamp at time zone 'UTC' < s.period_end);
analyze bench_touched
"""
# What is not asked for is not computed, so the outer query asks for every figure.
_READ = """
select count(n), sum(minutes), max(last_at), sum(contacts) from (
  select t.id, count(*) as n, sum(a.duration_minutes) as minutes, max(a.occurred_at) as last_at,
    count(distinct ac.contact_id) as contacts
  from bench_touched t
  join public.activities a on a.organization_id = t.organization_id and a.user_id = t.user_id and a.status = 'completed'
    and a.occurred_at >= t.starts and a.occurred_at < t.ends
  left join public.activity_contacts ac on ac.organization_id = a.organization_id and ac.activity_id = a.id
  group by t.id) r
"""
_WRITE = """
update public.activity_statistics s
set total_duration_minutes = s.total_duration_minutes + 1, computed_at = now(), updated_at = now()
from bench_touched t where s.organization_id = t.organization_id and s.id = t.id
"""
_READ_ALL = """
select count(n), sum(minutes), max(last_at), sum(contacts) from (
  select a.user_id, p.type, date_trunc(p.type, a.occurred_at at time zone 'UTC'), count(*) as n,
    sum(a.duration_minutes) as minutes, max(a.occurred_at) as last_at, count(distinct ac.contact_id) as contacts
  from public.activities a
  cross join (values ('day'), ('week'), ('month'), ('quarter'), ('year'), ('millennium')) p (type)
  left join public.activity_contacts ac on ac.organization_id = a.organization_id and ac.activity_id = a.id
  where a.status = 'completed' and a.user_id between %s and %s
  group by 1, 2, 3) r
"""
_WRITE_ALL = "insert into public.activity_statistics select * from bench.rows r where r.user_id between %s and %s"

# A statement that writes runs in one process, so what it is compared with may not read in two; and a drain's rows are
# not looked through for warnings.
_LIKE_A_DRAIN = "set max_parallel_workers_per_gather = 0; set attend.statistics_writer = 'drain'"


def load(place: Workplace, activities: int) -> None:
    """Replaces everything by one organisation with a history, past its triggers; nothing is computed yet."""
    admin = place.admin
    admin.execute("set statement_timeout = 0")
    clear_effects(admin)
    admin.execute("truncate public.organizations cascade")
    people = max(activities // ACTIVITIES_A_PERSON, 10)
    admin.execute(_ORGANIZATION.format(people=people).encode())
    admin.execute("set session_replication_role = replica")
    admin.execute("set work_mem = '512MB'; set maintenance_work_mem = '512MB'")
    # Sorted once at the end instead of hit at random ten million times.
    indexes = admin.execute(_INDEXES).fetchall()
    for name, _ in indexes:
        admin.execute(f"drop index public.{name}".encode())
    admin.execute(_ACTIVITIES.format(each=activities // people).encode())
    admin.execute(_CONTACTS)
    for _, definition in indexes:
        admin.execute(definition.encode())
    admin.execute("reset work_mem; reset maintenance_work_mem; set session_replication_role = origin")
    vacuum(admin, *_TABLES)


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines of drains and rebuilds."""
    say(f"statistics: loading {size.activities:,} activities")
    load(place, size.activities)
    yield from _rebuild(place, size)
    yield _drain(place, size)
    yield from _long_history(place, size)


def _rebuild(place: Workplace, size: Size) -> Iterator[Figure]:
    say("statistics: everything rebuilt, by two workers and by one")
    people = place.own.execute("select organization_id, id from public.users order by id").fetchall()
    halves = [people[: len(people) // 2], people[len(people) // 2 :]]

    def rebuilt(shares: list[list[Any]]) -> float:
        place.admin.execute("truncate public.activity_statistics")
        spent = _in_parallel(place, [partial(_rebuild_share, share=share) for share in shares])
        _require_right(place)
        return spent

    def floor(shares: list[list[Any]]) -> float:
        ends = [(share[0][1], share[-1][1]) for share in shares]
        read = _in_parallel(place, [partial(_execute, query=_READ_ALL, params=each) for each in ends])
        place.admin.execute("truncate public.activity_statistics")
        return read + _in_parallel(place, [partial(_execute, query=_WRITE_ALL, params=each) for each in ends])

    two = rebuilt(halves)
    place.admin.execute("create schema if not exists bench; drop table if exists bench.rows")
    place.admin.execute("create table bench.rows as select * from public.activity_statistics")
    place.admin.execute("grant usage on schema bench to postgres; grant select on bench.rows to postgres")
    vacuum(place.admin, "bench.rows", "public.activity_statistics")
    rows = place.value("select count(*) from bench.rows")
    if size.activities > 1_000_000:
        # Minutes each: long enough to be their own median.
        two_floor = floor(halves)
    else:
        two, two_floor, one, one_floor = alternating(
            size.rounds, *(partial(work, shares) for shares in (halves, [people]) for work in (rebuilt, floor))
        )
        yield Figure(TABLE, "everything rebuilt by one worker", size.name, one, one_floor, 1.25)
    yield Figure(TABLE, f"everything rebuilt by two workers, {rows:,} rows", size.name, two, two_floor, 1.25)
    place.admin.execute("drop table bench.rows")
    vacuum(place.admin, "public.activity_statistics")


def _drain(place: Workplace, size: Size) -> Figure:
    people = min(10_000, place.value("select count(*) from public.users"))
    say(f"statistics: one day of each of {people:,} people drained")
    _mark_a_day(place, people)
    ours, limit = alternating(size.rounds, partial(_drained, place), partial(_floor_of_the_touched, place))
    place.admin.execute("truncate private.statistics_marks")
    naive = _whole_history(place, people)
    case = f"{people:,} marks drained, against reading and writing alone"
    return Figure(TABLE, case, size.name, ours, limit, 1.3, naive)


def _long_history(place: Workplace, size: Size) -> Iterator[Figure]:
    say(f"statistics: a person with {LONG_HISTORY:,} activities")
    each = LONG_HISTORY if size.name != "smoke" else 500
    place.admin.execute("set session_replication_role = replica")
    person = first(place.admin, _LONG.format(each=each))
    place.admin.execute("set session_replication_role = origin")
    vacuum(place.admin, *_TABLES)
    place.own.execute(
        "insert into public.activity_statistics (organization_id, user_id, period_type)"
        " select organization_id, id, 'all_time' from public.users where id = %s",
        (person,),
    )
    share = place.own.execute("select organization_id, id from public.users where id = %s", (person,)).fetchall()
    with place.connect() as connection:
        whole = timed(lambda: _rebuild_share(connection, share))
    vacuum(place.admin, "public.activity_statistics")
    name = "a person with 50,000 activities"
    for what, day in (("the last day", "current_date - 1"), ("a day three years ago", "current_date - 1095")):
        place.own.execute(
            "insert into private.statistics_marks (organization_id, user_id, day, rings)"
            f" select organization_id, id, {day}, false from public.users where id = %s".encode(),
            (person,),
        )
        ours, limit = alternating(size.rounds, partial(_drained, place), partial(_floor_of_the_touched, place))
        place.admin.execute("truncate private.statistics_marks")
        yield Figure(TABLE, f"{name}: {what} drained", size.name, ours, limit, 1.3, whole)


def _mark_a_day(place: Workplace, people: int) -> None:
    place.admin.execute("truncate private.statistics_marks")
    place.admin.execute(
        "insert into private.statistics_marks (organization_id, user_id, day, rings)"
        " select l.organization_id, l.user_id, (l.occurred_at at time zone 'UTC')::date, false"
        " from (select organization_id, id from public.users order by id limit %s) u"
        " cross join lateral (select a.* from public.activities a"
        "  where a.organization_id = u.organization_id and a.user_id = u.id limit 1) l",
        (people,),
    )
    place.admin.execute("truncate private.scenario_marks")
    vacuum(place.admin, "private.statistics_marks")


def _drained(place: Workplace) -> float:
    """All marks that wait, in as many drains as a function makes, without the commits."""

    def drain() -> None:
        while place.value("select public.drain_statistics_marks(%s)", LIMIT)["more"]:
            pass

    with _rolled_back(place):
        # Warm: plans and relations are known to a pooled connection.
        with _rolled_back(place):
            drain()
        spent = timed(drain)
        require(place.value("select count(*) from private.statistics_marks") == 0, "a drain left marks")
        _require_right(place)
    return spent


def _floor_of_the_touched(place: Workplace) -> float:
    with _rolled_back(place):
        for statement in _TOUCHED.split(";"):
            place.own.execute(statement)
        place.own.execute(_LIKE_A_DRAIN)
        return timed(lambda: (place.own.execute(_READ), place.own.execute(_WRITE)))


def _whole_history(place: Workplace, people: int) -> float:
    """The naive way: whoever was touched is computed anew from their whole history."""
    sample = place.own.execute("select organization_id, id from public.users order by id limit %s", (CHUNK,)).fetchall()
    with _rolled_back(place) as connection:
        return timed(lambda: _rebuild_share(connection, sample)) * people / len(sample)


def _rebuild_share(connection: psycopg.Connection[Any], share: list[tuple[UUID, UUID]]) -> None:
    for begin in range(0, len(share), CHUNK):
        organization_id, start = share[begin]
        end = share[begin + CHUNK][1] if begin + CHUNK < len(share) else None
        last = share[-1][1]
        connection.execute(
            "select private.rebuild_statistics(%s, %s,"
            " coalesce(%s, (select min(id::text)::uuid from public.users where id > %s)), now(), null)",
            (organization_id, start, end, last),
        )


def _execute(connection: psycopg.Connection[Any], query: str, params: tuple[UUID, UUID]) -> None:
    connection.execute(query.encode(), params)


def _in_parallel(place: Workplace, works: list[Any]) -> float:
    failures: list[BaseException] = []

    def run(work: Any) -> None:
        try:
            with place.connect() as connection:
                connection.execute(_LIKE_A_DRAIN)
                work(connection)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]

    def all_of_them() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    spent = timed(all_of_them)
    require(not failures, f"a worker failed: {failures}")
    return spent


def _require_right(place: Workplace) -> None:
    wrong = place.own.execute(
        "select s.period_type, sum(s.total_activities) from public.activity_statistics s group by 1"
        " having sum(s.total_activities) <> (select count(*) from public.activities a where a.status = 'completed')"
    ).fetchall()
    require(not wrong, f"sums that are not the number of activities: {wrong}")


@contextmanager
def _rolled_back(place: Workplace) -> Iterator[psycopg.Connection[Any]]:
    with place.own.transaction(force_rollback=True):
        yield place.own
