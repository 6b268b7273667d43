"""The year in which people are active or not: clocks, public holidays, seasons.

Offsets are computed, not looked up: the same seed must give the same organisation on a machine without, or with
another, time zone database.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache


def oslo(day: date, hour: int, minute: int) -> datetime:
    """The instant of a wall clock time in Norway (the European Union's rule for summer time)."""
    summer = _last_sunday(day.year, 3) <= day < _last_sunday(day.year, 10)
    return _at_offset(day, hour, minute, 2 if summer else 1)


def guayaquil(day: date, hour: int, minute: int) -> datetime:
    """The instant of a wall clock time in mainland Ecuador, which has no summer time."""
    return _at_offset(day, hour, minute, -5)


def norwegian_season(day: date) -> float:
    """How much goes on that day, 1.0 being an ordinary one: holidays, Easter and Christmas weeks, July."""
    if day in _norwegian_holidays(day.year):
        return 0.1
    if (day.month, day.day) >= (12, 22) or (day.month, day.day) <= (1, 2):
        return 0.35
    if abs((day - _easter(day.year)).days + 3) <= 4:
        return 0.45
    if day.month == 7:
        return 0.45
    return 1.15 if day.month in (2, 9, 10, 11) else 1.0


def ecuadorian_season(day: date) -> float:
    """How much goes on that day on the coast of Ecuador, where the long holidays are from February to April."""
    if (day.month, day.day) in {(1, 1), (5, 1), (5, 24), (8, 10), (10, 9), (11, 2), (11, 3), (12, 25)}:
        return 0.1
    return 0.6 if day.month in (2, 3) else 1.0


def _at_offset(day: date, hour: int, minute: int, offset_hours: int) -> datetime:
    return datetime.combine(day, time(hour, minute), UTC) - timedelta(hours=offset_hours)


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)
    return last - timedelta(days=(last.weekday() + 1) % 7)


@lru_cache
def _easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian algorithm)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


@lru_cache
def _norwegian_holidays(year: int) -> frozenset[date]:
    moving = (_easter(year) + timedelta(days=days) for days in (-3, -2, 0, 1, 39, 49, 50))
    fixed = (date(year, month, day) for month, day in ((1, 1), (5, 1), (5, 17), (12, 24), (12, 25), (12, 26)))
    return frozenset((*moving, *fixed))
