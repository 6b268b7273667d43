"""Operating-system helpers: the unprivileged user, children that die with their parent, leftovers of a crash."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from attend.stack.errors import PortTakenError, StackError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class PopenAccount(TypedDict, total=False):
    """The arguments of `subprocess.Popen` that choose a user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """The operating-system user Postgres runs as; `switch` is False when that is the current user."""

    name: str
    uid: int
    gid: int
    switch: bool

    def popen_arguments(self) -> PopenAccount:
        """What `subprocess` needs to run a child as this user."""
        if not self.switch:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def postgres_account() -> Account:
    """The current user, or an unprivileged one when that is root (Postgres refuses to run as root).

    Order for root: `ATTEND_PG_USER`, then `postgres`, then `nobody`.
    """
    if os.geteuid() != 0:
        entry = pwd.getpwuid(os.geteuid())
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=False)
    wanted = os.environ.get("ATTEND_PG_USER")
    for name in [wanted] if wanted else ["postgres", "nobody"]:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise StackError(
        f"Postgres does not run as root, and there is no user {wanted!r} to run it as."
        if wanted
        else "Postgres does not run as root, and neither the user postgres nor nobody exists.",
        "Name an existing unprivileged user in ATTEND_PG_USER, or start the stack as such a user.",
    )


def dies_with_parent(sig: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that has the kernel send `sig` to the child when its parent dies (Linux; else nothing).

    The kernel watches the *thread* that started the child, so start children from a thread that lives on.
    """
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl
            os.kill(os.getpid(), sig)

    return prepare


def start_time(pid: int) -> str | None:
    """A value that tells a process from a later one with the same pid; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return str(pid) if sys.platform != "linux" and is_alive(pid) else None
    fields = stat.rsplit(")", 1)[1].split()
    return None if fields[0] == "Z" else fields[19]


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False
    return True


def processes_inside(directory: Path) -> Iterator[int]:
    """Pids of Postgres whose working directory is `directory`: its processes stay in their data directory (Linux).

    By name too: somebody's shell may stand there.
    """
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((entry / "cwd").readlink()) == str(directory) and (entry / "comm").read_text() == "postgres\n":
                yield int(entry.name)


def dead_owner(name: str) -> bool:
    """Whether a temporary directory `<word>-<pid>-…` was made by a process that is gone."""
    parts = name.split("-")
    temporary = len(parts) > 1 and parts[0] in {"test", "scratch", "temporary", "bench"} and parts[1].isdigit()
    return temporary and not is_alive(int(parts[1]))


def end_process(pid: int, *, gently_for: float = 0.0, sig: signal.Signals = signal.SIGTERM) -> None:
    """Ends a process: `sig` first when `gently_for` seconds are allowed, then SIGKILL. Gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        if gently_for > 0:
            os.kill(pid, sig)
            if wait_until(lambda: not is_alive(pid), gently_for):
                return
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), 5.0)


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Polls `condition` for at most `seconds`; whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


_QUIET_PORTS = range(20_000, 32_768)
_RESERVED_SECONDS = 60


def free_port() -> int:
    """A TCP port of the loopback interface that was free a moment ago.

    From below the range that outgoing connections take theirs from: a service that is started again must find its port
    free, and whoever connected meanwhile would hold it.
    """
    given = Path(tempfile.gettempdir()) / f"attend-ports-{os.getuid()}"
    given.mkdir(exist_ok=True)
    for port in random.sample(_QUIET_PORTS, 100):
        if _reserve(given / str(port)):
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise PortTakenError("No port between 20000 and 32767 is free.", "Stop what uses them, or name ports with --port.")


def _reserve(given: Path) -> bool:
    """Whether nobody was given the port within a minute: until its service listens, it looks free to whoever starts."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - given.stat().st_mtime < _RESERVED_SECONDS:
            return False
        given.unlink()
    try:
        given.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def require_free_port(port: int, purpose: str) -> None:
    """Raises PortTakenError when something listens on `port`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port} ({purpose}) is taken by another program.",
                "Stop that program (a running `supabase start` uses the same ports), or choose other ports: "
                "`attend up --port 0` takes free ones.",
            ) from error
