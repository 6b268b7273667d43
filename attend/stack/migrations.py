"""Applies supabase/migrations the way the Supabase CLI 3.1 does, and records them as it does.

Same table, same versions, same split into statements: `supabase db push` right after finds nothing to do, and
`supabase migration list` shows every file on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from attend.stack.errors import MigrationError

# The CLI skips files of any other name, too.
_FILE_NAME = re.compile(r"^([0-9]+)_(.*)\.sql$")

_HISTORY = """
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
alter table supabase_migrations.schema_migrations add column if not exists statements text[];
alter table supabase_migrations.schema_migrations add column if not exists name text;
"""

# Anything inside which a semicolon does not end a statement, and the words that open and close SQL bodies.
_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*)
  | (?P<block>/\*)
  | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)
  | (?P<escaped>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>'(?:[^']|'')*')
  | (?P<identifier>"(?:[^"]|"")*")
  | (?P<atomic>(?<![\w$])begin\s+atomic(?![\w$]))
  | (?P<opening>(?<![\w$])case(?![\w$]))
  | (?P<closing>(?<![\w$])end(?![\w$]))
  | (?P<word>[A-Za-z_][\w$]*)
  | (?P<end_of_statement>;)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Migration:
    """One file of supabase/migrations."""

    version: str
    name: str
    path: Path

    def statements(self) -> list[str]:
        """Its statements, as the CLI would send and record them."""
        return list(split_statements(self.path.read_text(encoding="utf-8")))


def split_statements(sql: str) -> Iterator[str]:
    """Yields the statements of `sql` without their final semicolon; comments stay with the statement they precede."""
    start = position = depth = 0
    while match := _TOKEN.search(sql, position):
        position = match.end()
        kind = match.lastgroup
        if kind == "block":
            position = _end_of_block_comment(sql, position)
        elif kind == "dollar":
            closing = sql.find(match.group(), position)
            position = len(sql) if closing < 0 else closing + len(match.group())
        elif kind == "atomic" or (kind == "opening" and depth):
            depth += 1
        elif kind == "closing" and depth:
            depth -= 1
        elif kind == "end_of_statement" and not depth:
            if statement := sql[start : position - 1].strip():
                yield statement
            start = position
    if statement := sql[start:].strip():
        yield statement


def _end_of_block_comment(sql: str, position: int) -> int:
    depth = 1
    for match in re.compile(r"/\*|\*/").finditer(sql, position):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)


def find(directory: Path) -> list[Migration]:
    """The migrations of a directory in the order of their versions."""
    matches = [(_FILE_NAME.match(path.name), path) for path in sorted(directory.glob("*.sql"))]
    return [Migration(match[1], match[2], path) for match, path in matches if match]


def apply(dsn: str, directory: Path) -> list[str]:
    """Applies what the history lacks, one transaction a file, and returns the versions applied.

    `dsn` must log in as `postgres`, as on the platform: a superuser hides failures that users would have.
    Raises MigrationError with file, statement number and the server's words; that file is rolled back whole.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute(_HISTORY)
        rows = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
        known = {row[0] for row in rows}
        pending = [migration for migration in find(directory) if migration.version not in known]
        for migration in pending:
            _apply_one(connection, migration)
    return [migration.version for migration in pending]


def _apply_one(connection: psycopg.Connection, migration: Migration) -> None:
    statements = migration.statements()
    with connection.transaction():
        for number, statement in enumerate(statements):
            try:
                # Bytes: a literal percent sign in a migration is not a placeholder.
                connection.execute(statement.encode(), prepare=False)
            except psycopg.Error as error:
                raise MigrationError(
                    f"{migration.path.name}, statement {number}: {_describe(error)}",
                    "\n".join(statement.splitlines()[:12]),
                ) from error
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements) values (%s, %s, %s)",
            (migration.version, migration.name, statements),
        )
    # A migration may have changed settings of the session; the CLI starts each file from a clean one.
    connection.execute("reset all")
    connection.execute("set client_min_messages = warning")


def _describe(error: psycopg.Error) -> str:
    diagnostics = error.diag
    parts = [f"{error.sqlstate or ''} {diagnostics.message_primary or error}".strip()]
    parts += [text for text in (diagnostics.message_detail, diagnostics.message_hint, diagnostics.context) if text]
    return "\n  ".join(parts)
