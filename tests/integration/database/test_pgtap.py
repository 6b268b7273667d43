"""What the database promises, in its own language: every file of supabase/tests is a test of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import on_real_stack
from tests.support import database as databases
from tests.support import pgtap
from tests.support.missing import skip_or_fail

FILES = sorted(pgtap.TESTS.rglob("*.sql"))


@pytest.fixture(scope="module")
def tap(database: databases.Database) -> databases.Database:
    """The database of this file with pgTAP in it, and with the sample rows that `supabase start` puts there."""
    if on_real_stack():
        database.execute("create extension if not exists pgtap with schema extensions")
    elif pgtap.ARCHIVE.exists():
        pgtap.load(database)
    else:
        skip_or_fail("pgTAP is not installed: run `make install`")
    database.execute((pgtap.TESTS.parent / "seed.sql").read_text())
    return database


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(pgtap.TESTS).with_suffix("").as_posix())
def test_pgtap(tap: databases.Database, file: Path) -> None:
    report = pgtap.run(tap, file)
    if report.problems:
        pytest.fail("\n\n".join(report.problems), pytrace=False)


def test_the_files_leave_nothing_behind(tap: databases.Database) -> None:
    people = "select count(*) from public.users"
    before = tap.value(people)
    assert before > 0
    assert not pgtap.run(tap, FILES[0]).problems
    assert tap.value(people) == before
    assert tap.value("select to_regnamespace('tests') is null")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("select plan(2); select pass('one');", "planned 2 results and gave 1"),
        ("select plan(1); select pass('one'); select pass('two');", "planned 1 results and gave 2"),
        ("select plan(1); select is(1, 2, 'one is two');", "have: 1"),
        ("select pass('without a plan');", "plan"),
        ("select plan(1); select 1 / 0; select pass('after an error');", "division by zero"),
        ("select plan(1); select tests.absent();", 'schema "tests" does not exist'),
    ],
)
def test_a_file_that_is_wrong_fails(tap: databases.Database, tmp_path: Path, body: str, problem: str) -> None:
    file = tmp_path / "wrong.sql"
    file.write_text(f"begin;\n{body}\nselect * from finish();\nrollback;\n")
    assert problem in "\n".join(pgtap.run(tap, file).problems)


def test_every_feature_has_its_tests() -> None:
    features = {path.name for path in (pgtap.TESTS.parent / "schemas").iterdir() if path.is_dir()}
    assert {file.parent.name for file in FILES} == features


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(pgtap.TESTS).with_suffix("").as_posix())
def test_files_run_in_a_transaction_that_they_roll_back(file: Path) -> None:
    statements = [line for line in file.read_text().splitlines() if line and not line.startswith("--")]
    assert (statements[0], statements[-1]) == ("begin;", "rollback;")
    assert "select * from finish();" in statements


def test_every_constraint_of_ours_is_violated_by_name_in_these_files(tap: databases.Database) -> None:
    """A check, a key or a reference that nobody ever broke on purpose may as well not be there."""
    names = tap.rows(
        """
        select k.conname as name from pg_constraint k join pg_class c on c.oid = k.conrelid
        where k.connamespace in ('public'::regnamespace, 'private'::regnamespace) and k.contype in ('c', 'f', 'u')
        union
        select i.relname from pg_index x join pg_class i on i.oid = x.indexrelid
        where x.indisunique and not x.indisprimary
          and i.relnamespace in ('public'::regnamespace, 'private'::regnamespace)
        """
    )
    text = "\n".join(file.read_text() for file in FILES)
    assert names
    assert not [row["name"] for row in names if row["name"] not in text]


def test_every_table_has_its_row_in_a_matrix_of_roles(tap: databases.Database) -> None:
    text = "\n".join(file.read_text() for file in FILES if file.name == "rls.sql")
    tables = tap.rows(
        "select schemaname || '.' || tablename as name from pg_tables where schemaname in ('public', 'private')"
    )
    assert not [row["name"] for row in tables if f" {row['name']}" not in text]
