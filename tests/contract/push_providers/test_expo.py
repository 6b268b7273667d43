"""The Expo provider against Expo's documentation."""

import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from functions.push_notification_dispatcher.providers.expo import Expo
from tests.support import expo_server as documented
from tests.support.expo_server import RECEIPTS, SEND, ExpoServer, error_ticket, not_registered
from tests.support.http_server import HTML, NOT_HTTP, RESET_AT_ONCE, RUBBISH, Reply, json_reply
from tests.support.pushes import BODY, NOW, TITLE, expo_messages, expo_token, message, verdicts


def sizes(server: ExpoServer) -> list[int]:
    return [len(request.json()) for request in server.to(SEND)]


async def test_a_batch_is_sent_a_hundred_at_a_time_and_tickets_are_kept_in_order(
    expo: Expo, expo_server: ExpoServer
) -> None:
    expo_server.tickets = {expo_token(number): {"status": "ok", "id": f"ticket-{number}"} for number in range(250)}
    results = await expo.send(expo_messages(250))
    assert [result.provider_id for result in results] == [f"ticket-{number}" for number in range(250)]
    assert {(result.verdict, result.awaits_receipt) for result in results} == {("sent", True)}
    assert sorted(sizes(expo_server)) == [50, 100, 100]


async def test_a_message_says_what_is_shown_how_long_and_what_it_replaces(expo: Expo, expo_server: ExpoServer) -> None:
    await expo.send([message(expo_token(1), collapse_key="outbox-1"), message(expo_token(2), collapse_key="x" * 500)])
    first, second = expo_server.taken
    assert first == {
        "to": expo_token(1),
        "title": TITLE,
        "body": BODY,
        "data": {"notification_id": "n-1"},
        "expiration": int((NOW + timedelta(hours=6)).timestamp()),
        "collapseId": "outbox-1",
        "tag": "outbox-1",
    }
    assert len(second["collapseId"]) <= 64
    await expo.send([message(expo_token(2), collapse_key="x" * 500)])
    assert expo_server.taken[2]["collapseId"] == second["collapseId"]


async def test_an_error_of_one_message_is_its_own(expo: Expo, expo_server: ExpoServer) -> None:
    expo_server.tickets = {
        expo_token(1): not_registered(expo_token(1)),
        expo_token(2): error_ticket("MessageTooBig", "The payload is too large."),
        expo_token(3): error_ticket("MessageRateExceeded", "Too many to this device."),
        expo_token(4): error_ticket("MismatchSenderId", "The FCM credentials do not fit."),
        expo_token(5): error_ticket("InvalidCredentials", "The push credentials are invalid."),
        expo_token(6): error_ticket("SomethingOfNextYear", "New."),
        expo_token(7): {"status": "error", "message": "No details at all."},
        expo_token(8): not_registered(expo_token(8))
        | {"details": {"error": "DeviceNotRegistered", "expoPushToken": expo_token(8)}},
        expo_token(9): error_ticket("DeviceNotRegistered", "Another's.", expoPushToken=expo_token(1)),
    }
    results = await expo.send(expo_messages(11))
    assert verdicts(results) == [
        "sent",
        "device_gone",
        "refused",
        *["retry"] * 5,
        "device_gone",
        "retry",
        "sent",
    ]
    assert [result.reason for result in results[1:10]] == [
        'DeviceNotRegistered: "[…]" is not a registered push notification recipient',
        "MessageTooBig: The payload is too large.",
        "MessageRateExceeded: Too many to this device.",
        "MismatchSenderId: The FCM credentials do not fit.",
        "InvalidCredentials: The push credentials are invalid.",
        "SomethingOfNextYear: New.",
        "no code: No details at all.",
        'DeviceNotRegistered: "[…]" is not a registered push notification recipient',
        "a ticket for another device in this one's place",
    ]


@pytest.mark.parametrize(
    "token", ["", "x", "APA91bHPRgkF3", "ExponentPushToken[]", "ExponentPushToken[a] ", "ExpoPushToken[a\n]"]
)
async def test_a_malformed_token_is_never_sent(expo: Expo, expo_server: ExpoServer, token: str) -> None:
    results = await expo.send([message(expo_token(0)), message(token), message(expo_token(2))])
    assert verdicts(results) == ["sent", "device_gone", "sent"]
    assert results[1].reason == "not an Expo push token"
    assert [asked["to"] for asked in expo_server.taken] == [expo_token(0), expo_token(2)]


