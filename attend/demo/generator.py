"""A realistic organisation from a seed: the same seed and `now` give the same rows on every machine."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from attend.demo.calendar import ecuadorian_season, guayaquil, norwegian_season, oslo
from attend.demo.cast import Member, make_members, make_staff, new_id, preferences_of
from attend.demo.model import Activity, Contact, DemoData, Organization, Person, Preference, Rule
from attend.demo.names import Names
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
    rules: list[tuple[str, bool, int, int]]
    """Name, is_enabled, threshold_days, cooldown_days."""


_NORWEGIAN = _Chapter(
    name="Likeperson Fjordane",
    time_zone="Europe/Oslo",
    language="nb",
    place=Place(oslo, norwegian_season),
    staff=["coordinator"] * 6 + ["manager", "admin", "admin"],
    contacts=420,
    groups=14,
    rules=[("Quiet for three weeks", True, 21, 14), ("Quiet for ten days (trial)", False, 10, 30)],
)
_ECUADORIAN = _Chapter(
    name="Compañeros del Guayas",
    time_zone="America/Guayaquil",
    language="es",
    place=Place(guayaquil, ecuadorian_season),
    staff=["coordinator", "admin"],
    contacts=90,
    groups=3,
    rules=[("Dos semanas sin actividad", True, 14, 7), ("Dos meses sin actividad", True, 60, 30)],
)


@dataclass(frozen=True, slots=True)
class _Filled:
    organization: Organization
    staff: list[Person]
    members: list[Member]
    contacts: list[Contact]
    activities: list[Activity]
    preferences: list[Preference]
    rules: list[Rule]


def generate(seed: int, now: datetime, mentors: int = 200, others: int = 48) -> DemoData:
    """Makes two organisations: the demo's with `mentors` peer mentors, and one whose people must not be mixed in.

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
        rules=tuple(rule for c in chapters for rule in c.rules),
        casting=casting,
    )


def _fill(rng: random.Random, now: datetime, chapter: _Chapter, mentors: int) -> _Filled:
    organization = Organization(new_id(rng), chapter.name, chapter.time_zone)
    names = Names(rng, chapter.language)
    staff = make_staff(rng, organization, now, names, chapter.staff)
    members = make_members(rng, organization, now, names, mentors)
    contacts = [Contact(organization.id, new_id(rng), names.short()) for _ in range(chapter.contacts)]
    coordinators = [person for person in staff if person.role == "coordinator"]
    groups = [_group(rng, contacts) for _ in range(chapter.groups)]
    diary = Diary(rng, now, chapter.place, contacts, groups, coordinators)
    make_rule = partial(Rule, organization.id)
    return _Filled(
        organization=organization,
        staff=staff,
        members=members,
        contacts=contacts,
        activities=[activity for member in members for activity in diary.of(member)],
        preferences=[preference for member in members for preference in preferences_of(member)],
        rules=[make_rule(new_id(rng), "inactivity", *rule) for rule in chapter.rules],
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
