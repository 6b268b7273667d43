"""Migrations are split and applied as the Supabase command line does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from attend.stack import migrations
from attend.stack.cluster import Cluster
from attend.stack.errors import MigrationError
from tests.support.database import PRISTINE, Database, clone_database, drop_database

pytestmark = [pytest.mark.embedded]


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    """The platform without migrations."""
    database = clone_database(cluster, PRISTINE, "migrations")
    yield database
    drop_database(database)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select 1;;\n ;", ["select 1"]),
        ("select ';'; select 'it''s;'", ["select ';'", "select 'it''s;'"]),
        (r"select E'a\';b'; select 2", [r"select E'a\';b'", "select 2"]),
        ('select ";" from t; select 2', ['select ";" from t', "select 2"]),
        ("-- one; two\nselect 1; -- three;\nselect 2", ["-- one; two\nselect 1", "-- three;\nselect 2"]),
        ("/* a; /* b; */ c; */ select 1; select 2", ["/* a; /* b; */ c; */ select 1", "select 2"]),
        ("do $$ begin perform 1; end $$; select 2", ["do $$ begin perform 1; end $$", "select 2"]),
        ("select $a$ $$;$b$; $a$; select 2", ["select $a$ $$;$b$; $a$", "select 2"]),
        (
            "create function f() returns int begin atomic; select case when true then 1 end; end; select 2",
            ["create function f() returns int begin atomic; select case when true then 1 end; end", "select 2"],
        ),
        ("begin; select 1; end; select 2", ["begin", "select 1", "end", "select 2"]),
        ("select the_end, case_number from t; select 2", ["select the_end, case_number from t", "select 2"]),
    ],
)
def test_statements_end_where_the_command_line_ends_them(sql: str, expected: list[str]) -> None:
    assert list(migrations.split_statements(sql)) == expected


def write(folder: Path, **files: str) -> Path:
    for name, sql in files.items():
        (folder / f"{name.removeprefix('m')}.sql").write_text(sql)
    return folder


def test_files_are_applied_in_order_as_postgres_and_recorded(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m20260102000000_second="insert into a values (1);", m20260101000000_first="create table a (n int);")
    (tmp_path / "README.sql").write_text("this is no migration")
    assert migrations.apply(empty.dsn(), tmp_path) == ["20260101000000", "20260102000000"]
    assert empty.value("select tableowner from pg_tables where tablename = 'a'") == "postgres"
    assert empty.rows("select version, name, statements from supabase_migrations.schema_migrations order by 1") == [
        {"version": "20260101000000", "name": "first", "statements": ["create table a (n int)"]},
        {"version": "20260102000000", "name": "second", "statements": ["insert into a values (1)"]},
    ]


def test_what_is_recorded_is_not_applied_again(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m20260101000000_first="create table a (n int)")
    migrations.apply(empty.dsn(), tmp_path)
    write(tmp_path, m20260103000000_third="create table c (n int)")
    assert migrations.apply(empty.dsn(), tmp_path) == ["20260103000000"]
    assert migrations.apply(empty.dsn(), tmp_path) == []


def test_a_refused_statement_rolls_its_file_back_and_keeps_those_before(empty: Database, tmp_path: Path) -> None:
    write(
        tmp_path,
        m20260101000000_good="create table good (n int)",
        m20260102000000_bad="create table half (n int); select 1/0",
    )
    with pytest.raises(MigrationError, match=r"20260102000000_bad\.sql, statement 1: 22012 division by zero"):
        migrations.apply(empty.dsn(), tmp_path)
    assert empty.value("select to_regclass('good') is not null and to_regclass('half') is null") is True
    assert empty.value("select count(*) from supabase_migrations.schema_migrations") == 1


def test_a_percent_sign_is_no_placeholder(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m20260101000000_percent="create table a as select '%s %(x)s 100%' as text")
    migrations.apply(empty.dsn(), tmp_path)
    assert empty.value("select text from a") == "%s %(x)s 100%"


def test_what_only_a_superuser_may_do_is_refused(empty: Database, tmp_path: Path) -> None:
    write(tmp_path, m20260101000000_super="alter system set work_mem = '1GB'")
    with pytest.raises((MigrationError, psycopg.Error)):
        migrations.apply(empty.dsn(), tmp_path)
