"""Runs pgTAP files as `pg_prove` and `supabase test db` do, and turns their TAP into something to read."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from attend.stack import installation
from tests.support.database import Database

ROOT = Path(__file__).parents[2]
ARCHIVE = ROOT / "node_modules" / "@electric-sql" / "pglite-pgtap" / "dist" / "pgtap.tar.gz"
TESTS = ROOT / "supabase" / "tests"

_RESULT = re.compile(
    r"(?P<not>not )?ok\b *(?P<number>\d+)?(?: - )?(?P<sentence>.*?)(?: # (?P<directive>(?i:todo|skip)).*)?$"
)


@dataclass
class TapReport:
    """What a file said: how many results it planned, and each result with the diagnostics that follow it."""

    planned: int | None = None
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """Everything that makes the file a failure, in words; empty when it passed."""
        ran = len(self.passed) + len(self.failed)
        problems = list(self.failed)
        if self.planned is None:
            problems.append("no plan: the file must begin with select plan(n)")
        elif self.planned != ran:
            problems.append(f"planned {self.planned} results and gave {ran}")
        return problems + self.errors


def parse(output: str) -> TapReport:
    """Reads TAP; lines that are none (results of other queries) are skipped, as TAP says."""
    report = TapReport()
    results: list[tuple[bool, list[str]]] = []
    for line in output.splitlines():
        if plan := re.match(r"1\.\.(\d+)", line):
            report.planned = int(plan[1])
        elif match := _RESULT.match(line):
            is_ok = match["not"] is None or match["directive"] is not None
            results.append((is_ok, [f"{match['number']} - {match['sentence']}"]))
        elif line.startswith("#") and results and not line.startswith("# Looks like"):
            results[-1][1].append(line)
    for is_ok, lines in results:
        (report.passed if is_ok else report.failed).append("\n".join(lines))
    return report


def load(database: Database) -> None:
    """Puts pgTAP into the schema `extensions`, where `supabase test db` has it too."""
    with tarfile.open(ARCHIVE, "r:gz") as archive:
        member = next(m for m in archive.getmembers() if re.search(r"/pgtap--\d+\.\d+\.\d+\.sql$", m.name))
        file = archive.extractfile(member)
        assert file is not None
        source = file.read()
    with database.connect() as connection:
        connection.execute("set search_path = extensions")
        connection.execute(source, prepare=False)


def run(database: Database, file: Path) -> TapReport:
    """Runs one file with psql, with the options of pg_prove."""
    psql = [str(installation.program("psql")), database.dsn(), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
    done = subprocess.run(
        [*psql, "--pset=pager=off", "--set=ON_ERROR_ROLLBACK=1", "--set=ON_ERROR_STOP=1", f"--file={file}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        # A statement that never ends is the file's failure, not the run's.
        env={**os.environ, "PGOPTIONS": "-c statement_timeout=60s"},
    )
    report = parse(done.stdout)
    if done.returncode != 0:
        report.errors.append(done.stderr.strip() or f"psql ended with status {done.returncode}")
    return report