@pytest.mark.parametrize("token", ["ExpoPushToken[abc_DEF-123]", "f86c2d5e-3a1b-4d2c-9e8f-0123456789ab"])
async def test_the_other_forms_of_a_token_are_sent(expo: Expo, token: str) -> None:
    assert verdicts(await expo.send([message(token)])) == ["sent"]


# ------------------------------------------------------------------------------------------- whole requests


async def test_messages_of_several_projects_are_sent_apart(expo: Expo, expo_server: ExpoServer) -> None:
    expo_server.projects = {expo_token(number): f"@attend/app{number % 3}" for number in range(30)}
    assert verdicts(await expo.send(expo_messages(30))) == ["sent"] * 30
    assert sizes(expo_server) == [30, 10, 10, 10]
    assert all(len({m["to"] for m in request.json()} & set(expo_server.projects)) for request in expo_server.to(SEND))


@pytest.mark.parametrize("details", [None, "x", {}, {"@attend/a": "x"}, {"@attend/a": [expo_token(0), expo_token(1)]}])
async def test_projects_that_expo_does_not_tell_apart_are_found_by_halves(
    expo: Expo, expo_server: ExpoServer, details: Any
) -> None:
    mixed = documented.request_error(400, "PUSH_TOO_MANY_EXPERIENCE_IDS", "Different projects.", details)
    expo_server.next.append(mixed.reply)
    assert verdicts(await expo.send(expo_messages(2))) == ["sent"] * 2


@pytest.mark.parametrize("places", [[0], [99], [37], [0, 1, 2], [10, 11, 60, 99]])
async def test_a_malformed_message_is_found_and_the_rest_of_its_batch_delivered(
    expo: Expo, expo_server: ExpoServer, places: list[int]
) -> None:
    expo_server.malformed = {"malformed"}
    messages = [message(expo_token(n), n, title="malformed" if n in places else TITLE) for n in range(100)]
    results = await expo.send(messages)
    # Three in a row at a batch's beginning look like ten refusals in a row: what is left then waits for the next time.
    assert [n for n in range(100) if results[n].verdict == "refused"] == places
    assert {results[n].verdict for n in range(100) if n not in places} in ({"sent"}, {"retry"})
    left = [messages[n] for n in range(100) if results[n].verdict == "retry"]
    assert verdicts(await expo.send(left)) == ["sent"] * len(left)
    assert (results[places[0]].reason or "").startswith("VALIDATION_ERROR (HTTP 400): ")


async def test_one_malformed_message_in_every_batch_costs_nobody_else_anything(
    expo: Expo, expo_server: ExpoServer
) -> None:
    expo_server.malformed = {"malformed"}
    messages = [message(expo_token(n), n, title=TITLE if n % 100 else "malformed") for n in range(600)]
    assert verdicts(await expo.send(messages)) == ["sent" if n % 100 else "refused" for n in range(600)]


async def test_a_batch_of_which_everything_is_malformed_is_left_after_ten_requests(
    expo: Expo, expo_server: ExpoServer
) -> None:
    expo_server.malformed = {TITLE}
    results = await expo.send(expo_messages(100))
    assert set(verdicts(results)) == {"refused", "retry"}
    assert len(expo_server.to(SEND)) == 10


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17.0), (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0), ("soon", None), (None, None)],
)
async def test_retry_after_is_honoured_as_seconds_and_as_a_date(
    expo: Expo, expo_server: ExpoServer, header: str | None, seconds: float | None
) -> None:
    headers = {} if header is None else {"retry-after": header}
    expo_server.next.append(documented.TOO_MANY_REQUESTS.reply.but(headers=headers))
    results = await expo.send(expo_messages(3))
    assert {(result.verdict, result.retry_after) for result in results} == {("retry", seconds)}
    assert results[0].reason == "TOO_MANY_REQUESTS (HTTP 429): The request limit of 600 a second is exceeded."


async def test_a_server_error_is_tried_again(expo: Expo, expo_server: ExpoServer) -> None:
    expo_server.next.append(documented.INTERNAL.reply.but(headers={"retry-after": "30"}))
    (result,) = await expo.send(expo_messages(1))
    assert (result.verdict, result.retry_after) == ("retry", 30.0)
    assert result.reason == "INTERNAL_SERVER_ERROR (HTTP 500): An unknown error occurred."


