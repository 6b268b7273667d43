"""Every view against the same worked out in Python, over random schools: at other times of the year, in other zones.

The views ask for now(). Here their own text is asked about a moment of ours in its place, so that a school may be
looked at on the day its clocks change, whatever day it is today. (The true now: `test_the_views_as_they_stand`.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.database import Database
from tests.support.panel_oracle import Learning, Panel, Pupil
from tests.support.school import School

PAGE = ("panel_figures", "panel_returns")
VIEWS = [name for name in vars(Panel) if name.endswith("_v") or name in PAGE]
# Clocks go back on 2 November in New York and forward on 9 March; in Santiago at midnight, on 6 April and 7 September;
# in Havana the first hour of 2 November comes twice.
MOMENTS = {
    "America/Guayaquil": ["2025-03-09T15:00:00Z", "2025-11-05T04:59:30Z"],
    "America/New_York": [
        "2025-03-20T12:00:00Z",
        "2025-11-02T05:30:00Z",
        "2025-11-02T06:30:00Z",
        "2025-11-25T23:00:00Z",
    ],
    "America/Santiago": ["2025-04-06T03:30:00Z", "2025-04-20T12:00:00Z", "2025-09-07T04:00:00Z"],
    "America/Havana": ["2025-11-05T15:00:00Z", "2025-11-02T05:30:00Z"],
    "Australia/Lord_Howe": ["2025-04-10T00:00:00Z", "2025-10-20T00:00:00Z"],
    "Asia/Kathmandu": ["2025-05-01T18:15:00Z"],
}
# Local times at which something begins or ends.
TURNS = ["00:00:00", "00:01:00", "07:59:59.999999", "08:00:00", "11:59:59", "12:00:00", "16:59:59", "17:00:00"]
TURNS += ["19:59:59.999999", "20:00:00", "23:59:00", "00:30:00", "23:59:59.999999", "01:30:00", "02:30:00"]
LIMITS = [7, 14, 28, 30, 90, 180]
MICROSECOND = timedelta(microseconds=1)


@st.composite
def visits(draw: st.DrawFn, now: datetime, zone: ZoneInfo) -> datetime:
    """A check-in: at a turn of some local day, at a limit counted back from now, or at any time."""
    kind = draw(st.sampled_from(["turn", "turn", "limit", "recent", "any"]))
    if kind == "turn":
        day = (now.astimezone(zone) - timedelta(days=draw(st.integers(0, 95)))).date()
        local = datetime.fromisoformat(f"{day}T{draw(st.sampled_from(TURNS))}").replace(
            tzinfo=zone, fold=draw(st.sampled_from([0, 1]))
        )
        at = local.astimezone(UTC)
    elif kind == "limit":
        nudge = draw(st.sampled_from([-MICROSECOND, timedelta(), MICROSECOND]))
        at = now - timedelta(days=draw(st.sampled_from(LIMITS))) + nudge
    else:
        at = now - timedelta(seconds=draw(st.integers(0, 40 * 86_400 if kind == "recent" else 700 * 86_400)))
    # A door's clock may be ahead, but not by more than a minute.
    return min(at, now + draw(st.sampled_from([timedelta(), timedelta(seconds=59)])))


@st.composite
def learnings(draw: st.DrawFn, now: datetime) -> Learning | None:
    if draw(st.booleans()):
        return None
    total = draw(st.integers(1, 40))
    started = now - draw(st.sampled_from([7 * 24, 14 * 24, 30 * 24, 300 * 24])) * timedelta(hours=1)
    since = timedelta(seconds=draw(st.integers(0, int((now - started).total_seconds()))))
    last = draw(st.sampled_from([None, now - timedelta(days=14), now - timedelta(days=14) + MICROSECOND, now - since]))
    score = draw(st.sampled_from([None, Decimal("59.99"), Decimal(60), Decimal(0), Decimal(100)]))
    completed = draw(st.integers(0, total))
    return Learning(completed, total, score, started, max(last, started) if last else None)


@st.composite
def panels(draw: st.DrawFn, now: datetime | None = None) -> Panel:
    zone = draw(st.sampled_from(list(MOMENTS)))
    now = now or datetime.fromisoformat(draw(st.sampled_from(MOMENTS[zone])))
    ids = draw(st.lists(st.integers(-5, 40), min_size=0, max_size=12, unique=True))
    pupils = [
        Pupil(
            number,
            draw(st.sampled_from(['María "Mía" Núñez', "O'Neil, Ann", "line\nbreak", "Somebody"])),
            draw(st.sampled_from([None, "A1", "B2"])),
            draw(st.sampled_from([True, True, True, False])),
            [
                (at, draw(st.sampled_from([None, 0, 45, 1440])))
                for at in draw(st.lists(visits(now, ZoneInfo(zone)), max_size=14))
                for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3])))
            ],
            draw(learnings(now)),
        )
        for number in ids
    ]
    return Panel(
        pupils,
        now,
        zone,
        target=draw(st.sampled_from([30, 1, 4])),
        stuck_days=draw(st.sampled_from([14, 1, 60])),
        weekly_lessons=draw(st.sampled_from([1, 3])),
        pass_score=draw(st.sampled_from([60, 0, 100])),
    )


def store(school: School, panel: Panel) -> None:
    """Replaces the school's people by those of the panel; settings as the panel has them, defaults left out."""
    execute = school.database.execute
    execute("delete from public.students where organization_id = %s", (school.id,))
    execute("delete from public.org_settings_kv where organization_id = %s", (school.id,))
    defaults = Panel([], panel.now)
    for key, name in (
        ("panel_time_zone", "zone"),
        ("panel_session_target", "target"),
        ("learning_stuck_days", "stuck_days"),
        ("learning_weekly_lessons", "weekly_lessons"),
        ("learning_pass_score", "pass_score"),
    ):
        if (value := getattr(panel, name)) != getattr(defaults, name):
            school.setting(key, value)
    for pupil in panel.pupils:
        school.student(pupil.id, full_name=pupil.full_name, level=pupil.level, is_active=pupil.is_active)
        if learning := pupil.learning:
            execute(
                "insert into public.learning_progress (organization_id, student_id, lessons_completed, lessons_total,"
                " average_score, started_at, last_progress_at) values (%s, %s, %s, %s, %s, %s, %s)",
                (
                    *(school.id, pupil.id, learning.completed, learning.total),
                    *(learning.score, learning.started_at, learning.last_at),
                ),
            )
    every = [(pupil.id, at, minutes) for pupil in panel.pupils for at, minutes in pupil.visits]
    if every:
        school.came_at(every)


