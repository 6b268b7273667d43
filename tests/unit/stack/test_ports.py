"""Ports for services that start side by side: nobody is given one that somebody else was given and does not use yet."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from pathlib import Path

import pytest

from attend.stack import processes
from attend.stack.errors import PortTakenError
from attend.stack.processes import free_port


@pytest.fixture(autouse=True)
def few_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(processes, "_QUIET_PORTS", range(20_000, 20_200))


def _many(_: int) -> list[int]:
    return [free_port() for _ in range(20)]


def test_processes_that_start_at_once_are_given_different_ports() -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        given = [port for ports in pool.map(_many, range(4), chunksize=1) for port in ports]
    assert len(given) == 80
    assert len(set(given)) == 80


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", free_port()))
        listening.listen()
        taken = listening.getsockname()[1]
        assert taken not in [free_port() for _ in range(60)]


def test_a_port_that_was_given_and_not_used_is_given_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_QUIET_PORTS", range(20_000, 20_100))
    first = {free_port() for _ in range(90)}
    for file in (Path(tempfile.gettempdir()) / f"attend-ports-{os.getuid()}").iterdir():
        os.utime(file, (0, 0))
    assert first & {free_port() for _ in range(50)}


def test_without_a_free_port_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_QUIET_PORTS", range(20_000, 20_100))
    with pytest.raises(PortTakenError, match="No port"):
        [free_port() for _ in range(101)]