async def test_an_access_token_that_is_not_accepted_waits_for_whoever_repairs_it(
    make_expo: Callable[..., Expo], expo_server: ExpoServer
) -> None:
    results = await make_expo(attend_push_expo_access_token="revoked").send(expo_messages(150))
    assert verdicts(results) == ["retry"] * 150
    assert results[0].reason == "UNAUTHORIZED (HTTP 401): Insufficient permissions to send push notifications."
    expo_server.access_token = None
    without = make_expo(attend_push_expo_access_token=None)
    assert verdicts(await without.send(expo_messages(1))) == ["sent"]
    assert "authorization" not in expo_server.requests[-1].headers


async def test_no_more_than_six_connections_are_used(make_expo: Callable[..., Expo], expo_server: ExpoServer) -> None:
    await make_expo().send(expo_messages(2_000))
    assert expo_server.most_connections <= 6
    assert len(expo_server.taken) == 2_000


async def test_no_more_messages_a_second_than_expo_takes(make_expo: Callable[..., Expo]) -> None:
    expo = make_expo(attend_push_expo_per_second=500)
    began = time.monotonic()
    await expo.send(expo_messages(500))
    assert time.monotonic() - began > 0.75


# ------------------------------------------------------------------------------------------- strange answers


OK = {"status": "ok", "id": "ticket"}
STRANGE = {
    "html": (HTML, "HTTP 502, not in this provider's form (text/html, 70 bytes)"),
    "html and 400": (HTML.but(status=400), "HTTP 400, not in this provider's form (text/html, 70 bytes)"),
    "half a JSON": (RUBBISH, "HTTP 200, not in this provider's form (application/json, 25 bytes)"),
    "no tickets": (json_reply(200, {}), "HTTP 200, not in this provider's form (application/json, 2 bytes)"),
    "tickets that are a text": (
        json_reply(200, {"data": "ok"}),
        "HTTP 200, not in this provider's form (application/json, 14 bytes)",
    ),
    "too few tickets": (json_reply(200, {"data": [OK] * 2}), "2 tickets for 3 messages"),
    "too many tickets": (json_reply(200, {"data": [OK] * 4}), "4 tickets for 3 messages"),
    "one ticket for all": (json_reply(200, {"data": OK}), "1 tickets for 3 messages"),
    "deep nesting": (
        Reply(200, b'{"data":' + b"[" * 50_000),
        "HTTP 200, not in this provider's form (no content type, 50008 bytes)",
    ),
    "too long": (Reply(200, b" " * 300_000), "HTTP 200, longer than 200000 bytes"),
    "compressed": (
        Reply(200, b"\x1f\x8b", {"content-encoding": "gzip"}),
        "HTTP 200, compressed though nobody asked for it",
    ),
    "a redirect": (
        Reply(307, headers={"location": "https://elsewhere.example/steal"}),
        "HTTP 307, a redirect to elsewhere.example: not followed",
    ),
    "slow": (Reply(200, delay=2.0), "no whole answer within 0.5 s"),
    "a trickle": (Reply(200, b" " * 100, trickle=0.1), "no whole answer within 0.5 s"),
    "reset within the answer": (json_reply(200, {"data": [OK] * 3}).but(reset_after=10), "no answer: ReadError"),
    "reset at once": (RESET_AT_ONCE, "no answer: ReadError"),
    "another protocol": (NOT_HTTP, "no answer: RemoteProtocolError"),
    "an error and a ticket": (
        json_reply(200, {"errors": [{"code": "WHAT", "message": "?"}], "data": [OK] * 3}),
        "WHAT (HTTP 200): ?",
    ),
}


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_strange_answer_is_tried_again_with_a_reason(
    make_expo: Callable[..., Expo], expo_server: ExpoServer, strange: str
) -> None:
    expo = make_expo(attend_push_timeout_seconds=0.5, attend_push_max_answer_bytes=200_000)
    reply, reason = STRANGE[strange]
    expo_server.next.append(reply)
    results = await expo.send(expo_messages(3))
    assert verdicts(results) == ["retry"] * 3
    assert {result.reason for result in results} == {reason}
    assert verdicts(await expo.send(expo_messages(3))) == ["sent"] * 3


@pytest.mark.parametrize(
    ("ticket", "reason"),
    [
        ({"status": "ok"}, "a ticket without an id"),
        ({"status": "ok", "id": 17}, "a ticket in no known form"),
        ({"status": "ok", "id": ""}, "a ticket in no known form"),
        ({"status": "perhaps", "id": "x"}, "a ticket in no known form"),
        ({"status": "error", "details": [1]}, "a ticket in no known form"),
        ("ok", "a ticket in no known form"),
        (None, "a ticket in no known form"),
    ],
)
async def test_a_strange_ticket_is_its_messages_alone(
    expo: Expo, expo_server: ExpoServer, ticket: Any, reason: str
) -> None:
    expo_server.tickets[expo_token(1)] = ticket
    results = await expo.send(expo_messages(3))
    assert verdicts(results) == ["sent", "retry", "sent"]
    assert results[1].reason == reason


