"""Table `care`: what taking attendance costs, the nightly cases, and the engagement scores."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from attend.bench.measure import Figure, Size, alternating, require, say, timed
from attend.bench.population import vacuum
from attend.bench.workplace import Workplace

TABLE = "care"
_WEEKS = 12
_IN_A_ROW = 50
_ROWS = 100_000
_TABLES = (
    "public.organizations",
    "public.users",
    "public.families",
    "public.people",
    "public.services",
    "public.attendance_records",
    "public.donations",
    "public.group_memberships",
)
_OURS = "trg_update_attendance_stats"

# One organisation, four to a family, a servant to two hundred; twelve services, of which most people missed some and
# five in a hundred the last three.
_LOAD = """
insert into public.organizations (id, name, time_zone) values (gen_random_uuid(), 'Congregation', 'Africa/Cairo');
insert into public.users (organization_id, id, full_name, role, joined_at)
select o.id, gen_random_uuid(), 'Servant', 'servant', now() from public.organizations o, generate_series(1, {servants});
insert into public.families (organization_id, id, name, assigned_servant_id)
select o.id, gen_random_uuid(), 'Family', (array(select u.id from public.users u order by u.id))[1 + n % {servants}]
from public.organizations o, generate_series(1, {families}) n;
insert into public.people (organization_id, id, family_id, full_name)
select o.id, gen_random_uuid(), f.id, 'Somebody'
from public.organizations o cross join (select id from public.families) f, generate_series(1, 4);
insert into public.services (organization_id, id, service_date, kind)
select o.id, gen_random_uuid(), '{first}'::date + 7 * n, 'liturgy'
from public.organizations o, generate_series(0, {weeks}) n;
insert into public.attendance_records (organization_id, id, person_id, service_id, service_date, status)
select p.organization_id, gen_random_uuid(), p.id, s.id, s.service_date,
  case when (p.n % 20 = 0 and s.week >= {weeks} - 3) or (p.n + 7 * s.week) % 5 = 0 then 'absent' else 'present' end
    ::public.attendance_status
from (select *, row_number() over (order by id) as n from public.people) p
join (select *, row_number() over (order by service_date) - 1 as week from public.services) s
  on s.week < {weeks};
insert into public.donations (organization_id, id, person_id, donated_on, amount)
select p.organization_id, gen_random_uuid(), p.id, current_date - 10, 50 from public.people p;
insert into public.groups (organization_id, id, name) select id, gen_random_uuid(), 'Choir' from public.organizations;
insert into public.group_memberships (organization_id, group_id, person_id, joined_on)
select p.organization_id, g.id, p.id, current_date - 100 from public.people p, public.groups g
"""
# By set and from nothing but the records, so that what is measured starts from the truth.
_STATE = """
update public.people p
set last_present_on = h.present_on, last_attendance_at = h.present_on::timestamp at time zone 'Africa/Cairo',
    consecutive_absences = h.absences, absent_since = h.absent_since, last_absent_on = h.last_absent_on,
    at_risk_flag = h.absences >= 3
from (
  select r.person_id, r.present_on, count(*) filter (where r.is_after) as absences,
    min(r.service_date) filter (where r.is_after) as absent_since,
    max(r.service_date) filter (where r.is_after) as last_absent_on
  from (
    select a.*, a.service_date > coalesce(a.present_on, '-infinity') as is_after
    from (
      select r.person_id, r.service_date,
        max(r.service_date) filter (where r.status = 'present') over (partition by r.person_id) as present_on
      from public.attendance_records r) a) r
  group by r.person_id, r.present_on
) h
where h.person_id = p.id
"""
_WRITE = """
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
select l.organization_id, l.person_id, l.service_id, l.service_date, l.status from bench_records l
"""
# The least it takes: the same people, the same columns, values at hand.
_UPDATE = """
update public.people p
set last_present_on = l.last_present_on, last_attendance_at = l.last_attendance_at,
    consecutive_absences = l.consecutive_absences, absent_since = l.absent_since, last_absent_on = l.last_absent_on,
    at_risk_flag = l.at_risk_flag
from bench_after l
where p.organization_id = l.organization_id and p.id = l.id
"""
# The document's trigger, word for word.
_NAIVE = """
create function public.bench_attendance() returns trigger language plpgsql security definer as $$
declare
  v_threshold integer;
