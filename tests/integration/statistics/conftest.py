"""An organisation with a few people to keep statistics of."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from tests.support.database import Database
from tests.support.statistics import assert_right, drain_all

NOW = datetime.now(UTC)


def utc(text: str) -> datetime:
    """A moment from `2024-02-29` or `2024-02-29 23:59`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class Programme:
    """An organisation, and the words in which these tests speak of it."""

    database: Database
    id: UUID

    def person(self, role: str = "peer_mentor") -> UUID:
        return self.database.value(
            "insert into public.users (organization_id, full_name, role) values (%s, 'Somebody', %s) returning id",
            (self.id, role),
        )

    def login(self, user_id: UUID) -> UUID:
        """A login of that person."""
        auth_user_id = uuid.uuid4()
        self.database.execute("insert into auth.users (id, email) values (%s, %s)", (auth_user_id, f"{user_id}@x.test"))
        self.database.execute("insert into public.user_logins values (%s, %s, %s)", (auth_user_id, self.id, user_id))
        return auth_user_id

    def contact(self) -> UUID:
        return self.database.value("insert into public.contacts (organization_id) values (%s) returning id", (self.id,))

    def activity(
        self,
        user_id: UUID,
        at: datetime | str = NOW - timedelta(hours=1),
        *contacts: UUID,
        connection: psycopg.Connection[Any] | None = None,
        **columns: Any,
    ) -> UUID:
        """A completed activity of half an hour with these contacts, unless `columns` say otherwise."""
        values = {
            "organization_id": self.id,
            "id": uuid.uuid4(),
            "user_id": user_id,
            "activity_type_id": "other",
            "occurred_at": utc(at) if isinstance(at, str) else at,
            "duration_minutes": 30,
            **columns,
        }
        execute = connection.execute if connection else self.database.execute
        insert = sql.SQL("insert into public.activities ({}) values ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join([sql.Placeholder()] * len(values))
        )
        execute(insert, list(values.values()))
        for contact_id in contacts:
            execute("insert into public.activity_contacts values (%s, %s, %s)", (self.id, values["id"], contact_id))
        return values["id"]

    def change(self, activity_id: UUID, **columns: Any) -> None:
        self.database.execute(
            f"update public.activities set {', '.join(f'{name} = %s' for name in columns)} where id = %s",
            [*columns.values(), activity_id],
        )

    def drain(self, now: datetime | str | None = None) -> None:
        self.database.execute("select 1")
        assert self.database._own is not None
        drain_all(self.database._own, utc(now) if isinstance(now, str) else now)

    def assert_right(self, now: datetime | str | None = None) -> None:
        """All rows are what the rebuild of the tests makes of the activities. As of now unless said, like a drain."""
        with self.database.connect() as connection:
            assert_right(connection, [self.id], utc(now) if isinstance(now, str) else now or datetime.now(UTC))

    def row(self, user_id: UUID, period: str = "all_time", start: str | None = None) -> dict[str, Any]:
        """The one row; {} when there is none."""
        found = self.database.rows(
            "select * from public.activity_statistics where user_id = %s and period_type = %s"
            " and period_start is not distinct from %s",
            (user_id, period, utc(start) if start else None),
        )
        assert len(found) <= 1
        return found[0] if found else {}

    def streak(self, user_id: UUID, period: str = "all_time", start: str | None = None) -> int | None:
        return self.row(user_id, period, start).get("streak_days")

    def marks(self) -> int:
        return self.database.value(
            "select count(*) from private.statistics_marks where organization_id = %s", (self.id,)
        )


@pytest.fixture
def programme(database: Database) -> Iterator[Programme]:
    yield Programme(database, database.value("insert into public.organizations (name) values ('P') returning id"))
    database.execute("delete from public.organizations")
    database.execute("delete from private.statistics_marks")


@pytest.fixture
def mentor(programme: Programme) -> UUID:
    return programme.person()
