"""Where the server's files are kept, and who may read them there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from attend.stack.installation import cache_directory


@pytest.fixture
def nobody_elses() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
@pytest.mark.usefixtures("nobody_elses")
def test_the_user_postgres_runs_as_can_read_a_cache_that_root_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ATTEND_CACHE", str(tmp_path / "var" / "attend"))
    made = cache_directory()
    assert [folder.stat().st_mode & 0o777 for folder in (made, made.parent)] == [0o755, 0o755]


def test_the_rights_of_one_that_is_there_are_its_owners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ATTEND_CACHE", str(tmp_path))
    assert cache_directory().stat().st_mode & 0o777 == 0o700
