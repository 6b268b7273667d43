"""Databases for tests: one server a session, one template with the migrations, one clone a test file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from attend.stack import installation, migrations
from attend.stack.cluster import Cluster
from attend.stack.processes import dead_owner, postgres_account

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
PRISTINE = "pristine"
TEMPLATE = "template_attend"
API_ROLES = frozenset({"anon", "authenticated", "service_role"})
_numbers = itertools.count(1)


class Server(Protocol):
    """What a test needs of a server: connection URLs by role and database."""

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str: ...


class GivenServer:
    """A server that runs already, such as the one of `supabase start`; its roles share one password."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str:
        address = f"{self._parts.hostname}:{self._parts.port or 5432}"
        login = f"{role}:{self._parts.password or 'postgres'}"
        return urlunsplit(("postgresql", f"{login}@{address}", f"/{dbname}", self._parts.query, ""))


class Database:
    """One database. Its own connection is autocommit and is opened at the first use."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self._own: psycopg.Connection[Any] | None = None

    def dsn(self, role: str = "postgres") -> str:
        """Connection URL of a login role (the API roles have none: see `connect`)."""
        return self.server.dsn(role, self.name)

    def connect(self, role: str = "postgres", autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection of its own; an API role is taken by `set role`, with that role's time-out, as the API does."""
        if role not in API_ROLES:
            return psycopg.Connection[dict[str, Any]].connect(
                self.dsn(role), autocommit=autocommit, row_factory=dict_row
            )
        connection = psycopg.Connection[dict[str, Any]].connect(self.dsn(), autocommit=True, row_factory=dict_row)
        connection.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
        connection.execute("select set_config('statement_timeout', %s, false)", ("3s" if role == "anon" else "8s",))
        connection.autocommit = autocommit
        return connection

    def execute(
        self, query: str | sql.SQL | sql.Composed, params: Sequence[Any] | dict[str, Any] | None = None
    ) -> psycopg.Cursor[Any]:
        """Runs one statement as `postgres`; returns the cursor, whose rows are dicts."""
        if self._own is None or self._own.closed:
            self._own = self.connect()
        return self._own.execute(query.encode() if isinstance(query, str) else query, params)

    def rows(self, query: str, params: Sequence[Any] | dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """All rows as dicts."""
        return self.execute(query, params).fetchall()

    def value(self, query: str, params: Sequence[Any] | dict[str, Any] | None = None) -> Any:
        """The first column of the first row."""
        row = self.execute(query, params).fetchone()
        assert row is not None, f"no row from {query}"
        return next(iter(row.values()))

    @contextlib.contextmanager
    def as_role(self, role: str, claims: dict[str, Any] | None = None) -> Iterator[psycopg.Connection[Any]]:
        """An autocommit connection that has taken `role` and carries the claims of a request."""
        with self.connect(role) as connection:
            text = json.dumps({"role": role, **(claims or {})})
            connection.execute("select set_config('request.jwt.claims', %s, false)", (text,))
            yield connection

    @contextlib.contextmanager
    def as_user(self, auth_user_id: object) -> Iterator[psycopg.Connection[Any]]:
        """A connection as the API gives it to a person who is signed in: role authenticated, claims set."""
        with self.as_role("authenticated", {"sub": str(auth_user_id), "aud": "authenticated"}) as connection:
            yield connection

    def close(self) -> None:
        """Closes the own connection."""
        if self._own is not None:
            self._own.close()
            self._own = None


def exposes_new_tables() -> bool:
    """The default-privilege mode the suite runs in: `ATTEND_EXPOSE_NEW_TABLES`, true unless set to false."""
    return os.environ.get("ATTEND_EXPOSE_NEW_TABLES", "true").strip().lower() not in {"false", "0", "no"}


def start_cluster(label: str) -> Cluster:
    """A cluster of this test process; its `postgres` database is kept aside as `pristine` to clone from."""
    home = installation.clusters_directory(postgres_account())
    _sweep(home)
    cluster = Cluster(home / f"test-{os.getpid()}-{label}", expose_new_tables=exposes_new_tables())
    cluster.start()
    _clone(cluster, PRISTINE, "postgres")
    return cluster


def make_template(cluster: Server, directory: Path = MIGRATIONS) -> str:
    """Applies the migrations as `postgres` to a clone of the platform; returns the name of the database."""
    _clone(cluster, TEMPLATE, PRISTINE)
    migrations.apply(cluster.dsn(dbname=TEMPLATE), directory)
    return TEMPLATE


def clone_database(cluster: Server, template: str, label: str) -> Database:
    """A fresh copy of `template`, named after `label`."""
    name = f"{re.sub('[^a-z0-9]+', '_', label.lower())[-40:].strip('_')}_{next(_numbers)}"
    _clone(cluster, name, template)
    return Database(cluster, name)


def drop_database(database: Database) -> None:
    """Closes and drops it, ending whoever is still connected."""
    database.close()
    with psycopg.connect(database.server.dsn(dbname="template1"), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database.name)))


def _clone(server: Server, name: str, template: str) -> None:
    statement = sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
    with psycopg.connect(server.dsn(dbname="template1"), autocommit=True) as admin:
        admin.execute(statement)


def _sweep(home: Path) -> None:
    """Removes what test processes left that were killed."""
    for directory in home.iterdir():
        if dead_owner(directory.name):
            shutil.rmtree(directory, ignore_errors=True)


def empty(database: Database) -> None:
    """Empties the tables of the project, for a server whose databases cannot be cloned."""
    tables = database.rows(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        # the rows of these are the migrations'
        " where schemaname in ('public', 'private') and tablename not in ('bells', 'schedules', 'retention')"
    )
    if tables:
        database.execute(f"truncate {', '.join(row['name'] for row in tables)} restart identity cascade")
    database.execute("delete from auth.users")
