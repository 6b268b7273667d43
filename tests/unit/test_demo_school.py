"""attend/demo/school.py: the same school for the same arguments, with somebody for every part of the panel."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from attend.demo.school import generate

NOW = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)


def test_the_same_arguments_make_the_same_school_and_another_seed_another() -> None:
    assert generate(7, NOW) == generate(7, NOW)
    assert generate(7, NOW) != generate(8, NOW)


def test_later_the_same_day_only_more_have_come() -> None:
    earlier, later = generate(7, NOW), generate(7, NOW + timedelta(hours=5))
    assert earlier.students == later.students
    assert set(earlier.visits) < set(later.visits)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hour", [0, 4, 5, 13, 23])
def test_nobody_comes_in_the_future_or_before_the_school_was_there(seed: int, hour: int) -> None:
    now = NOW.replace(hour=hour)
    school = generate(seed, now, students=60)
    times = [visit.checkin_time for visit in school.visits]
    assert times == sorted(times)
    assert now - timedelta(days=184) < times[0]
    assert times[-1] <= now
    for row in school.progress:
        assert row.last_progress_at is None or row.started_at <= row.last_progress_at <= now
        assert row.lessons_completed <= row.lessons_total


def test_no_two_students_have_one_name_and_many_have_accents() -> None:
    names = [student.full_name for student in generate(7, NOW).students]
    assert len(set(names)) == len(names) == 240
    assert sum(not name.isascii() for name in names) > 40


@pytest.mark.parametrize("seed", range(5))
def test_there_is_somebody_for_every_part_of_the_panel(seed: int) -> None:
    school = generate(seed, NOW)
    last = {visit.student_id: visit.checkin_time for visit in school.visits}
    away = {student: (NOW - at).days for student, at in last.items()}
    recent = Counter(visit.student_id for visit in school.visits if NOW - visit.checkin_time <= timedelta(days=30))
    assert any(7 <= days < 14 for days in away.values())
    assert any(14 <= days < 30 for days in away.values())
    assert any(days >= 30 for days in away.values())
    assert sum(visits >= 11 for visits in recent.values()) > 20
    assert len({student.student_id for student in school.students} - set(last)) > 0
    assert sum(not student.is_active for student in school.students) > 0
    assert len({student.level for student in school.students}) == 7