begin
  if new.status in ('present', 'late') then
    update public.people p
    set consecutive_absences = 0, at_risk_flag = false, absent_since = null, last_absent_on = null,
        last_attendance_at = coalesce(new.checked_in_at, new.service_date::timestamptz)
    where p.organization_id = new.organization_id and p.id = new.person_id;
  elsif new.status = 'absent' then
    select (s.value #>> '{}')::integer into v_threshold from public.org_settings_kv s
    where s.organization_id = new.organization_id and s.key = 'absence_alert_threshold';
    update public.people p
    set consecutive_absences = p.consecutive_absences + 1,
        at_risk_flag = p.consecutive_absences + 1 >= coalesce(v_threshold, 3),
        absent_since = coalesce(p.absent_since, new.service_date), last_absent_on = new.service_date
    where p.organization_id = new.organization_id and p.id = new.person_id;
  end if;
  return new;
end $$;
create trigger bench_attendance after insert on public.attendance_records
  for each row execute function public.bench_attendance();
alter table public.attendance_records disable trigger bench_attendance
"""
_HISTORY = """
select private.recompute_attendance(array_agg(l.organization_id), array_agg(l.person_id)) from bench_records l
"""
_TEND = "select private.tend_cases(o.id, null, now()) from public.organizations o"
_EFFECTS = {
    "public.pastoral_cases": "bench_cases",
    "private.cooldowns": "bench_cooldowns",
    "public.notifications": "bench_notifications",
    "private.outbox": "bench_outbox",
}


def load(place: Workplace, members: int) -> None:
    """Replaces everything by one congregation, past its triggers."""
    admin = place.admin
    admin.execute("set statement_timeout = 0")
    admin.execute("truncate public.organizations cascade")
    admin.execute("set session_replication_role = replica")
    first = date.today() - timedelta(days=date.today().weekday() + 1 + 7 * _WEEKS)  # noqa: DTZ011 - a day is a day
    numbers = {"servants": max(members // 800, 1), "families": members // 4, "first": first, "weeks": _WEEKS}
    for statement in _LOAD.format(**numbers).split(";\n"):
        admin.execute(statement.encode())
    admin.execute(_STATE)
    admin.execute("set session_replication_role = origin")
    vacuum(admin, *_TABLES)


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines of the table."""
    say(f"care: loading {size.members:,} people with {_WEEKS} services each")
    load(place, size.members)
    place.own.execute(_NAIVE)
    rows = min(_ROWS, size.members)
    say(f"care: {rows:,} records in one statement")
    yield from _many(place, size, rows)
    say("care: one record")
    yield from _one(place, size)
    say("care: a night's cases")
    yield from _nights(place, size)
    say("care: engagement scores")
    yield from _scores(place, size)


def _many(place: Workplace, size: Size, rows: int) -> Iterator[Figure]:
    """A Sunday: nine in ten came, and some of them had been away."""
    place.own.execute(
        "create temp table bench_records as"
        " select p.organization_id, p.id as person_id, s.id as service_id, s.service_date,"
        "   (case when row_number() over (order by p.id) %% 10 = 0 then 'absent' else 'present' end)"
        "     ::public.attendance_status as status"
        " from public.people p, (select * from public.services order by service_date desc limit 1) s"
        " order by random() limit %s",
        (rows,),
    )
    place.own.execute("analyze bench_records")
    with _rolled_back(place), _triggers(place, ours=True):
        place.own.execute(_WRITE)
        place.own.execute(
            "create temp table if not exists bench_kept as select p.* from public.people p"
            " join bench_records l on l.organization_id = p.organization_id and l.person_id = p.id"
        )
        kept = place.own.execute("select * from bench_kept").fetchall()
    place.own.execute("create temp table bench_after (like public.people)")
    with place.own.cursor().copy("copy bench_after from stdin") as copy:
        for row in kept:
            copy.write_row(row)
    place.own.execute("analyze bench_after")

    ours, limit, naive, history = alternating(
        size.rounds,
        partial(_written, place, ours=True),
        partial(_written, place, then=_UPDATE),
        partial(_written, place, naive=True),
        partial(_written, place, then=_HISTORY),
    )
    what = f"{rows:,} records in one statement"
    yield Figure(TABLE, f"{what}, against insert and update alone", size.name, ours, limit, 1.15, naive)
    yield Figure(TABLE, f"{what}, recomputed from history", size.name, history, limit, None, naive)


def _written(place: Workplace, *, ours: bool = False, naive: bool = False, then: str | None = None) -> float:
    with _rolled_back(place), _triggers(place, ours=ours, naive=naive):
        spent = timed(lambda: place.own.execute(_WRITE))
        if then:
            spent += timed(lambda: place.own.execute(then.encode()))
        # Whatever the way, the end is the same: but for the document's, which keeps no days.
        if not naive:
            wrong = place.value(
                "select count(*) from bench_after l join public.people p on p.id = l.id"
                " where (p.consecutive_absences, p.at_risk_flag, p.last_present_on, p.last_attendance_at)"
                "   is distinct from (l.consecutive_absences, l.at_risk_flag, l.last_present_on, l.last_attendance_at)"
            )
            require(wrong == 0, f"{wrong} people are not what they were before")
    vacuum(place.admin, "public.attendance_records", "public.people")
    return spent


def _one(place: Workplace, size: Size) -> Iterator[Figure]:
    people = [row[0] for row in place.own.execute("select id from public.people order by id limit 200").fetchall()]

    def one(*, ours: bool = False, naive: bool = False) -> float:
        write = (
            "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
            " select p.organization_id, p.id, s.id, s.service_date, 'present'"
            " from public.people p, (select * from public.services order by service_date desc limit 1) s"
            " where p.id = %s and p.organization_id = s.organization_id"
        )
        with _triggers(place, ours=ours, naive=naive):
            # A plan is settled after its sixth use: the first writes are not what a pooled connection sees.
            for person in people[-8:]:
                place.own.execute(write, (person,))
            times = [timed(partial(place.own.execute, write, (person,))) for person in people[:_IN_A_ROW]]
        place.own.execute(
            "delete from public.attendance_records r using (select max(service_date) as day from public.services) s"
            " where r.service_date = s.day"
        )
        return statistics.median(times)

    repetitions = max(3, size.sample // 30)
    ours, limit, naive = alternating(repetitions, partial(one, ours=True), one, partial(one, naive=True))
    yield Figure(TABLE, "one record, against no trigger", size.name, ours, limit, 1.4, naive)


def _nights(place: Workplace, size: Size) -> Iterator[Figure]:
    vacuum(place.admin, "public.people", "public.attendance_records")
    place.admin.execute("truncate private.care_marks")
    expected = place.value("select count(*) from public.people where at_risk_flag and status = 'active'")
    with _rolled_back(place):
        place.own.execute(_TEND)
        saved = {table: place.own.execute(f"select * from {table}".encode()).fetchall() for table in _EFFECTS}
    require(len(saved["public.pastoral_cases"]) == expected > 0, "a case for everybody at risk")
    for table, kept in _EFFECTS.items():
        place.own.execute(f"create temp table {kept} (like {table})".encode())
        with place.own.cursor().copy(f"copy {kept} from stdin".encode()) as copy:
            for row in saved[table]:
                copy.write_row([_jsonb(value) for value in row])
        place.own.execute(f"analyze {kept}".encode())

    def first() -> float:
        with _rolled_back(place):
            spent = timed(lambda: place.own.execute(_TEND))
        vacuum(place.admin, *_EFFECTS)
        return spent

    def alone() -> float:
        with _rolled_back(place):
            spent = timed(
                lambda: [
                    place.own.execute(f"insert into {table} select * from {kept}".encode())
                    for table, kept in _EFFECTS.items()
                ]
            )
        vacuum(place.admin, *_EFFECTS)
        return spent

    ours, limit = alternating(size.rounds, first, alone)
    yield Figure(TABLE, f"cases, first night: {expected:,} of {size.members:,}", size.name, ours, limit, 1.6)
    place.own.execute(_TEND)
    vacuum(place.admin, *_EFFECTS, "public.people")
    ours, limit = alternating(
        size.rounds,
        lambda: timed(lambda: place.own.execute(_TEND)),
        lambda: timed(lambda: place.own.execute("select count(*) from public.people")),
    )
    require(place.value("select count(*) from public.pastoral_cases") == expected, "the same cases the next night")
    yield Figure(TABLE, "cases, next night, against count(*) of people", size.name, ours, limit, 1.0)


def _scores(place: Workplace, size: Size) -> Iterator[Figure]:
    refresh = "refresh materialized view concurrently private.people_engagement_scores"
    place.own.execute("refresh materialized view private.people_engagement_scores")
    vacuum(place.admin, "private.people_engagement_scores")

    def changed() -> float:
        place.own.execute(
            "insert into public.donations (organization_id, person_id, donated_on, amount)"
            " select organization_id, id, current_date, 1 from public.people"
            " order by random() limit (select count(*) / 100 from public.people)"
        )
        return timed(lambda: place.own.execute(refresh))

    ours, limit = alternating(
        size.rounds,
        changed,
        lambda: timed(lambda: place.own.execute("select count(*) from private.compute_engagement(now())")),
    )
    scored = place.value("select count(*) from private.people_engagement_scores")
    require(scored == place.value("select count(*) from public.people"), "everybody is scored")
    case = "engagement scores, 1 % changed: concurrent refresh, against computing them"
    yield Figure(TABLE, case, size.name, ours, limit, None)


@contextmanager
def _triggers(place: Workplace, *, ours: bool = False, naive: bool = False) -> Iterator[None]:
    for name, is_on in ((_OURS, ours), ("bench_attendance", naive)):
        switch = "enable" if is_on else "disable"
        place.own.execute(f"alter table public.attendance_records {switch} trigger {name}".encode())
    yield


@contextmanager
def _rolled_back(place: Workplace) -> Iterator[psycopg.Connection[Any]]:
    with place.own.transaction(force_rollback=True):
        yield place.own


def _jsonb(value: object) -> object:
    return Jsonb(value) if isinstance(value, dict) else value
