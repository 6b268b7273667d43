"""What the extension tests run against: `ATTEND_CONFORMANCE_DB_URL` (a login as `postgres`), else an own server.

With `ATTEND_STACK=supabase` that address is the real stack's.

Their own has the platform and nothing else: migrations would schedule jobs and ring bells of their own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from attend.stack import installation
from attend.stack.background import CRON_OFF, DROP_BELLS
from attend.stack.cluster import Cluster
from attend.stack.processes import dies_with_parent, postgres_account, wait_until
from tests.conftest import on_real_stack
from tests.support.database import exposes_new_tables
from tests.support.receiver import Receiver


def given_url() -> str:
    """The login to a server that runs already, or ""."""
    real = "postgresql://postgres:postgres@127.0.0.1:54322/postgres"
    default = os.environ.get("ATTEND_DB_URL", real) if on_real_stack() else ""
    return os.environ.get("ATTEND_CONFORMANCE_DB_URL", default)


class OwnServer:
    """A cluster and its background process."""

    def __init__(self, directory: Path) -> None:
        home = installation.clusters_directory(postgres_account())
        self.directory = directory
        self.cluster = Cluster(home / f"test-{os.getpid()}-extensions", expose_new_tables=exposes_new_tables())
        self.background: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.cluster.start()
        self.cluster.requested_port = self.cluster.port
        self.start_background()

    def start_background(self) -> None:
        command = [sys.executable, "-m", "attend.stack.background"]
        command += ["--db-url", self.cluster.dsn(installation.SUPERUSER), "--directory", str(self.directory)]
        self.background = subprocess.Popen(command, preexec_fn=dies_with_parent(signal.SIGKILL))  # noqa: PLW1509

    def stop_background(self, kill: bool = False) -> None:
        assert self.background is not None
        self.background.kill() if kill else self.background.terminate()
        self.background.wait(10)

    def crash(self) -> None:
        """Kills the server and starts it again."""
        self.cluster.kill()
        self.cluster.start()

    def switch(self, name: str, on: bool) -> None:
        file = self.directory / name
        file.touch() if on else file.unlink(missing_ok=True)

    def drop_bells(self, on: bool) -> None:
        self.switch(DROP_BELLS, on)

    def cron_off(self, on: bool) -> None:
        self.switch(CRON_OFF, on)


@pytest.fixture(scope="package")
def _own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer | None]:
    if given_url():
        yield None
        return
    directory = tmp_path_factory.mktemp("switches")
    server = OwnServer(directory)
    server.start()
    with psycopg.connect(server.cluster.dsn(), autocommit=True) as connection:
        connection.execute("create extension if not exists pg_net with schema extensions")
        connection.execute("create extension if not exists pg_cron")
        connection.execute("select net.wait_until_running()")
    yield server
    server.stop_background()
    server.cluster.remove()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="package")
def url(_own_server: OwnServer | None) -> str:
    """Login as `postgres`."""
    return given_url() if _own_server is None else _own_server.cluster.dsn()


@pytest.fixture
def own_server(_own_server: OwnServer | None) -> OwnServer:
    """A server this test may kill and configure."""
    if _own_server is None:
        pytest.skip("kills or configures the server, which a given one does not allow")
    return _own_server


@pytest.fixture
def connection(url: str) -> Iterator[psycopg.Connection[Any]]:
    """An autocommit connection as `postgres`, with the worker idle: the pause after a batch is over."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def idle(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """The same, once nothing is queued and the last batch's pause is over."""
    quiet = (
        "select not exists (select from net.http_request_queue) and not exists ("
        "select from net._http_response r where r.created > clock_timestamp() - interval '1.2 seconds')"
    )
    assert wait_until(lambda: connection.execute(quiet).fetchone() == (True,), 15.0, 0.1)
    return connection


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP receiver."""
    receiver = Receiver()
    yield receiver
    receiver.close()
