"""attend/stack/state.py: which stack may be spoken to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attend.stack import state
from attend.stack.errors import NotRunningError
from attend.stack.processes import start_time


def test_a_stack_that_is_not_ready_yet_is_not_spoken_to(tmp_path: Path) -> None:
    me = state.ProcessState(os.getpid(), start_time(os.getpid()))
    announced = state.StackState(me, project=str(tmp_path), api_url="http://127.0.0.1:1")
    announced.write(tmp_path)
    with pytest.raises(NotRunningError, match="starting"):
        state.running(tmp_path)
    announced.ready = True
    announced.write(tmp_path)
    assert state.running(tmp_path).api_url == "http://127.0.0.1:1"
