"""Growth that no small benchmark shows: plans made while the statistics know nothing yet."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.support.database import Database

pytestmark = pytest.mark.embedded
# An organisation has a handful of these, so that reading all of them is no growth.
_FEW = {"scenario_rules"}
# The state that an autovacuum leaves which comes in the middle of a long insert.
_MAKE_YOUNG = """
update pg_class set reltuples = 0, relpages = 1
where relkind = 'r' and relnamespace in ('public'::regnamespace, 'private'::regnamespace)
"""

_REFERENCED_KEYS = f"""
select distinct c.confrelid::regclass::text as referenced,
  (select array_agg(a.attname::text order by k.position)
   from unnest(c.confkey) with ordinality k (attnum, position)
   join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum) as columns,
  (select array_agg(case a.atttypid when 'uuid'::regtype then '{UUID(int=0)}'
     when 'date'::regtype then '2000-01-01' else '0' end order by k.position)
   from unnest(c.confkey) with ordinality k (attnum, position)
   join pg_attribute a on a.attrelid = c.confrelid and a.attnum = k.attnum) as nobody
from pg_constraint c
join pg_namespace n on n.oid = c.connamespace
where c.contype = 'f' and n.nspname in ('public', 'private', 'mgmt')
"""


def test_a_foreign_key_is_checked_by_its_key_while_its_rows_are_not_committed(database: Database) -> None:
    """Autovacuum that comes in the middle of a long insert finds pages and no visible row, and writes that down.

    Then every index costs the same, the one made last wins, and each check reads all of the organisation's rows:
    42,000 notifications took ten minutes instead of two seconds. An index that demands its own column to be not null
    (which it is) is no candidate for the check, and serves everybody who names the column.
    """
    by_less: list[tuple[str, str]] = []
    with database.connect("supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.execute(_MAKE_YOUNG)
        admin.execute("set local enable_seqscan = off")
        for key in database.rows(_REFERENCED_KEYS):
            condition = _index_condition(admin, **key)
            if key["referenced"] not in _FEW and not re.search(rf"\b{key['columns'][-1]} = ", condition):
                by_less.append((key["referenced"], condition))
    assert by_less == []


def _index_condition(admin: psycopg.Connection[Any], referenced: str, columns: list[str], nobody: list[str]) -> str:
    """By what the row of a foreign key's check would be looked up; "" by reading all of them."""
    condition = sql.SQL(" and ").join(
        sql.SQL("x.{} = {}").format(sql.Identifier(column), sql.Literal(value))
        for column, value in zip(columns, nobody, strict=True)
    )
    check = sql.SQL("explain (format json) select 1 from only {} x where {} for key share of x")
    row = admin.execute(
        check.format(
            sql.SQL(referenced),  # pyright: ignore[reportArgumentType] - a name of the catalogue
            condition,
        )
    ).fetchone()
    assert row is not None
    scan = row["QUERY PLAN"][0]["Plan"]["Plans"][0]
    return scan.get("Index Cond", "")


_PLANNED = """
select s.query, s.plans from extensions.pg_stat_statements s
where s.dbid = (select oid from pg_database where datname = current_database()) and not s.toplevel and s.plans > 3
"""
_FORGET = "select extensions.pg_stat_statements_reset(dbid => oid) from pg_database where datname = current_database()"
_ORGANIZATION = "insert into public.organizations (name) values ('Test') returning id"
_RULE = """
insert into public.scenario_rules (organization_id, type, name, is_enabled, informs_coordinators)
values (%s, %s, 'Rule', true, true)
"""
_PEOPLE = """
insert into public.users (organization_id, full_name, role, joined_at)
select %s, 'Mentor', 'peer_mentor', now() - interval '2 years' from generate_series(1, 40)
returning id
"""


