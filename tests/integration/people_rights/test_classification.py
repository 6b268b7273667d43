"""Every column is classified, and exports and erasures do with it what its classification says."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import Database
from tests.support.people import NAMES, World

CLASSES = ("identifies", "describes", "pseudonym", "speaks", "none")
TABLES: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "classification.toml").read_text())
KINDS = {"public.users": "user", "public.people": "member", "public.contacts": "contact", "public.students": "student"}
# Columns that stand for a person, by their names; and those that only look so, or stand beside another that does.
STANDS_FOR_A_PERSON = re.compile(r"(^|_)(user|person|contact|servant|coordinator|actor|author|student)_id$|_by$")
NOT_A_PERSON = {
    ("public.certificates", "replaced_by"),
    ("private.certificate_history", "replaced_by"),
    ("public.user_logins", "auth_user_id"),
}

type Row = dict[str, Any]


@dataclass(frozen=True)
class Use:
    """Rows of a table that are somebody's, and what becomes of them."""

    table: str
    kind: str
    by: str
    erase: str
    section: str | None = None
    where: str = "true"
    left_out: str = ""
    only: str | None = None
    shows_by: bool = False

    def columns(self) -> set[str]:
        """What the export shows of them."""
        if self.section is None:
            return set()
        if self.only is not None:
            return set(self.only.split())
        hidden = {"organization_id", *self.left_out.split()} | (set() if self.shows_by else {self.by})
        return columns_of(self.table) - hidden

    def rows(self, database: Database, person: str) -> list[Row]:
        """The person's rows."""
        return [row for row, whose in rows_of(database, self) if whose == person]


def columns_of(table: str) -> set[str]:
    return {column for name in CLASSES for column in TABLES[table].get(name, "").split()}


USES = [Use(table, **use) for table, entry in TABLES.items() for use in entry.get("of", [])]


def rows_of(database: Database, use: Use) -> list[tuple[Row, str | None]]:
    """All rows of a table of which this use could be, and whose each is."""
    rows = database.rows(f"select to_jsonb(t) as row, ({use.by})::text as whose from {use.table} t where {use.where}")
    return [(row["row"], row["whose"]) for row in rows]


def identity(use: Use, row: Row) -> str:
    """What an erasure that keeps a row leaves of it."""
    kept = {name: value for name, value in row.items() if name not in {use.by, *speaking(use.table)}}
    return str(kept["id"]) if "id" in kept else json.dumps(kept, sort_keys=True)


@pytest.fixture
def everywhere(database: Database) -> dict[str, dict[str, str]]:
    """Columns and their types by table, materialized views included."""
    found: dict[str, dict[str, str]] = {}
    for row in database.rows(
        "select n.nspname || '.' || c.relname as name, a.attname, a.atttypid::regtype::text as type"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
        " where c.relkind in ('r', 'p', 'm') and n.nspname not in ('pg_catalog', 'information_schema', 'auth', 'cron',"
        " 'net', 'vault', 'supabase_migrations', 'realtime', 'storage', 'extensions', 'supabase_functions', 'graphql')"
        " and n.nspname !~ '^pg_'"
    ):
        found.setdefault(row["name"], {})[row["attname"]] = row["type"]
    return found


def test_every_column_of_every_table_has_one_class(everywhere: dict[str, dict[str, str]]) -> None:
    """A new column has none: say in classification.toml what it says of people."""
    assert len(everywhere) > 40
    assert set(TABLES) == set(everywhere)
    for table, columns in everywhere.items():
        named = [column for name in CLASSES for column in TABLES[table].get(name, "").split()]
        assert sorted(named) == sorted(columns), table
        assert set(TABLES[table]) <= {*CLASSES, "of", "why"}, table


def test_what_refers_to_a_person_says_whose_it_is(database: Database) -> None:
    """Every reference, and every column that is called like one, is some export's and some erasure's concern."""
    references = database.rows(
        "select n.nspname || '.' || c.relname as name, a.attname, k.confrelid::regclass::text as target"
        " from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[2]"
        " where k.contype = 'f' and k.confrelid in"
        " (select k.name::regclass from unnest(%s::text[]) as k (name))",
        (list(KINDS),),
    )
    assert len(references) > 30
    uses = {(use.table, use.by, use.kind) for use in USES}
    for row in references:
        target = row["target"] if "." in row["target"] else f"public.{row['target']}"
        assert (row["name"], row["attname"], KINDS[target]) in uses, row
    spoken_for = {(use.table, use.by) for use in USES}
    for table, entry in TABLES.items():
        for column in columns_of(table):
            if STANDS_FOR_A_PERSON.search(column) and (table, column) not in NOT_A_PERSON:
                assert column in entry.get("pseudonym", "").split(), (table, column)
                assert (table, column) in spoken_for or entry.get("why"), (table, column)


def test_what_says_something_of_people_is_somebodys() -> None:
    for table, entry in TABLES.items():
        personal = any(entry.get(name) for name in ("identifies", "describes", "pseudonym"))
        assert not personal or entry.get("of") or entry.get("why"), table


