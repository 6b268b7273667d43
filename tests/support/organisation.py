"""A small organisation to test rules on: mentors who went quiet a given time ago."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.support.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)


def days(number: float) -> timedelta:
    return timedelta(days=number)


@dataclass
class Organisation:
    """An organisation with an inactivity rule of 21 days and a cooldown of 14."""

    database: Database
    id: UUID = field(default_factory=uuid4)
    rule_id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.database.execute("insert into public.organizations (id, name) values (%s, 'Test')", (self.id,))
        self.database.execute(
            "insert into public.scenario_rules (organization_id, id, type, name, is_enabled)"
            " values (%s, %s, 'inactivity', 'quiet', true)",
            (self.id, self.rule_id),
        )

    def mentor(self, *, quiet_days: float | None = None, joined_days: float = 400, **columns: Any) -> UUID:
        """Add a mentor; `quiet_days` is how long the last completed activity is ago, None: there was none."""
        user_id = uuid4()
        values = {
            "organization_id": self.id,
            "id": user_id,
            "full_name": "Somebody",
            "role": "peer_mentor",
            "joined_at": NOW - days(joined_days),
            **columns,
        }
        names = ", ".join(values)
        marks = ", ".join(["%s"] * len(values))
        self.database.execute(f"insert into public.users ({names}) values ({marks})", list(values.values()))
        if quiet_days is not None:
            self.activity(user_id, NOW - days(quiet_days))
        return user_id

    def mentors(self, number: int, quiet_days: float = 400) -> None:
        """Add many at once, quiet since they joined."""
        self.database.execute(
            "insert into public.users (organization_id, full_name, role, joined_at)"
            " select %s, 'Somebody', 'peer_mentor', %s from generate_series(1, %s)",
            (self.id, NOW - days(quiet_days), number),
        )

    def activity(self, user_id: UUID, at: datetime) -> UUID:
        activity_id = uuid4()
        self.database.execute(
            "insert into public.activities"
            " (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes, status)"
            " values (%s, %s, %s, 'home-visit', %s, 30, 'completed')",
            (self.id, activity_id, user_id, at),
        )
        return activity_id

    def settle(self) -> None:
        """As after a tick and a drain: the rules have been looked at, and nothing is marked."""
        self.database.execute(
            "update private.rule_clocks set evaluated_until = now() where organization_id = %s", (self.id,)
        )
        self.database.execute("delete from private.scenario_marks where organization_id = %s", (self.id,))

    def notified(self) -> list[UUID]:
        """Whose notifications there are, in order; somebody told twice is there twice."""
        rows = self.database.rows(
            "select user_id from public.notifications where organization_id = %s order by user_id", (self.id,)
        )
        return [row["user_id"] for row in rows]

    def marks(self) -> int:
        return self.database.value("select count(*) from private.scenario_marks where organization_id = %s", (self.id,))
