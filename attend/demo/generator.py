"""A realistic organisation from a seed: the same seed and `now` give the same rows on every machine."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from attend.demo.calendar import ecuadorian_season, guayaquil, norwegian_season, oslo
from attend.demo.cast import LEADS, Member, make_members, make_staff, new_id, preferences_of
from attend.demo.congregation import gather
from attend.demo.model import (
    Activity,
    Certificate,
    Contact,
    DemoData,
    Draft,
    Organization,
    Person,
    Preference,
    start_of_year,
)
from attend.demo.names import Names
from attend.demo.papers import Papers
from attend.demo.rhythms import Diary, Group, Place


@dataclass(frozen=True, slots=True)
class _Chapter:
    """What one organisation is made of."""

    name: str
    time_zone: str
    language: str
    place: Place
    staff: list[str]
    contacts: int
    groups: int
    certificates: tuple[str, str]
    """What the basic course and first aid are called."""


_NORWEGIAN = _Chapter(
    name="Likeperson Fjordane",
    time_zone="Europe/Oslo",
    language="nb",
    place=Place(oslo, norwegian_season),
    staff=["coordinator"] * 6 + ["manager", "admin", "admin"],
    contacts=420,
    groups=14,
    certificates=("Peer support", "First aid"),
)
_ECUADORIAN = _Chapter(
    name="Compañeros del Guayas",
    time_zone="America/Guayaquil",
    language="es",
    place=Place(guayaquil, ecuadorian_season),
    staff=["coordinator", "admin"],
    contacts=90,
    groups=3,
    certificates=("Acompañamiento", "Primeros auxilios"),
)


@dataclass(frozen=True, slots=True)
class _Filled:
    organization: Organization
    staff: list[Person]
    members: list[Member]
    contacts: list[Contact]
    activities: list[Activity]
    preferences: list[Preference]
    certificates: list[Certificate]


def generate(seed: int, now: datetime, mentors: int = 200, others: int = 64) -> DemoData:
    """Makes two programmes, the demo's with `mentors` peer mentors and one that must not be mixed in, and a church.

    Pure. `now` must be aware, and not in the future of the database's clock, which refuses completed activities there.

    Raises:
        ValueError: `now` has no time zone, or there are too few mentors for every part to be played.
    """
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    now = now.astimezone(UTC)
    # One stream of chance an organisation, so that the size of one changes nothing in the other.
    chapters = [
        _fill(random.Random(f"{seed}/{chapter.time_zone}"), now, chapter, size)
        for chapter, size in ((_NORWEGIAN, mentors), (_ECUADORIAN, others))
    ]
    casting: dict[UUID, str] = {}
    for chapter in chapters:
        casting |= {person.id: person.role for person in chapter.staff}
        casting |= {member.person.id: member.part for member in chapter.members}
    return DemoData(
        seed=seed,
        now=now,
        organizations=tuple(c.organization for c in chapters),
        people=tuple(p for c in chapters for p in (*c.staff, *(m.person for m in c.members))),
        contacts=tuple(contact for c in chapters for contact in c.contacts),
        activities=tuple(activity for c in chapters for activity in c.activities),
        preferences=tuple(preference for c in chapters for preference in c.preferences),
        certificates=tuple(certificate for c in chapters for certificate in c.certificates),
        drafts=_drafts(chapters[0].organization, chapters[1].organization, milestone_of(now)),
        casting=casting,
        church=gather(random.Random(f"{seed}/church"), now),
    )


def milestone_of(now: datetime) -> int:
    """Sessions that are a milestone of the year: fifty, but what mentors can have reached while the year is young."""
    days = (now - start_of_year(now)).days
    return next(number for least, number in ((90, 50), (45, 25), (15, 10), (0, 3)) if days >= least)


def _drafts(ours: Organization, theirs: Organization, milestone: int) -> tuple[Draft, ...]:
    quiet: dict[str, Any] = {"threshold_days": 21, "cooldown_days": 7, "max_reminders": 3}
    sessions: dict[str, Any] = {"metric": "sessions", "period": "year", "thresholds": [milestone], "max_age_days": 7}
    certificates: dict[str, Any] = {"lead_days": list(LEADS), "priority": 200}
    return (
        Draft(ours.id, "inactivity", "Quiet for three weeks", quiet),
        Draft(ours.id, "milestone", f"{milestone} sessions this year", sessions),
        Draft(ours.id, "certification_expiry", "Certificate runs out", certificates),
        Draft(theirs.id, "inactivity", "Dos semanas sin actividad", {"threshold_days": 14, "cooldown_days": 7}),
    )


def _fill(rng: random.Random, now: datetime, chapter: _Chapter, mentors: int) -> _Filled:
    organization = Organization(new_id(rng), chapter.name, chapter.time_zone, now - timedelta(days=2500))
    names = Names(rng, chapter.language)
    staff = make_staff(rng, organization, now, names, chapter.staff)
    members = make_members(rng, organization, now, names, mentors)
    contacts = [Contact(organization.id, new_id(rng), names.short()) for _ in range(chapter.contacts)]
    coordinators = [person for person in staff if person.role == "coordinator"]
    groups = [_group(rng, contacts) for _ in range(chapter.groups)]
    diary = Diary(rng, now, chapter.place, contacts, groups, coordinators, milestone_of(now))
    papers = Papers(rng, now, *chapter.certificates)
    return _Filled(
        organization=organization,
        staff=staff,
        members=members,
        contacts=contacts,
        activities=[activity for member in members for activity in diary.of(member)],
        preferences=[preference for member in members for preference in preferences_of(member)],
        certificates=[certificate for member in members for certificate in papers.of(member)],
    )


def _group(rng: random.Random, contacts: list[Contact]) -> Group:
    regulars = rng.sample(contacts, rng.randint(6, 12))
    return Group(
        weekday=rng.randrange(4),
        hour=rng.choice((17, 18, 18, 19)),
        every_weeks=rng.choice((1, 2, 2)),
        minutes=rng.choice((90, 120, 120, 150)),
        contact_ids=tuple(contact.id for contact in regulars),
    )
