"""What an organisation's decisions follow from, as plain objects: what `tests/support/engine_oracle.py` judges.

The names are those of the columns; what the columns mean is rules.md §3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Person:
    id: UUID
    role: str
    is_active: bool
    joined_at: datetime
    reactivated_at: datetime | None
    away_from: datetime | None
    away_until: datetime | None
    time_zone: str | None

    def is_away(self, now: datetime) -> bool:
        if self.away_from is None or now < self.away_from:
            return False
        return self.away_until is None or now < self.away_until


@dataclass(frozen=True, slots=True)
class Rule:
    id: UUID
    type: str
    is_enabled: bool
    version: int
    priority: int
    threshold_days: int
    cooldown_days: int
    max_reminders: int
    metric: str
    period: str
    thresholds: list[int]
    max_age_days: int
    lead_days: list[int]
    effective_from: datetime | None
    """None: since ever."""
    activation: str
    spread_days: int | None
    is_mandatory: bool
    informs_coordinators: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """A completed activity."""

    id: UUID
    user_id: UUID
    occurred_at: datetime
    duration_minutes: int
    contacts: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Certificate:
    id: UUID
    user_id: UUID
    expires_at: datetime
    is_valid: bool


@dataclass(slots=True)
class Told:
    """A notification, and where its push is (None: there is none)."""

    user_id: UUID
    scenario: str
    subject: str
    rule_id: UUID
    triggered_at: datetime
    crossed_at: datetime | None
    release_on: date | None
    period_start: datetime | None
    push: str | None
    is_read: bool = False
    is_retracted: bool = False

    def key(self) -> tuple[object, ...]:
        return (self.user_id, self.subject, self.triggered_at, self.crossed_at, self.push, self.is_retracted)


@dataclass(slots=True)
class Answer:
    """The first gate that holds for a person and a subject; while it is decided, None: none so far."""

    user_id: UUID
    rule: Rule
    subject: str
    gate: str | None
    crossed_at: datetime | None = None
    ends_at: datetime | None = None
    """When the gate ends by itself."""
    told_with: str | None = None
    release_at: datetime | None = None
    period_start: datetime | None = None


@dataclass(slots=True)
class World:
    """Everything an organisation's decisions follow from."""

    time_zone: str
    daily_cap: int | None
    quiet: tuple[time, time] | None
    spread_hash: Callable[[UUID, UUID], int]
    """A number that follows from a person and a rule: whose hour is which is nobody's business but that it stays."""
    people: list[Person]
    rules: list[Rule]
    activities: list[Activity]
    certificates: list[Certificate]
    switched_off: set[tuple[UUID, str, str]]
    """(person, scenario or all, channel)"""
    coordinators: set[tuple[UUID, UUID]]
    told: list[Told] = field(default_factory=list)
    cooldowns: dict[tuple[UUID, str], datetime] = field(default_factory=dict)
    achievements: dict[tuple[UUID, str], tuple[datetime, str]] = field(default_factory=dict)

    def zone(self, person: Person) -> ZoneInfo:
        return ZoneInfo(person.time_zone or self.time_zone)
