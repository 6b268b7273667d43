"""Two dispatchers, or one and an operator, at the same moment: each push moves once, and nobody waits in a circle."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from tests.support.outbox import Outbox
from tests.support.races import Call, answer, side_by_side, until, waits


def claim(outbox: Outbox, holder: UUID) -> list[dict[str, Any]]:
    """Everything that is due, as its messages."""
    return outbox.database.value("select public.claim_outbox(%s, 100)", (holder,))["messages"]


def recording(holder: UUID, messages: list[dict[str, Any]], verdict: str, **more: object) -> Call:
    outcomes = [
        {key: message[key] for key in ("organization_id", "outbox_id", "lease", "device_id")}
        | {"verdict": verdict, "reason": "because"}
        | more
        for message in messages
    ]
    return "select public.record_outbox(%s, %s)", holder, Jsonb(outcomes)


def record(outbox: Outbox, call: Call) -> None:
    query, *arguments = call
    outbox.database.execute(query, arguments)


def events(outbox: Outbox, push: UUID) -> list[str]:
    return [event["event"] for event in outbox.row(push)["history"]]


def test_an_outcome_recorded_twice_at_once_counts_once(outbox: Outbox) -> None:
    """As after an answer that did not arrive: the first attempt goes on, and commits."""
    holder = uuid4()
    (push,) = outbox.push(*outbox.people(1))
    call = recording(holder, claim(outbox, holder), "retry")
    first, second = side_by_side(outbox.database, call, call)
    assert (first["recorded"], second["recorded"], second["lost"]) == (1, 0, [])
    assert outbox.row(push)["attempts"] == 1
    assert events(outbox, push).count("failed") == 1


def test_what_is_given_back_twice_at_once_is_given_back_once(outbox: Outbox) -> None:
    holder = uuid4()
    (push,) = outbox.push(*outbox.people(1))
    back = "select public.give_back_outbox(%s, %s)", holder, Jsonb(claim(outbox, holder))
    first, second = side_by_side(outbox.database, back, back)
    assert (first["given_back"], second["given_back"]) == (1, 0)
    assert events(outbox, push).count("given_back") == 1


def test_who_confirms_what_another_takes_over_this_moment_does_not_send_it(outbox: Outbox) -> None:
    slow, heir = uuid4(), uuid4()
    outbox.push(*outbox.people(1))
    held = claim(outbox, slow)
    outbox.hurry()
    taken, confirmed = side_by_side(
        outbox.database,
        ("select public.claim_outbox(%s, 100)", heir),
        ("select public.confirm_outbox(%s, %s)", slow, Jsonb(held)),
    )
    assert taken["claimed"] == 1
    assert confirmed["going"] == []


def test_what_another_claims_this_moment_is_not_waited_for(outbox: Outbox) -> None:
    outbox.push(*outbox.people(1))
    with outbox.database.connect("service_role", autocommit=False) as one, outbox.database.connect() as two:
        two.execute("set lock_timeout = '1s'")
        claims = [answer(c, "select public.claim_outbox(%s, 100)", uuid4())["claimed"] for c in (one, two)]
    assert claims == [1, 0]


@pytest.fixture
def receipt(outbox: Outbox) -> dict[str, Any]:
    """A push that was sent, and whose receipt is due."""
    holder = uuid4()
    outbox.push(*outbox.people(1, provider="expo"))
    messages = claim(outbox, holder)
    record(outbox, recording(holder, messages, "sent", provider_id="ticket", awaits_receipt=True))
    outbox.database.execute(
        "update private.outbox_devices set receipt_due_at = now() where organization_id = %s", (outbox.id,)
    )
    return messages[0] | {"provider_id": "ticket"}


def test_a_receipt_that_another_asks_for_this_moment_is_not_waited_for(outbox: Outbox, receipt: dict[str, Any]) -> None:
    with outbox.database.connect("service_role", autocommit=False) as one, outbox.database.connect() as two:
        two.execute("set lock_timeout = '1s'")
        asked = [answer(c, "select public.claim_receipts()")["receipts"] for c in (one, two)]
    assert [[r["outbox_id"] for r in each] for each in asked] == [[receipt["outbox_id"]], []]


def test_a_receipt_recorded_twice_at_once_counts_once(outbox: Outbox, receipt: dict[str, Any]) -> None:
    outcome = receipt | {"verdict": "retry", "reason": "MessageRateExceeded"}
    call = "select public.record_receipts(%s)", Jsonb([outcome])
    first, second = side_by_side(outbox.database, call, call)
    assert (first["states"], second["states"]) == ({"failed": 1}, {})
    assert events(outbox, receipt["outbox_id"]).count("receipt") == 1


@pytest.mark.parametrize(
    ("call", "whose", "answers"),
    [
        ("select public.replay_outbox(%s) ->> 'replayed'", "organisation", ("1", "0")),
        ("select public.retry_outbox(%s) ->> 'outcome'", "push", ("queued", "already_queued")),
    ],
    ids=["replayed", "retried"],
)
def test_a_dead_letter_that_two_try_again_at_once_begins_anew_once(
    outbox: Outbox, call: str, whose: str, answers: tuple[str, str]
) -> None:
    holder = uuid4()
    (push,) = outbox.push(*outbox.people(1))
    record(outbox, recording(holder, claim(outbox, holder), "refused"))
    again = call, outbox.id if whose == "organisation" else push
    assert side_by_side(outbox.database, again, again) == answers
    assert len([event for event in events(outbox, push) if event in {"replayed", "retried"}]) == 1


def test_two_that_hear_of_the_same_lost_phones_do_not_wait_in_a_circle(outbox: Outbox) -> None:
    (person,) = outbox.people(1, devices=2)
    holders = [uuid4(), uuid4()]
    calls: list[Call] = []
    for turn, holder in enumerate(holders):
        outbox.push(person)
        messages = sorted(claim(outbox, holder), key=lambda message: message["device_id"], reverse=turn == 1)
        calls.append(recording(holder, messages, "device_gone"))
    database = outbox.database
    with (
        database.connect(autocommit=False) as obstacle,
        database.connect("service_role") as one,
        database.connect("service_role") as two,
        ThreadPoolExecutor(2) as pool,
    ):
        obstacle.execute(
            "select from public.devices where user_id = %s order by organization_id, id limit 1 for update", (person,)
        )
        answers = []
        for connection, call in zip((one, two), calls, strict=True):
            answers.append(pool.submit(answer, connection, *call))
            until(lambda waiting=connection: waits(database, waiting))
        obstacle.rollback()
        assert sorted(each.result(10)["deactivated"] for each in answers) == [0, 2]
