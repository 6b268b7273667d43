"""The declarative schema files: their order, and databases described so that two can be compared."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import psycopg

from attend.stack import installation
from tests.support.database import Server

SUPABASE = Path(__file__).parents[2] / "supabase"

# Within a feature: types, then functions (columns' checks call them; bodies are checked by the tests), then tables.
ORDER_IN_FEATURE = ("types.sql", "functions/*.sql", "tables.sql", "views/*.sql")

# Rows that belong to the schema: without them nothing runs.
ROWS_OF_THE_SCHEMA = (
    # When it was added is the database's.
    "select 'private.schedules', to_jsonb(s) - 'added_at' from private.schedules s order by s.name",
    "select 'private.retention', to_jsonb(r) from private.retention r order by r.name",
    "select 'private.bells', to_jsonb(b) from private.bells b order by b.function_name",
    "select 'private.push_providers', to_jsonb(p) from private.push_providers p order by p.name",
    # Its number, database and port are the server's.
    "select 'cron.job', to_jsonb(j) - '{jobid,database,nodeport}'::text[] from cron.job j order by j.jobname",
)


def schema_files() -> list[Path]:
    """Every file of supabase/schemas in the order in which it is applied."""
    features = sorted(path for path in (SUPABASE / "schemas").iterdir() if path.is_dir())
    return [file for feature in features for pattern in ORDER_IN_FEATURE for file in sorted(feature.glob(pattern))]


def apply_schemas(server: Server, database: str) -> None:
    """Applies the files as `postgres` in one session."""
    with psycopg.connect(server.dsn(dbname=database), autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        for file in schema_files():
            try:
                connection.execute(file.read_bytes(), prepare=False)
            except psycopg.Error as error:
                error.add_note(f"while applying {file.relative_to(SUPABASE)}")
                raise


def describe(server: Server, database: str) -> list[str]:
    """The schema of a whole database, statement by statement, and the rows that belong to it."""
    command = [str(installation.program("pg_dump")), "--schema-only", "--exclude-schema=supabase_migrations"]
    dump = subprocess.run(
        [*command, server.dsn("supabase_admin", database)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    # Comments carry object numbers, \restrict a random word.
    lines = [
        line for line in dump.splitlines() if line and not re.match(r"--|\\(un)?restrict|SET |SELECT pg_catalog", line)
    ]
    with psycopg.connect(server.dsn(dbname=database)) as connection:
        rows = [str(row) for query in ROWS_OF_THE_SCHEMA for row in connection.execute(query.encode()).fetchall()]
    return lines + rows
