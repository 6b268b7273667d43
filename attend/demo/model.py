"""What the generator makes: plain rows, one dataclass a table, with the columns' own names.

A reader who wants to know what should happen to these people needs nothing but this file and rules.md.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Organization:
    """A row of public.organizations."""

    id: UUID
    name: str
    time_zone: str
    created_at: datetime


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
class Certificate:
    """A row of public.certificates."""

    organization_id: UUID
    id: UUID
    user_id: UUID
    name: str
    issued_at: datetime
    expires_at: datetime
    created_at: datetime
    revoked_at: datetime | None = None
    replaced_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as an operator words it: what `public.save_rule` takes. The database gives it its id."""

    organization_id: UUID
    type: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    activation: str = "all"

    def words(self) -> dict[str, Any]:
        """The JSON object that says it."""
        return {"type": self.type, "name": self.name, "is_enabled": True, **self.parameters}


@dataclass(frozen=True, slots=True)
class Family:
    """A row of public.families."""

    organization_id: UUID
    id: UUID
    name: str
    assigned_servant_id: UUID | None


@dataclass(frozen=True, slots=True)
class Member:
    """A row of public.people."""

    organization_id: UUID
    id: UUID
    family_id: UUID
    full_name: str


@dataclass(frozen=True, slots=True)
class Church:
    """A congregation, and what is entered of who came; the end of the story tells what was wrong about it."""

    organization: Organization
    admin: Person
    servants: tuple[Person, Person]
    families: tuple[Family, ...]
    members: tuple[Member, ...]
    sundays: tuple[date, ...]
    attendance: dict[tuple[UUID, date], str]
    casting: dict[UUID, str]
    """Which part a member was given: the generator's intention, as for the programme's people."""

    def cast(self, part: str) -> Member:
        """The first who was given a part."""
        return next(member for member in self.members if self.casting[member.id] == part)


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
    certificates: tuple[Certificate, ...]
    drafts: tuple[Draft, ...]
    casting: dict[UUID, str]
    church: Church

    @property
    def organization(self) -> Organization:
        """The organisation the demo is about; the others must not be mixed in."""
        return self.organizations[0]

    def draft(self, scenario: str) -> Draft:
        """What the demo's organisation wants noticed."""
        return next(d for d in self.drafts if d.organization_id == self.organization.id and d.type == scenario)

    def sessions(self, person: Person) -> int:
        """How many completed activities a person has in the year (UTC) of `now`."""
        year = start_of_year(self.now)
        return sum(
            a.user_id == person.id and a.status == "completed" and a.occurred_at >= year for a in self.activities
        )

    def cast(self, part: str) -> list[Person]:
        """People of the demo's organisation who were given a part, in the order they were made."""
        return [p for p in self.people if p.organization_id == self.organization.id and self.casting[p.id] == part]


def start_of_year(now: datetime) -> datetime:
    """The first instant of the year, which is a year in UTC, as in the statistics."""
    return datetime(now.astimezone(UTC).year, 1, 1, tzinfo=UTC)
