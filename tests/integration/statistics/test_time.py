"""Time passes: streaks over midnight, and periods that end while nobody writes."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import pytest

from tests.integration.statistics.conftest import Programme, utc


@pytest.mark.parametrize(
    ("active", "now", "streak"),
    [
        # Today or yesterday: today is not over.
        (["2024-05-15"], "2024-05-15 00:00", 1),
        (["2024-05-15"], "2024-05-15 23:59", 1),
        (["2024-05-15"], "2024-05-16 00:00", 1),
        (["2024-05-15"], "2024-05-16 23:59", 1),
        (["2024-05-15"], "2024-05-17 00:00", 0),
        (["2024-05-14", "2024-05-15"], "2024-05-16 12:00", 2),
        (["2024-05-13", "2024-05-14", "2024-05-15"], "2024-05-15 12:00", 3),
        (["2024-05-13", "2024-05-15"], "2024-05-15 12:00", 1),
        (["2024-05-13", "2024-05-14"], "2024-05-15 12:00", 2),
        # A day is a UTC day, to the microsecond.
        (["2024-05-14 23:59:59.999999", "2024-05-15 00:00"], "2024-05-15 12:00", 2),
        (["2024-05-15 00:00", "2024-05-15 23:59:59.999999"], "2024-05-15 23:59:59.999999", 1),
        (["2024-05-15 00:00+00", "2024-05-15 23:30"], "2024-05-16 01:00", 1),
        # Month ends, leap days, quarter ends, New Year.
        (["2024-04-30", "2024-05-01"], "2024-05-01 12:00", 2),
        (["2024-02-28", "2024-02-29", "2024-03-01"], "2024-03-01 12:00", 3),
        (["2024-02-28", "2024-03-01"], "2024-03-01 12:00", 1),
        (["2023-02-28", "2023-03-01"], "2023-03-01 12:00", 2),
        (["2000-02-29", "2000-03-01"], "2000-03-02 12:00", 2),
        (["2024-03-31", "2024-04-01"], "2024-04-01 12:00", 2),
        (["2023-12-30", "2023-12-31", "2024-01-01"], "2024-01-01 12:00", 3),
        (["2023-12-31"], "2024-01-01 23:00", 1),
        (["2023-12-31"], "2024-01-02 00:00", 0),
        # Europe changes its clocks at these nights; UTC does not.
        (["2024-03-30", "2024-03-31", "2024-04-01"], "2024-04-01 12:00", 3),
        (["2024-10-26", "2024-10-27", "2024-10-28"], "2024-10-28 12:00", 3),
    ],
)
def test_a_streak_is_what_the_rule_says(
    programme: Programme, mentor: UUID, active: list[str], now: str, streak: int
) -> None:
    for at in active:
        programme.activity(mentor, utc(at.removesuffix("+00")))
    programme.drain(now)
    assert programme.streak(mentor) == streak
    programme.assert_right(now)


@pytest.mark.parametrize(
    ("day", "periods"),
    [
        # ISO weeks at New Year: they belong to the year that has their Thursday, and begin on a Monday all the same.
        ("2021-01-03", {"week": ("2020-12-28", "2021-01-04"), "year": ("2021-01-01", "2022-01-01")}),
        ("2020-12-31", {"week": ("2020-12-28", "2021-01-04"), "year": ("2020-01-01", "2021-01-01")}),
        ("2024-12-30", {"week": ("2024-12-30", "2025-01-06"), "month": ("2024-12-01", "2025-01-01")}),
        ("2024-12-29", {"week": ("2024-12-23", "2024-12-30"), "quarter": ("2024-10-01", "2025-01-01")}),
        ("2025-01-05", {"week": ("2024-12-30", "2025-01-06"), "quarter": ("2025-01-01", "2025-04-01")}),
        ("2026-01-01", {"week": ("2025-12-29", "2026-01-05"), "day": ("2026-01-01", "2026-01-02")}),
        ("2024-02-29", {"day": ("2024-02-29", "2024-03-01"), "month": ("2024-02-01", "2024-03-01")}),
        ("2023-02-28", {"day": ("2023-02-28", "2023-03-01"), "month": ("2023-02-01", "2023-03-01")}),
        ("2024-06-30", {"quarter": ("2024-04-01", "2024-07-01"), "week": ("2024-06-24", "2024-07-01")}),
        ("2024-07-01", {"quarter": ("2024-07-01", "2024-10-01"), "week": ("2024-07-01", "2024-07-08")}),
        ("1970-01-01", {"week": ("1969-12-29", "1970-01-05"), "year": ("1970-01-01", "1971-01-01")}),
    ],
)
@pytest.mark.parametrize("time", ["00:00", "23:59:59.999999"])
def test_a_day_belongs_to_these_periods(
    programme: Programme, mentor: UUID, day: str, periods: dict[str, tuple[str, str]], time: str
) -> None:
    programme.activity(mentor, f"{day} {time}")
    programme.drain()
    for period, (start, end) in periods.items():
        row = programme.row(mentor, period, start)
        assert (row["period_end"], row["total_activities"]) == (utc(end), 1), period
    programme.assert_right()


@pytest.mark.parametrize("last", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-06-02", "2024-08-15", "2023-12-31"])
def test_streaks_decay_as_days_pass_and_only_the_clock_moves(programme: Programme, mentor: UUID, last: str) -> None:
    day = date.fromisoformat(last)
    for n in range(4):
        programme.activity(mentor, str(day - timedelta(days=n)))
    for passed in range(10):
        now = utc(f"{day + timedelta(days=passed)} 00:00:01")
        programme.drain(now)
        assert programme.streak(mentor) == (4 if passed <= 1 else 0)
        programme.assert_right(now)


@pytest.mark.parametrize("missed", [1, 2, 6, 31, 400])
def test_missed_midnights_are_made_up_for_by_the_next_drain(programme: Programme, mentor: UUID, missed: int) -> None:
    programme.activity(mentor, "2023-05-13")
    programme.activity(mentor, "2023-05-14")
    programme.drain("2023-05-14 12:00")
    now = utc("2023-05-14 00:00") + timedelta(days=1 + missed)
    programme.drain(now)
    assert programme.streak(mentor) == 0
    programme.assert_right(now)


@pytest.mark.parametrize("drained_between", [True, False], ids=["drained at midnight", "not drained at midnight"])
@pytest.mark.parametrize(
    ("before", "after", "now"),
    [
        # Quiet on the last day of a week, a month, a quarter, a year, and back on the first of the next.
        (["2024-05-18"], "2024-05-20", "2024-05-20 12:00"),
        (["2024-04-29"], "2024-05-01", "2024-05-01 12:00"),
        (["2024-06-29"], "2024-07-01", "2024-07-01 12:00"),
        (["2023-12-30"], "2024-01-01", "2024-01-01 12:00"),
        (["2024-02-28"], "2024-03-01", "2024-03-01 12:00"),
    ],
)
def test_whoever_comes_back_after_a_period_ended_does_not_keep_its_streak(
    programme: Programme, mentor: UUID, before: list[str], after: str, now: str, drained_between: bool
) -> None:
    """Drained on the quiet day the ended period still showed yesterday's streak; on its last day there was none."""
    for at in before:
        programme.activity(mentor, at)
    programme.drain(utc(f"{date.fromisoformat(after) - timedelta(days=1)} 12:00"))
    if drained_between:
        programme.drain(utc(after))
    programme.activity(mentor, after)
    programme.drain(now)
    programme.assert_right(now)


