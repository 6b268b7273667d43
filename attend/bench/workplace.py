"""Where SQL is measured: a Postgres of its own with the migrations applied, and nothing else running in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from attend.bench import population
from attend.stack import installation, migrations
from attend.stack.cluster import Cluster
from attend.stack.processes import postgres_account

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"
# No secret of anybody: nothing listens there, and the queue is never emptied.
_URL = "http://127.0.0.1:9/functions/v1"
_SECRET = "whsec_YmVuY2htYXJrLWJlbmNobWFyay1iZW5jaG1hcms="  # noqa: S105 - signs bells that nobody receives


class Workplace:
    """Connections to one database: `admin` a superuser's, `own` that of `postgres`, both autocommit."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.admin = psycopg.connect(cluster.dsn(installation.SUPERUSER), autocommit=True)
        self.own = self.connect()

    def connect(self) -> psycopg.Connection[Any]:
        """A new connection of `postgres` without time limit."""
        connection = psycopg.connect(self.cluster.dsn(), autocommit=True)
        connection.execute("set statement_timeout = 0")
        return connection

    def load(self, people: int, organizations: int = 1, due_per_mille: int = population.DUE_PER_MILLE) -> None:
        """Fills the database anew (`population.load`)."""
        population.load(self.admin, people, organizations, due_per_mille)

    def value(self, query: str, *params: object) -> Any:
        """The first column of the first row, as `postgres`."""
        return population.first(self.own, query, *params)

    def close(self) -> None:
        """Closes both connections."""
        self.own.close()
        self.admin.close()


@contextmanager
def workplace() -> Iterator[Workplace]:
    """A workplace that is gone afterwards."""
    cluster = Cluster(installation.clusters_directory(postgres_account()) / f"bench-{os.getpid()}")
    try:
        cluster.start()
        migrations.apply(cluster.dsn(), MIGRATIONS)
        place = Workplace(cluster)
        for name, secret in (("attend_functions_url", _URL), ("attend_webhook_secret", _SECRET)):
            place.own.execute("select vault.create_secret(%s, %s, 'for the benchmark')", (secret, name))
        try:
            yield place
        finally:
            place.close()
    finally:
        cluster.remove()
