"""One gateway over a database with the recordings' fixture.

`ATTEND_CONFORMANCE_REST_URL` (with `…_DB_URL`, as role postgres, `…_JWT_SECRET` and, where the address asks for
one, `…_APIKEY`) runs the recorded cases against any other PostgREST: it must expose the schemas api and reports.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from attend.stack.gateway.settings import DEFAULT_JWT_SECRET
from tests.support import database as databases
from tests.support.gateway import running_gateway, token

FIXTURE = Path(__file__).with_name("fixture.sql")
EXTRA = Path(__file__).with_name("extra.sql")
PERSON = "11111111-1111-1111-1111-111111111111"
_TABLES = (
    "api.mentors",
    "api.visits",
    "api.many",
    "api.own",
    "api.locked",
    "api.dropbox",
    "api.pairs",
    "reports.daily",
)
_OTHER_SECRET = "another-secret-of-at-least-thirty-two-characters"


@dataclass
class Api:
    """A PostgREST with the fixture behind it; every write makes the next `fresh` reset the data."""

    rest_url: str
    db_url: str
    jwt_secret: str = DEFAULT_JWT_SECRET
    apikey: str | None = None
    dirty: bool = False
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30))

    def headers(self, role: str | None) -> dict[str, str]:
        """What a request carries that comes with the token of `role` (or with no token, or a bad one)."""
        key = {} if self.apikey is None else {"apikey": self.apikey}
        if role is None:
            return key
        tokens = {
            "expired": lambda: token(self.jwt_secret, "service_role", exp=int(time.time()) - 3600),
            "forged": lambda: token(_OTHER_SECRET, "service_role"),
            "garbage": lambda: "not.a.token",
            "authenticated": lambda: token(self.jwt_secret, "authenticated", sub=PERSON),
        }
        made = tokens.get(role, lambda: token(self.jwt_secret, role))()
        return {**key, "Authorization": f"Bearer {made}"}

    def request(self, method: str, path: str, role: str | None = "service_role", **options: Any) -> httpx.Response:
        """Sends a request as `role`; `options` are httpx's."""
        self.dirty = self.dirty or method not in {"GET", "HEAD"}
        headers = {**self.headers(role), **options.pop("headers", {})}
        return self.client.request(method, self.rest_url + path, headers=headers, **options)

    def fresh(self) -> None:
        """Puts the fixture's data back. Only data: nothing the API does can change the schema."""
        if not self.dirty:
            return
        with psycopg.connect(self.db_url) as connection:
            connection.execute(f"truncate {', '.join(_TABLES)}")
            for table in _TABLES:
                connection.execute(f"insert into {table} select * from fixture_copy.{table.replace('.', '_')}")
            connection.execute("select setval('api.mentors_id_seq', 100, false)")
        self.dirty = False


def prepare(db_url: str) -> None:
    """Applies the fixtures as role postgres and keeps a copy of its rows to reset from."""
    with psycopg.connect(db_url, autocommit=True) as connection:
        connection.execute(FIXTURE.read_bytes())
        connection.execute(EXTRA.read_bytes())
        connection.execute("drop schema if exists fixture_copy cascade")
        connection.execute("create schema fixture_copy")
        for table in _TABLES:
            connection.execute(f"create table fixture_copy.{table.replace('.', '_')} as table {table}")


@pytest.fixture(scope="session")
def fixture_database(request: pytest.FixtureRequest) -> Iterator[databases.Database]:
    """A database of the embedded cluster with the platform and the fixture, without the project's migrations."""
    cluster = request.getfixturevalue("cluster")
    database = databases.clone_database(cluster, databases.PRISTINE, "postgrest")
    prepare(database.dsn())
    yield database
    databases.drop_database(database)


@pytest.fixture(scope="session")
def shared_api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """The address under test: the given one, else an embedded gateway."""
    given = os.environ.get("ATTEND_CONFORMANCE_REST_URL")
    if given:
        db_url = os.environ["ATTEND_CONFORMANCE_DB_URL"]
        secret = os.environ.get("ATTEND_CONFORMANCE_JWT_SECRET", DEFAULT_JWT_SECRET)
        prepare(db_url)
        time.sleep(1)  # its schema cache
        yield Api(given.rstrip("/"), db_url, secret, os.environ.get("ATTEND_CONFORMANCE_APIKEY"))
        return
    if os.environ.get("ATTEND_STACK", "embedded") != "embedded":
        pytest.skip("set ATTEND_CONFORMANCE_REST_URL to a PostgREST that exposes the schemas api and reports")
    database: databases.Database = request.getfixturevalue("fixture_database")
    with running_gateway(database.dsn("authenticator"), schemas=("api", "reports")) as url:
        yield Api(f"{url}/rest/v1", database.dsn())


@pytest.fixture
def api(shared_api: Api) -> Api:
    """The address under test, its data as the fixture has them."""
    shared_api.fresh()
    return shared_api
