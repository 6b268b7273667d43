"""What the next start clears away, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attend.stack.keys import webhook_secret
from attend.stack.processes import processes_inside


@pytest.fixture
def bystander(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait(5)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_somebody_who_stands_in_the_data_directory_is_not_postgres(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """A shell is one: it would be killed with whatever it runs."""
    assert Path(f"/proc/{bystander.pid}/cwd").readlink() == tmp_path
    assert list(processes_inside(tmp_path)) == []


def test_a_secret_that_was_never_written_is_made_anew(tmp_path: Path) -> None:
    """As a full disk leaves it: the file is there, and empty."""
    (tmp_path / "webhook-secret").touch()
    made = webhook_secret(tmp_path)
    assert made.startswith("whsec_")
    assert webhook_secret(tmp_path) == made