def test_all_text_that_anybody_may_be_named_in_is_called_so(everywhere: dict[str, dict[str, str]]) -> None:
    """Text and documents that are said to say nothing of people are these, each by a glance of a person."""
    silent = {
        f"{table}.{column}"
        for table, columns in everywhere.items()
        for column, type_ in columns.items()
        if type_ in ("text", "jsonb", "json", "character varying") and column in TABLES[table].get("none", "").split()
    }
    assert silent == {
        *("public.organizations.name", "public.organizations.time_zone", "public.org_settings_kv.key"),
        *("public.org_settings_kv.value", "private.erasures.kind"),
        *("public.activity_types.id", "public.activity_types.label", "public.team_reports.figures"),
        *(f"public.scenario_rules.{name}" for name in ("type", "name", "activation", "metric", "period")),
        *("public.scenario_rule_versions.rule", "public.services.kind", "private.bells.function_name"),
        *("private.rings.bell_id", "private.rings.function_name", "private.schedules.function_name"),
        *("private.webhook_deliveries.id", "private.webhook_deliveries.answer", "private.runs.kind"),
        *("private.runs.state", "private.runs.counts", "private.case_runs.counts", "private.schedules.name"),
        *("private.schedules.description", "private.schedules.last_result", "private.retention.name"),
        "private.push_providers.name",
        *("private.bells.rung_again_id", "private.webhook_deliveries.function_name"),
        *("private.retention.description", "public.notification_templates.scenario"),
        *("public.notification_templates.form", "public.notification_templates.language"),
    }


def test_the_world_has_rows_for_every_use_and_a_value_for_every_column_that_is_shown(world: World) -> None:
    for use in USES:
        rows = use.rows(world.database, world.ids[use.kind])
        assert rows, f"nobody of kind {use.kind} has a row in {use.table} by {use.by} where {use.where}"
    for table in {use.table for use in USES}:
        for column in set().union(*(use.columns() for use in USES if use.table == table)):
            values = [
                row[column]
                for use in USES
                if use.table == table and column in use.columns()
                for row in use.rows(world.database, world.ids[use.kind])
            ]
            assert any(value is not None for value in values), f"{table}.{column} is null everywhere"


@pytest.mark.parametrize("kind", list(NAMES))
def test_the_export_shows_what_the_classification_says_and_nothing_else(world: World, kind: str) -> None:
    records = world.export(kind)["records"]
    uses = [use for use in USES if use.kind == kind]
    assert set(records) == {use.section for use in uses if use.section}
    for use in uses:
        if use.section is None:
            continue
        for row in use.rows(world.database, world.ids[kind]):
            wanted = {name: row[name] for name in use.columns()}
            shown = [
                one
                for one in records[use.section]
                if all(masked(one.get(name), value) for name, value in wanted.items())
            ]
            assert shown, (wanted, records[use.section])
            for one in shown:
                assert not {"organization_id", *use.left_out.split()} & set(one), (use, one)


def masked(shown: Any, stored: Any) -> bool:
    """Whether a value is shown as it is stored, but for the names of other people and keys that lead to them."""
    if shown == stored:
        return True
    if isinstance(stored, str) and isinstance(shown, str):
        return (
            "[another person]" in shown
            and re.sub(r"Dina Dahl|Olga Other|Kari Nordmann", "[another person]", stored) == shown
        )
    if isinstance(stored, dict) and isinstance(shown, dict):
        hidden = set(stored) - set(shown)
        return hidden <= {"assigned_servant_id", "person_id"} and all(masked(shown[k], stored.get(k)) for k in shown)
    if isinstance(stored, list) and isinstance(shown, list):
        return len(shown) == len(stored) and all(map(masked, shown, stored))
    return False


@pytest.mark.usefixtures("neighbours")
@pytest.mark.parametrize("kind", list(NAMES))
def test_an_erasure_does_what_the_classification_says(world: World, kind: str) -> None:
    database, person = world.database, world.ids[kind]
    before = {use: rows_of(database, use) for use in USES if use.kind == kind}
    everybody = everything(database)
    world.erase(kind)
    for use, rows in before.items():
        after = rows_of(database, use)
        for row in (row for row, whose in rows if whose == person):
            others = {whose for one, whose in rows if identity(use, one) == identity(use, row) and whose != person}
            now = [(one, w) for one, w in after if identity(use, one) == identity(use, row) and w not in others]
            assert [classified(whose, person) for _, whose in now] == ([] if use.erase == "deleted" else [use.erase]), (
                use
            )
            for one, _ in now:
                stays = set(row) - {use.by} - speaking(use.table)
                assert {name: one[name] for name in stays} == {name: row[name] for name in stays}, use
    # Everybody else's rows are as they were, but for the person's name and id in what they wrote.
    theirs = {as_text(row) for rows in before.values() for row, whose in rows if whose == person}
    for table, rows in everything(database).items():
        if table == "private.bells":
            continue  # rung, for what is to be counted again
        named = (world.names[kind].lower(), person)
        changed = everybody[table] - rows - theirs
        assert not [row for row in changed if not any(one in row.lower() for one in named)], table


def classified(whose: str | None, person: str) -> str:
    return "unlinked" if whose is None else "kept" if whose == person else "moved"


def speaking(table: str) -> set[str]:
    return set(TABLES[table].get("speaks", "").split())


def everything(database: Database) -> dict[str, set[str]]:
    rows = {table: database.rows(f"select to_jsonb(t) as row from {table} t") for table in TABLES}
    return {table: {as_text(row["row"]) for row in found} for table, found in rows.items()}


def as_text(row: Row) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)
