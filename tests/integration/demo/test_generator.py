"""The generator: pure, seeded, and wide enough that the rule can be wrong about somebody."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from attend.demo.generator import generate
from attend.demo.model import Activity, DemoData
from tests.support.engine_world import Answer
from tests.support.oracle import Oracle, as_saved

NOW = datetime(2026, 6, 3, 9, 41, 26, 535897, UTC)


@pytest.fixture(scope="module")
def data() -> DemoData:
    return generate(7, NOW)


def decide(data: DemoData) -> list[Answer]:
    """Everybody by every rule, as all are switched on."""
    oracle = Oracle(data)
    for draft in data.drafts:
        oracle.switch_on(draft.organization_id, as_saved(draft, data.now))
    return oracle.dry_run(data.now)


def test_the_same_seed_and_clock_make_the_same_organisation(data: DemoData) -> None:
    assert generate(7, NOW) == data


def test_the_zone_in_which_the_clock_is_told_changes_nothing(data: DemoData) -> None:
    assert generate(7, NOW.astimezone(timezone(timedelta(hours=-7)))) == data


def test_two_seeds_make_different_people_and_results(data: DemoData) -> None:
    other = generate(8, NOW)
    assert {p.id for p in data.people}.isdisjoint(p.id for p in other.people)
    assert {p.full_name for p in data.people} != {p.full_name for p in other.people}
    assert Counter(a.gate for a in decide(data)) != Counter(a.gate for a in decide(other))


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
    ours = {p.id for p in data.people if p.organization_id == data.organization.id}
    gates = {(a.rule.type, a.gate) for a in decide(data) if a.user_id in ours}
    general = {"person_inactive", "away", "not_matched", "opted_out", "would_send"}
    assert {gate for scenario, gate in gates if scenario == "inactivity"} == general
    assert {("milestone", gate) for gate in (*general, "crossing_too_old")} <= gates
    assert {("certification_expiry", gate) for gate in ("not_matched", "superseded", "would_send")} <= gates


def test_people_stand_at_the_thresholds_on_both_sides_to_the_microsecond(data: DemoData) -> None:
    ours = [a for a in decide(data) if a.rule.type == "inactivity" and a.rule.threshold_days == 21]
    crossings = {a.crossed_at or a.ends_at for a in ours}
    microsecond = timedelta(microseconds=1)
    assert {NOW, NOW + microsecond, NOW - microsecond} <= crossings
    assert {NOW, NOW + timedelta(days=30)} <= {certificate.expires_at for certificate in data.certificates}


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 1, 1, 0, 0, 40, tzinfo=UTC),
        datetime(2026, 1, 3, 23, tzinfo=UTC),
        datetime(2026, 2, 20, 12, tzinfo=UTC),
        datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_somebody_is_one_session_short_of_the_milestone_on_any_day_of_the_year(now: datetime) -> None:
    data = generate(3, now)
    (threshold,) = data.draft("milestone").parameters["thresholds"]
    assert {data.sessions(person) for person in data.cast("one-short")} == {threshold - 1}
    assert all(data.sessions(person) >= threshold for person in data.cast("just-reached"))
    told = {a.user_id for a in decide(data) if a.rule.type == "milestone" and a.gate == "would_send"}
    assert {person.id for person in data.cast("just-reached")} <= told
    assert all(a.occurred_at <= now for a in data.activities if a.status == "completed")


def test_certificates_are_renewed_revoked_and_forgotten(data: DemoData) -> None:
    assert sum(c.revoked_at is not None for c in data.certificates) >= 2
    renewals = {c.replaced_by for c in data.certificates if c.replaced_by}
    assert renewals < {c.id for c in data.certificates}
    assert any(c.expires_at < NOW and c.replaced_by is None for c in data.certificates)
    assert all(c.issued_at < c.expires_at and c.created_at <= NOW for c in data.certificates)


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


@pytest.mark.parametrize("seed", range(1, 6))
def test_a_church_has_three_missed_services_that_are_theirs_and_one_that_is_nobodys(seed: int) -> None:
    church = generate(seed, NOW).church
    missed = {
        m.id for m in church.members if all(church.attendance[m.id, day] == "absent" for day in church.sundays[:3])
    }
    parts = ("returns", "misrecorded", "stays-away", "nobodys")
    assert missed == {church.cast(part).id for part in parts}
    families = {family.id: family.assigned_servant_id for family in church.families}
    servants = [families[church.cast(part).family_id] for part in parts]
    first, second = (servant.id for servant in church.servants)
    assert servants == [first, first, second, None]
    assert church.attendance[church.cast("returns").id, church.sundays[3]] == "present"
    assert {*church.attendance.values()} == {"present", "late", "absent", "excused"}


@pytest.mark.parametrize("day", range(7))
def test_the_churchs_sundays_are_over_wherever_it_is(day: int) -> None:
    now = NOW + timedelta(days=day)
    sundays = generate(1, now).church.sundays
    assert {sunday.isoweekday() for sunday in sundays} == {7}
    assert timedelta(days=1) <= now.date() - sundays[-1] <= timedelta(days=7)
    assert len(set(sundays)) == 4


def test_the_size_of_the_other_organisation_changes_nothing_in_the_demos(data: DemoData) -> None:
    larger = generate(7, NOW, others=90)
    ours = data.organization.id
    assert [a for a in larger.activities if a.organization_id == ours] == [
        a for a in data.activities if a.organization_id == ours
    ]


def test_the_oracle_judges_by_the_rows_and_not_by_the_parts_people_were_given(data: DemoData) -> None:
    assert decide(replace(data, casting={})) == decide(data)
