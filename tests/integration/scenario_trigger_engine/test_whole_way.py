"""The whole way, once: a row is written, the bell rings, the function answers, SQL decides, one person is told."""

import time
from collections.abc import Callable

import pytest

from attend.stack import Stack
from tests.support.database import Database, GivenServer
from tests.support.organisation import NOW, Organisation, days

# On a real project the functions run where `attend serve` puts them, not where this test could start them.
pytestmark = pytest.mark.embedded


@pytest.fixture
def organisation(stack: Stack) -> Organisation:
    return Organisation(Database(GivenServer(stack.db_url), "postgres"))


def soon(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)


def test_a_written_row_reaches_the_function_and_the_quiet_mentor_is_told_once(organisation: Organisation) -> None:
    user_id = organisation.mentor(quiet_days=30)
    soon(lambda: organisation.notified() == [user_id])
    soon(lambda: organisation.marks() == 0)
    organisation.activity(user_id, NOW - days(29))
    soon(lambda: organisation.marks() == 0)
    assert organisation.notified() == [user_id]


def test_the_schedules_tick_reaches_the_function_and_its_run_is_in_the_ledger(organisation: Organisation) -> None:
    tick = organisation.database.value("select command from cron.job where jobname = 'attend-scenario-evaluation'")
    organisation.database.execute(tick)
    organisation.mentors(30)
    report = "select state from private.runs order by id desc limit 1"
    soon(lambda: bool(organisation.database.rows(report)) and organisation.database.value(report) == "finished")
    # The first tick may have been before the people were there: the next one has them.
    organisation.database.execute("update private.schedules set last_started_at = null, last_rung_at = null")
    organisation.database.execute(tick)
    soon(lambda: len(organisation.notified()) == 30)
    assert len(set(organisation.notified())) == 30
