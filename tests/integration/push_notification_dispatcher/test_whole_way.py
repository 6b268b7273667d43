"""The whole way: somebody has gone quiet, bells ring one another, and a phone shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from attend.stack import Stack
from tests.support.database import Database, GivenServer
from tests.support.fcm_server import FcmServer
from tests.support.outbox import Outbox
from tests.support.stack import embedded_stack

# On a real project the functions run where `attend serve` puts them, not where this test could start them.
pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def phones() -> Iterator[FcmServer]:
    server = FcmServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def stack(phones: FcmServer) -> Iterator[Stack]:
    settings = {
        "ATTEND_PUSH_PROVIDER": "",
        "ATTEND_PUSH_FCM_URL": phones.url,
        "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": phones.account(),
    }
    with embedded_stack(cron=False, environment=settings) as stack:
        yield stack


@pytest.fixture
def outbox(stack: Stack) -> Iterator[Outbox]:
    outbox = Outbox(Database(GivenServer(stack.db_url), "postgres"))
    yield outbox
    outbox.remove()


def soon(condition: Callable[[], bool], seconds: float = 20) -> float:
    """Wait; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "not within the time"
        time.sleep(0.02)
    return time.monotonic() - began


def shown(phones: FcmServer, person: object) -> list[dict[str, Any]]:
    return [m["notification"] for m in phones.messages() if m["token"].startswith(str(person))]


def test_a_rule_that_is_switched_on_is_a_push_seconds_later(stack: Stack, outbox: Outbox, phones: FcmServer) -> None:
    """Rule, mark, bell, evaluation, notification, bell, dispatcher, phone."""
    stack.drop_bells(False)
    quiet, active = outbox.people(2)
    outbox.database.execute(
        "insert into public.activity_types (organization_id, id, label, category)"
        " values (%s, 'other', 'Other', 'other') on conflict do nothing",
        (outbox.id,),
    )
    outbox.database.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
        " values (%s, %s, 'other', now() - interval '1 day')",
        (outbox.id, active),
    )
    outbox.database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'quiet', true)",
        (outbox.id,),
    )
    soon(lambda: bool(shown(phones, quiet)))
    assert shown(phones, quiet)[0]["title"] == "We miss you"
    soon(lambda: outbox.states() == {"sent": 1})
    assert shown(phones, active) == []


def test_what_dropped_bells_announced_is_found_by_crons_sweep(stack: Stack, outbox: Outbox, phones: FcmServer) -> None:
    (person,) = outbox.people(1)
    stack.drop_bells(True)
    try:
        outbox.push(person)
        soon(lambda: outbox.database.value("select count(*) from net.http_request_queue") == 0)
        time.sleep(0.3)
        assert outbox.states() == {"pending": 1}
    finally:
        stack.drop_bells(False)
    sweep = outbox.database.value("select command from cron.job where jobname = 'attend-push-sweep'")
    outbox.database.execute(sweep)
    soon(lambda: outbox.states() == {"sent": 1})
    assert len(shown(phones, person)) == 1
    row = outbox.database.rows("select * from private.schedules where name = 'push-sweep'")[0]
    assert row["last_result"]["rang"] is True
    # And nobody is called for nothing.
    outbox.database.execute(sweep)
    row = outbox.database.rows("select * from private.schedules where name = 'push-sweep'")[0]
    assert row["last_result"] == {"rang": False, "oldest": None}


def test_many_told_at_once_are_one_bell(outbox: Outbox, phones: FcmServer) -> None:
    people = outbox.people(200)
    bell = "select rung from private.bells where function_name = 'push-notification-dispatcher'"
    before = outbox.database.value(bell)
    outbox.push(*people)
    took = soon(lambda: outbox.states() == {"sent": 200}, timedelta(seconds=30).total_seconds())
    assert outbox.database.value(bell) - before == 1, took
    assert all(len(shown(phones, person)) == 1 for person in people[:5])


def test_a_steady_trickle_costs_a_few_calls_a_second(outbox: Outbox) -> None:
    """Each drain may have the bell rung once more, and so may those that follow: they must not become ever more."""
    outbox.database.execute("delete from private.rings")
    began, people = time.monotonic(), outbox.people(75)
    for person in people:
        outbox.push(person)
        time.sleep(0.2)
    seconds = time.monotonic() - began
    soon(lambda: outbox.states() == {"sent": len(people)})
    assert outbox.database.value("select count(*) from private.rings") <= 4 * seconds
