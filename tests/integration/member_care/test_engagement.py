"""Engagement scores: what they are made of, who sees which part, and that a failed refresh changes nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.congregation import Congregation
from tests.support.database import Database

DEFAULT_WEIGHTS = {"attendance": 50, "groups": 20, "volunteering": 10, "classes": 10, "donations": 10}
DEFAULT_TARGETS = {"attendance": 12, "groups": 1, "volunteering": 3, "classes": 6, "donations": 100}


@pytest.fixture
def church(database: Database) -> Congregation:
    return Congregation(database, "UTC")


def score(church: Congregation, person: UUID, now: datetime) -> dict[str, Any]:
    return church.database.rows(
        "select * from private.compute_engagement(%s) where organization_id = %s and person_id = %s",
        (now, church.id, person),
    )[0]


class Life:
    """What somebody did, on days counted back from a day."""

    def __init__(self, church: Congregation, today: date) -> None:
        self.church, self.today = church, today
        self.person = church.person()
        ask = church.database.value
        self.group = ask(
            "insert into public.groups (organization_id, name) values (%s, 'G') returning id", (church.id,)
        )
        self.lessons = ask(
            "insert into public.classes (organization_id, name) values (%s, 'C') returning id", (church.id,)
        )

    def day(self, ago: int) -> date:
        return self.today - timedelta(days=ago)

    def attended(self, ago: int, status: str) -> None:
        service = self.church.database.value(
            "insert into public.services (organization_id, service_date, kind) values (%s, %s, 'liturgy')"
            " on conflict (organization_id, service_date, kind) do update set kind = excluded.kind returning id",
            (self.church.id, self.day(ago)),
        )
        self.church.database.execute(
            "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
            " values (%s, %s, %s, %s, %s::public.attendance_status) on conflict do nothing",
            (self.church.id, self.person, service, self.day(ago), status),
        )

    def joined(self, ago: int, left_ago: int | None) -> None:
        self.church.database.execute(
            "insert into public.group_memberships (organization_id, group_id, person_id, joined_on, left_on)"
            " values (%s, %s, %s, %s, %s) on conflict do nothing",
            (self.church.id, self.group, self.person, self.day(ago), None if left_ago is None else self.day(left_ago)),
        )

    def volunteered(self, ago: int) -> None:
        self.church.database.execute(
            "insert into public.volunteering (organization_id, person_id, volunteered_on, task)"
            " values (%s, %s, %s, 'T')",
            (self.church.id, self.person, self.day(ago)),
        )

    def learned(self, ago: int) -> None:
        self.church.database.execute(
            "insert into public.class_participations (organization_id, class_id, person_id, participated_on)"
            " values (%s, %s, %s, %s) on conflict do nothing",
            (self.church.id, self.lessons, self.person, self.day(ago)),
        )

    def gave(self, ago: int, amount: int) -> None:
        self.church.database.execute(
            "insert into public.donations (organization_id, person_id, donated_on, amount) values (%s, %s, %s, %s)",
            (self.church.id, self.person, self.day(ago), amount),
        )


AGO = st.integers(80, 100) | st.integers(0, 20)
WEIGHT = st.integers(0, 60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attended=st.dictionaries(AGO, st.sampled_from(["present", "late", "absent", "excused"]), max_size=16),
    membership=st.none() | st.tuples(st.integers(10, 200), st.none() | st.integers(0, 10)),
    volunteered=st.lists(AGO, max_size=5),
    learned=st.sets(AGO, max_size=8),
    gave=st.lists(st.tuples(AGO, st.integers(1, 60)), max_size=4),
    weights=st.none() | st.fixed_dictionaries(dict.fromkeys(DEFAULT_WEIGHTS, WEIGHT)).filter(lambda w: any(w.values())),
    targets=st.none() | st.fixed_dictionaries({"attendance": st.integers(1, 20), "donations": st.integers(1, 200)}),
)
def test_the_score_is_the_formula_of_the_rules(
    database: Database,
    attended: dict[int, str],
    membership: tuple[int, int | None] | None,
    volunteered: list[int],
    learned: set[int],
    gave: list[tuple[int, int]],
    weights: dict[str, int] | None,
    targets: dict[str, int] | None,
) -> None:
    church = Congregation(database, "UTC")
    now = datetime.now(UTC)
    life = Life(church, now.date())
    for ago, status in attended.items():
        life.attended(ago, status)
    if membership:
        life.joined(*membership)
    for ago in volunteered:
        life.volunteered(ago)
    for ago in learned:
        life.learned(ago)
    for ago, amount in gave:
        life.gave(ago, amount)
    for key, value in (("engagement_weights", weights), ("engagement_targets", targets)):
        if value is not None:
            database.execute(
                "insert into public.org_settings_kv values (%s, %s, %s::text::jsonb)",
                (church.id, key, str(value).replace("'", '"')),
            )

    weight, target = DEFAULT_WEIGHTS | (weights or {}), DEFAULT_TARGETS | (targets or {})
    values = {
        "attendance": sum(status in {"present", "late"} and ago < 90 for ago, status in attended.items()),
        "groups": int(membership is not None and membership[1] is None),
        "volunteering": sum(ago < 90 for ago in volunteered),
        "classes": sum(ago < 90 for ago in learned),
        "donations": sum(amount for ago, amount in gave if ago < 90),
    }
    parts = {name: min(1.0, values[name] / target[name]) for name in values}

    def of(names: set[str]) -> float | None:
        total = sum(weight[name] for name in names)
        return 100 * sum(weight[name] * parts[name] for name in names) / total if total else None

    row = score(church, life.person, now)
    assert (row["attendance_90d"], row["active_groups"], row["volunteering_90d"], row["classes_90d"]) == tuple(
        values[name] for name in ("attendance", "groups", "volunteering", "classes")
    )
    assert row["donations_90d"] == values["donations"]
    for name, part in parts.items():
        assert float(row[f"{name}_part"]) == pytest.approx(part, abs=1e-4)
    assert float(row["score"]) == pytest.approx(of(set(parts)), abs=0.006)
    without = of(set(parts) - {"donations"})
    assert row["score_without_donations"] == (
        None if without is None else pytest.approx(Decimal(without), abs=Decimal("0.006"))
    )


def test_the_window_is_of_the_organisations_days(database: Database) -> None:
    """In Kiritimati it is tomorrow already, and what was given ninety days before that is no longer of the window."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for zone, expected in (("Pacific/Kiritimati", 0), ("UTC", 10)):
        church = Congregation(database, zone)
        life = Life(church, date(2026, 3, 1))
        life.gave(89, 10)
        assert score(church, life.person, now)["donations_90d"] == expected


