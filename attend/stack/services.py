"""The processes beside Postgres: what each is started with, and how to see that it answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from attend.stack.errors import StackError
from attend.stack.keys import Keys
from attend.stack.processes import dies_with_parent

_LONGEST_PAUSE = 5.0
_STEADY_AFTER = 10.0


@dataclass
class Service:
    """One process that is started again when it ends. `health` is a path that answers 200, or "" for none."""

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    port: int = 0
    health: str = ""
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0.0, init=False)
    _pause: float = field(default=0.1, init=False)
    _retry_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Starts it in a session of its own, so that the whole group (a server and its workers) can be ended."""
        self._started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - prctl is async-signal-safe
            )

    def alive(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def start_again_if_due(self) -> bool:
        """Starts an ended process again, waiting longer each time it ends soon; True when it did."""
        now = time.monotonic()
        if self.alive():
            return False
        if not self._retry_at:
            self._pause = 0.1 if now - self._started > _STEADY_AFTER else min(self._pause * 2, _LONGEST_PAUSE)
            self._retry_at = now + self._pause
            self.end_group()
        if now < self._retry_at:
            return False
        self._retry_at = 0.0
        self.start()
        return True

    def answers(self) -> bool:
        """Whether it is up and its health path answers."""
        if not self.alive():
            return False
        if not self.health:
            return True
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.health)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return status == 200

    def wait_ready(self, seconds: float) -> None:
        """Raises StackError with the end of its log when it does not answer in time or ends."""
        deadline = time.monotonic() + seconds
        while not self.answers():
            if not self.alive() or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                happened = "did not answer in time" if self.alive() else "ended while starting"
                raise StackError(f"{self.name} {happened}:\n{tail}", f"Its log: {self.log}")
            time.sleep(0.03)

    def end_group(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Signals the process and everything it started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, sig)

    def stop(self, deadline: float) -> None:
        """Waits for the end until `deadline` (monotonic); then SIGKILL for the whole group."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.05, deadline - time.monotonic()))
        self.end_group()
        self.process.wait(5)


def prepare_auth(superuser: str) -> None:
    """Makes the auth service's own tables where they are missing, as the real one does whenever it starts."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute("set client_min_messages = warning")
        connection.execute((Path(__file__).parent / "gateway" / "auth_service.sql").read_bytes())


def gateway(log: Path, port: int, dsn: Callable[[str], str], keys: Keys, functions: dict[str, str]) -> Service:
    """The HTTP front: /rest/v1, /auth/v1 and /functions/v1. `dsn` gives the login of a role."""
    environment = {
        "ATTEND_GATEWAY_DB_URL": dsn("authenticator"),
        "ATTEND_GATEWAY_AUTH_DB_URL": dsn("supabase_auth_admin"),
        "ATTEND_GATEWAY_PORT": str(port),
        "ATTEND_GATEWAY_HOST": "127.0.0.1",
        "ATTEND_GATEWAY_FUNCTIONS": json.dumps(functions),
        "ATTEND_GATEWAY_JWT_SECRET": keys.jwt_secret,
        "ATTEND_GATEWAY_PUBLISHABLE_KEY": keys.publishable,
        "ATTEND_GATEWAY_SECRET_KEY": keys.secret,
    }
    command = [sys.executable, "-m", "attend.stack.gateway"]
    return Service("gateway", command, environment, log, port, "/_ready")


def background(log: Path, superuser: str, directory: Path) -> Service:
    """pg_net's sender and pg_cron's scheduler."""
    command = [sys.executable, "-m", "attend.stack.background"]
    command += ["--db-url", superuser, "--directory", str(directory)]
    return Service("background", command, {}, log)


def function_folders(project: Path) -> dict[str, Path]:
    """Every deployable of a project: its public name, with hyphens, and its main.py."""
    mains = sorted((project / "functions").glob("*/main.py"))
    return {main.parent.name.replace("_", "-"): main for main in mains}


def push_provider() -> dict[str, str]:
    """In development nobody's phone rings, unless ATTEND_PUSH_PROVIDER says otherwise (empty: pushes are sent)."""
    return {"ATTEND_PUSH_PROVIDER": os.environ.get("ATTEND_PUSH_PROVIDER", "console")}


def function(name: str, main: Path, port: int, log: Path, environment: dict[str, str]) -> Service:
    """A real functions-framework process, as it would run in production."""
    command = [sys.executable, "-m", "functions_framework"]
    program = Path(sys.executable).parent / "functions-framework"
    if program.exists():
        command = [str(program)]
    command += ["--source", str(main), "--target", "main", "--signature-type", "http"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    root = str(main.parents[2])
    inherited = os.environ.get("PYTHONPATH")
    path = f"{root}{os.pathsep}{inherited}" if inherited else root
    return Service(name, command, environment | {"PYTHONPATH": path}, log, port, "/health")
