"""Writes a generated organisation into a database, quickly: COPY, one transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Connection, sql

from attend.demo.model import DemoData


def load(connection: Connection[Any], data: DemoData, *, rules: bool = True) -> dict[str, int]:
    """Writes everything in one transaction and returns the rows by table. Idempotent it is not: load once.

    `connection` may be `postgres`; the triggers work as for anybody's writes, so everybody is marked and the bell
    rings. With `rules=False` nobody can be told anything yet: `load_rules` switches that on.
    """
    written: dict[str, int] = {}
    with connection.transaction():
        for table, columns, rows in _tables(data):
            written[table] = _copy(connection, table, columns, rows)
        if rules:
            written["scenario_rules"] = load_rules(connection, data)
    return written


def load_rules(connection: Connection[Any], data: DemoData) -> int:
    """Writes the rules; returns how many."""
    columns = ("organization_id", "id", "type", "name", "is_enabled", "threshold_days", "cooldown_days")
    with connection.transaction():
        return _copy(connection, "scenario_rules", columns, (_values(rule, columns) for rule in data.rules))


def _tables(data: DemoData) -> Iterable[tuple[str, Sequence[str], Iterable[Sequence[Any]]]]:
    yield _plain("organizations", "id, name, time_zone", data.organizations)
    columns = (
        "organization_id, id, full_name, role, joined_at, is_active, reactivated_at, away_from, away_until, time_zone"
    )
    _, users, people = _plain("users", columns, data.people)
    # A person has been in the books since they joined.
    dated = ((*row, person.joined_at) for row, person in zip(people, data.people, strict=True))
    yield "users", (*users, "created_at"), dated
    yield _plain("contacts", "organization_id, id, display_name", data.contacts)
    yield _plain(
        "activities",
        "organization_id, id, user_id, activity_type_id, occurred_at, recorded_at, duration_minutes, status, approval, "
        "proxy_registered_by",
        data.activities,
    )
    met = ((row.organization_id, row.id, contact) for row in data.activities for contact in row.contact_ids)
    yield "activity_contacts", ("organization_id", "activity_id", "contact_id"), met
    yield _plain(
        "notification_preferences", "organization_id, user_id, scenario, channel, is_enabled", data.preferences
    )


def _plain(table: str, names: str, rows: Sequence[object]) -> tuple[str, Sequence[str], Iterable[Sequence[Any]]]:
    columns = names.split(", ")
    return table, columns, (_values(row, columns) for row in rows)


def _values(row: object, columns: Iterable[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]


def _copy(connection: Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    statement = sql.SQL("copy public.{} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count
