"""Databases of both default-privilege modes, and the schema files they were made from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from attend.stack import installation, migrations
from attend.stack.cluster import Cluster
from attend.stack.processes import postgres_account
from tests.conftest import on_real_stack, real_database
from tests.support import database as databases

ROOT = Path(__file__).parents[3]
# What the platform gives to new tables and functions in `public`: something to the API roles, or next to nothing.
MODES = {"exposed": True, "closed": False}


@pytest.fixture(scope="session")
def other_cluster() -> Iterator[Cluster]:
    """A server in the mode the suite does not run in."""
    home = installation.clusters_directory(postgres_account())
    cluster = Cluster(home / f"test-{os.getpid()}-other", expose_new_tables=not databases.exposes_new_tables())
    cluster.start()
    yield cluster
    cluster.remove()


def server_of(mode: str, request: pytest.FixtureRequest) -> databases.Server:
    """The server of a default-privilege mode; the real stack has the one it was started with."""
    if MODES[mode] == databases.exposes_new_tables():
        return request.getfixturevalue("cluster")
    if on_real_stack():
        pytest.skip("a real stack has the one default-privilege mode it was started with")
    return request.getfixturevalue("other_cluster")


def platform_of(mode: str) -> str:
    """Name of the database that has the platform and no migration, on the server of that mode."""
    return databases.PRISTINE if MODES[mode] == databases.exposes_new_tables() else "postgres"


@pytest.fixture(scope="session", params=list(MODES))
def catalogue(request: pytest.FixtureRequest) -> Iterator[databases.Database]:
    """A database with every migration applied, in each default-privilege mode. Read it only."""
    server = server_of(request.param, request)
    if on_real_stack():
        database = real_database()
        yield database
        database.close()
        return
    database = databases.clone_database(server, platform_of(request.param), "catalogue")
    migrations.apply(database.dsn(), databases.MIGRATIONS)
    yield database
    databases.drop_database(database)
