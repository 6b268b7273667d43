"""Runs the tests against mutants: pgTAP on a clone of one database first, then pytest on a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.support import database as databases
from tests.support import pgtap

ROOT = Path(__file__).parents[2]
# What says nothing of behaviour: a schema without a guard differs from itself with it, whatever the guard is for.
_NOT_WITNESSES = ("tests/integration/database/test_schemas.py", "tests/integration/database/test_catalogue.py")
# Where a feature's promises beyond one transaction are tested, quickest first.
_PYTEST = {
    "00_foundation": ["tests/integration/database"],
    "10_activities": ["tests/integration/database", "tests/integration/statistics"],
    "20_statistics": ["tests/integration/statistics", "tests/integration/statistics_recompute"],
    "30_delivery": ["tests/integration/scenarios", "tests/integration/push_notification_dispatcher"],
    "40_scenarios": ["tests/integration/scenarios", "tests/integration/scenario_trigger_engine"],
    "50_member_care": ["tests/integration/member_care", "tests/integration/pastoral_cases"],
    "60_panel": ["tests/integration/engagement_panel"],
    "70_dispatch": ["tests/integration/push_notification_dispatcher"],
    "80_people_rights": ["tests/integration/people_rights", "tests/integration/security"],
    "90_schedules": ["tests/integration/database"],
    "95_health": ["tests/integration/health"],
}
_MATRIX = "tests/integration/database/test_privilege_matrix.py"
# Nobody but the owner reaches schema private, so row security there is a second wall that only the catalogue shows.
_WALLS = "tests/integration/database/test_catalogue.py::test_row_level_security_is_on_for_every_table"
_RACES = "tests/integration/database/test_races.py"
# Beyond a feature's own: everything that runs two at once, then what kills processes.
_EVERYWHERE = [_RACES, _MATRIX, "tests/faults"]
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_SECONDS_OF_PYTEST = 600


class Laboratory:
    """One server, and one database with the migrations, pgTAP and the sample rows, to clone for each mutant."""

    def __init__(self) -> None:
        self._cluster = databases.start_cluster("mutation")
        self._template = databases.clone_database(
            self._cluster, databases.make_template(self._cluster), "mutation_template"
        )
        pgtap.load(self._template)
        self._template.execute((pgtap.TESTS.parent / "seed.sql").read_text())
        self._template.close()

    def close(self) -> None:
        """Removes the server."""
        self._cluster.remove()

    @contextmanager
    def database(self, mutant: Mutant | None = None) -> Iterator[databases.Database]:
        """A clone, without the guard if there is a mutant."""
        database = databases.clone_database(self._cluster, self._template.name, "mutant")
        try:
            if mutant is not None:
                database.execute(mutant.sql)
            yield database
        finally:
            databases.drop_database(database)

    def killed_by_pgtap(self, mutant: Mutant | None, files: Sequence[Path] | None = None) -> str | None:
        """The first assertion that fails, the feature's own files first; None where all of them pass."""
        with self.database(mutant) as database:
            for file in files if files is not None else _files_for(mutant):
                if problems := pgtap.run(database, file).problems:
                    return f"{file.relative_to(pgtap.TESTS).with_suffix('')}: {problems[0].splitlines()[0]}"
        return None

    def killed_by_catalogue(self, mutant: Mutant | None) -> str | None:
        """The first test of who may do what that fails; these read one database and need no stack of their own."""
        with self.database(mutant) as database:
            return _first_failure([_MATRIX, _WALLS], ROOT, ATTEND_STACK="supabase", ATTEND_DB_URL=database.dsn())


def is_grant(mutant: Mutant) -> bool:
    """Whether it is a right that somebody has too many or too few."""
    return mutant.kind in {"grant revoked", "grant added", "execute added"}


def is_lock(mutant: Mutant) -> bool:
    """Whether it is a lock, which one transaction alone does not miss."""
    return "lock" in mutant.kind


def is_seen_in_the_catalogue(mutant: Mutant) -> bool:
    """Whether the catalogue shows all that changed: who has which right, and where row security is on."""
    return is_grant(mutant) or mutant.kind == "row security off"


def killed_by_pytest(mutant: Mutant) -> str | None:
    """The first test that fails with one more migration, which takes the guard away; None where all pass."""
    with _project_with(mutant) as project:
        failures = (_first_failure(where, project) for where in _pytest_for(mutant))
        return next((failure for failure in failures if failure), None)


def _first_failure(where: list[str], project: Path, **environment: str) -> str | None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *where],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS_OF_PYTEST,
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    failed = _FAILED.search(done.stdout)
    return failed[1] if failed else None


def _files_for(mutant: Mutant | None) -> list[Path]:
    files = sorted(pgtap.TESTS.rglob("*.sql"))
    if mutant is None:
        return files
    wanted = "rls" if mutant.kind.startswith(("policy", "row security", "grant")) else "constraints"
    return sorted(files, key=lambda file: (file.parent.name != mutant.feature, file.stem != wanted, file))


def _pytest_for(mutant: Mutant) -> list[list[str]]:
    paths = [*_PYTEST.get(mutant.feature, []), *_EVERYWHERE]
    if is_lock(mutant):
        paths.insert(0, _RACES)
    return [likeliest_first(mutant, path) for path in dict.fromkeys(paths)]


def likeliest_first(mutant: Mutant, path: str) -> list[str]:
    """The test files of a folder, first those that run two at once where a lock is gone, then by the words that the
    mutant's name and the file have in common: what kills it is found in a fraction of the time.
    """
    words = {word[:7] for word in re.split(r"[^a-z]+", mutant.name.lower()) if len(word) > 4}

    def likelihood(file: Path) -> tuple[bool, int]:
        text = file.read_text().lower()
        return is_lock(mutant) and "tests.support.races" in text, sum(word in text for word in words)

    where = ROOT / path
    files = sorted(where.rglob("test_*.py"), key=likelihood, reverse=True) if where.is_dir() else []
    paths = [str(file.relative_to(ROOT)) for file in files]
    return [found for found in paths if found not in _NOT_WITNESSES] or [path]


def named_tests() -> set[str]:
    """The files and folders that the second stage asks."""
    return {
        _MATRIX,
        _WALLS.partition("::")[0],
        *_EVERYWHERE,
        *_NOT_WITNESSES,
        *(path for paths in _PYTEST.values() for path in paths),
    }


@contextmanager
def _project_with(mutant: Mutant) -> Iterator[Path]:
    """A copy of the project in which the guard is taken away by a last migration, for tests that start a stack."""
    with tempfile.TemporaryDirectory(prefix="attend-mutant-") as directory:
        project = Path(directory) / "attend"
        left_out = shutil.ignore_patterns(".git", ".venv", "node_modules", "__pycache__", "build", ".hypothesis")
        shutil.copytree(ROOT, project, ignore=left_out, symlinks=True)
        for shared in (".venv", "node_modules"):
            if (ROOT / shared).exists():
                (project / shared).symlink_to((ROOT / shared).resolve())
        (project / "supabase" / "migrations" / "99999999999999_mutant.sql").write_text(mutant.sql.rstrip(";\n") + ";\n")
        yield project
