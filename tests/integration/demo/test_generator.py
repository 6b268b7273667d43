"""The generator: pure, seeded, and wide enough that the rule can be wrong about somebody."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from attend.demo.generator import generate
from attend.demo.model import Activity, DemoData
from tests.support.oracle import decide

NOW = datetime(2026, 6, 3, 9, 41, 26, 535897, UTC)


@pytest.fixture(scope="module")
def data() -> DemoData:
    return generate(7, NOW)


def test_the_same_seed_and_clock_make_the_same_organisation(data: DemoData) -> None:
    assert generate(7, NOW) == data


def test_the_zone_in_which_the_clock_is_told_changes_nothing(data: DemoData) -> None:
    assert generate(7, NOW.astimezone(timezone(timedelta(hours=-7)))) == data


def test_two_seeds_make_different_people_and_results(data: DemoData) -> None:
    other = generate(8, NOW)
    assert {p.id for p in data.people}.isdisjoint(p.id for p in other.people)
    assert {p.full_name for p in data.people} != {p.full_name for p in other.people}
    assert Counter(d.gate for d in decide(data, NOW)) != Counter(d.gate for d in decide(other, NOW))


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        generate(7, NOW.replace(tzinfo=None))


def test_it_is_a_programme_of_about_two_hundred_mentors_with_two_years_of_activities(data: DemoData) -> None:
    mentors = [p for p in data.people if p.organization_id == data.organization.id and p.role == "peer_mentor"]
    of_theirs = [a for a in data.activities if a.organization_id == data.organization.id]
    assert len(mentors) == 200
    assert 15_000 < len(of_theirs) < 30_000
    assert min(a.occurred_at for a in of_theirs) < NOW - timedelta(days=700)


@pytest.mark.parametrize("seed", range(1, 6))
def test_nothing_completed_lies_in_the_future(seed: int) -> None:
    completed = [a for a in generate(seed, NOW).activities if a.status == "completed"]
    assert all(a.occurred_at <= a.recorded_at <= NOW for a in completed)


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_gate_of_a_first_evaluation_concerns_somebody(seed: int) -> None:
    data = generate(seed, NOW)
    gates = {d.gate for d in decide(data, NOW) if d.organization_id == data.organization.id}
    assert gates == {"rule_disabled", "person_inactive", "away", "not_matched", "opted_out", "would_send"}


def test_people_stand_at_the_threshold_on_both_sides_to_the_microsecond(data: DemoData) -> None:
    rule = next(r for r in data.rules if r.is_enabled)
    distances = {d.anchor_at - (NOW - timedelta(days=21)) for d in decide(data, NOW) if d.rule_id == rule.id}
    microsecond = timedelta(microseconds=1)
    assert {timedelta(0), microsecond, -microsecond} <= distances


def test_contacts_are_shared_between_mentors(data: DemoData) -> None:
    mentors: dict[object, set[object]] = {}
    for activity in data.activities:
        for contact in activity.contact_ids:
            mentors.setdefault(contact, set()).add(activity.user_id)
    assert sum(len(who) > 1 for who in mentors.values()) > len(mentors) / 2


def test_summers_and_public_holidays_are_quieter(data: DemoData) -> None:
    days = Counter(a.occurred_at.date() for a in data.activities if a.organization_id == data.organization.id)
    ordinary = sum(n for day, n in days.items() if day.year == 2025 and day.month == 10) / 31
    july = sum(n for day, n in days.items() if day.year == 2025 and day.month == 7) / 31
    assert july < 0.7 * ordinary
    constitution_day = datetime(2025, 5, 17, tzinfo=UTC).date()
    assert days[constitution_day] < 0.4 * ordinary


def test_activities_are_in_the_daytime_of_where_people_live(data: DemoData) -> None:
    oslo = data.organization.id
    winter = {a.occurred_at.hour for a in _routine(data) if a.organization_id == oslo and a.occurred_at.month == 1}
    summer = {a.occurred_at.hour for a in _routine(data) if a.organization_id == oslo and a.occurred_at.month == 7}
    guayas = {a.occurred_at.hour for a in _routine(data) if a.organization_id != oslo}
    assert (min(winter), max(winter)) == (8, 18)
    assert (min(summer), max(summer)) == (7, 17)
    assert guayas == {*range(14, 24), 0}


def _routine(data: DemoData) -> list[Activity]:
    """Activities whose time came from a wall clock, not from a distance to now."""
    return [a for a in data.activities if a.occurred_at.second == a.occurred_at.microsecond == 0]


def test_the_size_of_the_other_organisation_changes_nothing_in_the_demos(data: DemoData) -> None:
    larger = generate(7, NOW, others=60)
    ours = data.organization.id
    assert [a for a in larger.activities if a.organization_id == ours] == [
        a for a in data.activities if a.organization_id == ours
    ]


def test_the_oracle_judges_by_the_rows_and_not_by_the_parts_people_were_given(data: DemoData) -> None:
    assert decide(replace(data, casting={}), NOW) == decide(data, NOW)
