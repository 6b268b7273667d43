"""Writes a generated organisation into a database, quickly: COPY, one transaction."""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Connection, sql

from attend.demo.model import Church, DemoData


def load(connection: Connection[Any], data: DemoData) -> dict[str, int]:
    """Writes everything in one transaction and returns the rows by table. Idempotent it is not: load once.

    `connection` may be `postgres`; the triggers work as for anybody's writes, so everybody is marked and the bell
    rings. Rules are not among it: without them nobody is told anything.
    """
    written: dict[str, int] = {}
    with connection.transaction():
        for table, columns, rows in _tables(data):
            written[table] = copy_rows(connection, table, columns, rows)
    return written


def load_church(connection: Connection[Any], church: Church) -> None:
    """Writes the organisation and those who work for it, who enter everything else themselves."""
    copy_rows(connection, *_plain("organizations", "id, name, time_zone, created_at", [church.organization]))
    columns = "organization_id, id, full_name, role, joined_at"
    copy_rows(connection, *_plain("users", columns, [church.admin, *church.servants]))


def _tables(data: DemoData) -> Iterable[tuple[str, Sequence[str], Iterable[Sequence[Any]]]]:
    yield _plain("organizations", "id, name, time_zone, created_at", data.organizations)
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
        "certificates",
        "organization_id, id, user_id, name, issued_at, expires_at, created_at, revoked_at, replaced_by",
        data.certificates,
    )
    yield _plain(
        "notification_preferences", "organization_id, user_id, scenario, channel, is_enabled", data.preferences
    )


def _plain(table: str, names: str, rows: Sequence[object]) -> tuple[str, Sequence[str], Iterable[Sequence[Any]]]:
    columns = names.split(", ")
    return table, columns, (_values(row, columns) for row in rows)


def _values(row: object, columns: Iterable[str]) -> list[Any]:
    return [getattr(row, column) for column in columns]


def copy_rows(connection: Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Writes rows into a table of `public` by COPY; returns how many."""
    statement = sql.SQL("copy public.{} ({}) from stdin").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    count = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count