async def test_a_batch_that_fails_costs_the_others_nothing(
    make_expo: Callable[..., Expo], expo_server: ExpoServer
) -> None:
    expo_server.next.append(RESET_AT_ONCE)
    results = await make_expo(attend_push_connections=1).send(expo_messages(300))
    assert verdicts(results) == [*["retry"] * 100, *["sent"] * 200]


async def test_a_dead_provider_is_not_asked_for_every_batch(
    make_expo: Callable[..., Expo], expo_server: ExpoServer
) -> None:
    expo_server.next.extend([Reply(200, delay=5)] * 50)
    began = time.monotonic()
    results = await make_expo(attend_push_timeout_seconds=0.3).send(expo_messages(5_000))
    assert time.monotonic() - began < 2.5
    assert verdicts(results) == ["retry"] * 5_000
    assert len(expo_server.to(SEND)) <= 16


# ------------------------------------------------------------------------------------------- receipts


async def test_receipts_say_what_became_of_each_message(expo: Expo, expo_server: ExpoServer) -> None:
    expo_server.receipts = {
        "a": {"status": "ok"},
        "b": not_registered(expo_token(1)),
        "c": error_ticket("MessageTooBig", "The payload is too large."),
        "d": error_ticket("MessageRateExceeded", "Too many to this device."),
        "e": error_ticket("InvalidCredentials", "The push credentials are invalid."),
        "not asked for": {"status": "ok"},
    }
    receipts = await expo.receipts(["a", "b", "c", "d", "e", "none yet"])
    assert {ticket: str(result.verdict) for ticket, result in receipts.items()} == {
        "a": "sent",
        "b": "device_gone",
        "c": "refused",
        "d": "retry",
        "e": "retry",
    }
    assert {ticket for ticket, result in receipts.items() if result.provider_id != ticket} == set()
    assert receipts["b"].reason == 'DeviceNotRegistered: "[…]" is not a registered push notification recipient'
    assert not any(result.awaits_receipt for result in receipts.values())


async def test_receipts_are_asked_for_a_thousand_at_a_time_and_once(expo: Expo, expo_server: ExpoServer) -> None:
    ids = [f"ticket-{number}" for number in range(2_500)]
    expo_server.receipts = {ticket: {"status": "ok"} for ticket in ids}
    assert set(await expo.receipts([*ids, *ids[:100]])) == set(ids)
    assert sorted(len(request.json()["ids"]) for request in expo_server.to(RECEIPTS)) == [500, 1000, 1000]


async def test_no_tickets_are_no_question(expo: Expo, expo_server: ExpoServer) -> None:
    assert await expo.receipts([]) == {}
    assert expo_server.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        HTML,
        RUBBISH,
        RESET_AT_ONCE,
        Reply(200, delay=2.0),
        json_reply(200, {"data": []}),
        json_reply(200, {"data": ["a"]}),
        documented.TOO_MANY_REQUESTS.reply,
        documented.TOO_MANY_RECEIPTS.reply,
        documented.INTERNAL.reply,
    ],
    ids=repr,
)
async def test_receipts_that_cannot_be_read_are_not_known_yet(
    make_expo: Callable[..., Expo], expo_server: ExpoServer, reply: Reply, capsys: pytest.CaptureFixture[str]
) -> None:
    expo = make_expo(attend_push_timeout_seconds=0.5, attend_push_connections=1)
    expo_server.next.append(reply)
    expo_server.receipts = {f"ticket-{number}": {"status": "ok"} for number in range(1_500)}
    # The other question is answered.
    assert set(await expo.receipts(list(expo_server.receipts))) == {f"ticket-{n}" for n in range(1_000, 1_500)}
    assert "push_receipts_not_read" in capsys.readouterr().err


@pytest.mark.parametrize("receipt", [None, "ok", 5, [], {"status": "perhaps"}, {}])
async def test_a_strange_receipt_is_as_if_there_were_none(expo: Expo, expo_server: ExpoServer, receipt: Any) -> None:
    expo_server.receipts = {"a": receipt, "b": {"status": "ok"}}
    assert set(await expo.receipts(["a", "b"])) == {"b"}