def test_only_the_active_are_scored(church: Congregation, database: Database) -> None:
    people = [church.person() for _ in range(4)]
    for person, status in zip(people, ("active", "inactive", "moved", "deceased"), strict=True):
        database.execute("update public.people set status = %s::public.person_status where id = %s", (status, person))
    scored = "select person_id from private.compute_engagement(now()) where organization_id = %s"
    assert [row["person_id"] for row in database.rows(scored, (church.id,))] == people[:1]


def test_readers_see_their_organisation_as_fresh_as_it_is_and_money_if_they_may(
    church: Congregation, database: Database
) -> None:
    life = Life(church, datetime.now(UTC).date())
    life.gave(1, 50)
    elsewhere = Congregation(database)
    elsewhere.person()
    database.execute("select private.refresh_engagement_scores()")
    computed_at = database.value(
        "select (last_result ->> 'computed_at')::timestamptz from private.schedules where name = 'engagement-scores'"
    )
    seen = {}
    for role in ("peer_mentor", "servant", "coordinator", "manager", "admin"):
        with church.as_person(church.login(church.user(role))) as connection:
            seen[role] = connection.execute("select * from public.people_engagement_scores").fetchall()
    assert seen["peer_mentor"] == []
    assert {role: len(rows) for role, rows in seen.items() if role != "peer_mentor"} == dict.fromkeys(
        ("servant", "coordinator", "manager", "admin"), 1
    )
    for role in ("servant", "coordinator"):
        (row,) = seen[role]
        assert (row["donations_90d"], row["donations_part"], row["score"]) == (None, None, 0)
    for role in ("manager", "admin"):
        (row,) = seen[role]
        assert (row["donations_90d"], row["donations_part"], row["score"]) == (50, Decimal("0.5"), 5)
        assert row["computed_at"] == computed_at


def test_a_refresh_that_fails_leaves_the_scores_and_says_so(church: Congregation, database: Database) -> None:
    Life(church, datetime.now(UTC).date())
    database.execute("select private.refresh_engagement_scores()")
    before = database.rows("select * from private.people_engagement_scores order by person_id")
    state = "select last_succeeded_at, last_result from private.schedules where name = 'engagement-scores'"
    succeeded = database.rows(state)[0]
    # A weight that no writer could store, as a restored backup may hold it.
    database.execute("alter table public.org_settings_kv drop constraint setting_value_fits_its_key")
    zero = str(dict.fromkeys(DEFAULT_WEIGHTS, 0)).replace("'", '"')
    database.execute(
        "insert into public.org_settings_kv values (%s, 'engagement_weights', %s::text::jsonb)", (church.id, zero)
    )
    database.execute("select private.refresh_engagement_scores()")
    failed = database.rows(state)[0]
    assert failed["last_succeeded_at"] == succeeded["last_succeeded_at"]
    assert failed["last_result"]["sqlstate"] == "22012"
    assert failed["last_result"]["computed_at"] == succeeded["last_result"]["computed_at"]
    assert database.rows("select * from private.people_engagement_scores order by person_id") == before
