"""The real Supabase command line against our databases: what it pushes, lists, advises and generates."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attend.stack import migrations
from tests.conftest import on_real_stack
from tests.integration.database.conftest import MODES, ROOT, platform_of, server_of
from tests.support import database as databases
from tests.support.missing import skip_without
from tests.support.schemas import SUPABASE, describe

PROGRAM = ROOT / "node_modules" / ".bin" / "supabase"
pytestmark = [
    skip_without(PROGRAM.exists(), "the Supabase command line is not installed: run `make install`"),
    pytest.mark.skipif(on_real_stack(), reason="these gates push to databases of their own"),
]


class CommandLine:
    """The pinned program in a copy of the project, so that nothing it writes lands in the repository."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "supabase").mkdir()
        shutil.copytree(SUPABASE / "migrations", home / "supabase" / "migrations")
        shutil.copy(SUPABASE / "config.toml", home / "supabase" / "config.toml")
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        self.environment = kept | {
            # Machines without node use the one of the environment.
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "HOME": str(home),
            # The server of the tests has no TLS; the program would say so in the midst of its output.
            "PGSSLMODE": "disable",
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), "--workdir", str(self.home), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=self.environment,
        )

    def succeeds(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def supabase(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module", params=list(MODES))
def platform(request: pytest.FixtureRequest) -> Iterator[databases.Database]:
    """A project as it is delivered: the platform, no migration. One for each default-privilege mode."""
    server = server_of(request.param, request)
    database = databases.clone_database(server, platform_of(request.param), f"platform_{request.param}")
    yield database
    databases.drop_database(database)


@pytest.fixture
def empty(platform: databases.Database) -> Iterator[databases.Database]:
    """A clone of the platform that the test may push to."""
    database = databases.clone_database(platform.server, platform.name, "pushed")
    yield database
    databases.drop_database(database)


@pytest.fixture(scope="module")
def applied(platform: databases.Database) -> Iterator[databases.Database]:
    """A database to which we have applied the migrations ourselves."""
    database = databases.clone_database(platform.server, platform.name, "applied")
    migrations.apply(database.dsn(), SUPABASE / "migrations")
    yield database
    databases.drop_database(database)


def history(database: databases.Database) -> list[dict[str, Any]]:
    return database.rows("select * from supabase_migrations.schema_migrations order by version")


def test_db_push_after_our_own_apply_has_nothing_to_do(supabase: CommandLine, applied: databases.Database) -> None:
    before = history(applied)
    assert "up to date" in supabase.succeeds("db", "push", f"--remote={applied.dsn()}", "--yes")
    assert history(applied) == before


def test_our_apply_after_db_push_has_nothing_to_do(supabase: CommandLine, empty: databases.Database) -> None:
    supabase.succeeds("db", "push", f"--remote={empty.dsn()}", "--yes")
    assert migrations.apply(empty.dsn(), SUPABASE / "migrations") == []


def test_db_push_makes_and_records_what_our_apply_does(
    supabase: CommandLine, empty: databases.Database, applied: databases.Database
) -> None:
    supabase.succeeds("db", "push", f"--remote={empty.dsn()}", "--yes")
    assert history(empty) == history(applied)
    assert describe(empty.server, empty.name) == describe(applied.server, applied.name)


def test_migration_list_shows_every_file_on_both_sides(supabase: CommandLine, applied: databases.Database) -> None:
    answer = supabase.succeeds("migration", "list", f"--remote={applied.dsn()}", "--output-format", "json")
    versions = [migration.version for migration in migrations.find(SUPABASE / "migrations")]
    listed = json.loads(answer)["migrations"]
    assert [(row["local"], row["remote"]) for row in listed] == [(version, version) for version in versions]


def test_the_advisors_have_nothing_to_say(supabase: CommandLine, applied: databases.Database) -> None:
    answer = supabase(
        *("db", "advisors", f"--remote={applied.dsn()}", "--level", "warn", "--fail-on", "warn"),
        *("--output-format", "json"),
    )
    findings = [finding["detail"] for finding in json.loads(answer.stdout)["results"]]
    assert (findings, answer.returncode) == ([], 0)


def test_the_advisors_gate_can_fail(supabase: CommandLine, empty: databases.Database) -> None:
    empty.execute("create function public.forgotten() returns integer language sql as 'select 1'")
    answer = supabase("db", "advisors", f"--remote={empty.dsn()}", "--level", "warn", "--fail-on", "warn")
    assert answer.returncode != 0


def test_generated_types_have_a_model_for_every_table_with_its_columns(
    supabase: CommandLine, applied: databases.Database
) -> None:
    source = supabase.succeeds("gen", "types", "--lang", "python", f"--remote={applied.dsn()}")
    generated = types.ModuleType("generated")
    exec(compile(source, "generated", "exec"), generated.__dict__)
    tables = applied.rows(
        "select c.relname as name, array_agg(a.attname::text order by a.attname) as columns from pg_class c"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' group by c.relname"
    )
    for table in tables:
        model = getattr(generated, "Public" + "".join(part.capitalize() for part in table["name"].split("_")))
        assert sorted(model.model_fields) == table["columns"], table["name"]