def assert_equal(seen: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [_comparable(row) for row in seen] == [_comparable(row) for row in expected]
    for row, other in zip(seen, expected, strict=True):
        assert [type(value) for value in row.values()] == [type(value) for value in other.values()]


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    # Quotients end somewhere; the two sides need not end them at the same digit.
    return {name: round(value, 9) if isinstance(value, Decimal) else value for name, value in row.items()}


# --- At a moment of ours -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts(database: Database) -> dict[str, str]:
    """The definitions of the views, those of `private` they are made of among them, with {now} in place of now()."""
    rows = database.rows(
        # Those of the document, and of the page's own those that count days.
        "select schemaname || '.' || viewname as name, definition from pg_views"
        r" where schemaname = 'mgmt' and (viewname like '%%\_v' or viewname = any (%s))"
        " or viewname in ('active_students', 'concerned_learners')",
        (list(PAGE),),
    )
    found = {row["name"]: row["definition"].strip().removesuffix(";") for row in rows}
    assert [name for name, text in found.items() if "now()" not in text] == ["mgmt.engagement_session_frequency_30d_v"]
    return {name: text.replace("{", "{{").replace("}", "}}").replace("now()", "{now}") for name, text in found.items()}


def query_at(texts: dict[str, str], view: str, now: datetime) -> str:
    """The view's text about this moment."""
    text = texts[f"mgmt.{view}"]
    for inner in ("private.active_students", "private.concerned_learners"):
        # In the dump of a view a name stands as "FROM private.x s": its text takes its place.
        text = re.sub(rf"{re.escape(inner)}\b", lambda _, name=inner: f"({texts[name]})", text)
    return text.format(now=f"'{now.isoformat()}'::timestamptz")


@pytest.fixture(scope="module")
def school(database: Database) -> School:
    return School(database)


@pytest.fixture(scope="module")
def manager(school: School) -> Iterator[psycopg.Connection[Any]]:
    with school.database.as_user(school.manager) as connection:
        # A client may set its own zone; nothing may depend on it.
        connection.execute("set time zone 'Pacific/Auckland'")
        yield connection


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(panel=panels())
def test_every_view_is_what_the_words_say(
    school: School, manager: psycopg.Connection[Any], texts: dict[str, str], panel: Panel
) -> None:
    store(school, panel)
    for view in VIEWS:
        assert_equal(manager.execute(query_at(texts, view, panel.now).encode()).fetchall(), panel.rows(view))


def test_all_views_are_looked_at(texts: dict[str, str]) -> None:
    assert {f"mgmt.{view}" for view in VIEWS} | {"private.active_students", "private.concerned_learners"} == set(texts)


# --- At the true now -----------------------------------------------------------------------------------------------


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_the_views_as_they_stand(school: School, data: st.DataObject) -> None:
    """In one transaction with its check-ins, whose now() is the views' own."""
    now = school.database.value("select now()").astimezone(UTC)
    panel = data.draw(panels(now=now))
    store(school, panel)
    with school.database.connect(autocommit=False) as connection:
        (row,) = connection.execute("select now() as now").fetchall()
        panel.now = row["now"].astimezone(UTC)
        connection.execute(
            "select set_config('request.jwt.claims', %s, true), set_config('role', 'authenticated', true)",
            (f'{{"sub": "{school.manager}", "role": "authenticated"}}',),
        )
        for view in VIEWS:
            assert_equal(connection.execute(f"select * from mgmt.{view}".encode()).fetchall(), panel.rows(view))


def test_a_second_school_sees_nothing_of_the_first(database: Database) -> None:
    one, two = School(database), School(database)
    one.student(1, full_name="One")
    two.student(1, full_name="Two")
    two.student(2, full_name="Two")
    two.setting("panel_time_zone", "Europe/Berlin")
    for school in (one, two):
        school.came(1, 1, 20, 40)
        school.learns(1, "stuck")
    assert [row["full_name"] for row in one.view("engagement_inactive_roster_v")] == ["One"]
    assert [row["full_name"] for row in two.view("engagement_student_activity_v")] == ["Two", "Two"]
    assert sum(row["student_count"] for row in one.view("engagement_session_frequency_30d_v")) == 1
    assert sum(row["active_students"] for row in two.view("engagement_dau_90d_v")) == 3
    assert [row["full_name"] for row in one.view("learning_stuck_students_v")] == ["One"]
    assert [row["full_name"] for row in two.view("engagement_recent_reactivated_14d_v")] == ["Two"]