def test_what_a_decision_plans_does_not_depend_on_how_many_are_told(database: Database) -> None:
    """A setting of a function reaches all that it calls, the checks of foreign keys included.

    Under `force_custom_plan` each check was planned anew for each row, and a call for one person spent most of its time
    on planning.
    """
    decide = "select public.evaluate_people(%s, %s) -> 'counts' as counts"
    with database.connect("supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.execute("set local pg_stat_statements.track = 'all'")
        admin.execute("set local pg_stat_statements.track_planning = on")
        (organization,) = (row["id"] for row in admin.execute(_ORGANIZATION))
        admin.execute(_RULE, (organization, "inactivity"))
        first, *others = (row["id"] for row in admin.execute(_PEOPLE, (organization,)))
        admin.execute(decide, (organization, [first]))
        admin.execute(_FORGET)
        assert admin.execute(decide, (organization, others)).fetchall() == [{"counts": {"inactivity": {"sent": 39}}}]
        assert admin.execute(_PLANNED).fetchall() == []


_DAYS = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'other', now() - make_interval(days => n)
from public.users u cross join generate_series(1, 10) n where u.organization_id = %s
"""


def test_what_a_rebuild_plans_does_not_depend_on_how_many_rows_it_writes(database: Database) -> None:
    """As above: the check that a row's person exists was planned anew for each of a person's 350 rows."""
    rebuild = "select private.rebuild_statistics(%s, %s, %s, now(), null) -> 'statistics' -> 'rows_written' as rows"
    with database.connect("supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.execute("set local pg_stat_statements.track = 'all'")
        admin.execute("set local pg_stat_statements.track_planning = on")
        (organization,) = (row["id"] for row in admin.execute(_ORGANIZATION))
        _, second, *_ = sorted(row["id"] for row in admin.execute(_PEOPLE, (organization,)))
        admin.execute(_DAYS, (organization,))
        admin.execute(rebuild, (organization, None, second))
        admin.execute(_FORGET)
        written = admin.execute(rebuild, (organization, second, None)).fetchone()
        assert written is not None
        assert written["rows"] >= 39 * 10
        assert admin.execute(_PLANNED).fetchall() == []


def test_plans_that_are_kept_do_not_remember_that_a_table_was_empty(database: Database) -> None:
    """Of an empty table a scan costs nothing, and the plan would be kept while the table grows."""
    assert (
        database.rows(
            "select p.oid::regprocedure::text as function from pg_proc p "
            "where 'plan_cache_mode=force_generic_plan' = any (p.proconfig) "
            "and not 'enable_seqscan=off' = any (p.proconfig)"
        )
        == []
    )


def test_a_plan_that_is_kept_finds_everybody_by_their_key_though_it_was_made_while_tables_were_young(
    database: Database,
) -> None:
    """As for foreign keys (above): a probe by the organisation alone would be kept, and read more with every import."""
    plans: list[str] = []
    with database.connect("supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.add_notice_handler(lambda notice: plans.extend((notice.message_primary or "").splitlines()))
        admin.execute("load 'auto_explain'")
        for setting in ("log_nested_statements = on", "log_min_duration = 0", "log_parameter_max_length = 0"):
            admin.execute(f"set local auto_explain.{setting}".encode())
        (organization,) = (row["id"] for row in admin.execute(_ORGANIZATION))
        for scenario in ("inactivity", "milestone", "certification_expiry"):
            admin.execute(_RULE, (organization, scenario))
        people = [row["id"] for row in admin.execute(_PEOPLE, (organization,))]
        admin.execute(_MAKE_YOUNG)
        admin.execute("set local client_min_messages = log")
        admin.execute("select public.evaluate_people(%s, %s)", (organization, people))
        admin.execute("set local client_min_messages = notice")
    scans = [
        (scan, condition) for scan, condition in pairwise(plans) if "Index Cond: " in condition and "$" in condition
    ]
    assert len(scans) > 20
    assert [
        s for s in scans if re.search(r"Cond: \(organization_id = [^ ]+\)$", s[1]) and " on scenario_rules " not in s[0]
    ] == []


_SERVICES = """
insert into public.services (organization_id, service_date, kind)
select %s, date '2026-01-04' + 7 * n, 'liturgy' from generate_series(0, 1) n
"""
_MEMBERS = "insert into public.people (organization_id, full_name) select %s, 'Member' from generate_series(1, %s)"
_ATTEND = """
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
select p.organization_id, p.id, s.id, s.service_date, 'present'
from public.services s join public.people p on p.organization_id = s.organization_id where s.organization_id = %s
"""
_MANY = 1000
# Of each: themselves, their two records and services, which plans hand on from node to node.
_ROWS_FOR_EACH = 20


@pytest.mark.parametrize("known", [1, 2, 3])
@pytest.mark.parametrize(
    "write",
    [
        _ATTEND,
        "update public.attendance_records r set status = 'absent' where r.organization_id = %s",
        "delete from public.attendance_records r where r.organization_id = %s",
        "update public.organizations o set time_zone = 'Africa/Cairo' where o.id = %s",
    ],
    ids=["taken", "corrected", "deleted", "moved"],
)
def test_attendance_reads_as_much_of_each_of_many_while_the_statistics_know_of_few(
    database: Database, known: int, write: str
) -> None:
    """As after a first try with a person or two: everybody was compared with all, 8,000 people took 10 seconds.

    Rows are counted, not seconds: a plan that compares a thousand people with each other passes a million.
    """
    plans: list[dict[str, Any]] = []
    with database.connect("supabase_admin") as admin, admin.transaction(force_rollback=True):
        admin.add_notice_handler(
            lambda notice: plans.append(json.loads((notice.message_primary or "").partition("plan:")[2])["Plan"])
        )
        for people in (known, _MANY):
            (organization,) = (row["id"] for row in admin.execute(_ORGANIZATION))
            admin.execute(_SERVICES, (organization,))
            admin.execute(_MEMBERS, (organization, people))
            if people == known or write != _ATTEND:
                admin.execute(_ATTEND, (organization,))
            if people == known:
                admin.execute("analyze public.organizations, public.people, public.services, public.attendance_records")
        admin.execute("load 'auto_explain'")
        for setting in (
            "log_nested_statements = on",
            "log_min_duration = 0",
            "log_analyze = on",
            "log_timing = off",
            "log_format = json",
        ):
            admin.execute(f"set local auto_explain.{setting}".encode())
        admin.execute("set local client_min_messages = log")
        admin.execute(write.encode(), (organization,))
        admin.execute("set local client_min_messages = notice")
    # The statement itself is planned as its writer wrote it; ours is what it fires.
    *fired, _ = plans
    assert any(_rows_read(plan) >= _MANY for plan in fired)
    assert [plan for plan in fired if _rows_read(plan) > _ROWS_FOR_EACH * _MANY] == []


def _rows_read(plan: dict[str, Any]) -> int:
    """What all nodes of a plan have handed on, and what they have looked at and left out."""
    left_out = sum(value for name, value in plan.items() if name.startswith("Rows Removed"))
    return (plan["Actual Rows"] + left_out) * plan["Actual Loops"] + sum(map(_rows_read, plan.get("Plans", ())))
