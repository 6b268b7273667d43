"""pg_net and pg_cron answer as the recordings of the real ones do: every object and every statement is a test.

`extensions.json` and `extensions.jsonl` were recorded from pg_net 0.20.4 and pg_cron 1.6.7 on Postgres 17.11.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

HERE = Path(__file__).parent
OBJECTS: dict[str, Any] = json.loads((HERE / "extensions.json").read_text())
STATEMENTS: list[dict[str, Any]] = [json.loads(line) for line in (HERE / "extensions.jsonl").read_text().splitlines()]
TABLES = [(schema, name) for schema in OBJECTS for name in OBJECTS[schema]["tables"]]
FUNCTIONS = [(schema, function) for schema in OBJECTS for function in OBJECTS[schema]["functions"]]
# The recording was made by a superuser. As `postgres` on the platform, this statement is refused: see below.
ONLY_FOR_SUPERUSERS = "update cron.job"


@pytest.mark.parametrize(("schema", "name"), TABLES, ids=str)
def test_a_table_has_the_columns_and_persistence_of_the_original(
    connection: psycopg.Connection[Any], schema: str, name: str
) -> None:
    columns = connection.execute(
        """
        select a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
        """,
        (f"{schema}.{name}",),
    ).fetchall()
    persistence = connection.execute(
        "select relpersistence = 'u' from pg_class where oid = %s::regclass", (f"{schema}.{name}",)
    ).fetchone()
    expected = OBJECTS[schema]["tables"][name]
    assert [dict(zip(("name", "type", "not_null", "default"), row, strict=True)) for row in columns] == expected[
        "columns"
    ]
    assert persistence == (expected["unlogged"],)


@pytest.mark.parametrize(
    ("schema", "function"), FUNCTIONS, ids=lambda value: value if isinstance(value, str) else value["name"]
)
def test_a_function_has_the_signature_of_the_original(
    connection: psycopg.Connection[Any], schema: str, function: dict[str, Any]
) -> None:
    found = connection.execute(
        """
        select p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prosecdef, p.provolatile
        from pg_proc p where p.pronamespace = %s::regnamespace and p.proname = %s
        """,
        (schema, function["name"]),
    ).fetchall()
    names = ("name", "arguments", "result", "security_definer", "volatility")
    assert function in [dict(zip(names, row, strict=True)) for row in found]


@pytest.mark.embedded
def test_nothing_beside_the_original_functions_but_private_helpers(connection: psycopg.Connection[Any]) -> None:
    rows = connection.execute(
        "select distinct p.pronamespace::regnamespace::text, p.proname from pg_proc p "
        "where p.pronamespace in ('net'::regnamespace, 'cron'::regnamespace) and p.proname not like '\\_attend\\_%'"
    ).fetchall()
    assert set(rows) == {(schema, function["name"]) for schema, function in FUNCTIONS}


def test_the_enum_of_request_states_has_the_labels_of_the_original(connection: psycopg.Connection[Any]) -> None:
    labels = connection.execute("select enum_range(null::net.request_status)::text[]").fetchone()
    assert labels == (OBJECTS["net"]["enums"]["request_status"],)


@pytest.fixture(scope="module")
def answers(url: str) -> list[dict[str, Any]]:
    """What each recorded statement answers, in order, in one transaction that is rolled back."""
    found: list[dict[str, Any]] = []
    with psycopg.connect(url) as connection:
        # The recording began with the sequences of fresh extensions.
        for statement in STATEMENTS:
            try:
                with connection.transaction():
                    cursor = connection.execute(statement["sql"])
                    rows = cursor.fetchall() if cursor.description else cursor.rowcount
                found.append({"rows": json.loads(json.dumps(rows))})
            except psycopg.Error as error:
                found.append({"sqlstate": error.sqlstate, "message": error.diag.message_primary})
        connection.rollback()
    return found


@pytest.mark.parametrize("number", range(len(STATEMENTS)), ids=lambda number: STATEMENTS[number]["sql"][:60])
def test_a_statement_answers_as_recorded(answers: list[dict[str, Any]], number: int) -> None:
    expected = {name: value for name, value in STATEMENTS[number].items() if name != "sql"}
    answer = answers[number]
    if STATEMENTS[number]["sql"].startswith(ONLY_FOR_SUPERUSERS):
        expected = {"sqlstate": "42501", "message": "permission denied for table job"}
    if expected.get("rows") == [[3]]:  # the number of a request: any, on a server that served before
        assert isinstance(answer["rows"][0][0], int)
    else:
        assert answer == expected
