"""shared/lifecycle.py."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shared.lifecycle import PerLoop, Shutdown

ROOT = Path(__file__).parents[3]


def test_each_loop_makes_its_own_value_once() -> None:
    made = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return made.get(), made.get()

    one, same = asyncio.run(twice())
    other, _ = asyncio.run(twice())
    assert one is same
    assert one is not other


def test_a_failing_factory_is_asked_again() -> None:
    answers = iter([LookupError(), 7])

    def factory() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made = PerLoop(factory)

    async def use() -> None:
        with pytest.raises(LookupError):
            made.get()
        assert made.get() == 7

    asyncio.run(use())


def test_the_signal_is_noted_and_the_servers_handler_still_called() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        shutdown = Shutdown()
        shutdown.watch()
        shutdown.watch()
        assert not shutdown.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert shutdown.requested()
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_is_watched_and_nothing_fails() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=Shutdown().watch)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_without_a_handler_still_ends_by_the_signal() -> None:
    code = "import os, signal; from shared.lifecycle import Shutdown; Shutdown().watch(); os.kill(os.getpid(), 15)"
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT)
    assert ended.returncode == -signal.SIGTERM
