"""Starts a stack's processes, starts again those that end, and stops all of them: `python -m attend.stack.supervisor`.

One supervisor per stack directory, held by a lock the kernel gives back whatever happens. Its children die with it
(Linux; elsewhere the next start ends them), and the next start clears away what any crash left.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from attend.stack import installation, migrations, services, state, vault
from attend.stack.background import CRON_OFF
from attend.stack.cluster import Cluster
from attend.stack.errors import AlreadyRunningError, StackError
from attend.stack.keys import Keys, webhook_secret
from attend.stack.processes import dead_owner, end_process, free_port, postgres_account, require_free_port, start_time

_READY_SECONDS = 30.0
_STOP_SECONDS = 8.0
DEFAULT_PORT = 54321


@dataclass(frozen=True)
class Options:
    """`port` is the API's and the database has the next one; 0 takes free ones. `functions` None means all."""

    project: Path
    directory: Path
    port: int = DEFAULT_PORT
    expose_new_tables: bool = True
    functions: tuple[str, ...] | None = None
    cron: bool = True
    seed: bool = False
    temporary: bool = False
    with_parent: bool = False


class Supervisor:
    """Runs one stack until asked to stop. Raises StackError from `run` when it cannot start."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.directory = options.directory
        self.logs = self.directory / "logs"
        self.keys = Keys()
        self.cluster = Cluster(self.directory, expose_new_tables=options.expose_new_tables)
        self.cluster.log = self.logs / "postgres.log"
        self.services: dict[str, services.Service] = {}
        self.state = state.StackState(
            state.ProcessState(os.getpid(), start_time(os.getpid())), project=str(options.project)
        )
        self._stopping = False

    def run(self, on_ready: Iterator[None] | None = None) -> None:
        """Starts everything, announces it by `state.json` (and one step of `on_ready`), and keeps it running."""
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, self._ask_to_stop)
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._only_one():
            self._clear_leftovers()
            self.logs.mkdir(exist_ok=True)
            for log in self.logs.glob("*.log"):
                log.write_bytes(b"")
            try:
                self._start()
                if on_ready is not None:
                    next(on_ready, None)
                while not self._stopping and not self._parent_is_gone():
                    self._look_after_processes()
                    time.sleep(0.1)
            except StackError as error:
                self.state.error, self.state.hint = error.message, error.hint
                self.state.write(self.directory)
                raise
            finally:
                self._stop()

    def _start(self) -> None:
        api_port = self._choose_ports()
        self._check_mode()
        is_new = not (self.cluster.data / "PG_VERSION").exists()
        self.cluster.start()
        self.cluster.requested_port = self.cluster.port  # a restart must find everybody's address unchanged
        self.state.db_port = self.cluster.port
        self.state.api_url = f"http://127.0.0.1:{api_port}"
        self.state.webhook_secret = webhook_secret(self.directory)
        switch = self.directory / CRON_OFF
        switch.unlink(missing_ok=True) if self.options.cron else switch.touch()
        # Functions open nothing while they start, so they load while the migrations are applied.
        self._start_functions()
        migrations.apply(self.cluster.dsn(), self.options.project / "supabase" / "migrations")
        with psycopg.connect(self.cluster.dsn(), autocommit=True) as connection:
            seed = self.options.project / "supabase" / "seed.sql"
            if self.options.seed and is_new and seed.exists():
                self._load(connection, seed)
            vault.upsert(connection, vault.FUNCTIONS_URL, self.state.functions_url)
            vault.upsert(connection, vault.WEBHOOK_SECRET, self.state.webhook_secret)
        upstreams = {name: f"http://127.0.0.1:{service.port}" for name, service in self.services.items()}
        superuser = self.cluster.dsn(installation.SUPERUSER)
        services.prepare_auth(superuser)
        self._add(services.gateway(self.logs / "gateway.log", api_port, self.cluster.dsn, self.keys, upstreams))
        self._add(services.background(self.logs / "background.log", superuser, self.directory))
        for service in self.services.values():
            service.wait_ready(_READY_SECONDS)
        self.state.ready = True
        self._announce()

    def _load(self, connection: psycopg.Connection, seed: Path) -> None:
        try:
            connection.execute(seed.read_bytes(), prepare=False)
        except psycopg.Error as error:
            raise StackError(f"supabase/seed.sql was refused: {error}", "Mend it, or start with --no-seed.") from error

    def _choose_ports(self) -> int:
        if self.options.port == 0:
            return free_port()
        require_free_port(self.options.port, "API")
        require_free_port(self.options.port + 1, "database")
        self.cluster.requested_port = self.options.port + 1
        return self.options.port

    def _check_mode(self) -> None:
        """The default-privilege mode is part of the data and cannot be changed by starting again."""
        wanted = "exposed" if self.options.expose_new_tables else "not exposed"
        file = self.directory / "new-tables"
        if file.exists() and (self.cluster.data / "PG_VERSION").exists() and file.read_text() != wanted:
            raise StackError(
                f"This stack's database was made with new tables {file.read_text()}; you asked for {wanted}.",
                "Start it as it was, or make a new database with `attend reset`.",
            )
        file.write_text(wanted)

    def _start_functions(self) -> None:
        found = services.function_folders(self.options.project)
        wanted = tuple(found) if self.options.functions is None else self.options.functions
        if unknown := sorted(set(wanted) - set(found)):
            raise StackError(f"There is no function {unknown[0]}.", f"There are: {', '.join(found) or 'none'}.")
        environment = {
            "SUPABASE_URL": self.state.api_url,
            "SUPABASE_SECRET_KEY": self.keys.secret,
            "SUPABASE_PUBLISHABLE_KEY": self.keys.publishable,
            "ATTEND_WEBHOOK_SECRET": self.state.webhook_secret,
            **services.push_provider(),
        }
        for name in wanted:
            log = self.logs / f"{name}.log"
            self._add(services.function(name, found[name], free_port(), log, environment))

    def _add(self, service: services.Service) -> None:
        service.start()
        self.services[service.name] = service
        self._announce()

    def _look_after_processes(self) -> None:
        changed = False
        if self.cluster.process is None or self.cluster.process.poll() is not None:
            with contextlib.suppress(StackError):  # its log tells; the next round tries again
                self.cluster.start()
            changed = True
        for service in self.services.values():
            changed |= service.start_again_if_due()
        if changed:
            self._announce()

    def _announce(self) -> None:
        processes = {name: service.process for name, service in self.services.items()}
        pids = {name: process.pid for name, process in processes.items() if process is not None}
        if self.cluster.process is not None:
            pids["postgres"] = self.cluster.process.pid
        self.state.processes = {name: state.ProcessState(pid, start_time(pid)) for name, pid in pids.items()}
        self.state.options = {
            "port": self.options.port,
            "expose_new_tables": self.options.expose_new_tables,
            "cluster": str(self.cluster.directory),
        }
        self.state.write(self.directory)

    def _ask_to_stop(self, *_: object) -> None:
        self._stopping = True

    def _parent_is_gone(self) -> bool:
        """End of file on standard input: whoever holds the other end of the pipe has ended, however it ended."""
        if not self.options.with_parent:
            return False
        readable, _, _ = select.select([sys.stdin], [], [], 0)
        return bool(readable) and not os.read(sys.stdin.fileno(), 1024)

    @contextlib.contextmanager
    def _only_one(self) -> Iterator[None]:
        with (self.directory / "lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(
                    "A stack of this project is running already.", "See `attend status`; stop it with `attend down`."
                ) from None
            yield

    def _clear_leftovers(self) -> None:
        """Ends what a killed supervisor left, known by pid and start time, and temporary clusters of dead owners."""
        old = state.read(self.directory)
        for process in (old.processes if old else {}).values():
            if process.lives():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                end_process(process.pid)
        (self.directory / "state.json").unlink(missing_ok=True)
        for leftover in installation.clusters_directory(postgres_account()).iterdir():
            if dead_owner(leftover.name):
                shutil.rmtree(leftover, ignore_errors=True)

    def _stop(self) -> None:
        """Functions and gateway first, so that what they are doing can still reach the database."""
        deadline = time.monotonic() + _STOP_SECONDS
        for service in self.services.values():
            service.end_group(signal.SIGTERM)
        for service in self.services.values():
            service.stop(deadline)
        self.cluster.stop()
        self.state.ready, self.state.processes = False, {}
        self.state.write(self.directory)
        if self.options.temporary:
            self.cluster.remove()
            if self._parent_is_gone():  # nobody is left to read logs and to delete them
                shutil.rmtree(self.directory, ignore_errors=True)


def main() -> int:
    """Entry point of the supervising process; the state file carries the error to whoever started it."""
    parser = argparse.ArgumentParser(prog="python -m attend.stack.supervisor", description=__doc__)
    parser.add_argument("--project", required=True, type=Path)
    parser.add_argument("--directory", required=True, type=Path)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--no-expose-new-tables", action="store_true")
    parser.add_argument("--functions", help="comma-separated names; all when not given")
    parser.add_argument("--no-cron", action="store_true")
    parser.add_argument("--seed", action="store_true", help="load supabase/seed.sql into a new database")
    parser.add_argument("--temporary", action="store_true", help="delete the data at the end")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    given = parser.parse_args()
    functions = None if given.functions is None else tuple(name for name in given.functions.split(",") if name)
    options = Options(
        project=given.project.resolve(),
        directory=given.directory.resolve(),
        port=given.port,
        expose_new_tables=not given.no_expose_new_tables,
        functions=functions,
        cron=not given.no_cron,
        seed=given.seed,
        temporary=given.temporary,
        with_parent=given.with_parent,
    )
    try:
        Supervisor(options).run()
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
