"""The function as functions-framework really runs it: processes that are rung, doubled, stopped and killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from attend.stack.processes import wait_until
from tests.support.fcm_server import FcmServer
from tests.support.http_server import Reply
from tests.support.outbox import Outbox

BELL = b'{"type":"BELL","schema":"public","table":"notifications","bell_id":"b"}'

type Start = Callable[..., Any]


def slowly(fcm: FcmServer, seconds: float) -> None:
    choose = fcm._send

    def answer(message: dict[str, Any]) -> Reply:
        return choose(message).but(delay=seconds)

    fcm._send = answer


def tokens(fcm: FcmServer) -> Counter[str]:
    return Counter(message["token"] for message in fcm.messages())


async def test_a_bell_to_a_served_process_delivers_what_is_due(
    start_function: Start, outbox: Outbox, fcm: FcmServer
) -> None:
    people = outbox.people(120)
    outbox.push(*people)
    answer = (await start_function(ATTEND_PUSH_BATCH="50").client().send(BELL)).json()
    assert (answer["outcome"], answer["claimed"], answer["states"]) == ("dispatched", 120, {"sent": 120})
    assert tokens(fcm) == Counter(f"{person}-1" for person in people)


async def test_processes_rung_at_once_share_what_is_due(start_function: Start, outbox: Outbox, fcm: FcmServer) -> None:
    people = outbox.people(300)
    outbox.push(*people)
    slowly(fcm, 0.05)
    functions = [start_function(ATTEND_PUSH_BATCH="25").client() for _ in range(2)]
    answers = [answer.json() for answer in await asyncio.gather(*(f.send(BELL) for f in functions * 2))]
    assert sum(answer["claimed"] for answer in answers) == 300
    assert tokens(fcm) == Counter(f"{person}-1" for person in people)
    assert outbox.states() == {"sent": 300}


async def test_on_sigterm_what_is_with_the_push_service_is_recorded_and_the_rest_given_back(
    start_function: Start, outbox: Outbox, fcm: FcmServer
) -> None:
    people = outbox.people(200)
    outbox.push(*people)
    slowly(fcm, 0.5)
    process = start_function(ATTEND_PUSH_BATCH="100", ATTEND_PUSH_SLICE="10", ATTEND_PUSH_CONNECTIONS="10")
    call = asyncio.create_task(process.client().send(BELL))
    assert await asyncio.to_thread(wait_until, lambda: len(fcm.messages()) >= 15, 10)
    process.signal_group(signal.SIGTERM)
    answer = (await call).json()
    assert (answer["stopped_by"], answer["more"]) == ("shutdown", True)
    assert await asyncio.to_thread(wait_until, lambda: process.process.poll() is not None, 20)
    sent = len(fcm.messages())
    assert outbox.states() == {"sent": sent, "pending": 200 - sent}
    assert (sent < 100, answer["given_back"] >= 100 - sent) == (True, True)
    await start_function().client().send(BELL)
    assert tokens(fcm) == Counter(f"{person}-1" for person in people)


async def test_what_a_killed_process_had_in_hand_is_sent_by_the_next_once_its_lease_is_over(
    start_function: Start, outbox: Outbox, fcm: FcmServer
) -> None:
    people = outbox.people(100)
    pushes = {str(push) for push in outbox.push(*people)}
    slowly(fcm, 0.3)
    process = start_function(ATTEND_LEASE_SECONDS="5", ATTEND_PUSH_SLICE="10", ATTEND_PUSH_CONNECTIONS="10")
    call = asyncio.create_task(process.client().send(BELL))
    assert await asyncio.to_thread(wait_until, lambda: len(fcm.messages()) >= 25, 10)
    process.signal_group(signal.SIGKILL)
    with contextlib.suppress(httpx.TransportError):
        await call
    recorded = outbox.states().get("sent", 0)
    reached = sum(tokens(fcm).values())
    assert 0 < recorded < reached + 1
    other = start_function().client()
    outbox.hurry(6)
    assert (await other.send(BELL)).json()["states"] == {"sent": 100 - recorded}
    # Only what had been answered, or was being asked, and was not recorded yet is there twice: under the same key.
    twice = {token: n for token, n in tokens(fcm).items() if n > 1}
    assert set(tokens(fcm)) == {f"{person}-1" for person in people}
    assert len(twice) <= reached - recorded
    assert {m["android"]["collapse_key"] for m in fcm.messages()} == pushes
