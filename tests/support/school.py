"""A school to test the engagement panel on: students, their check-ins, and the manager who looks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql

from tests.support.database import Database

# How somebody learns, by what makes the panel say so: days since the start and since the last lesson, lessons, score.
LEARNING = {
    "stuck": (100, 30, 20, 80),
    "slow": (100, 1, 5, 80),
    "low": (100, 1, 20, 10),
    "well": (100, 1, 20, 80),
}


@dataclass
class School:
    """An organisation with a manager, and without students."""

    database: Database
    id: UUID = field(default_factory=uuid4)
    name: str = "School"
    manager: UUID = field(init=False)

    def __post_init__(self) -> None:
        self.database.execute("insert into public.organizations (id, name) values (%s, %s)", (self.id, self.name))
        self.manager = self.login("manager")

    def login(self, role: str) -> UUID:
        """Somebody who works here and may sign in; their login."""
        login, user = uuid4(), uuid4()
        self.database.execute("insert into auth.users (id) values (%s)", (login,))
        self.database.execute(
            "insert into public.users (organization_id, id, full_name, role) values (%s, %s, %s, %s)",
            (self.id, user, role.title(), role),
        )
        self.database.execute("insert into public.user_logins values (%s, %s, %s)", (login, self.id, user))
        return login

    def setting(self, key: str, value: object) -> None:
        self.database.execute(
            "insert into public.org_settings_kv values (%s, %s, %s)"
            " on conflict (organization_id, key) do update set value = excluded.value",
            (self.id, key, json.dumps(value)),
        )

    def student(self, student_id: int, *, full_name: str = "", **columns: Any) -> None:
        row = {
            "organization_id": self.id,
            "student_id": student_id,
            "full_name": full_name or f"Student {student_id}",
            **columns,
        }
        self._insert("students", row)

    def came(self, student_id: int, *days_ago: float, minutes: int | None = 60) -> None:
        """Check-ins this many days (of 24 hours) and a moment ago."""
        self.database.execute(
            "insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)"
            " select %s, %s, now() - make_interval(hours => 24) * d, %s from unnest(%s::float[]) d",
            (self.id, student_id, minutes, list(days_ago)),
        )

    def came_at(self, visits: Iterable[tuple[int, datetime, int | None]]) -> None:
        """Check-ins of (student, time, minutes), in one statement."""
        students, times, minutes = zip(*visits, strict=True)
        self.database.execute(
            "insert into public.student_attendance (organization_id, student_id, checkin_time, minutes)"
            " select %s, v.* from unnest(%s::integer[], %s::timestamptz[], %s::integer[]) v",
            (self.id, list(students), list(times), list(minutes)),
        )

    def learns(self, student_id: int, how: str) -> None:
        """Progress as `LEARNING` has it, of forty lessons."""
        started, last, lessons, score = LEARNING[how]
        self.database.execute(
            "insert into public.learning_progress"
            " (organization_id, student_id, lessons_completed, lessons_total, average_score, started_at,"
            "  last_progress_at)"
            " values (%s, %s, %s, 40, %s, now() - make_interval(days => %s), now() - make_interval(days => %s))",
            (self.id, student_id, lessons, score, started, last),
        )

    def view(self, name: str) -> list[dict[str, Any]]:
        """All rows of a view of `mgmt`, in its own order, as the manager sees them."""
        with self.database.as_user(self.manager) as connection:
            return connection.execute(sql.SQL("select * from mgmt.{}").format(sql.Identifier(name))).fetchall()

    def remove(self) -> None:
        self.database.execute("delete from public.organizations where id = %s", (self.id,))

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        insert = sql.SQL("insert into public.{} ({}) values ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, row)),
            sql.SQL(", ").join([sql.Placeholder()] * len(row)),
        )
        self.database.execute(insert, list(row.values()))
