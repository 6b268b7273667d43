"""Upgrading: where the first version ran, every later migration is applied over its rows, and the work goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from attend.stack import migrations
from tests.conftest import on_real_stack
from tests.support import database as databases
from tests.support.database import MIGRATIONS, Database
from tests.support.schemas import describe

pytestmark = pytest.mark.skipif(on_real_stack(), reason="a real stack gives no empty database to begin with")

FIRST_VERSION = "20261120000050"
# What somebody has at the first version: told and quiet, told and back, opted out, away, and marks that nobody drained.
ORGANISATION = UUID(int=1)
ROWS = """
insert into public.organizations (id, name, time_zone) values (%(organization)s, 'Norra', 'Europe/Oslo');
insert into public.activity_types (organization_id, id, label, category)
values (%(organization)s, 'visit', 'Visit', 'home_visit') on conflict do nothing;
insert into public.users (organization_id, id, full_name, role, joined_at)
select %(organization)s, md5('user ' || n)::uuid, 'Person ' || n, 'peer_mentor', now() - interval '300 days'
from generate_series(1, 40) n;
insert into public.contacts (organization_id, id, display_name)
select %(organization)s, md5('contact ' || n)::uuid, 'Contact ' || n from generate_series(1, 9) n;
insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)
select %(organization)s, md5('activity ' || n || ' ' || d)::uuid, md5('user ' || n)::uuid, 'visit',
  -- (Two hours, so that who is due is so whether or not clocks have been changed since.)
  now() - make_interval(days => n + 7 * d, hours => 2), 30 + n
from generate_series(1, 40) n, generate_series(0, 9) d;
insert into public.activity_contacts (organization_id, activity_id, contact_id)
select %(organization)s, md5('activity ' || n || ' ' || d)::uuid, md5('contact ' || (n + d) %% 9 + 1)::uuid
from generate_series(1, 40) n, generate_series(0, 9) d;
insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)
select %(organization)s, md5('user ' || n)::uuid, 'inactivity', false from generate_series(30, 34) n;
update public.users set away_from = now() - interval '1 day' where full_name in ('Person 35', 'Person 36');
insert into public.scenario_rules (organization_id, type, name, is_enabled)
values (%(organization)s, 'inactivity', 'quiet', true);
"""
MEMBERS = """
insert into public.families (organization_id, id, name) values (%(organization)s, md5('family')::uuid, 'Berg');
insert into public.people (organization_id, id, family_id, full_name)
select %(organization)s, md5('member ' || n)::uuid, md5('family')::uuid, 'Member ' || n from generate_series(1, 8) n;
insert into public.services (organization_id, id, service_date, kind)
select %(organization)s, md5('service ' || n)::uuid, current_date - 7 * n, 'sunday' from generate_series(1, 4) n;
insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)
select %(organization)s, md5('member ' || n)::uuid, md5('service ' || s)::uuid, current_date - 7 * s,
  (case when n <= 3 and s <= 3 then 'absent' else 'present' end)::public.attendance_status
from generate_series(1, 8) n, generate_series(1, 4) s;
"""
STUDENTS = """
insert into public.students (organization_id, student_id, full_name, level)
select %(organization)s, n, 'Student ' || n, 'A1' from generate_series(1, 5) n;
insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)
select %(organization)s, n, now() - make_interval(days => 9 * d + n), 30
from generate_series(1, 5) n, generate_series(0, 9) d;
"""
# What each later version is first used for, right after its migration: the migrations that follow meet these rows, too.
USED_FROM = {"20261121000030": MEMBERS, "20261121000080": STUDENTS}


def apply_until(database: Database, version: str, directory: Path) -> None:
    """The migrations up to that one which are not applied yet."""
    directory.mkdir(exist_ok=True)
    for file in MIGRATIONS.glob("*.sql"):
        if file.name.partition("_")[0] <= version:
            shutil.copy(file, directory)
    migrations.apply(database.dsn(), directory)


def everybody(database: Database) -> list[UUID]:
    return [row["id"] for row in database.rows("select id from public.users order by id")]


def told(database: Database) -> set[tuple[Any, ...]]:
    """Who was told what when, and what their push is."""
    rows = database.rows(
        "select n.id, n.user_id, n.scenario, n.subject, n.triggered_at, o.id as push, o.state::text as state"
        " from public.notifications n join private.outbox o on o.notification_id = n.id"
    )
    return {tuple(row.values()) for row in rows}


def evaluate(database: Database) -> dict[str, Any]:
    return database.value("select public.evaluate_people(%s, %s) -> 'counts'", (ORGANISATION, everybody(database)))


def activities_by_statistics(database: Database) -> tuple[int, int]:
    row = database.rows(
        "select sum(total_activities)::int as number, sum(total_duration_minutes)::int as minutes"
        " from public.activity_statistics where period_type = 'all_time'"
    )[0]
    return row["number"], row["minutes"]


def activities(database: Database) -> tuple[int, int]:
    row = database.rows(
        "select count(*)::int as number, sum(duration_minutes)::int as minutes from public.activities"
        " where status = 'completed'"
    )[0]
    return row["number"], row["minutes"]


@pytest.fixture(scope="module")
def first_version(cluster: databases.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database of the first version in which people were told, and something is under way in every part."""
    database = databases.clone_database(cluster, databases.PRISTINE, "first_version")
    apply_until(database, FIRST_VERSION, tmp_path_factory.mktemp("first"))
    database.execute(ROWS.replace("%(organization)s", f"'{ORGANISATION}'").replace("%%", "%"))
    while database.value("select (public.drain_statistics_marks(100) ->> 'marks')::int"):
        pass
    assert evaluate(database)["inactivity"]["sent"] == 13
    # A run that has not come far, of which nobody is heard any more.
    holder = uuid4()
    run = database.value("select public.start_run('evaluation', %s)", (holder,))
    database.value("select public.evaluate_chunk(%s, %s, 10)", (run["run_id"], holder))
    database.execute("update private.runs set lease_until = now() - interval '1 second'")
    # And changes that are marked.
    database.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, duration_minutes)"
        " select organization_id, id, 'visit', now() - interval '1 hour', 5 from public.users"
        " where full_name in ('Person 25', 'Person 26')"
    )
    database.close()
    yield database
    databases.drop_database(database)