def test_midnight_costs_only_those_whose_streak_ended(programme: Programme) -> None:
    ended, alive, long_over = programme.person(), programme.person(), programme.person()
    programme.activity(ended, "2024-05-14")
    programme.activity(alive, "2024-05-15")
    programme.activity(long_over, "2024-04-01")
    programme.drain("2024-05-15 12:00")
    programme.database.execute("select private.mark_ended_streaks(%s)", (utc("2024-05-16"),))
    marked = programme.database.rows("select user_id, day from private.statistics_marks")
    assert [(row["user_id"], row["day"]) for row in marked] == [(ended, date(2024, 5, 14))]


def test_a_drain_that_repeats_itself_changes_nothing(programme: Programme, mentor: UUID) -> None:
    programme.activity(mentor, "2024-05-14")
    programme.drain("2024-06-01")
    before = programme.database.rows("select * from public.activity_statistics order by id")
    programme.drain("2024-06-01")
    assert programme.database.rows("select * from public.activity_statistics order by id") == before


def test_the_years_from_1970_to_now_are_one_streak_to_count(programme: Programme, mentor: UUID) -> None:
    """Ten years day by day: every day's row says how long the run is by then."""
    programme.database.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
        " select %s, %s, 'other', d from generate_series(timestamptz '1970-01-01 00:00+00', '1979-12-31 00:00+00',"
        " interval '24 hours') d",
        (programme.id, mentor),
    )
    programme.drain("1980-01-01 12:00")
    assert programme.streak(mentor) == 3652
    assert programme.streak(mentor, "day", "1979-12-31") == 3652
    assert programme.streak(mentor, "year", "1970-01-01") == 365
    programme.database.execute(
        "delete from public.activities where user_id = %s and occurred_at = '1975-01-01 00:00+00'", (mentor,)
    )
    programme.drain("1980-01-01 12:00")
    assert programme.streak(mentor) == 1825
    assert programme.row(mentor, "day", "1975-01-01") == {}


def test_a_day_that_has_not_begun_by_the_drains_clock_waits_for_midnight(programme: Programme, mentor: UUID) -> None:
    """A phone's clock may be a minute ahead. Moved on before midnight, the last day would hide the streak it breaks."""
    for day in ("2026-01-02", "2026-01-03"):
        programme.activity(mentor, day)
    programme.drain("2026-01-04 12:00")
    assert programme.streak(mentor, "week", "2025-12-29") == 2
    programme.activity(mentor, "2026-01-05 00:00:20")
    programme.drain("2026-01-04 23:59:30")
    assert (programme.marks(), programme.streak(mentor)) == (1, 2)
    programme.drain("2026-01-05 00:00:30")
    assert programme.streak(mentor, "week", "2025-12-29") == 0
    programme.assert_right("2026-01-05 00:00:30")


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Oslo"])
def test_days_are_utc_days_whatever_the_time_zone_of_the_organisation_or_the_session(
    programme: Programme, mentor: UUID, zone: str
) -> None:
    programme.database.execute("update public.organizations set time_zone = %s where id = %s", (zone, programme.id))
    with programme.database.connect() as connection:
        connection.execute("select set_config('TimeZone', %s, false)", (zone,))
        programme.activity(mentor, "2024-02-29 23:30", connection=connection)
        programme.activity(mentor, "2024-03-01 00:30", connection=connection)
        connection.execute("select public.drain_statistics_marks(100, '2024-03-01 12:00+00')")
    assert programme.streak(mentor) == 2
    assert programme.row(mentor, "day", "2024-02-29")["total_activities"] == 1
    assert programme.row(mentor, "month", "2024-03-01")["total_activities"] == 1
    programme.assert_right("2024-03-01 12:00")
