"""What the database says of itself: versions, migrations, Vault, grants, row-level security, settings. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from attend.doctor import privileges
from attend.doctor.findings import Finding, found
from attend.stack import migrations

type Connection = psycopg.Connection[Any]

TESTED_POSTGRES = 17
# What platform.md was read from and the embedded stack stands in for.
TESTED_EXTENSIONS = {"pg_cron": (1, 6), "pg_net": (0, 20), "pgcrypto": (1, 3), "supabase_vault": (0, 3)}
_API_ROLES = ("anon", "authenticated", "service_role")
# Schema by schema, and who may use it.
_USERS_OF_SCHEMAS = (["private", "private", "mgmt"], ["authenticated", "service_role", "authenticated"])


def extensions(connection: Connection) -> Iterator[Finding]:
    """The server's version and login, and the extensions that are used."""
    version = connection.info.server_version // 10_000
    if version < TESTED_POSTGRES:
        yield found("postgres_untested", f"The server is Postgres {version}.")
    login = _value(connection, "select current_user::text")
    if login != "postgres":
        yield found("login_is_not_postgres", f"The doctor is logged in as {login}.")
    there = dict(_rows(connection, "select extname::text, extversion from pg_extension"))
    for name, tested in TESTED_EXTENSIONS.items():
        if name not in there:
            yield found("extension_missing", f"The extension {name} is not installed.")
        elif _numbers(there[name]) < tested:
            wanted = ".".join(str(part) for part in tested)
            yield found("extension_old", f"{name} is {there[name]}; tested is {wanted} and later.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def applied(connection: Connection, folder: Path) -> Iterator[Finding]:
    """Which of the migrations here are not applied there, and the other way round."""
    local = {migration.version: migration.name for migration in migrations.find(folder)}
    recorded: set[str] = set()
    if _value(connection, "select to_regclass('supabase_migrations.schema_migrations') is not null"):
        recorded = {row[0] for row in _rows(connection, "select version from supabase_migrations.schema_migrations")}
    missing = [f"{version}_{local[version]}" for version in sorted(local.keys() - recorded)]
    if missing:
        yield found("migrations_missing", f"{len(missing)} of {len(local)} are not applied: {_some(missing)}.")
    if unknown := sorted(recorded - local.keys()):
        yield found("migrations_unknown", f"{len(unknown)} are applied that are not here: {_some(unknown)}.")


def secrets(connection: Connection) -> Iterator[Finding]:
    """Whether what stands in Vault was ever meant. (Missing and malformed ones are health's.) No value leaves Vault."""
    looks_made_up = r"(example\.(org|com|net)|^env\(|[<>…]|your[-_])"
    query = "select s.name from vault.decrypted_secrets s where s.name like 'attend\\_%%' and s.decrypted_secret ~* %s"
    for (name,) in _rows(connection, query, (looks_made_up,)):
        yield found("secret_placeholder", f"{name} in Vault is a placeholder.")


def grants(connection: Connection) -> Iterator[Finding]:
    """Who may do what of ours, against the matrix. What else is in `public` is the project's own."""
    yield from _differences(privileges.RELATIONS, privileges.relations(connection))
    yield from _differences(privileges.expected_functions(), privileges.functions(connection))
    yield from _differences({}, privileges.sequences(connection))
    for where, (lost, gained) in _column_differences(connection):
        relation, role, right = where
        if lost:
            yield found("grant_missing", f"{role} lacks {right} on {lost} of {relation}.")
        if gained:
            yield found("grant_extra", f"{role} has {right} on {gained} of {relation}.")
    for schema, role in _rows(
        connection,
        "select n.nspname::text, r from pg_namespace n, unnest(%s::text[]) r where n.nspname in ('private', 'mgmt')"
        " and (has_schema_privilege(r, n.oid, 'create') or (has_schema_privilege(r, n.oid, 'usage')"
        " and r not in (select role from unnest(%s::text[], %s::text[]) u (name, role) where u.name = n.nspname)))",
        (list(_API_ROLES), *_USERS_OF_SCHEMAS),
    ):
        yield found("grant_extra", f"{role} may do more in the schema {schema} than it needs.")


def _differences(expected: privileges.Granted, there: privileges.Granted) -> Iterator[Finding]:
    for name in sorted(expected.keys() | {name for name in there if not name.startswith("public.")}):
        wanted, has = expected.get(name, {}), there.get(name, {})
        for role in sorted(wanted.keys() | has.keys()):
            before, now = set(wanted.get(role, "").split()), set(has.get(role, "").split())
            if before - now:
                yield found("grant_missing", f"{role} lacks {_some(before - now)} on {name}.")
            if now - before:
                yield found("grant_extra", f"{role} has {_some(now - before)} on {name}.")


def _column_differences(connection: Connection) -> Iterator[tuple[tuple[str, str, str], tuple[str, str]]]:
    there = privileges.columns(connection)
    for where in sorted(privileges.COLUMNS.keys() | {key for key in there if key[0] in privileges.RELATIONS}):
        before, now = set(privileges.COLUMNS.get(where, "").split()), set(there.get(where, "").split())
        yield where, (_some(before - now), _some(now - before))


def row_level_security(connection: Connection) -> Iterator[Finding]:
    """Whether it is on for every table of ours."""
    query = (
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p') and not c.relrowsecurity"
        " and (n.nspname = 'private' or n.nspname || '.' || c.relname = any (%s)) order by 1"
    )
    for (table,) in _rows(connection, query, (list(privileges.RELATIONS),)):
        yield found("rls_off", f"Row-level security is off for {table}: whoever is granted it sees every organisation.")


def settings(connection: Connection) -> Iterator[Finding]:
    """What roles and the database are set to, as far as it can hurt; and pg_cron's own."""
    set_to = _rows(
        connection,
        "select coalesce(r.rolname::text, 'everybody'), split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)"
        " from pg_db_role_setting s cross join lateral unnest(s.setconfig) c left join pg_roles r on r.oid = s.setrole"
        " where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))",
    )
    for role, name, value in set_to:
        yield from _setting(connection, role, name, value)
    if _value(connection, "select pg_is_in_recovery()"):
        yield found("database_read_only", "This server is a replica.")
    preloaded = [
        value for role, name, value in set_to if role == "authenticator" and name.endswith("preload_libraries")
    ]
    if not any("safeupdate" in value for value in preloaded):
        yield found("safeupdate_off", "pg-safeupdate does not guard the API against updates without a condition.")
    elsewhere = _value(connection, "select nullif(current_setting('cron.database_name', true), current_database())")
    if elsewhere:
        yield found("cron_elsewhere", f"pg_cron works in the database {elsewhere}.")
    zone = _value(connection, "select current_setting('cron.timezone', true)")
    if zone and zone.upper() not in {"GMT", "UTC", "ETC/UTC", "ETC/GMT"}:
        yield found("cron_zone", f"pg_cron reads its schedules in {zone}.")


# Below these, long RPCs have their own; jobs of cron and short RPCs do not.
_LOWEST_TIMEOUTS = {"postgres": 60_000, "everybody": 60_000, "authenticator": 3_000, "service_role": 3_000}


def _setting(connection: Connection, role: str, name: str, value: str) -> Iterator[Finding]:
    match name:
        case "statement_timeout" if role in _LOWEST_TIMEOUTS:
            milliseconds = _value(
                connection,
                "select case when %(v)s ~ '^[0-9]+$' then %(v)s::numeric"
                " else extract(epoch from %(v)s::interval) * 1000 end",
                {"v": value.strip()},
            )
            if 0 < milliseconds < _LOWEST_TIMEOUTS[role]:
                yield found("statement_timeout_low", f"statement_timeout of {role} is {value}.")
        case "session_replication_role" if value != "origin":
            yield found("triggers_off", f"session_replication_role of {role} is {value}: nothing they write is marked.")
        case "default_transaction_read_only" if value in {"on", "true", "1", "yes"}:
            yield found("database_read_only", f"{role} may only read.")
        case "synchronous_commit" if value in {"off", "false", "0", "no"}:
            yield found("commits_not_durable", f"synchronous_commit of {role} is off.")
        case _:
            pass


def _some(names: set[str] | list[str], most: int = 6) -> str:
    listed = sorted(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest


def _rows(connection: Connection, query: str, params: Any = None) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), params).fetchall()


def _value(connection: Connection, query: str, params: Any = None) -> Any:
    return _rows(connection, query, params)[0][0]
