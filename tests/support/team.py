"""A team of mentors who log activities, and what their statistics say about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from tests.support.database import Database
from tests.support.statistics import expected_rows, stored_rows

NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class Team:
    """An organisation of mentors who log activities."""

    database: Database
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.database.execute("insert into public.organizations (id, name) values (%s, 'Test')", (self.id,))

    def mentors(self, number: int, activities: int = 3) -> list[UUID]:
        """Add many at once, each with activities on as many days up to yesterday."""
        people = self.database.rows(
            "insert into public.users (organization_id, full_name, role, joined_at)"
            " select %s, 'Somebody', 'peer_mentor', now() - interval '3 years' from generate_series(1, %s)"
            " returning id",
            (self.id, number),
        )
        self.database.execute(
            "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, duration_minutes)"
            " select %s, u.id, 'home-visit', %s - make_interval(days => n), 30"
            " from unnest(%s::uuid[]) as u (id), generate_series(1, %s) as n",
            (self.id, NOW, [person["id"] for person in people], activities),
        )
        return [person["id"] for person in people]

    def mentor(self) -> UUID:
        """Add one without activities."""
        return self.mentors(1, 0)[0]

    def activity(self, user_id: UUID, days_ago: float = 0, **columns: Any) -> UUID:
        values = {
            "organization_id": self.id,
            "user_id": user_id,
            "activity_type_id": "home-visit",
            "occurred_at": NOW - timedelta(days=days_ago),
            "duration_minutes": 30,
            "status": "completed",
            **columns,
        }
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        return self.database.value(
            f"insert into public.activities ({names}) values ({marks}) returning id", list(values.values())
        )

    def row(self, user_id: UUID, period: str = "all_time") -> dict[str, Any]:
        """The latest row of a period type."""
        return self.database.rows(
            "select * from public.activity_statistics where organization_id = %s and user_id = %s"
            " and period_type = %s::public.statistics_period order by period_start desc limit 1",
            (self.id, user_id, period),
        )[0]

    def total(self, user_id: UUID) -> int:
        return self.row(user_id)["total_activities"]

    def totals(self) -> int:
        """Activities of everybody, as their statistics have them."""
        return self.database.value(
            "select coalesce(sum(total_activities), 0)::integer from public.activity_statistics"
            " where organization_id = %s and period_type = 'all_time'",
            (self.id,),
        )

    def marks(self) -> int:
        return self.database.value(
            "select count(*) from private.statistics_marks where organization_id = %s", (self.id,)
        )

    def forget_marks(self) -> None:
        """As where marks were lost: nothing announces what is wrong."""
        self.database.execute("delete from private.statistics_marks where organization_id = %s", (self.id,))

    def wrong(self) -> list[UUID]:
        """Whose rows are not what their activities say."""
        with self.database.connect() as connection:
            expected = expected_rows(connection, self.id, datetime.now(UTC))
            stored = stored_rows(connection, self.id)
        return sorted({key[0] for key in {*expected, *stored} if expected.get(key) != stored.get(key)})

    def drift(self) -> dict[UUID, int]:
        """Whose rows a reconcile found wrong, and how many."""
        rows = self.database.rows(
            "select user_id, rows_changed from private.statistics_drift where organization_id = %s", (self.id,)
        )
        return {row["user_id"]: row["rows_changed"] for row in rows}

    def break_rows(self, user_id: UUID) -> None:
        """Write nonsense into two of somebody's rows, as a bug or a hand would."""
        self.database.execute(
            "update public.activity_statistics set total_activities = total_activities + 7"
            " where organization_id = %s and user_id = %s and period_type in ('quarter', 'all_time')",
            (self.id, user_id),
        )