@pytest.fixture
def upgraded(cluster: databases.Server, first_version: Database, tmp_path: Path) -> Iterator[tuple[Database, Any]]:
    """The same with every later migration, one by one, and who had been told before."""
    database = databases.clone_database(cluster, first_version.name, "upgraded")
    before = told(database)
    later = sorted(
        version for file in MIGRATIONS.glob("*.sql") if (version := file.name.partition("_")[0]) > FIRST_VERSION
    )
    assert later
    for version in later:
        apply_until(database, version, tmp_path / "migrations")
        if version in USED_FROM:
            database.execute(USED_FROM[version].replace("%(organization)s", f"'{ORGANISATION}'"))
    yield database, before
    databases.drop_database(database)


def test_an_upgraded_database_is_that_of_a_new_installation(
    cluster: databases.Server, upgraded: tuple[Database, Any], template_database: str
) -> None:
    database, _ = upgraded
    database.close()
    mine, new = describe(cluster, database.name), describe(cluster, template_database)
    assert [line for line in mine if "private.bells" not in line] == [
        line for line in new if "private.bells" not in line
    ]


def test_what_was_under_way_goes_on_and_nobody_is_told_again(upgraded: tuple[Database, Any]) -> None:
    database, before = upgraded
    assert told(database) == before
    while database.value("select (public.drain_statistics_marks(100) ->> 'marks')::int"):
        pass
    assert activities_by_statistics(database) == activities(database)
    # Who came back is taken back; everybody else who was told is at rest.
    counts = evaluate(database)
    assert counts["inactivity"].get("sent", 0) == 0
    after = told(database)
    assert {row[:5] for row in after} == {row[:5] for row in before}
    assert sorted(row[-1] for row in after) == ["pending"] * 11 + ["retracted"] * 2


def test_a_run_of_the_first_version_is_finished_where_it_stopped(upgraded: tuple[Database, Any]) -> None:
    database, before = upgraded
    holder = uuid4()
    run = database.value("select public.start_run('evaluation', %s)", (holder,))
    assert run["state"] == "resumed"
    evaluate_chunk = "select public.evaluate_chunk(%s, %s, 10)"
    chunks = [database.value(evaluate_chunk, (run["run_id"], holder)) for _ in range(3)]
    assert [(chunk["people"], chunk["done"]) for chunk in chunks] == [(10, False), (10, False), (10, True)]
    report = database.value("select public.run_report(%s)", (run["run_id"],))
    assert (report["state"], report["people"]) == ("finished", 40)
    assert {row[:5] for row in told(database)} == {row[:5] for row in before}


def test_later_versions_know_the_rows_that_were_there_before_them(upgraded: tuple[Database, Any]) -> None:
    database, _ = upgraded
    (version,) = database.rows("select version, rule ->> 'name' as name from public.scenario_rule_versions")
    assert version == {"version": 1, "name": "quiet"}
    at_risk = database.rows("select full_name, consecutive_absences as n from public.people where at_risk_flag")
    assert {(row["full_name"], row["n"]) for row in at_risk} == {(f"Member {n}", 3) for n in (1, 2, 3)}
    assert database.value("select sum(checkins) from public.students") == 50
    database.execute(
        "insert into public.devices (organization_id, user_id, provider, platform, token)"
        " select organization_id, id, 'fcm', 'android', 'token-' || id from public.users"
    )
    claim = database.value("select public.claim_outbox(%s)", (uuid4(),))
    assert (claim["claimed"], len(claim["messages"]), claim["held"]) == (13, 11, {"condition_gone": 2})
