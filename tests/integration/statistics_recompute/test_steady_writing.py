"""Fifty writes a second against the running function: every change shows, and bells stay few."""

from __future__ import annotations

import threading
import time
from uuid import UUID

import pytest

from attend.stack import Stack
from attend.stack.processes import wait_until
from tests.support.database import Database, GivenServer
from tests.support.team import NOW, Team

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

RATE = 50
SECONDS = 20
WRITERS = 5
# One for every call that pg_net made. A change rings two functions, each at most once in 0.8 s by a writer, and once or
# twice more by the drains that follow within a second.
CALLS = "select count(*) from net._http_response"
CALLS_A_SECOND = 2 * 4


@pytest.fixture
def team(stack: Stack) -> Team:
    return Team(Database(GivenServer(stack.db_url), "postgres"))


def write(team: Team, people: list[UUID], turn: int) -> None:
    with team.database.connect() as connection:
        began = time.monotonic() + turn / RATE
        for number, person in enumerate(people):
            time.sleep(max(0.0, began + number * WRITERS / RATE - time.monotonic()))
            connection.execute(
                "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
                " values (%s, %s, 'home-visit', %s)",
                (team.id, person, NOW),
            )


def test_fifty_writes_a_second_all_show_and_ring_few_bells(stack: Stack, team: Team) -> None:
    # Nothing but bells: what they leave would be left.
    stack.set_cron(False)
    people = team.mentors(RATE * SECONDS, 0)
    before = team.database.value(CALLS)
    began = time.monotonic()
    writers = [threading.Thread(target=write, args=(team, people[n::WRITERS], n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert wait_until(lambda: team.totals() == len(people) and team.marks() == 0, 20)
    seconds = time.monotonic() - began
    stack.set_cron(True)
    calls = team.database.value(CALLS) - before
    assert calls < CALLS_A_SECOND * seconds + 4, f"{calls} calls in {seconds:.0f} s for {len(people)} writes"
    assert calls >= 2
    assert team.wrong() == []
