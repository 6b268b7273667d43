"""A school to look at the engagement panel with: half a year of check-ins, by the kinds of students there are."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from psycopg import Connection

from attend.demo.loading import copy_rows
from attend.demo.names import Names

NAME = "Academia Andina"
ZONE = "America/Guayaquil"
_HISTORY_DAYS = 182
_LESSONS = 48
_LEVELS = ("A1", "A1", "A1", "A2", "A2", "A2", "B1", "B1", "B2", "C1", "Conversación", None)
# The middle of each hour at which somebody may come, and how many do.
_HOURS = {8: 5, 9: 8, 10: 6, 11: 3, 12: 2, 13: 2, 14: 3, 15: 5, 16: 7, 17: 10, 18: 12, 19: 7, 20: 1}
# Monday to Sunday.
_WEEKDAYS = (1.0, 1.15, 1.2, 1.1, 0.75, 0.9, 0.15)


class Student(NamedTuple):
    """A row of public.students."""

    student_id: int
    full_name: str
    level: str | None
    is_active: bool


class Visit(NamedTuple):
    """A row of public.student_attendance."""

    student_id: int
    checkin_time: datetime
    minutes: int | None


class Progress(NamedTuple):
    """A row of public.learning_progress."""

    student_id: int
    lessons_completed: int
    lessons_total: int
    average_score: float | None
    started_at: datetime
    last_progress_at: datetime | None


@dataclass(frozen=True)
class School:
    """What is written of a school."""

    students: list[Student]
    visits: list[Visit]
    progress: list[Progress]


@dataclass(frozen=True)
class Habit:
    """How often somebody comes, and when: days ago, the larger number first. Between two `spells` they stayed away."""

    a_week: float
    spells: tuple[tuple[int, int], ...]
    is_active: bool = True


def _steady(a_week: float) -> Callable[[random.Random], Habit]:
    return lambda _: Habit(a_week, ((_HISTORY_DAYS, 0),))


def _gone(low: int, high: int, *, is_active: bool = True) -> Callable[[random.Random], Habit]:
    return lambda rng: Habit(rng.uniform(1.5, 4), ((_HISTORY_DAYS, rng.randint(low, high)),), is_active)


def _returned(rng: random.Random) -> Habit:
    back = rng.randint(1, 12)
    return Habit(rng.uniform(2, 4), ((_HISTORY_DAYS, back + rng.randint(16, 70)), (back, 0)))


def _new(rng: random.Random) -> Habit:
    return Habit(rng.uniform(2, 5), ((rng.randint(3, 20), 0),))


# Of a hundred students, and in any order: what a manager must not be able to guess from a number.
_KINDS: tuple[tuple[int, Callable[[random.Random], Habit]], ...] = (
    (6, _steady(6.5)),
    (10, _steady(4.2)),
    (18, _steady(2.4)),
    (16, _steady(1.5)),
    (8, _steady(0.7)),
    (8, _returned),
    (7, _new),
    (7, _gone(7, 13)),
    (6, _gone(14, 29)),
    (6, _gone(30, 120)),
    (2, _gone(150, 181)),
    (2, lambda _: Habit(0.0, ())),
    (4, _gone(20, 150, is_active=False)),
)


def generate(seed: int, now: datetime, students: int = 240) -> School:
    """The same school for the same arguments; at most two thousand students, because no two have one name."""
    rng = random.Random(seed)
    names = Names(rng, "es")
    kinds = [kind for share, kind in _KINDS for _ in range(share)]
    people: list[Student] = []
    visits: list[Visit] = []
    progress: list[Progress] = []
    for number in range(1, students + 1):
        habit = rng.choice(kinds)(rng)
        people.append(Student(number, names.full(), rng.choice(_LEVELS), habit.is_active))
        came = [*_visits(rng, number, habit, now)]
        visits += came
        progress.append(_progress(rng, number, came, now))
    return School(people, sorted(visits, key=lambda visit: visit.checkin_time), progress)


def _visits(rng: random.Random, student: int, habit: Habit, now: datetime) -> Iterator[Visit]:
    zone = ZoneInfo(ZONE)
    today = now.astimezone(zone).date()
    usual = rng.choices([*_HOURS], [*_HOURS.values()])[0]
    a_day = habit.a_week / sum(_WEEKDAYS)
    for began, ended in habit.spells:
        for ago in range(began, ended - 1, -1):
            day = today - timedelta(days=ago)
            # Both ends of a spell are visits: they are what it is known by.
            comes = rng.random() < a_day * _WEEKDAYS[day.weekday()] or ago == began or (ago == ended and ended > 0)
            again = comes and habit.a_week > 5 and rng.random() < 0.3
            for _ in range(comes + again):
                # Drawn for those still to come today, too: an hour later it is the same school.
                minutes = None if rng.random() < 0.04 else rng.randint(25, 130)
                visit = Visit(student, _instant(rng, day, usual, zone), minutes)
                if visit.checkin_time <= now:
                    yield visit


def _instant(rng: random.Random, day: date, usual: int, zone: ZoneInfo) -> datetime:
    hour = usual if rng.random() < 0.7 else rng.choices([*_HOURS], [*_HOURS.values()])[0]
    return datetime.combine(day, time(hour, rng.randint(0, 59), rng.randint(0, 59)), zone).astimezone(UTC)


def _progress(rng: random.Random, student: int, visits: list[Visit], now: datetime) -> Progress:
    """Who comes learns, some more slowly than others; who stays away stays where they are."""
    if not visits:
        return Progress(student, 0, _LESSONS, None, now - timedelta(days=40), None)
    began, last = visits[0].checkin_time, visits[-1].checkin_time
    pace = rng.choice((0.15, 0.45, 0.6, 0.8, 0.9))
    completed = min(_LESSONS, int(len(visits) * pace))
    stalled = timedelta(days=rng.choice((0, 0, 0, 2, 5, 20)))
    score = round(min(100.0, max(20.0, rng.gauss(76, 13))), 1)
    at = max(began, last - stalled) if completed else None
    return Progress(student, completed, _LESSONS, score if completed else None, began, at)


def load(connection: Connection[Any], organization_id: UUID, school: School) -> None:
    """Writes the students and what they did, in one transaction. `connection` is of `postgres`."""
    with connection.transaction():
        _write(connection, organization_id, "students", Student, school.students)
        _write(connection, organization_id, "student_attendance", Visit, school.visits)
        _write(connection, organization_id, "learning_progress", Progress, school.progress)


def _write(
    connection: Connection[Any],
    organization_id: UUID,
    table: str,
    kind: type[Student | Visit | Progress],
    rows: list[Student] | list[Visit] | list[Progress],
) -> None:
    columns = ("organization_id", *kind._fields)
    copy_rows(connection, table, columns, ((organization_id, *row) for row in rows))
