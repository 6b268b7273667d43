"""The people that are measured on: made by SQL, ids random uuids, about 43 in a thousand of them due.

Loaded past triggers and foreign keys (session_replication_role), which is what a restored backup does, so that a
million people are there within a minute.
"""

from __future__ import annotations

from typing import Any

import psycopg

DUE_PER_MILLE = 43
TABLES = (
    "public.organizations",
    "public.activity_types",
    "public.scenario_rules",
    "private.rule_clocks",
    "public.users",
    "public.activities",
    "public.activity_statistics",
    "public.notification_preferences",
)
EFFECTS = (
    "public.notifications",
    "private.outbox",
    "private.outbox_devices",
    "private.outbox_history",
    "private.cooldowns",
    "private.scenario_marks",
    "private.statistics_marks",
    "private.held_decisions",
    "private.sweep_findings",
    "public.achievements",
)

_ORGANIZATIONS = """
insert into public.organizations (id, name)
select gen_random_uuid(), 'Organisation ' || n from generate_series(1, %(organizations)s) n
"""
_TYPES = """
insert into public.activity_types (organization_id, id, label, category)
select o.id, 'home-visit', 'Home visit', 'home_visit' from public.organizations o
"""
_RULES = """
insert into public.scenario_rules (organization_id, type, name, is_enabled)
select o.id, 'inactivity', 'Quiet for three weeks', true from public.organizations o
"""
_CLOCKS = """
insert into private.rule_clocks (organization_id, rule_id, evaluated_until)
select r.organization_id, r.id, now() from public.scenario_rules r
"""
_USERS = """
insert into public.users (organization_id, id, full_name, role, joined_at)
select (array(select o.id from public.organizations o order by o.id))[1 + n %% %(organizations)s],
  gen_random_uuid(), 'Person ' || n, 'peer_mentor', now() - interval '2 years'
from generate_series(0, %(people)s - 1) n
"""
# Three activities a person, a week apart; the last one decides. Nobody is within an hour of the threshold, so that the
# same people are due however long the benchmark takes.
_ACTIVITIES = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select p.organization_id, p.id, 'home-visit', now() - make_interval(secs => 86400 * (p.quiet_days + 7 * k))
from (
  select u.organization_id, u.id,
    case when 7919 * row_number() over (order by u.id) %% 1000 < %(due_per_mille)s then 22 + 30 * random()
         else 19 * random() end as quiet_days
  from public.users u
) p
cross join generate_series(0, 2) k
order by k, random()
"""
# What was computed long ago of all of them, as far as the scenarios read it.
_STATISTICS = """
insert into public.activity_statistics (organization_id, user_id, period_type, total_activities, last_activity_date)
select a.organization_id, a.user_id, 'all_time', count(*), max(a.occurred_at)
from public.activities a
group by a.organization_id, a.user_id
"""
_OPT_OUTS = """
insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)
select u.organization_id, u.id, 'all', false
from (select u.*, row_number() over (order by u.id) as n from public.users u) u
where u.n %% 50 = 0
"""


def load(
    admin: psycopg.Connection[Any], people: int, organizations: int = 1, due_per_mille: int = DUE_PER_MILLE
) -> None:
    """Replaces everything by `people`, spread evenly. `admin` is a superuser's autocommit connection."""
    admin.execute("set statement_timeout = 0")
    clear_effects(admin)
    admin.execute("truncate public.organizations cascade")
    truncate(admin, "private.runs", "private.run_slices", "private.webhook_deliveries")
    numbers = {"people": people, "organizations": organizations, "due_per_mille": due_per_mille}
    admin.execute("set session_replication_role = replica")
    for statement in (_ORGANIZATIONS, _TYPES, _RULES, _CLOCKS, _USERS, _ACTIVITIES, _STATISTICS, _OPT_OUTS):
        admin.execute(statement.encode(), numbers)
    admin.execute("set session_replication_role = origin")
    vacuum(admin, *TABLES)


def vacuum(admin: psycopg.Connection[Any], *tables: str) -> None:
    """Statistics and visibility as a database has them that was not filled a second ago."""
    for table in tables:
        admin.execute(f"vacuum analyze {table}".encode())


def truncate(admin: psycopg.Connection[Any], *tables: str) -> None:
    """Empties them; again where a function's last call, still under way, wanted them in another order."""
    while True:
        try:
            admin.execute(f"truncate {', '.join(tables)}".encode())
        except psycopg.errors.DeadlockDetected:
            continue
        return


def clear_effects(admin: psycopg.Connection[Any], *, new_rules: bool = False) -> None:
    """Forgets everything anybody was told. Truncated, because dead rows would be measured with the next round.

    The rules count as looked at until now, so that only marks and full evaluations bring anybody; or as new, so that
    the next tick or drain finds everybody due.
    """
    truncate(admin, *EFFECTS)
    admin.execute("set session_replication_role = replica")  # or the rules would ring
    admin.execute(
        "update private.rule_clocks set evaluated_until = case when %s then '-infinity' else now() end", (new_rules,)
    )
    admin.execute("set session_replication_role = origin")


def due(admin: psycopg.Connection[Any]) -> int:
    """How many are due and may be told: counted from the raw rows, without any function that is measured."""
    return first(
        admin,
        """
        select count(*) from (
          select a.organization_id, a.user_id from public.activities a
          where a.status = 'completed'
          group by a.organization_id, a.user_id
          having max(a.occurred_at) <= now() - interval '504 hours'
        ) quiet
        where not exists (
          select from public.notification_preferences np
          where np.organization_id = quiet.organization_id and np.user_id = quiet.user_id and not np.is_enabled)
        """,
    )


def first(connection: psycopg.Connection[Any], query: str, *params: object) -> Any:
    """The first column of the first row. Raises LookupError when there is no row."""
    row = connection.execute(query.encode(), params or None).fetchone()
    if row is None:
        raise LookupError(query)
    return row[0]
