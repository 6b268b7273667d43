"""`Stack`: a running stack as an object, for tests, the demo and benchmarks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import attend
from attend.stack import state
from attend.stack.errors import NotRunningError, StackError
from attend.stack.keys import Keys

_REPOSITORY = Path(attend.__file__).parents[1]
_CRON_OFF = "cron-off"
_DROP_BELLS = "drop-bells"


class Stack:
    """A whole embedded stack in processes of its own, stopped when this process ends, however it ends.

    Args:
        directory: Where its state and logs go, kept afterwards; None makes a temporary one, deleted by `stop`.
        port: The API's port, the database has the next one; 0 takes free ones.
        expose_new_tables: The default-privilege mode.
        functions: Names of the functions to run; None runs all of them.
        cron: Whether scheduled jobs run; see `set_cron`.
        project: The folder with `supabase/` and `functions/`.
        environment: Added to the environment of every process (settings of the functions, for one).

    Raises StackError with what to do next when it cannot start.
    """

    def __init__(
        self,
        directory: Path | None = None,
        port: int = 0,
        expose_new_tables: bool = True,
        functions: Sequence[str] | None = None,
        cron: bool = True,
        *,
        project: Path = _REPOSITORY,
        environment: dict[str, str] | None = None,
    ) -> None:
        self._temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix=f"temporary-{os.getpid()}-"))
        self.environment = environment or {}
        self.keys = Keys()
        self._command = [sys.executable, "-m", "attend.stack.supervisor", "--with-parent"]
        self._command += ["--project", str(project), "--directory", str(self.directory), "--port", str(port)]
        self._command += [] if expose_new_tables else ["--no-expose-new-tables"]
        self._command += [] if functions is None else ["--functions", ",".join(functions)]
        self._command += [] if cron else ["--no-cron"]
        self._command += ["--temporary"] if self._temporary else []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Stack:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, seconds: float = 60.0) -> Stack:
        """Starts it and returns when everything answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "supervisor.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | self.environment,
            )
        wait_ready(self.directory, self._process, seconds)
        return self

    def stop(self) -> None:
        """Stops every process; deletes the data of a temporary stack."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
        if self._process.stdin:
            self._process.stdin.close()
        self._process = None
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def state(self) -> state.StackState:
        """What the supervisor last wrote. Raises NotRunningError."""
        return state.running(self.directory)

    @property
    def api_url(self) -> str:
        """Base URL of the gateway."""
        return self.state.api_url

    @property
    def db_url(self) -> str:
        """Login as `postgres`."""
        return self.state.db_url

    @property
    def functions_url(self) -> str:
        """Base URL of the functions, as it stands in Vault."""
        return self.state.functions_url

    @property
    def webhook_secret(self) -> str:
        """Signing secret, `whsec_<base64>`, as it stands in Vault."""
        return self.state.webhook_secret

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str:
        """Login as any role of the platform."""
        return self.state.dsn(role, dbname)

    def pid(self, name: str) -> int:
        """Process id of "postgres", "gateway", "background", "supervisor" or a function."""
        if name == "supervisor":
            return self.state.supervisor.pid
        process = self.state.processes.get(name)
        if process is None:
            raise StackError(f"There is no process {name}.", f"There are: {', '.join(sorted(self.state.processes))}.")
        return process.pid

    def kill(self, name: str) -> int:
        """SIGKILL, to a function with its workers; the supervisor starts it again. Returns the pid it had.

        Killing "supervisor" leaves the stack to the kernel: its children die with it.
        """
        pid = self.pid(name)
        if name in {"postgres", "supervisor"}:
            os.kill(pid, signal.SIGKILL)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if name == "supervisor" and self._process is not None:
            self._process.wait(5)
        return pid

    def wait_restarted(self, name: str, old_pid: int, seconds: float = 20.0) -> int:
        """Waits until `name` runs with another pid than `old_pid`; returns the new one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if (pid := self.pid(name)) != old_pid and self.state.processes[name].lives():
                return pid
            time.sleep(0.02)
        raise StackError(f"{name} was not started again within {seconds:g} s.", f"Its log: {self.log_path(name)}")

    def log_path(self, name: str) -> Path:
        """The log file of a process."""
        folder = self.directory if name == "supervisor" else self.directory / "logs"
        return folder / f"{name}.log"

    def logs(self, name: str) -> str:
        """What a process wrote so far."""
        return self.log_path(name).read_text(errors="replace")

    def set_cron(self, active: bool) -> None:
        """Switches the scheduler; ticks that pass while it is off are forgotten."""
        self._switch(_CRON_OFF, not active)

    def drop_bells(self, active: bool) -> None:
        """While on, every request queued in pg_net is lost unsent, as in a crash right after commit."""
        self._switch(_DROP_BELLS, active)

    def _switch(self, name: str, on: bool) -> None:
        file = self.directory / name
        if on:
            file.touch()
        else:
            file.unlink(missing_ok=True)


def wait_ready(directory: Path, process: subprocess.Popen[bytes], seconds: float) -> state.StackState:
    """Waits for the supervisor `process` to announce its stack. Raises StackError with the supervisor's own words."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        current = state.read(directory)
        mine = current is not None and current.supervisor.pid == process.pid
        if current is not None and mine and current.ready:
            return current
        if process.poll() is not None:
            if current is not None and mine and current.error:
                raise StackError(current.error, current.hint)
            log = directory / "supervisor.log"
            told = log.read_text(errors="replace").strip() if log.exists() else ""
            raise NotRunningError(told or "The supervisor ended while starting.", "" if told else f"Its log: {log}")
        time.sleep(0.02)
    raise StackError(f"The stack did not become ready within {seconds:g} s.", f"Its logs: {directory / 'logs'}")
