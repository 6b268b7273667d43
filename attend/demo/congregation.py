"""A church from a seed: families and their servants, four Sundays, and who came.

Made like the programme's people, so that the same seed and clock give the same rows; the story enters them through
the API.
"""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from attend.demo.cast import make_staff, new_id
from attend.demo.model import Church, Family, Member, Organization
from attend.demo.names import Names

SUNDAYS = 4
_FAMILIES = 12
# Who misses three services in a row, and what becomes of it. The fourth Sunday is the one on which somebody comes back.
_PARTS = {
    "returns": "aaap",
    # Was there on the third Sunday, and is entered as absent.
    "misrecorded": "aaaa",
    "stays-away": "aaaa",
    "nobodys": "aaaa",
    "excused": "aaep",
    "twice": "paap",
}
_STATUS = {"a": "absent", "p": "present", "l": "late", "e": "excused"}


def gather(rng: random.Random, now: datetime) -> Church:
    """The church of a seed. Its Sundays are the last that are over wherever it is in the world; pure."""
    organization = Organization(new_id(rng), "Saint Mark, Alexandria", "Africa/Cairo", now - timedelta(days=900))
    names = Names(rng, "ar")
    staff = make_staff(rng, organization, now, names, ["admin", "servant", "servant"])
    admin, *servants = staff
    # The first two each have a servant's half; the last family has lost its own.
    families = [
        Family(organization.id, new_id(rng), names.last(), None if n == _FAMILIES - 1 else servants[n % 2].id)
        for n in range(_FAMILIES)
    ]
    casting: dict[UUID, str] = {}
    members: list[Member] = []
    for family, part in _parts(rng, families):
        member = Member(organization.id, new_id(rng), family.id, names.of_family(family.name))
        members.append(member)
        casting[member.id] = part
    sundays = _sundays(now)
    return Church(
        organization=organization,
        admin=admin,
        servants=(servants[0], servants[1]),
        families=tuple(families),
        members=tuple(members),
        sundays=sundays,
        attendance={
            (member.id, day): _STATUS[letter]
            for member in members
            for day, letter in zip(sundays, _PARTS.get(casting[member.id]) or _usual(rng), strict=True)
        },
        casting=casting,
    )


def _parts(rng: random.Random, families: list[Family]) -> Iterator[tuple[Family, str]]:
    """Everybody of every family; the first of some has a part to play."""
    played = {0: "returns", 1: "stays-away", 2: "misrecorded", 3: "excused", 4: "twice", _FAMILIES - 1: "nobodys"}
    for number, family in enumerate(families):
        yield family, played.get(number, "steady")
        for _ in range(rng.randint(1, 4)):
            yield family, "steady"


def _usual(rng: random.Random) -> str:
    """Somebody who comes, and misses a service now and then: never three."""
    letters = [rng.choices("ple", (85, 10, 5))[0] for _ in range(SUNDAYS)]
    if rng.random() < 0.3:
        letters[rng.randrange(SUNDAYS)] = "a"
    return "".join(letters)


def _sundays(now: datetime) -> tuple[date, ...]:
    today = now.astimezone(UTC).date()
    last = today - timedelta(days=today.isoweekday() % 7 or 7)
    return tuple(last - timedelta(weeks=weeks) for weeks in reversed(range(SUNDAYS)))
