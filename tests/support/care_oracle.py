"""An independent judge of the demo's church: what must become of people's cases, from what was written, in its order.

One person at a time, from their records alone, by rules.md §4; it asks no database and knows no part anybody was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any
from uuid import UUID

THRESHOLD = 3
LIVE = ("open", "in_progress", "returned")


@dataclass
class Person:
    """Somebody, what is recorded of them by service, and their case."""

    servant: UUID | None
    records: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    status: str | None = None
    """Of the one case they may have."""

    def days(self) -> list[tuple[str, bool, int]]:
        """Each day with a record: whether they came, and how many services they missed."""
        ordered = sorted(self.records.values())
        return [
            (day, any(status in ("present", "late") for _, status in of_day), sum(s == "absent" for _, s in of_day))
            for day, of_day in ((day, list(group)) for day, group in groupby(ordered, key=lambda record: record[0]))
        ]

    def absences(self, until: str | None = None) -> int:
        """Consecutive ones, as of the last day or of a day."""
        count = 0
        for day, came, missed in self.days():
            if until is None or day < until:
                count = 0 if came else count + missed
        return count

    def came_back(self) -> bool:
        """Whether they came after missing as many services as put them at risk."""
        return any(came and self.absences(day) >= THRESHOLD for day, came, _ in self.days())

    def tend(self) -> None:
        """What their case becomes; nobody of the story relapses."""
        if self.absences() >= THRESHOLD:
            self.status = self.status if self.status in ("in_progress", "closed") else "open"
        elif self.status in LIVE:
            self.status = "returned" if self.came_back() else "withdrawn"


class CareOracle:
    """A congregation: who is whose, and what was written so far."""

    def __init__(self, people: Iterable[Mapping[str, Any]], families: Iterable[Mapping[str, Any]]) -> None:
        servants = {family["id"]: family["assigned_servant_id"] for family in families}
        self.people = {
            UUID(person["id"]): Person(UUID(servant) if (servant := servants[person["family_id"]]) else None)
            for person in people
        }

    def write(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Attendance is written, or corrected, and everybody's case follows."""
        for record in records:
            person = self.people[UUID(record["person_id"])]
            person.records[record["service_id"]] = (record["service_date"], record["status"])
        for person in self.people.values():
            person.tend()

    def cases(self) -> dict[UUID, tuple[str, UUID | None]]:
        """Status and servant of each person's case."""
        return {id_: (person.status, person.servant) for id_, person in self.people.items() if person.status}

    def listed(self, servant: UUID) -> set[UUID]:
        """Who is on a servant's list."""
        return {id_ for id_, (status, whose) in self.cases().items() if whose == servant and status in LIVE}

    def flags(self) -> dict[UUID, tuple[int, bool]]:
        """Consecutive absences, and whether that is a risk."""
        return {id_: (person.absences(), person.absences() >= THRESHOLD) for id_, person in self.people.items()}
