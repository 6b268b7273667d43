"""A small project for tests of the stack itself: one migration, no functions, so that a start takes a second."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from attend.stack import state
from attend.stack.cluster import Cluster
from attend.stack.processes import end_process

pytestmark = pytest.mark.embedded

Attend = Callable[..., subprocess.CompletedProcess[str]]

MIGRATION = """
create extension if not exists pg_net with schema extensions;
create extension if not exists pg_cron;
create table public.notes (id bigint generated always as identity primary key, text text not null);
grant select, insert on public.notes to service_role;
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder `attend up` works in; whatever a test leaves running there is ended."""
    folder = make_project(tmp_path / "project")
    yield folder
    clear(folder)


def make_project(folder: Path) -> Path:
    """A project with one migration."""
    (folder / "supabase" / "migrations").mkdir(parents=True)
    (folder / "supabase" / "config.toml").write_text('project_id = "small"\n')
    (folder / "supabase" / "migrations" / "20260101000000_notes.sql").write_text(MIGRATION)
    return folder


def clear(folder: Path) -> None:
    """Ends what runs in a project and deletes its data."""
    left = state.read(folder / ".attend")
    for process in [left.supervisor, *left.processes.values()] if left else []:
        if process.lives():
            end_process(process.pid, gently_for=5.0)
    Cluster(folder / ".attend").remove()


@pytest.fixture
def attend(project: Path) -> Attend:
    """Runs the command line in the project."""

    def run(*arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "attend.cli", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=os.environ | environment,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    return run
