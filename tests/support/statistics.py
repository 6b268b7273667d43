"""Statistics judged from outside: what every row must say, each column by one plain query over the activities.

Nothing of `supabase/schemas/20_statistics` is used: neither its functions nor the order in which it works. Slow
on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

type Rows = dict[tuple[UUID, str, datetime | None], dict[str, Any]]
"""By person, period type and start: the columns that follow from the activities."""

_BUCKETS = """
with active as (
  select distinct a.user_id, (a.occurred_at at time zone 'UTC')::date as day
  from public.activities a where a.organization_id = %(organization)s and a.status = 'completed'
), bucket as (
  select distinct x.user_id, p.type, date_trunc(p.type, x.day::timestamp) as starts,
    date_trunc(p.type, x.day::timestamp) + p.length as ends
  from active x
  cross join (values ('day', interval '1 day'), ('week', interval '1 week'), ('month', interval '1 month'),
    ('quarter', interval '3 months'), ('year', interval '1 year')) p (type, length)
  union all
  select u.id, 'all_time', null, null from public.users u where u.organization_id = %(organization)s
)
select b.user_id, b.type, b.starts at time zone 'UTC' as starts, ({column}) as value from bucket b
"""
_OF_THE_BUCKET = """
from public.activities a
where a.organization_id = %(organization)s and a.user_id = b.user_id and a.status = 'completed'
  and (b.type = 'all_time'
    or (a.occurred_at at time zone 'UTC' >= b.starts and a.occurred_at at time zone 'UTC' < b.ends))
"""
# The last day that counts: that of a period that is over; of one still open today, or yesterday while today is empty.
_STREAK = """
select coalesce(e.day - max(c.day), 0) from (
  select case
    when b.ends::date <= t.day then b.ends::date - 1
    when exists (select from active x where x.user_id = b.user_id and x.day = t.day) then t.day
    else t.day - 1
  end as day
  from (select (%(now)s at time zone 'UTC')::date as day) t
) e
cross join lateral (
  select e.day union all select x.day - 1 from active x where x.user_id = b.user_id and x.day <= e.day
) c (day)
where not exists (select from active x where x.user_id = b.user_id and x.day = c.day)
group by e.day
"""
COLUMNS = {
    "period_end": "b.ends at time zone 'UTC'",
    "total_activities": f"select count(*) {_OF_THE_BUCKET}",
    "total_duration_minutes": f"select coalesce(sum(a.duration_minutes), 0) {_OF_THE_BUCKET}",
    "unique_contacts_reached": f"""
        select count(distinct c.contact_id) from public.activity_contacts c
        where (c.organization_id, c.activity_id) in (select a.organization_id, a.id {_OF_THE_BUCKET})""",
    "activity_type_breakdown": f"""
        select coalesce(jsonb_object_agg(n.id, n.number), '{{}}')
        from (select a.activity_type_id as id, count(*) as number {_OF_THE_BUCKET} group by 1) n""",
    "home_visit_count": f"select count(*) {_OF_THE_BUCKET} and a.activity_type_id = 'home-visit'",
    "phone_call_count": f"select count(*) {_OF_THE_BUCKET} and a.activity_type_id = 'phone-call'",
    "group_activity_count": f"""
        select count(*) {_OF_THE_BUCKET} and a.activity_type_id in (
          select t.id from public.activity_types t
          where t.organization_id = %(organization)s and t.category = 'group')""",
    "proxy_activity_count": f"select count(*) {_OF_THE_BUCKET} and a.proxy_registered_by is not null",
    "last_activity_date": f"select max(a.occurred_at) {_OF_THE_BUCKET}",
    "streak_days": _STREAK,
    "bufdir_eligible_count": f"""
        select count(*) {_OF_THE_BUCKET} and exists (
          select from public.bufdir_rules r
          where r.organization_id = %(organization)s and a.duration_minutes >= r.min_duration_minutes
            and (a.approval = 'approved' or not r.requires_approval)
            and (not r.requires_contact or exists (
              select from public.activity_contacts c
              where c.organization_id = %(organization)s and c.activity_id = a.id))
            and r.effective_from = (
              select max(l.effective_from) from public.bufdir_rules l
              where l.organization_id = %(organization)s
                and l.effective_from <= (a.occurred_at at time zone 'UTC')::date))""",
}


def expected_rows(connection: psycopg.Connection[Any], organization_id: UUID, now: datetime) -> Rows:
    """What the statistics of an organisation must be at `now`, from its activities alone."""
    rows: Rows = {}
    for name, column in COLUMNS.items():
        query = _BUCKETS.replace("{column}", column)
        for row in connection.execute(query.encode(), {"organization": organization_id, "now": now}):
            rows.setdefault((row["user_id"], row["type"], row["starts"]), {})[name] = row["value"]
    return rows


def stored_rows(connection: psycopg.Connection[Any], organization_id: UUID) -> Rows:
    """What they are."""
    found = connection.execute(
        "select s.*, s.period_type::text as type from public.activity_statistics s where s.organization_id = %s",
        (organization_id,),
    ).fetchall()
    rows = {(r["user_id"], r["type"], r["period_start"]): {name: r[name] for name in COLUMNS} for r in found}
    assert len(rows) == len(found), "a person has two rows for one period"
    return rows


def differences(expected: Rows, stored: Rows) -> list[str]:
    """Every row and column in which they differ, in words."""
    found: list[str] = []
    for key in sorted({*expected, *stored}, key=str):
        if key not in expected or key not in stored:
            found.append(f"{key}: {'missing' if key in expected else 'should not be there'}")
            continue
        found += [
            f"{key} {name}: {stored[key][name]!r} instead of {value!r}"
            for name, value in expected[key].items()
            if stored[key][name] != value
        ]
    return found


def drain(connection: psycopg.Connection[Any], limit: int = 2000, now: datetime | None = None) -> dict[str, Any]:
    """One drain; its answer."""
    row = connection.execute(
        "select public.drain_statistics_marks(%s, coalesce(%s::timestamptz, now())) as answer", (limit, now)
    ).fetchone()
    assert row is not None
    return row["answer"]


def drain_all(connection: psycopg.Connection[Any], now: datetime | None = None, limit: int = 2000) -> None:
    """Drains until nothing is left to claim."""
    while drain(connection, limit, now)["marks"]:
        pass


def assert_right(connection: psycopg.Connection[Any], organization_ids: Iterable[UUID], now: datetime) -> None:
    """Every row of these organisations is what its activities say, and there is no row more."""
    for organization_id in organization_ids:
        found = differences(expected_rows(connection, organization_id, now), stored_rows(connection, organization_id))
        assert not found, "\n".join(found)
