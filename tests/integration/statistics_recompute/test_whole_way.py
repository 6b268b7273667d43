"""The whole way: a row is written, the bell or cron rings, and the dashboard shows it."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from attend.stack import Stack
from tests.support.database import Database, GivenServer
from tests.support.team import NOW, Team

# On a real project the functions run where `attend serve` puts them, not where this test could start them.
pytestmark = pytest.mark.embedded

SWEEP = "select private.tick_sweep('statistics-sweep', 'statistics-recompute', private.oldest_statistics_work(now()))"


@pytest.fixture
def team(stack: Stack) -> Team:
    return Team(Database(GivenServer(stack.db_url), "postgres"))


def soon(condition: Callable[[], bool], seconds: float = 20) -> float:
    """Wait; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "not within the time"
        time.sleep(0.02)
    return time.monotonic() - began


def dashboard(stack: Stack, team: Team) -> list[dict[str, Any]]:
    response = httpx.get(
        f"{stack.api_url}/rest/v1/activity_dashboard",
        params={"organization_id": f"eq.{team.id}", "period_type": "eq.all_time", "order": "user_id"},
        headers={"apikey": stack.keys.secret},
    )
    assert response.status_code == 200, response.text
    return response.json()


def test_a_written_activity_is_on_the_dashboard_within_seconds(stack: Stack, team: Team) -> None:
    mentor = team.mentor()
    assert [row["total_activities"] for row in dashboard(stack, team)] == [0]
    team.activity(mentor)
    assert soon(lambda: dashboard(stack, team)[0]["total_activities"] == 1) < 5
    soon(lambda: not dashboard(stack, team)[0]["is_being_recomputed"])
    team.database.execute("delete from public.activities where organization_id = %s", (team.id,))
    soon(lambda: dashboard(stack, team)[0]["total_activities"] == 0)
    assert team.wrong() == []


def test_writes_that_follow_each_other_closely_are_all_counted(team: Team) -> None:
    people = team.mentors(5, 0)
    for number in range(100):
        team.activity(people[number % 5], number % 40)
    soon(lambda: team.totals() == 100 and team.marks() == 0)
    assert team.wrong() == []


def test_without_a_bell_a_change_shows_after_one_tick_of_the_sweep_which_is_every_minute(
    stack: Stack, team: Team
) -> None:
    assert team.database.value("select schedule from cron.job where command = %s", (SWEEP,)) == "* * * * *"
    stack.set_cron(False)
    stack.drop_bells(True)
    mentor = team.mentor()
    try:
        team.activity(mentor)
        soon(lambda: team.database.value("select count(*) from net.http_request_queue") == 0)
        assert (team.total(mentor), team.marks()) == (0, 1)
        assert dashboard(stack, team)[0]["is_being_recomputed"]
    finally:
        stack.drop_bells(False)
    team.database.execute(SWEEP)
    soon(lambda: team.total(mentor) == 1)
    assert team.database.value("select last_result -> 'rang' from private.schedules where name = 'statistics-sweep'")
    stack.set_cron(True)


def test_a_streak_that_ended_is_found_by_crons_sweep_without_any_write(stack: Stack, team: Team) -> None:
    stack.set_cron(False)
    mentor = team.mentor()
    team.activity(mentor, 5)
    soon(lambda: team.marks() == 0 and team.total(mentor) == 1)
    # As it stood four days ago: nobody has looked since.
    team.database.execute(
        "update public.activity_statistics set streak_days = 1 where user_id = %s and period_type = 'all_time'",
        (mentor,),
    )
    team.database.execute(SWEEP)
    soon(lambda: team.row(mentor)["streak_days"] == 0)
    assert team.row(mentor)["last_activity_date"] == NOW - timedelta(days=5)
    stack.set_cron(True)


def test_the_reconciles_tick_reaches_the_function_and_its_finding_is_in_the_ledger(team: Team) -> None:
    broken = team.mentors(3)[0]
    soon(lambda: team.marks() == 0 and team.totals() == 9)
    team.break_rows(broken)
    team.database.execute(
        "update private.schedules set last_started_at = null, last_rung_at = null where name = 'statistics-reconcile'"
    )
    team.database.execute("select private.tick_run('statistics-reconcile', 'statistics-recompute')")
    soon(lambda: team.drift() == {broken: 2})
    assert team.wrong() == []
    counts = (
        "select counts -> 'statistics' ->> 'people_with_drift' from private.runs where kind = 'statistics-reconcile'"
    )
    soon(lambda: team.database.value(f"{counts} order by id desc limit 1") == "1")
