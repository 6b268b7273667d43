"""One Postgres 17 with the platform contract applied, run as an unprivileged user.

The first cluster of a machine unpacks the server, initialises a data directory and applies `platform/*.sql` to it
(about three seconds); every later one copies that template and is ready in about half a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg

from attend.stack import installation
from attend.stack.errors import StartError
from attend.stack.processes import (
    dies_with_parent,
    end_process,
    free_port,
    is_alive,
    postgres_account,
    processes_inside,
)

# Durability against a crash of the *machine* is given up; a kill -9 of the server loses no committed logged data,
# because the operating system still writes out what Postgres handed to it. No unix socket: nothing to go stale.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "random_page_cost": "1.1",
    "max_wal_size": "512MB",
    "shared_preload_libraries": "pg_stat_statements",
    "statement_timeout": "2min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "logging_collector": "off",
    "password_encryption": "scram-sha-256",
    "idle_session_timeout": "0",
    "wal_level": "logical",
    "max_replication_slots": "5",
}
# What a fault test preloads into every process of its stack, to move the clock they read (tests/faults/clock.py).
_PASSED_ON = ("LD_PRELOAD", "ATTEND_CLOCK")


class Cluster:
    """A Postgres server of its own in `directory` (created on the first start, kept after `stop`).

    `port` 0 takes a free one, chosen anew at every start. `expose_new_tables` chooses the default-privilege mode
    and is fixed by the first start. Raises StartError, MissingLibraryError or StackError; `stop` never raises for a
    server that is gone already. Not safe to share between threads.
    """

    def __init__(self, directory: Path, port: int = 0, expose_new_tables: bool = True) -> None:
        self.account = postgres_account()
        self.directory = _reachable(Path(directory).resolve(), self.account.switch)
        self.requested_port = port
        self.port = port
        self.expose_new_tables = expose_new_tables
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str:
        """A connection URL; every login role has the password `postgres`, as in `supabase start`."""
        return f"postgresql://{role}:{installation.PASSWORD}@127.0.0.1:{self.port}/{dbname}"

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        if self.process is None:
            raise StartError("Postgres is not running.", "Call start() first.")
        return self.process.pid

    def create(self) -> None:
        """Makes the data directory from the template unless it exists."""
        if (self.data / "PG_VERSION").exists():
            return
        self._own_directory()
        template = ensure_template(expose_new_tables=self.expose_new_tables)
        shutil.rmtree(self.data, ignore_errors=True)
        partial = self.directory / "data.partial"
        shutil.rmtree(partial, ignore_errors=True)
        installation.copy_tree(template, partial, self.account)
        partial.rename(self.data)

    def start(self, timeout: float = 30.0) -> None:
        """Starts the server and returns when it accepts connections. Whatever a crash left behind is ended first."""
        self.create()
        self.end_leftovers()
        attempts = 1 if self.requested_port else 3
        for attempt in range(attempts):
            self.port = self.requested_port or free_port()
            self._launch()
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline and self._running():
                if self._is_ready():
                    return
                time.sleep(0.01)
            self.stop()
            if attempt + 1 == attempts or "could not bind" not in self._log_tail():
                installation.check_libraries()
                raise StartError(f"Postgres did not become ready:\n{self._log_tail()}", f"Its log: {self.log}")

    def stop(self, timeout: float = 15.0) -> None:
        """Fast shutdown, then immediate after `timeout` seconds."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process = None
        self.end_leftovers()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash of the server; unlogged tables are empty after the next start."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(5)
            self.process = None

    def delete_data(self) -> None:
        """Deletes the data of a server that is stopped; the next start begins with the platform alone."""
        self.end_leftovers()
        shutil.rmtree(self.data, ignore_errors=True)

    def remove(self) -> None:
        """Stops the server and deletes its directory."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def end_leftovers(self) -> None:
        """Ends processes that still run in the data directory and removes a stale lock file.

        Postgres itself refuses to start while a backend of a killed postmaster lives, and when the pid in its lock
        file was given to some other program meanwhile.
        """
        lock = self.data / "postmaster.pid"
        first = lock.read_text().split("\n", 1)[0] if lock.exists() else ""
        ours = set(processes_inside(self.data))
        if first.isdigit() and int(first) in ours:
            end_process(int(first), gently_for=10.0, sig=signal.SIGINT)
        for pid in ours:
            if is_alive(pid):
                end_process(pid)
        lock.unlink(missing_ok=True)

    def _launch(self) -> None:
        settings = _SETTINGS | {"port": str(self.port)}
        command = [str(installation.program("postgres")), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        for used in (
            installation.postgres_tree(),
            installation.template_path(expose_new_tables=self.expose_new_tables),
        ):
            with contextlib.suppress(OSError):  # made by another user, or being made now
                os.utime(used)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGINT),  # noqa: PLW1509 - prctl is async-signal-safe
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
                | {name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                **self.account.popen_arguments(),
            )

    def _running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def _is_ready(self) -> bool:
        """Line 8 of the lock file is the server's own word on it; reading it costs no connection."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _log_tail(self) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        except OSError:
            return "(no log was written)"

    def _own_directory(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.account.switch:
            os.chown(self.directory, self.account.uid, self.account.gid)


def ensure_template(*, expose_new_tables: bool) -> Path:
    """The template data directory of one default-privilege mode; built now when its content is new."""
    path = installation.template_path(expose_new_tables=expose_new_tables)
    if path.exists():
        return path
    installation.postgres_tree()
    with installation.locked(installation.cache_directory() / f"{path.name}.lock"):
        if path.exists():
            return path
        account = postgres_account()
        work = installation.clusters_directory(account) / f"{path.name}.building"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        if account.switch:
            os.chown(work, account.uid, account.gid)
        installation.initialise(work / "data", account)
        cluster = Cluster(work)
        cluster.start()
        try:
            _apply_platform(cluster, expose_new_tables=expose_new_tables)
        finally:
            cluster.stop()
        (work / "data").rename(path)
        shutil.rmtree(work)
        installation.forget_old_versions()
    return path


def _apply_platform(cluster: Cluster, *, expose_new_tables: bool) -> None:
    names = sorted(file.name for file in installation.PLATFORM.glob("[0-9]*.sql"))
    if not expose_new_tables:
        names.append("tables_not_exposed.sql")
    with psycopg.connect(cluster.dsn(installation.SUPERUSER), autocommit=True) as connection:
        for name in names:
            connection.execute((installation.PLATFORM / name).read_bytes())


def _reachable(directory: Path, switched: bool) -> Path:
    """`directory` itself, or for root a place in the cache: root's directories are often closed to other users."""
    if not switched:
        return directory
    clusters = installation.clusters_directory(postgres_account())
    if directory.is_relative_to(clusters):
        return directory
    return clusters / f"{directory.name}-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"
