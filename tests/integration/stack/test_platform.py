"""The platform contract of the embedded Postgres: roles, schemas, auth, default privileges in both modes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from attend.stack import installation
from attend.stack.cluster import Cluster
from attend.stack.processes import postgres_account
from tests.support.database import PRISTINE, Database, clone_database, drop_database, exposes_new_tables

pytestmark = [pytest.mark.embedded]


@pytest.fixture(scope="module")
def platform(cluster: Cluster) -> Iterator[Database]:
    """A database with the platform and nothing else."""
    database = clone_database(cluster, PRISTINE, "platform")
    yield database
    drop_database(database)


@pytest.fixture(scope="module")
def other_mode() -> Iterator[Database]:
    """The platform in the mode this run of the suite does not use."""
    directory = installation.clusters_directory(postgres_account()) / f"test-{os.getpid()}-other-mode"
    cluster = Cluster(directory, expose_new_tables=not exposes_new_tables())
    cluster.start()
    database = Database(cluster, "postgres")
    yield database
    database.close()
    cluster.remove()


def role(platform: Database, name: str) -> dict[str, Any]:
    (found,) = platform.rows("select * from pg_roles where rolname = %s", (name,))
    return found


def test_postgres_is_no_superuser_and_may_create_what_a_project_needs(platform: Database) -> None:
    found = role(platform, "postgres")
    assert not found["rolsuper"]
    assert all(found[name] for name in ("rolcreatedb", "rolcreaterole", "rolreplication", "rolbypassrls"))
    assert found["rolconfig"] == ['search_path="$user", public, extensions']


def test_the_api_roles_cannot_log_in_and_only_service_role_bypasses_row_security(platform: Database) -> None:
    found = {name: role(platform, name) for name in ("anon", "authenticated", "service_role")}
    assert not any(value["rolcanlogin"] or value["rolsuper"] for value in found.values())
    assert [name for name, value in found.items() if value["rolbypassrls"]] == ["service_role"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("anon", ["statement_timeout=3s"]),
        ("authenticated", ["statement_timeout=8s"]),
        ("service_role", None),
        ("authenticator", ["statement_timeout=8s", "lock_timeout=8s"]),
    ],
)
def test_a_role_has_the_time_outs_of_the_platform(platform: Database, name: str, settings: list[str] | None) -> None:
    assert role(platform, name)["rolconfig"] == settings


def test_the_whole_server_has_a_statement_timeout_of_two_minutes(platform: Database) -> None:
    assert platform.value("show statement_timeout") == "2min"


def test_authenticator_becomes_the_three_api_roles_and_inherits_none(platform: Database) -> None:
    members = platform.rows(
        "select r.rolname from pg_auth_members m join pg_roles r on r.oid = m.roleid "
        "where m.member = 'authenticator'::regrole order by 1"
    )
    assert [row["rolname"] for row in members] == ["anon", "authenticated", "service_role"]
    assert not role(platform, "authenticator")["rolinherit"]


def test_postgres_administers_the_api_roles(platform: Database) -> None:
    granted = platform.rows(
        "select roleid::regrole::text as name from pg_auth_members "
        "where member = 'postgres'::regrole and admin_option order by 1"
    )
    assert [row["name"] for row in granted] == ["anon", "authenticated", "service_role"]


def test_schemas_that_a_migration_must_create_are_absent(platform: Database) -> None:
    present = {row["nspname"] for row in platform.rows("select nspname from pg_namespace where nspname !~ '^pg_'")}
    assert {"auth", "extensions", "graphql_public", "public", "realtime", "storage", "vault"} <= present
    assert present.isdisjoint({"net", "cron", "pgmq", "supabase_functions"})


def test_the_preinstalled_extensions_are_in_their_schemas(platform: Database) -> None:
    rows = platform.rows("select extname, extnamespace::regnamespace::text as place from pg_extension")
    assert {row["extname"]: row["place"] for row in rows} == {
        "plpgsql": "pg_catalog",
        "pgcrypto": "extensions",
        "uuid-ossp": "extensions",
        "pg_stat_statements": "extensions",
        "supabase_vault": "vault",
    }


def test_the_realtime_publication_belongs_to_postgres(platform: Database) -> None:
    owner = platform.value("select pubowner::regrole::text from pg_publication where pubname = 'supabase_realtime'")
    assert owner == "postgres"


def test_auth_users_has_its_35_columns(platform: Database) -> None:
    columns = platform.value(
        "select count(*) from pg_attribute where attrelid = 'auth.users'::regclass and attnum > 0 and not attisdropped"
    )
    assert columns == 35


def test_postgres_may_refer_to_auth_users_and_put_triggers_on_it(platform: Database) -> None:
    platform.execute(
        """
        create table public.profiles (id uuid primary key references auth.users (id) on delete cascade);
        create function public.add_profile() returns trigger language plpgsql security definer set search_path = '' as
          $$ begin insert into public.profiles values (new.id); return null; end $$;
        create trigger add_profile after insert on auth.users for each row execute function public.add_profile();
        """
    )
    with platform.connect("supabase_auth_admin") as service:
        service.execute("insert into auth.users (id, email) values (gen_random_uuid(), 'a@example.org')")
        assert platform.value("select count(*) from public.profiles") == 1
        service.execute("delete from auth.users")
    assert platform.value("select count(*) from public.profiles") == 0


def test_the_auth_service_may_use_no_table_of_ours(platform: Database) -> None:
    platform.execute("create table public.ours (id int)")
    with platform.connect("supabase_auth_admin") as service, pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute("select * from public.ours")


def test_the_claims_of_a_request_are_read_by_the_auth_functions(platform: Database) -> None:
    subject = "5f0c7c0e-8f5e-4a8c-9f3f-0c7d0b1f2a3b"
    with platform.as_role("authenticated", {"sub": subject, "email": "a@example.org"}) as connection:
        row = connection.execute(
            "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'sub' as jwt_sub"
        ).fetchone()
    assert row == {"uid": subject, "role": "authenticated", "email": "a@example.org", "jwt_sub": subject}


def test_without_claims_there_is_nobody(platform: Database) -> None:
    (row,) = platform.rows("select auth.uid(), auth.role(), auth.email(), auth.jwt()")
    assert set(row.values()) == {None}


def test_the_older_claim_settings_are_read_too(platform: Database) -> None:
    with platform.connect(autocommit=False) as connection:
        connection.execute("set local request.jwt.claim.sub = '5f0c7c0e-8f5e-4a8c-9f3f-0c7d0b1f2a3b'")
        row = connection.execute("select auth.uid()::text").fetchone()
    assert row == {"uid": "5f0c7c0e-8f5e-4a8c-9f3f-0c7d0b1f2a3b"}


def test_extensions_are_created_dropped_and_created_again_by_postgres(platform: Database) -> None:
    for _ in range(2):
        platform.execute("create extension if not exists pg_net with schema extensions")
        platform.execute("create extension if not exists pg_cron")
        assert platform.value("select count(*) from pg_namespace where nspname in ('net', 'cron')") == 2
        platform.execute("drop extension pg_net")
        platform.execute("drop extension pg_cron")
    assert platform.value("select count(*) from pg_namespace where nspname in ('net', 'cron')") == 0


def test_uuid_functions_agree_with_the_standard(platform: Database) -> None:
    (row,) = platform.rows(
        "select extensions.uuid_generate_v3(extensions.uuid_ns_dns(), 'python.org')::text as v3, "
        "extensions.uuid_generate_v5(extensions.uuid_ns_dns(), 'python.org')::text as v5, "
        "substr(extensions.uuid_generate_v1()::text, 15, 1) as v1, "
        "substr(extensions.uuid_generate_v4()::text, 15, 1) as v4"
    )
    assert row == {
        "v3": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
        "v5": "886313e1-3b8a-5372-9b90-0c9aee199e5d",
        "v1": "1",
        "v4": "4",
    }


def privileges(database: Database) -> dict[str, set[str]]:
    """What the API roles may do with a table and a function that were just made."""
    database.execute("drop table if exists public.fresh; create table public.fresh (id int)")
    database.execute("create or replace function public.fresh_function() returns int language sql as 'select 1'")
    names = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN"]
    rows = database.rows(
        "select r.name as role, p.name as privilege from unnest(%s::text[]) r(name), unnest(%s::text[]) p(name) "
        "where has_table_privilege(r.name, 'public.fresh', p.name) union all "
        "select r.name, 'EXECUTE' from unnest(%s::text[]) r(name) "
        "where has_function_privilege(r.name, 'public.fresh_function()', 'EXECUTE')",
        (["anon", "authenticated", "service_role"], names, ["anon", "authenticated", "service_role"]),
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["role"], set()).add(row["privilege"])
    return found


def test_new_tables_are_open_in_one_mode_and_closed_in_the_other(platform: Database, other_mode: Database) -> None:
    first, second = (platform, other_mode) if exposes_new_tables() else (other_mode, platform)
    leftovers = {"TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN", "EXECUTE"}
    everything = leftovers | {"SELECT", "INSERT", "UPDATE", "DELETE"}
    roles = ("anon", "authenticated", "service_role")
    assert privileges(first) == dict.fromkeys(roles, everything)
    # Closed, and yet: anyone may still truncate, and PUBLIC executes functions. That is how such projects are.
    assert privileges(second) == dict.fromkeys(roles, leftovers)
