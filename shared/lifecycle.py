"""What belongs to one event loop or to the process's end, for servers that import in a parent and fork.

Found in functions-framework 3.10: `functions-framework --source … --target …` loads the file in gunicorn's master
process and serves it from forked uvicorn workers (one, unless WORKERS says otherwise), without lifespan events. So
nothing that holds a socket, a loop or a lock may exist after import, and there is no hook to close anything: clients
are made at the first request of a loop and live as long as it does.

Seen there (tests/integration/scenario_trigger_engine/test_server.py): one worker serves 300 requests at once. A caller
who hangs up cancels nothing. On SIGTERM the worker accepts nothing more, and running requests have 30 s to answer. A
worker whose gunicorn parent is killed with SIGKILL goes on serving and keeps the port: end the whole group.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from weakref import WeakKeyDictionary


class PerLoop[T]:
    """A value made at its first use in each event loop, and forgotten with the loop.

    A failing factory is asked again at the next use: a setting put right needs no restart of the parent.
    """

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self._values: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    def get(self) -> T:
        """Return the running loop's value. No await between look-up and store, so each loop makes one."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            self._values[loop] = self._factory()
        return self._values[loop]


class Shutdown:
    """Knows that the server was told to stop, so that long work can end at its next safe point.

    The server's own handler stays in charge (uvicorn: accept nothing, let running requests finish; gunicorn kills
    what is left after 30 s): ours notes the signal and calls it. Watching starts at the first request, because the
    server installs its handlers after import, and only in the main thread, where signals can be handled at all.
    """

    def __init__(self) -> None:
        self._pid: int | None = None
        self._requested = False

    def watch(self) -> None:
        """Begin to watch SIGTERM and SIGINT; again in a forked child; otherwise idempotent."""
        if self._pid == os.getpid() or threading.current_thread() is not threading.main_thread():
            return
        self._pid = os.getpid()
        self._requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            self._wrap(number)

    def _wrap(self, number: signal.Signals) -> None:
        server_handler = signal.getsignal(number)
        if not callable(server_handler):
            return  # SIG_DFL ends the process at once, SIG_IGN never: there is nothing to end gracefully

        def note_and_pass_on(signum: int, frame: FrameType | None) -> None:
            self._requested = True
            server_handler(signum, frame)

        signal.signal(number, note_and_pass_on)

    def request(self) -> None:
        """Ask for the end of long work, as the signal does."""
        self._requested = True

    def requested(self) -> bool:
        """Return whether the server was told to stop."""
        return self._requested
