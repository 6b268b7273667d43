"""What a supervisor tells others about its stack: `state.json` in the stack's directory, replaced atomically."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attend.stack.errors import NotRunningError, StackError
from attend.stack.processes import start_time


@dataclass
class ProcessState:
    """A process and the value that tells it from a later one with the same pid."""

    pid: int
    started: str | None

    def lives(self) -> bool:
        """Whether that very process still runs."""
        return self.started is not None and start_time(self.pid) == self.started


@dataclass
class StackState:
    """The state of a stack. `error` and `hint` are set when it could not start."""

    supervisor: ProcessState
    project: str
    ready: bool = False
    api_url: str = ""
    db_port: int = 0
    webhook_secret: str = ""
    processes: dict[str, ProcessState] = field(default_factory=dict[str, ProcessState])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    error: str = ""
    hint: str = ""

    @property
    def functions_url(self) -> str:
        """Base URL of the functions, as in Vault."""
        return f"{self.api_url}/functions/v1"

    @property
    def db_url(self) -> str:
        """Login as `postgres`."""
        return self.dsn()

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str:
        """Login as any role of the platform."""
        return f"postgresql://{role}:postgres@127.0.0.1:{self.db_port}/{dbname}"

    def write(self, directory: Path) -> None:
        """Replaces the file; it holds the signing secret, so nobody else may read it."""
        partial = directory / "state.json.partial"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(directory / "state.json")


def read(directory: Path) -> StackState | None:
    """The last state written, of whatever age; None when there is none. Raises StackError for another user's."""
    try:
        raw = json.loads((directory / "state.json").read_text())
        raw["supervisor"] = ProcessState(**raw["supervisor"])
        raw["processes"] = {name: ProcessState(**value) for name, value in raw["processes"].items()}
        return StackState(**raw)
    except PermissionError as error:
        raise StackError(
            f"{directory} belongs to a stack that another user started.", "Run this as that user, or as root."
        ) from error
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running(directory: Path) -> StackState:
    """The state of a stack that runs and is ready. Raises NotRunningError."""
    state = read(directory)
    if state is None or not state.supervisor.lives():
        raise NotRunningError("No stack of this project is running.", "Start one with `attend up`.")
    if not state.ready:
        raise NotRunningError("The stack of this project is starting, or stopping.", "Ask again in a moment.")
    return state
