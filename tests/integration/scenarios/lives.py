"""Random organisations and what happens to them: few people, small numbers, edges on purpose.

A life is plain data (numbers that say what happens), so that the same one can be lived twice, and be made smaller by
hypothesis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import strategies as st

from tests.integration.scenarios.changes import CHANGES, SCENARIOS, ZONES, parameters
from tests.support.database import Database
from tests.support.engine_world import DAY
from tests.support.scenarios import Scene, named

HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
# A plain summer's day, New Year, and the evenings before Europe's two clock changes.
STARTS = (
    datetime(2024, 6, 3, 12, tzinfo=UTC),
    datetime(2024, 12, 31, 22, tzinfo=UTC),
    datetime(2024, 3, 30, 20, tzinfo=UTC),
    datetime(2024, 10, 26, 20, tzinfo=UTC),
)
# One over midnight, one in the afternoon, and one that ends in the hour that clock changes skip and repeat.
QUIET = tuple(
    f'{{"from": "{begins}", "to": "{ends}"}}'
    for begins, ends in (("21:00", "08:00"), ("13:00", "15:30"), ("22:15", "02:30"))
)
PASSING = (HOUR, 6 * HOUR, 12 * HOUR, DAY - MICROSECOND, DAY, DAY, DAY + MICROSECOND, 2 * DAY)
OFFSETS = (
    timedelta(0),
    MICROSECOND,
    HOUR,
    *(n * DAY + edge for n in (1, 2, 3) for edge in (-MICROSECOND, timedelta(0), MICROSECOND)),
)

type Change = tuple[str, int, int, int]


@dataclass(frozen=True)
class Plan:
    """An organisation and what happens in it, moment by moment."""

    start: datetime
    time_zone: str
    daily_cap: int | None
    quiet: str | None
    people: list[tuple[int, int, int]]
    rules: list[tuple[int, int, int]]
    before: list[Change]
    moments: list[Moment]


@dataclass(frozen=True)
class Moment:
    """What happens within a time, and how it is noticed at the end of it."""

    passing: timedelta
    changes: list[Change]
    noticed: str


@dataclass
class Life:
    """A plan being lived in a scene."""

    scene: Scene
    now: datetime
    people: list[UUID] = field(default_factory=list)
    activities: list[UUID] = field(default_factory=list)
    certificates: list[UUID] = field(default_factory=list)
    rules: list[tuple[UUID, str]] = field(default_factory=list)
    number: int = 0

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind} {self.number}"

    def ago(self, pick: int) -> datetime:
        return self.now - OFFSETS[pick % len(OFFSETS)]

    def ahead(self, pick: int) -> datetime:
        return self.now + OFFSETS[1 + pick % (len(OFFSETS) - 1)]

    def person(self, a: int, b: int, c: int) -> None:
        role = "coordinator" if a == 11 else "peer_mentor"
        zone = ("America/Santiago", "Asia/Kathmandu")[c % 2] if c > 8 else None
        self.people.append(
            self.scene.person(
                self.name("person"),
                self.ago(b),
                role=role,
                is_active=a != 10,
                time_zone=zone,
                created_at=self.now,
            )
        )

    def rule(self, a: int, b: int, c: int) -> None:
        kind = SCENARIOS[1 + a % 3]
        name = self.name("rule")
        activations = ("all", "skip", "spread", "skip") if kind != "certification_expiry" else ("all",)
        columns = {**parameters(b, c), "activation": activations[a // 3 % len(activations)]}
        columns["effective_from"] = self.ago(c)
        columns["spread_days"] = 1 + b % 2 if columns["activation"] == "spread" else None
        self.scene.insert("public.scenario_rules", id=named(name), type=kind, name=name, is_enabled=True, **columns)
        self.rules.append((named(name), kind))

    def happen(self, change: Change) -> None:
        what, a, b, c = change
        CHANGES[what](self, a, b, c)

    def begin(self, plan: Plan) -> None:
        """Everything up to the first moment."""
        for drawn in plan.people:
            self.person(*drawn)
        for drawn in plan.rules:
            self.rule(*drawn)
        for change in plan.before:
            self.happen(change)
        self.scene.stamp(self.now)

    def moments(self, plan: Plan) -> Iterator[Moment]:
        """Lives a plan; yields at each moment, when everything of it has happened."""
        self.begin(plan)
        for moment in plan.moments:
            self.now += moment.passing
            for change in moment.changes:
                self.happen(change)
            self.scene.stamp(self.now)
            yield moment


@contextmanager
def living(database: Database, plan: Plan) -> Iterator[Life]:
    """A plan's organisation, in a transaction of its own."""
    cap = str(plan.daily_cap) if plan.daily_cap else None
    with Scene.set(database, plan.time_zone, notification_daily_cap=cap, quiet_hours=plan.quiet) as scene:
        yield Life(scene, plan.start)


# What people are made of, more often than what befalls them.
_WHAT = (
    "log",
    "log",
    "log",
    "log",
    "log",
    "certify",
    "certify",
    "edit rule",
    "prefer",
    "recompute",
    "deliver",
    *CHANGES,
)

numbers = st.integers(0, 11)
_triples = st.tuples(numbers, numbers, numbers)
_changes = st.tuples(st.sampled_from(_WHAT), numbers, numbers, numbers)


def plans(
    min_moments: int, max_moments: int, noticed: tuple[str, ...] = ("whole",), without: tuple[str, ...] = ()
) -> st.SearchStrategy[Plan]:
    changes = _changes.filter(lambda change: change[0] not in without)
    moment = st.builds(Moment, st.sampled_from(PASSING), st.lists(changes, max_size=3), st.sampled_from(noticed))
    return st.builds(
        Plan,
        start=st.sampled_from(STARTS),
        time_zone=st.sampled_from(ZONES),
        daily_cap=st.sampled_from((None, None, 1, 2)),
        quiet=st.sampled_from((None, None, *QUIET)),
        people=st.lists(_triples, min_size=1, max_size=3),
        rules=st.lists(_triples, min_size=2, max_size=4),
        before=st.lists(changes, min_size=3, max_size=15),
        moments=st.lists(moment, min_size=min_moments, max_size=max_moments),
    )
