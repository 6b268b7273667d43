"""Fixtures every test may use. `ATTEND_STACK` chooses what they stand on: `embedded` (default) or `supabase`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import database as databases
from tests.support import stack as stacks


def on_real_stack() -> bool:
    """Whether the suite runs against a real `supabase start`."""
    return os.environ.get("ATTEND_STACK", "embedded") == "supabase"


def real_database() -> databases.Database:
    """The database of a real stack, or the one that `ATTEND_DB_URL` names."""
    url = os.environ.get("ATTEND_DB_URL", "postgresql://postgres:postgres@127.0.0.1:54322/postgres")
    return databases.Database(databases.GivenServer(url), urlsplit(url).path.lstrip("/"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """The Postgres server of this test process."""
    if on_real_stack():
        yield real_database().server
        return
    cluster = databases.start_cluster("main")
    yield cluster
    cluster.remove()


@pytest.fixture(scope="session")
def template_database(cluster: databases.Server) -> str:
    """Name of a database with every migration applied as `postgres`; clone it, do not connect to it."""
    return real_database().name if on_real_stack() else databases.make_template(cluster)


@pytest.fixture(scope="module")
def database(
    cluster: databases.Server, template_database: str, request: pytest.FixtureRequest
) -> Iterator[databases.Database]:
    """A fresh database with every migration applied, one for each test file.

    On a real stack it is the stack's own database, emptied of what the file before left.
    """
    if on_real_stack():
        database = real_database()
        databases.empty(database)
        yield database
        database.close()
        return
    database = databases.clone_database(cluster, template_database, request.module.__name__)
    yield database
    databases.drop_database(database)


@pytest.fixture(scope="module")
def stack() -> Iterator[Any]:
    """A whole stack on free ports, one for each test file; on a real stack, that one."""
    if on_real_stack():
        yield stacks.GivenStack()
        return
    with stacks.embedded_stack() as stack:
        yield stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test marked `embedded` configures or kills what a real project does not let us touch.

    Skipped by a mark and not by a fixture: fixtures of a module come before those of a test, and would fail first.
    """
    if on_real_stack():
        for item in items:
            if item.get_closest_marker("embedded"):
                item.add_marker(pytest.mark.skip(reason="needs the embedded stack"))
