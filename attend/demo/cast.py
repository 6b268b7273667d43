"""Who there is: each part is a way for a rule to be right or wrong about somebody.

A part gives traits relative to `now`; the activities (attend.demo.rhythms) are then made to fit them.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from attend.demo.model import Organization, Person, Preference
from attend.demo.names import Names

THRESHOLD = timedelta(days=21)
LEADS = (30, 7)
HISTORY = timedelta(days=730)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Traits:
    """What is special about somebody. Times are distances back from now; negative ones lie ahead."""

    joined: timedelta
    quiet: timedelta | None = None
    """Nothing completed since; None: active until now."""
    ends_exactly: bool = False
    """The last completed activity is exactly `quiet` old."""
    never_active: bool = False
    is_active: bool = True
    reactivated: timedelta | None = None
    away_from: timedelta | None = None
    away_until: timedelta | None = None
    opted: tuple[tuple[str, str, bool], ...] = ()
    """Preferences: scenario, channel, is_enabled."""
    loose_ends: bool = False
    """Has cancelled and planned activities after the last completed one."""
    proxied: bool = False
    """The latest activities were typed by a coordinator."""
    misregistered: bool = False
    """The only recent activity is one that somebody else did."""
    reached: timedelta | None = None
    """When the milestone of the year was reached; zero: the next activity reaches it."""
    expires: timedelta | None = None
    """A certificate expires then."""
    certificate_is: str = "valid"
    """valid, renewed or revoked."""


@dataclass(frozen=True, slots=True)
class Member:
    """A mentor with the traits the activities are made from."""

    person: Person
    part: str
    traits: Traits


type _Days = Callable[[float, float], timedelta]
type _Part = Callable[[_Days, random.Random], Traits]


def _silent(days: _Days, **more: object) -> Traits:
    traits: dict[str, object] = {"joined": days(320, 1400), "quiet": days(24, 150), **more}
    return Traits(**traits)  # type: ignore[arg-type]  # keyword arguments of one call, checked by every test


def _busy(days: _Days, **more: object) -> Traits:
    return Traits(joined=days(320, 1400), **more)  # type: ignore[arg-type]  # as above


# How many of 200 mentors have the part, and what it means. Everybody else is `steady`.
_PARTS: dict[str, tuple[int, _Part]] = {
    "quiet": (22, lambda d, _: _silent(d)),
    "never-active": (6, lambda d, _: Traits(joined=d(30, 400), never_active=True)),
    "just-joined": (5, lambda d, _: Traits(joined=d(0.1, 20), never_active=True)),
    "opted-out-of-scenario": (3, lambda d, _: _silent(d, opted=(("inactivity", "all", False),))),
    "opted-out-of-all": (3, lambda d, _: _silent(d, opted=(("all", "all", False),))),
    "opted-out-of-push": (
        5,
        lambda d, r: _silent(d, opted=((r.choice(("all", "inactivity")), "push", False),)),
    ),
    "opted-in": (2, lambda d, _: _silent(d, opted=(("inactivity", "all", True), ("all", "push", True)))),
    "steady-opted-out": (3, lambda d, _: Traits(joined=d(200, 1400), opted=(("all", "all", False),))),
    "away": (6, lambda d, _: _silent(d, away_from=d(1, 40), away_until=-d(2, 60))),
    "away-until-further-notice": (2, lambda d, _: _silent(d, away_from=d(1, 40))),
    "back": (5, lambda d, _: _silent(d, quiet=d(60, 120), away_from=d(30, 59), away_until=d(0.1, 20))),
    "back-long-ago": (2, lambda d, _: _silent(d, quiet=d(100, 150), away_from=d(70, 95), away_until=d(23, 60))),
    "away-ahead": (3, lambda d, _: _silent(d, away_from=-d(2, 12), away_until=-d(15, 45))),
    "inactive": (10, lambda d, _: _silent(d, quiet=d(40, 300), is_active=False)),
    "reactivated": (4, lambda d, _: _silent(d, quiet=d(100, 300), reactivated=d(0.5, 20))),
    "reactivated-long-ago": (2, lambda d, _: _silent(d, quiet=d(100, 300), reactivated=d(23, 90))),
    "only-plans": (4, lambda d, _: _silent(d, quiet=d(24, 60), loose_ends=True)),
    "by-proxy": (3, lambda d, _: Traits(joined=d(200, 1400), proxied=True)),
    "misregistered": (3, lambda d, _: _silent(d, quiet=d(28, 60), misregistered=True)),
    "one-short": (2, lambda d, _: _busy(d, reached=timedelta(0))),
    "just-reached": (4, lambda d, _: _busy(d, reached=d(0.1, 6.5))),
    "just-reached-opted-out": (1, lambda d, _: _busy(d, reached=d(0.1, 6.5), opted=(("milestone", "all", False),))),
    "reached-before": (2, lambda d, _: _busy(d, reached=d(8, 40))),
    "expiring": (4, lambda d, _: _busy(d, expires=-d(8, 29))),
    "expiring-soon": (2, lambda d, _: _busy(d, expires=-d(0.5, 6.9))),
    "expired": (2, lambda d, _: _busy(d, expires=d(0.1, 60))),
    "renewed": (2, lambda d, _: _busy(d, expires=-d(3, 29), certificate_is="renewed")),
    "revoked": (2, lambda d, _: _busy(d, expires=-d(3, 29), certificate_is="revoked")),
    # Within a week they will be quiet for too long and their certificate within its lead: two things in one day.
    "crowded": (4, lambda d, _: _silent(d, quiet=d(15, 20), expires=-d(31, 36))),
}


def _threshold_parts() -> Iterator[tuple[str, Traits]]:
    """People exactly at a threshold on both sides, by each kind of anchor and by certificate."""
    long_ago = timedelta(days=500)
    for past in (timedelta(0), _MICROSECOND, timedelta(hours=1)):
        yield "at-threshold", Traits(joined=long_ago, quiet=THRESHOLD + past, ends_exactly=True)
    for short in (_MICROSECOND, timedelta(seconds=1), timedelta(hours=1), timedelta(hours=20)):
        yield "short-of-threshold", Traits(joined=long_ago, quiet=THRESHOLD - short, ends_exactly=True)
    silence = timedelta(days=60)
    away_from = timedelta(days=40)
    for part, anchor in (("at-threshold", THRESHOLD), ("short-of-threshold", THRESHOLD - timedelta(minutes=30))):
        yield part, Traits(joined=anchor, never_active=True)
        yield part, Traits(joined=long_ago, quiet=silence, away_from=away_from, away_until=anchor)
        yield part, Traits(joined=long_ago, quiet=silence, reactivated=anchor)
    # An absence that ends now has ended; one that begins now has begun.
    yield "back", Traits(joined=long_ago, quiet=silence, away_from=away_from, away_until=timedelta(0))
    yield "away", Traits(joined=long_ago, quiet=silence, away_from=timedelta(0))
    lead = timedelta(days=LEADS[0])
    for part, expires in (("lead-reached", lead), ("lead-ahead", lead + timedelta(hours=2)), ("expired", timedelta(0))):
        yield part, Traits(joined=long_ago, expires=-expires)


def new_id(rng: random.Random) -> UUID:
    """A random uuid that the seed decides."""
    return UUID(int=rng.getrandbits(128), version=4)


def make_members(
    rng: random.Random, organization: Organization, now: datetime, names: Names, mentors: int
) -> list[Member]:
    """The mentors of an organisation, parts mixed."""

    def days(least: float, most: float) -> timedelta:
        return timedelta(minutes=round(rng.uniform(least, most) * 1440))

    cast = list(_threshold_parts())
    for part, (count, make) in _PARTS.items():
        wanted = max(1, round(count * mentors / 200 * rng.uniform(0.8, 1.2)))
        cast += [(part, make(days, rng)) for _ in range(wanted)]
    if len(cast) > mentors:
        raise ValueError(f"{mentors} mentors are too few for the {len(cast)} parts there are")
    cast += [("steady", Traits(joined=days(25, 1500))) for _ in range(mentors - len(cast))]
    rng.shuffle(cast)
    return [Member(_person(rng, organization, now, names.full(), traits), part, traits) for part, traits in cast]


def make_staff(
    rng: random.Random, organization: Organization, now: datetime, names: Names, roles: list[str]
) -> list[Person]:
    """Coordinators, managers and administrators, all of them longer with the organisation than any threshold."""
    return [
        Person(organization.id, new_id(rng), names.full(), role, joined_at=now - timedelta(days=rng.randint(400, 2000)))
        for role in roles
    ]


def preferences_of(member: Member) -> list[Preference]:
    """The rows of public.notification_preferences a member has."""
    person = member.person
    return [Preference(person.organization_id, person.id, *opted) for opted in member.traits.opted]


def _person(rng: random.Random, organization: Organization, now: datetime, name: str, traits: Traits) -> Person:
    def ago(distance: timedelta | None) -> datetime | None:
        return None if distance is None else now - distance

    return Person(
        organization_id=organization.id,
        id=new_id(rng),
        full_name=name,
        role="peer_mentor",
        joined_at=now - traits.joined,
        is_active=traits.is_active,
        reactivated_at=ago(traits.reactivated),
        away_from=ago(traits.away_from),
        away_until=ago(traits.away_until),
        time_zone=rng.choice(("Europe/London", "Atlantic/Reykjavik")) if rng.random() < 0.02 else None,
    )
