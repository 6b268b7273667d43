"""What the generator makes: plain rows, one dataclass a table, with the columns' own names.

A reader who wants to know what should happen to these people needs nothing but this file and rules.md.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Organization:
    """A row of public.organizations."""

    id: UUID
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Person:
    """A row of public.users."""

    organization_id: UUID
    id: UUID
    full_name: str
    role: str
    joined_at: datetime
    is_active: bool = True
    reactivated_at: datetime | None = None
    away_from: datetime | None = None
    away_until: datetime | None = None
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A row of public.contacts."""

    organization_id: UUID
    id: UUID
    display_name: str


@dataclass(frozen=True, slots=True)
class Activity:
    """A row of public.activities, with the contacts met in it (public.activity_contacts)."""

    organization_id: UUID
    id: UUID
    user_id: UUID
    activity_type_id: str
    occurred_at: datetime
    recorded_at: datetime
    duration_minutes: int
    status: str
    approval: str
    proxy_registered_by: UUID | None = None
    contact_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Preference:
    """A row of public.notification_preferences."""

    organization_id: UUID
    user_id: UUID
    scenario: str
    channel: str
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of public.scenario_rules."""

    organization_id: UUID
    id: UUID
    type: str
    name: str
    is_enabled: bool
    threshold_days: int
    cooldown_days: int


@dataclass(frozen=True, slots=True)
class DemoData:
    """Everything one seed makes, as it stands at `now`.

    `casting` says which part a person was given (`quiet`, `away`, …). It is the generator's intention, there to pick
    people for a story by; what is decided about anybody must follow from the rows.
    """

    seed: int
    now: datetime
    organizations: tuple[Organization, ...]
    people: tuple[Person, ...]
    contacts: tuple[Contact, ...]
    activities: tuple[Activity, ...]
    preferences: tuple[Preference, ...]
    rules: tuple[Rule, ...]
    casting: dict[UUID, str]

    @property
    def organization(self) -> Organization:
        """The organisation the demo is about; the others must not be mixed in."""
        return self.organizations[0]

    def cast(self, part: str) -> list[Person]:
        """People of the demo's organisation who were given a part, in the order they were made."""
        return [p for p in self.people if p.organization_id == self.organization.id and self.casting[p.id] == part]
