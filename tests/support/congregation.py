"""A congregation: families with a servant, people, services on days counted from the first, and who came."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.support.database import Database

# Long enough ago for half a year of Sundays before today.
FIRST = datetime.now(UTC).date() - timedelta(days=200)

# What the records say of everybody, computed from nothing but their own words: no function of ours but none.
RECOMPUTED = """
select p.id, coalesce(h.absences, 0)::integer as consecutive_absences,
  coalesce(h.absences, 0) >= coalesce((select (s.value #>> '{}')::integer from public.org_settings_kv s
    where s.organization_id = p.organization_id and s.key = 'absence_alert_threshold'), 3) as at_risk_flag,
  h.last_attendance_at
from public.people p
join public.organizations o on o.id = p.organization_id
left join lateral (
  select
    count(*) filter (where r.status = 'absent' and r.service_date > coalesce(l.day, '-infinity')) as absences,
    max(coalesce(r.checked_in_at, r.service_date::timestamp at time zone o.time_zone))
      filter (where r.status in ('present', 'late') and r.service_date = l.day) as last_attendance_at
  from public.attendance_records r
  cross join lateral (
    select max(b.service_date) as day from public.attendance_records b
    where b.organization_id = p.organization_id and b.person_id = p.id and b.status in ('present', 'late')) l
  where r.organization_id = p.organization_id and r.person_id = p.id
) h on true
where p.organization_id = %s order by p.id
"""
STORED = """
select p.id, p.consecutive_absences, p.at_risk_flag, p.last_attendance_at from public.people p
where p.organization_id = %s order by p.id
"""


@dataclass
class Congregation:
    """An organisation with a servant and an admin; services by the day on which they took place."""

    database: Database
    time_zone: str = "Africa/Cairo"
    id: UUID = field(default_factory=uuid4)
    services: dict[int, UUID] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.database.execute(
            "insert into public.organizations (id, name, time_zone) values (%s, 'St Mark', %s)",
            (self.id, self.time_zone),
        )
        self.servant = self.user("servant")
        self.admin = self.user("admin")

    def user(self, role: str) -> UUID:
        return self.database.value(
            "insert into public.users (organization_id, full_name, role)"
            " values (%s, %s, %s::public.user_role) returning id",
            (self.id, role.title(), role),
        )

    def login(self, user_id: UUID) -> UUID:
        login = uuid4()
        self.database.execute("insert into auth.users (id) values (%s)", (login,))
        self.database.execute(
            "insert into public.user_logins (auth_user_id, organization_id, user_id) values (%s, %s, %s)",
            (login, self.id, user_id),
        )
        return login

    def family(self, servant: UUID | None) -> UUID:
        return self.database.value(
            "insert into public.families (organization_id, name, assigned_servant_id)"
            " values (%s, 'Family', %s) returning id",
            (self.id, servant),
        )

    def person(self, family: UUID | None = None) -> UUID:
        return self.database.value(
            "insert into public.people (organization_id, family_id, full_name)"
            " values (%s, %s, 'Somebody') returning id",
            (self.id, family),
        )

    def day(self, number: int) -> date:
        return FIRST + timedelta(days=number)

    def service(self, day: int, kind: str = "liturgy") -> UUID:
        """The service of a day; made when first asked for."""
        if day not in self.services:
            self.services[day] = self.database.value(
                "insert into public.services (organization_id, service_date, kind) values (%s, %s, %s) returning id",
                (self.id, self.day(day), kind),
            )
        return self.services[day]

    def record(self, person: UUID, day: int, status: str, checked_in_at: datetime | None = None) -> UUID:
        return self.database.value(
            "insert into public.attendance_records"
            " (organization_id, person_id, service_id, service_date, status, checked_in_at)"
            " values (%s, %s, %s, %s, %s::public.attendance_status, %s) returning id",
            (self.id, person, self.service(day), self.day(day), status, checked_in_at),
        )

    def records(self, person: UUID, statuses: str, start: int = 0) -> None:
        """A week between them: p present, l late, a absent, e excused, - no record."""
        words = {"p": "present", "l": "late", "a": "absent", "e": "excused"}
        for week, letter in enumerate(statuses):
            if letter != "-":
                self.record(person, start + 7 * week, words[letter])

    def correct(self, person: UUID, day: int, status: str) -> None:
        self.database.execute(
            "update public.attendance_records set status = %s::public.attendance_status, checked_in_at = null"
            " where organization_id = %s and person_id = %s and service_id = %s",
            (status, self.id, person, self.services[day]),
        )

    def set(self, key: str, value: int) -> None:
        self.database.execute(
            "insert into public.org_settings_kv (organization_id, key, value) values (%s, %s, to_jsonb(%s::integer))"
            " on conflict (organization_id, key) do update set value = excluded.value",
            (self.id, key, value),
        )

    def stored(self) -> list[dict[str, Any]]:
        return self.database.rows(STORED, (self.id,))

    def recomputed(self) -> list[dict[str, Any]]:
        return self.database.rows(RECOMPUTED, (self.id,))

    def state(self, person: UUID) -> tuple[int, bool]:
        row = self.database.rows(
            "select consecutive_absences, at_risk_flag from public.people where organization_id = %s and id = %s",
            (self.id, person),
        )[0]
        return row["consecutive_absences"], row["at_risk_flag"]

    def generate(self, now: datetime | None = None) -> dict[str, dict[str, int]]:
        """The generator, for this organisation; now is the database's unless given."""
        return self.database.value("select private.tend_cases(%s, null, coalesce(%s, now()))", (self.id, now))

    def cases(self, person: UUID) -> list[dict[str, Any]]:
        return self.database.rows(
            "select * from public.pastoral_cases where organization_id = %s and person_id = %s order by opened_at, id",
            (self.id, person),
        )

    def told(self, user: UUID | None = None) -> list[str]:
        """What was said of cases, oldest first; what was taken back says so."""
        rows = self.database.rows(
            "select n.context ->> 'event' as event, n.retracted_at, n.user_id from public.notifications n"
            " where n.organization_id = %s and n.scenario = 'pastoral_case' and (%s::uuid is null or n.user_id = %s)"
            " order by n.triggered_at, n.created_at, n.id",
            (self.id, user, user),
        )
        return [row["event"] + (" retracted" if row["retracted_at"] else "") for row in rows]

    def as_person(self, login: UUID) -> Any:
        return self.database.as_user(login)


def refused(connection: psycopg.Connection[Any], query: str, *arguments: Any) -> str:
    """The stable word, or the constraint, by which a statement is refused."""
    try:
        connection.execute(query.encode(), arguments)
    except psycopg.Error as error:
        word = error.diag.message_primary or ""
        return f"{error.sqlstate} {error.diag.constraint_name or word}"
    raise AssertionError(f"not refused: {query}")
