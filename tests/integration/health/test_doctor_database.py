"""What `attend doctor` finds in a database: each fault by its name, and nothing where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from attend.doctor import comparison
from attend.doctor.cli import connect
from attend.stack.errors import StartError
from tests.support import database as databases
from tests.support.command import Attend, runner
from tests.support.database import Database

pytestmark = pytest.mark.embedded

UNCHANGED = {"safeupdate_off", "api_not_asked", "functions_not_asked"}


@pytest.fixture
def attend(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attend:
    """Nobody says where the API is."""
    run = runner("", "", monkeypatch, capsys)
    monkeypatch.delenv("API_URL", raising=False)
    return run


@pytest.fixture
def fresh(cluster: databases.Server, template_database: str) -> Iterator[Database]:
    """A database with every migration, to break."""
    database = databases.clone_database(cluster, template_database, "doctor")
    yield database
    databases.drop_database(database)


def found(attend: Attend, database: Database, *options: str, login: str = "postgres") -> list[dict[str, str]]:
    """What is found, but for health, which nothing in this file keeps well."""
    database.close()
    ran = attend("doctor", "--db-url", database.dsn(login), "--json", *options)
    findings = json.loads(ran.out)["findings"]
    assert ran.status == int(any(finding["severity"] != "note" for finding in findings))
    return [finding for finding in findings if finding["check"] != "health"]


def codes(attend: Attend, database: Database, *options: str, login: str = "postgres") -> set[str]:
    return {finding["code"] for finding in found(attend, database, *options, login=login)} - UNCHANGED


FAULTS = [
    ("drop extension pg_net cascade", "extension_missing"),
    ("delete from supabase_migrations.schema_migrations where name = 'health'", "migrations_missing"),
    ("drop schema supabase_migrations cascade", "migrations_missing"),
    ("insert into supabase_migrations.schema_migrations (version) values ('20990101000000')", "migrations_unknown"),
    ("select vault.create_secret('https://functions.example.org', 'attend_functions_url')", "secret_placeholder"),
    ("select vault.create_secret('env(ATTEND_WEBHOOK_SECRET)', 'attend_webhook_secret')", "secret_placeholder"),
    ("revoke select on public.users from authenticated", "grant_missing"),
    ("revoke execute on function public.start_run from service_role", "grant_missing"),
    ("revoke update (time_zone) on public.users from authenticated", "grant_missing"),
    ("grant truncate on public.users to anon", "grant_extra"),
    ("grant select on private.runs to public", "grant_extra"),
    ("grant execute on function public.start_run to authenticated", "grant_extra"),
    ("grant update (role) on public.users to authenticated", "grant_extra"),
    ("grant usage on schema private to anon", "grant_extra"),
    ("grant create on schema private to service_role", "grant_extra"),
    ("grant usage on schema mgmt to service_role", "grant_extra"),
    ("grant select on mgmt.engagement_dau_90d_v to anon", "grant_extra"),
    ("create view mgmt.theirs as select 1 as one; grant select on mgmt.theirs to authenticated", "grant_extra"),
    ("grant usage on sequence private.runs_id_seq to service_role", "grant_extra"),
    ("create table private.theirs (); grant select on private.theirs to authenticated", "grant_extra rls_off"),
    ("alter table public.users disable row level security", "rls_off"),
    ("alter table private.outbox disable row level security", "rls_off"),
    ("alter database {db} set statement_timeout = '5s'", "statement_timeout_low"),
    ("alter role authenticator in database {db} set statement_timeout = '900ms'", "statement_timeout_low"),
    ("alter role service_role in database {db} set statement_timeout = 1500", "statement_timeout_low"),
    ("alter role postgres in database {db} set session_replication_role = replica", "triggers_off"),
    ("alter database {db} set default_transaction_read_only = on", "database_read_only"),
    ("alter database {db} set synchronous_commit = off", "commits_not_durable"),
    ("alter database {db} set cron.database_name = 'elsewhere'", "cron_elsewhere"),
    ("alter database {db} set cron.timezone = 'Europe/Oslo'", "cron_zone"),
]


@pytest.mark.parametrize(("fault", "expected"), FAULTS, ids=[fault[:60] for fault, _ in FAULTS])
def test_each_fault_is_found_by_its_name_and_no_other(
    attend: Attend, fresh: Database, fault: str, expected: str
) -> None:
    with fresh.connect("supabase_admin" if "{db}" in fault else "postgres") as connection:
        connection.execute(fault.format(db=fresh.name).encode())
    assert codes(attend, fresh, "--no-compare") == set(expected.split())


@pytest.mark.parametrize(
    ("extension", "finding"),
    [
        ("pg_cron", "job_missing"),
        ("pg_net", "bell_secret_missing net_missing"),
        ("supabase_vault", "bell_secret_missing"),
    ],
)
def test_health_misses_the_extension_that_is_gone_and_no_other(fresh: Database, extension: str, finding: str) -> None:
    if extension == "pg_cron":
        for name in ("attend_functions_url", "attend_webhook_secret"):
            value = "https://a.test" if name.endswith("url") else "whsec_" + "QUJD" * 11
            fresh.execute("select vault.create_secret(%s, %s)", (value, name))
    with fresh.connect("supabase_admin") as connection:
        connection.execute(f"drop extension {extension} cascade".encode())
    found = fresh.rows("select distinct finding from public.health where severity = 'error'")
    # Here no cron runs: an hour after the database was made its schedules are late.
    assert {row["finding"] for row in found} - {"schedule_late"} == set(finding.split())


HARMLESS = [
    "create table public.theirs (id int); grant all on public.theirs to anon",
    "create function public.theirs() returns int language sql as 'select 1'",
    "alter database {db} set statement_timeout = '90s'",
    "alter database {db} set statement_timeout = 0",
    "alter role anon in database {db} set statement_timeout = '500ms'",
    "alter database {db} set cron.timezone = 'UTC'",
    "update private.schedules set expected_interval = '2 hours' where name = 'scenario-evaluation'",
]


@pytest.mark.parametrize("change", HARMLESS)
def test_what_is_the_projects_own_is_no_finding(attend: Attend, fresh: Database, change: str) -> None:
    with fresh.connect("supabase_admin" if "{db}" in change else "postgres") as connection:
        connection.execute(change.format(db=fresh.name).encode())
    assert codes(attend, fresh, "--no-compare") == set()


def test_pg_safeupdate_is_no_longer_missed_where_it_is_loaded(attend: Attend, fresh: Database) -> None:
    with fresh.connect("supabase_admin") as connection:
        load = f"alter role authenticator in database {fresh.name} set session_preload_libraries = safeupdate"
        connection.execute(load.encode())
    assert "safeupdate_off" not in {finding["code"] for finding in found(attend, fresh, "--no-compare")}


def test_another_login_sees_less_and_is_named(attend: Attend, fresh: Database) -> None:
    assert codes(attend, fresh, "--no-compare", login="supabase_admin") == {"login_is_not_postgres"}
    # Who may not even read Vault has checks that fail, and no traceback.
    assert "check_failed" in codes(attend, fresh, "--no-compare", login="authenticator")


CHANGES = {
    "drop trigger activities_mark_statistics_deleted on public.activities": "definition_missing",
    "alter table private.scenario_marks disable trigger scenario_marks_ring_bell": "definition_changed",
    "create or replace function private.local_date(p_at timestamptz, p_time_zone text) returns date"
    " language sql immutable set search_path = '' as 'select p_at::date'": "definition_changed",
    "alter function private.current_user_id() security invoker": "definition_changed",
    "alter view public.health set (security_invoker = false)": "definition_changed",
    "alter table private.cooldowns drop constraint cooldown_is_not_negative": "definition_missing",
    "drop index private.cooldowns_last_triggered": "definition_missing",
    "alter table public.users alter role drop not null": "definition_changed",
    "select cron.schedule('attend-scenario-tick', '0 0 * * *', 'select 1')": "definition_changed",
    'alter policy "people read their organisation" on public.organizations using (true)': "policy_changed",
    'drop policy "people read their own login" on public.user_logins': "policy_missing",
    'create policy "everybody" on public.users for select to authenticated using (true)': "policy_extra",
    "create function public.theirs() returns trigger language plpgsql as 'begin return null; end';"
    " create trigger theirs after insert on public.users execute function public.theirs()": "trigger_extra",
}


def test_definitions_are_compared_with_the_migrations(attend: Attend, fresh: Database) -> None:
    assert codes(attend, fresh) == set()
    for change in CHANGES:
        fresh.execute(change)
    differs = [finding for finding in found(attend, fresh) if finding["check"] == "definitions"]
    assert sorted(finding["code"] for finding in differs) == sorted(CHANGES.values())
    said = "\n".join(finding["says"] for finding in differs)
    for name in ("private.local_date", "attend-scenario-tick", "cooldowns_last_triggered", "everybody", "theirs"):
        assert name in said


def test_where_no_server_starts_here_definitions_are_not_compared_and_that_is_said(
    attend: Attend, fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise StartError("Postgres did not become ready.")

    monkeypatch.setattr(comparison.Cluster, "start", refuses)
    assert codes(attend, fresh) == {"not_compared"}


def test_what_was_not_examined_is_not_said_to_be_well(attend: Attend, fresh: Database) -> None:
    fresh.close()
    lines = attend("doctor", "--db-url", fresh.dsn(), "--no-compare").out.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("not examined")] == ["api", "functions"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--db-url", "postgresql://a.test", "--project", "."), "--project and --db-url name more than one"),
        (("--env", "supabase", "--api-url", "https://a.test"), "--env and --api-url name more than one"),
        (("--db-url", ""), "--db-url is empty"),
        (("--api-url", "https://a.test"), "not where its database is"),
        (("--db-url", "postgresql://a.test", "--api-url", "a.test"), "SUPABASE_URL is not usable"),
    ],
)
def test_what_names_no_installation_or_two_is_refused(attend: Attend, options: tuple[str, ...], said: str) -> None:
    ran = attend("doctor", *options)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err


def test_a_database_that_does_not_answer_is_not_reachable(attend: Attend) -> None:
    ran = attend("doctor", "--db-url", "postgresql://postgres:not-to-be-told@127.0.0.1:1/postgres")
    assert (ran.status, ran.out) == (2, "")
    assert "does not answer" in ran.err
    ran = attend("doctor", "--db-url", "postgresql://postgres:not-to-be-told@127.0.0.1:1/postgres", "--json")
    assert (ran.status, json.loads(ran.out)["status"]) == (2, "not_reachable")
    assert "not-to-be-told" not in ran.out + ran.err
    ran = attend("doctor", "--db-url", "no address, and not-to-be-told")
    assert (ran.status, "The address of the database cannot be read" in ran.err) == (2, True)
    assert "not-to-be-told" not in ran.out + ran.err


def test_the_connection_that_examines_cannot_write_and_leaves_no_setting_behind(fresh: Database) -> None:
    """Behind a pooler a setting of the session would be the next one's."""
    with connect(fresh.dsn()) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create table public.theirs ()")
        connection.rollback()
        shown = connection.execute("show default_transaction_read_only").fetchone()
    assert shown == ("off",)
