"""functions/*/main.py: what importing it does not do, whether it takes events or serves a page."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.every_function import PACKAGES, ROOT

MAINS = sorted(ROOT.glob("functions/*/main.py"))

PROBE = """
import asyncio, importlib.util, os, socket, sys, threading

def forbidden(*args, **kwargs):
    raise AssertionError("made at import: " + repr(args))

class NoSocket(socket.socket):
    __init__ = forbidden

before = threading.active_count()
open_before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
module = importlib.util.module_from_spec(spec)
socket.socket, real = NoSocket, socket.socket
asyncio.new_event_loop = forbidden
spec.loader.exec_module(module)
assert threading.active_count() == before, threading.enumerate()
if open_before:
    assert len(os.listdir("/proc/self/fd")) <= len(open_before), os.listdir("/proc/self/fd")
print("imported", module.main.__name__)
"""


@pytest.fixture(params=MAINS, ids=lambda main: main.parent.name)
def main(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_functions_there_are_are_found() -> None:
    assert {"scenario_trigger_engine", "statistics_recompute", "pastoral_cases"} <= set(PACKAGES)
    assert {main.parent.name for main in MAINS} - set(PACKAGES) == {"engagement_panel"}


def test_importing_needs_no_variable_and_opens_no_socket_loop_or_thread(main: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, str(main)], env=environment, capture_output=True, text=True, check=False
    )
    assert probe.stdout.strip() == "imported main", probe.stderr


def test_the_adapter_is_tiny(main: Path) -> None:
    assert len(main.read_text().splitlines()) < 30
