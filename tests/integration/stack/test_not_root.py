"""The stack runs without root, and as root hands Postgres to somebody else."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from attend.stack import state
from attend.stack.cluster import Cluster
from tests.integration.stack.conftest import Attend, make_project
from tests.support.missing import skip_without

pytestmark = [pytest.mark.embedded]
NOBODY = "nobody"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder every user can reach; those of pytest are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="attend-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def owner_of(pid: int) -> str:
    return pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another user")
def test_as_root_postgres_runs_as_an_unprivileged_user(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0", ATTEND_PG_USER=NOBODY)
    process = state.running(project / ".attend").processes["postgres"]
    assert owner_of(process.pid) == NOBODY
    attend("down")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another user")
def test_a_user_that_does_not_exist_is_named(attend: Attend) -> None:
    refused = attend("up", "--port", "0", check=False, ATTEND_PG_USER="no-such-user")
    assert refused.returncode == 1
    assert "no-such-user" in refused.stderr
    assert "ATTEND_PG_USER" in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="every other test shows it when the suite itself does not run as root")
@skip_without(shutil.which("setpriv") is not None, "setpriv (util-linux) starts a program as another user")
def test_the_whole_stack_runs_as_an_ordinary_user(open_folder: Path) -> None:
    cache, project = open_folder / "cache", make_project(open_folder / "project")
    cache.mkdir()
    entry = pwd.getpwnam(NOBODY)
    for path in (cache, project):
        os.chown(path, entry.pw_uid, entry.pw_gid)
    # Reading is allowed everywhere, because the interpreter may lie below root's home; everything else is ordinary.
    command = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    command += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]

    def attend(*arguments: str) -> str:
        done = subprocess.run(
            [*command, sys.executable, "-m", "attend.cli", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | {"ATTEND_CACHE": str(cache), "HOME": str(open_folder)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    attend("up", "--port", "0")
    current = state.running(project / ".attend")
    try:
        assert {owner_of(process.pid) for process in current.processes.values()} == {NOBODY}
        assert owner_of(current.supervisor.pid) == NOBODY
        keys = dict(line.split("=", 1) for line in attend("status", "-o", "env").splitlines())
        answer = httpx.get(f"{current.api_url}/rest/v1/notes", headers={"apikey": keys["SECRET_KEY"].strip('"')})
        assert answer.status_code == 200
        assert (project / ".attend" / "data" / "PG_VERSION").exists()
    finally:
        attend("down")


def test_a_missing_cache_directory_is_named(attend: Attend, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    refused = attend("up", "--port", "0", check=False, ATTEND_CACHE=str(file / "cache"))
    assert refused.returncode == 1
    assert "ATTEND_CACHE" in refused.stderr


def test_a_cluster_keeps_its_template_apart_from_its_data(tmp_path: Path) -> None:
    first, second = Cluster(tmp_path / "one"), Cluster(tmp_path / "two")
    try:
        first.start()
        second.start()
        assert first.port != second.port
        assert first.data != second.data
    finally:
        first.remove()
        second.remove()
