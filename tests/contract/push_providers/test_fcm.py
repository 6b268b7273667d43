"""The FCM provider against FCM's documentation."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest

from functions.push_notification_dispatcher.providers.fcm import Fcm
from tests.support import fcm_server as documented
from tests.support.fcm_server import PROJECT, SEND, TOKEN, FcmServer
from tests.support.http_server import HTML, NOT_HTTP, RESET_AT_ONCE, RUBBISH, Reply, json_reply
from tests.support.pushes import BODY, NOW, TITLE, fcm_messages, fcm_token, message, verdicts


async def test_a_batch_is_sent_one_request_a_message_with_one_access_token(fcm: Fcm, fcm_server: FcmServer) -> None:
    results = await fcm.send(fcm_messages(20))
    assert verdicts(results) == ["sent"] * 20
    assert len({result.provider_id for result in results}) == 20
    assert all((result.provider_id or "").startswith(f"projects/{PROJECT}/messages/") for result in results)
    assert not any(result.awaits_receipt for result in results)
    assert len(fcm_server.to(TOKEN)) == 1
    assert {asked["token"] for asked in fcm_server.messages()} == {fcm_token(number) for number in range(20)}


async def test_a_message_says_what_is_shown_how_long_and_what_it_replaces(fcm: Fcm, fcm_server: FcmServer) -> None:
    await fcm.send([message(fcm_token(1), collapse_key="outbox-1")])
    (asked,) = fcm_server.messages()
    expires = int((NOW + timedelta(hours=6)).timestamp())
    assert asked == {
        "token": fcm_token(1),
        "notification": {"title": TITLE, "body": BODY},
        "data": {"notification_id": "n-1"},
        "android": {"collapse_key": "outbox-1", "ttl": "21600s", "notification": {"tag": "outbox-1"}},
        "apns": {"headers": {"apns-collapse-id": "outbox-1", "apns-expiration": str(expires)}},
        "webpush": {"headers": {"TTL": "21600", "Topic": "outbox-1"}, "notification": {"tag": "outbox-1"}},
    }


async def test_every_attempt_replaces_the_one_before(fcm: Fcm, fcm_server: FcmServer) -> None:
    key = "an organisation's key that is far longer than any push service takes: " + "x" * 100
    for _ in range(2):
        await fcm.send([message(fcm_token(1), collapse_key=key)])
    first, second = fcm_server.messages()
    assert first == second
    assert len(first["apns"]["headers"]["apns-collapse-id"].encode()) <= 64
    assert len(first["webpush"]["headers"]["Topic"]) <= 32
    await fcm.send([message(fcm_token(1), collapse_key=key + "y")])
    assert fcm_server.messages()[2]["webpush"]["headers"]["Topic"] != first["webpush"]["headers"]["Topic"]


@pytest.mark.parametrize(("hours", "ttl"), [(-1, "0s"), (24 * 60, "2419200s")])
async def test_a_time_to_live_is_within_what_fcm_takes(fcm: Fcm, fcm_server: FcmServer, hours: int, ttl: str) -> None:
    (result,) = await fcm.send([message(fcm_token(1), expires_at=NOW + timedelta(hours=hours))])
    assert result.verdict == "sent"
    assert fcm_server.messages()[0]["android"]["ttl"] == ttl


async def test_an_error_of_one_message_is_its_own(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.devices = {
        fcm_token(1): documented.UNREGISTERED.reply,
        fcm_token(2): documented.SENDER_ID_MISMATCH.reply,
        fcm_token(3): documented.INVALID_TOKEN.reply,
        fcm_token(4): documented.INVALID_TOKEN_BY_FIELD.reply,
        fcm_token(5): documented.INVALID_VALUE.reply,
        fcm_token(6): documented.TOO_BIG.reply,
        fcm_token(7): documented.UNAVAILABLE.reply,
        fcm_token(8): documented.INTERNAL.reply,
        fcm_token(9): documented.QUOTA_EXCEEDED.reply,
        fcm_token(10): documented.THIRD_PARTY_AUTH_ERROR.reply,
    }
    await fcm.send(fcm_messages(1))
    results = await fcm.send(fcm_messages(12))
    assert verdicts(results) == [
        "sent",
        *["device_gone"] * 4,
        *["refused"] * 2,
        *["retry"] * 4,
        "sent",
    ]
    assert [result.reason for result in results[1:11]] == [
        "UNREGISTERED (HTTP 404): Requested entity was not found.",
        "SENDER_ID_MISMATCH (HTTP 403): SenderId mismatch",
        "INVALID_ARGUMENT (HTTP 400): The registration token is not a valid FCM registration token",
        "INVALID_ARGUMENT (HTTP 400): Request contains an invalid argument.",
        "INVALID_ARGUMENT (HTTP 400): Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
        "INVALID_ARGUMENT (HTTP 400): Message too big",
        "UNAVAILABLE (HTTP 503): The service is currently unavailable.",
        "INTERNAL (HTTP 500): Internal error encountered.",
        "QUOTA_EXCEEDED (HTTP 429): Quota exceeded for quota metric 'Requests'",
        "THIRD_PARTY_AUTH_ERROR (HTTP 401): Auth error from APNS or Web Push Service",
    ]


async def test_an_account_of_another_project_costs_nobody_their_device(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.devices = {fcm_token(number): documented.SENDER_ID_MISMATCH.reply for number in range(60)}
    results = await fcm.send(fcm_messages(60))
    assert {(result.verdict, result.reason) for result in results} == {
        ("retry", "SENDER_ID_MISMATCH (HTTP 403): SenderId mismatch")
    }
    # All of them were tried: a few devices that registered with the right project must not wait behind the others.
    assert len(fcm_server.messages()) == 60
    # Once the account has reached somebody it is the token that is wrong.
    assert verdicts(await fcm.send([message(fcm_token(60))])) == ["sent"]
    assert verdicts(await fcm.send(fcm_messages(1))) == ["device_gone"]


async def test_a_long_text_costs_the_message_and_not_the_device(fcm: Fcm) -> None:
    (result,) = await fcm.send([message(fcm_token(1), body="long " * 1000)])
    assert result.verdict == "refused"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        ("0", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("999999999999999999999", 86_400.0),
        ("-5", 60.0),
        ("soon", 60.0),
        ("Wed, 99 Foo 2026 99:99:99 GMT", 60.0),
        ("\u00b2", 60.0),
    ],
)
async def test_retry_after_is_honoured_as_seconds_and_as_a_date(
    fcm: Fcm, fcm_server: FcmServer, header: str, seconds: float
) -> None:
    fcm_server.next.append(documented.THROTTLED.reply.but(headers={"retry-after": header}))
    (result,) = await fcm.send(fcm_messages(1))
    assert (result.verdict, result.retry_after) == ("retry", seconds)


async def test_retry_after_of_a_server_error_is_honoured(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.next.append(documented.UNAVAILABLE.reply.but(headers={"retry-after": "120"}))
    fcm_server.next.append(HTML.but(headers={"retry-after": "30"}))
    results = await fcm.send([*fcm_messages(1)]) + await fcm.send(fcm_messages(1))  # type: ignore[operator]
    assert [result.retry_after for result in results] == [120.0, 30.0]


# ------------------------------------------------------------------------------------------- strange answers


STRANGE = {
    "html": (HTML, "HTTP 502, not in this provider's form (text/html, 70 bytes)"),
    "a 404 of somebody else": (
        Reply(404, b"<html>", {"content-type": "text/html"}),
        "HTTP 404, not in this provider's form (text/html, 6 bytes)",
    ),
    "half a JSON": (RUBBISH, "HTTP 200, not in this provider's form (application/json, 25 bytes)"),
    "no name": (json_reply(200, {}), "HTTP 200, not in this provider's form (application/json, 2 bytes)"),
    "a name that is no text": (
        json_reply(200, {"name": 5}),
        "HTTP 200, not in this provider's form (application/json, 11 bytes)",
    ),
    "a list": (json_reply(200, ["name"]), "HTTP 200, not in this provider's form (application/json, 8 bytes)"),
    "an error that is a text": (
        json_reply(400, {"error": "no"}),
        "HTTP 400, not in this provider's form (application/json, 15 bytes)",
    ),
    "deep nesting": (
        Reply(200, b"[" * 100_000),
        "HTTP 200, not in this provider's form (no content type, 100000 bytes)",
    ),
    "a number without end": (
        Reply(200, b'{"name": ' + b"9" * 10_000 + b"}"),
        "HTTP 200, not in this provider's form (no content type, 10010 bytes)",
    ),
    "bytes that are no text": (
        Reply(200, b'{"name": "\xff\xfe"}'),
        "HTTP 200, not in this provider's form (no content type, 14 bytes)",
    ),
    "nothing": (Reply(200), "HTTP 200, not in this provider's form (no content type, 0 bytes)"),
    "a content type that is a story": (
        Reply(200, b"x", {"content-type": "text/<script>alert(1)</script>"}),
        "HTTP 200, not in this provider's form (no content type, 1 bytes)",
    ),
    "too long": (Reply(200, b" " * 5_000), "HTTP 200, longer than 4096 bytes"),
    "compressed": (
        Reply(200, b"\x1f\x8b\x08", {"content-encoding": "gzip"}),
        "HTTP 200, compressed though nobody asked for it",
    ),
    "slow": (Reply(200, delay=2.0), "no whole answer within 0.5 s"),
    "a trickle": (Reply(200, b" " * 100, trickle=0.1), "no whole answer within 0.5 s"),
    "reset within the answer": (
        json_reply(200, {"name": "projects/x/messages/1"}).but(reset_after=10),
        "no answer: ReadError",
    ),
    "reset at once": (RESET_AT_ONCE, "no answer: ReadError"),
    "closed within the answer": (
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"),
        "no answer: RemoteProtocolError",
    ),
    "another protocol": (NOT_HTTP, "no answer: RemoteProtocolError"),
    "closed without a word": (Reply(raw=b""), "no answer: RemoteProtocolError"),
}


@pytest.mark.parametrize("strange", STRANGE)
async def test_a_strange_answer_is_tried_again_with_a_reason_and_the_rest_is_delivered(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer, strange: str
) -> None:
    fcm = make_fcm(
        attend_push_timeout_seconds=0.5, attend_push_max_answer_bytes=4096 if strange == "too long" else 200_000
    )
    reply, reason = STRANGE[strange]
    fcm_server.devices[fcm_token(3)] = reply
    results = await fcm.send(fcm_messages(8))
    assert verdicts(results) == [*["sent"] * 3, "retry", *["sent"] * 4]
    assert results[3].reason == reason
    assert verdicts(await fcm.send(fcm_messages(3))) == ["sent"] * 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(fcm: Fcm, fcm_server: FcmServer, status: int) -> None:
    elsewhere = FcmServer()
    try:
        fcm_server.devices[fcm_token(0)] = Reply(status, headers={"location": f"{elsewhere.url}/steal?{fcm_token(0)}"})
        results = await fcm.send(fcm_messages(2))
        assert verdicts(results) == ["retry", "sent"]
        assert results[0].reason == f"HTTP {status}, a redirect to 127.0.0.1: not followed"
        assert elsewhere.requests == []
    finally:
        elsewhere.close()


async def test_nobody_listening_is_tried_again(make_fcm: Callable[..., Fcm]) -> None:
    fcm = make_fcm(attend_push_fcm_url="http://127.0.0.1:1")
    (result,) = await fcm.send(fcm_messages(1))
    assert (result.verdict, result.reason) == ("retry", "no answer: ConnectError")


async def test_a_text_that_is_not_unicode_is_sent_as_far_as_it_is(fcm: Fcm, fcm_server: FcmServer) -> None:
    assert verdicts(await fcm.send([message(fcm_token(1), title="half \ud83d a smile")])) == ["sent"]
    assert fcm_server.messages()[0]["notification"]["title"] == "half ? a smile"


# ------------------------------------------------------------------------------------------- access tokens


async def test_the_access_token_is_kept_from_batch_to_batch(fcm: Fcm, fcm_server: FcmServer) -> None:
    for _ in range(3):
        await fcm.send(fcm_messages(2))
    assert len(fcm_server.to(TOKEN)) == 1


async def test_a_token_about_to_expire_is_replaced_before_it_is_used(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.lifetime = 60
    for _ in range(2):
        assert verdicts(await fcm.send(fcm_messages(1))) == ["sent"]
    assert len(fcm_server.to(TOKEN)) == 2


async def test_many_who_need_a_token_wait_for_the_same(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.token_delay = 0.2
    batches = await asyncio.gather(*(fcm.send(fcm_messages(10)) for _ in range(3)))
    assert [verdicts(batch) for batch in batches] == [["sent"] * 10] * 3
    assert len(fcm_server.to(TOKEN)) == 1


async def test_a_revoked_access_token_is_replaced_and_the_message_sent(fcm: Fcm, fcm_server: FcmServer) -> None:
    await fcm.send(fcm_messages(1))
    fcm_server.valid_tokens.clear()
    assert verdicts(await fcm.send(fcm_messages(20))) == ["sent"] * 20
    assert len(fcm_server.to(TOKEN)) == 2


async def test_a_key_that_is_not_accepted_waits_for_whoever_repairs_it(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer
) -> None:
    fcm = make_fcm()
    fcm_server.next_token.append(documented.INVALID_SIGNATURE.reply)
    results = await fcm.send(fcm_messages(60))
    assert verdicts(results) == ["retry"] * 60
    assert results[0].reason == "token endpoint: invalid_grant: Invalid JWT Signature."
    assert fcm_server.to(SEND) == []
    assert len(fcm_server.to(TOKEN)) == 1
    assert verdicts(await fcm.send(fcm_messages(2))) == ["sent"] * 2


TOKEN_ANSWERS = {
    "disabled": (documented.DISABLED_CLIENT.reply, "token endpoint: disabled_client: The OAuth client was disabled."),
    "html": (HTML.but(status=404), "token endpoint: refused in a form that is not its own"),
    "html and 200": (HTML.but(status=200), "token endpoint: an answer nobody expects (TypeError)"),
    "a list": (json_reply(200, ["token"]), "token endpoint: an answer nobody expects (TypeError)"),
    "no token": (json_reply(200, {"expires_in": 3599}), "token endpoint: refused without a reason"),
    "a token that is no text": (
        json_reply(200, {"access_token": {"a": 1}, "expires_in": 3599}),
        "token endpoint: an answer nobody expects (no usable token)",
    ),
    "a token that would end the header": (
        json_reply(200, {"access_token": "a\r\nx-injected: 1", "expires_in": 3599}),
        "token endpoint: an answer nobody expects (no usable token)",
    ),
    "a redirect": (
        Reply(302, headers={"location": "http://127.0.0.1:1/"}),
        "token endpoint: HTTP 302, a redirect: not followed",
    ),
    "slow": (Reply(200, delay=2), "token endpoint: no whole answer in time"),
    "a trickle": (Reply(200, b" " * 100, trickle=0.05), "token endpoint: no whole answer in time"),
    "a trickle of headers": (
        Reply(raw=b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 100, trickle=0.02),
        "token endpoint: no whole answer in time",
    ),
    "half of a surrogate pair": (
        json_reply(400, {"error": "invalid_grant", "error_description": "no \ud800"}),
        "token endpoint: invalid_grant: no ?",
    ),
    "too long": (Reply(200, b" " * 300_000), "token endpoint: HTTP 200, longer than 200000 bytes"),
    "reset": (RESET_AT_ONCE, "token endpoint: no answer: ReadError"),
    "another protocol": (NOT_HTTP, "token endpoint: no answer: RemoteProtocolError"),
}


@pytest.mark.parametrize("answer", TOKEN_ANSWERS)
async def test_a_strange_answer_of_the_token_endpoint_is_tried_again(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer, answer: str
) -> None:
    fcm = make_fcm(attend_push_timeout_seconds=0.5, attend_push_max_answer_bytes=200_000)
    reply, reason = TOKEN_ANSWERS[answer]
    fcm_server.next_token.append(reply)
    results = await fcm.send(fcm_messages(3))
    assert verdicts(results) == ["retry"] * 3
    assert {result.reason for result in results} == {reason}
    assert verdicts(await fcm.send(fcm_messages(3))) == ["sent"] * 3


async def test_a_token_endpoint_that_fails_for_a_moment_is_asked_again(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.next_token.append(json_reply(503, {"error": "temporarily_unavailable"}))
    assert verdicts(await fcm.send(fcm_messages(2))) == ["sent"] * 2


async def test_a_role_taken_away_waits_for_whoever_gives_it_back(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.devices[fcm_token(0)] = documented.PERMISSION_DENIED.reply
    (result,) = await fcm.send(fcm_messages(1))
    assert result.verdict == "retry"
    assert result.reason == (
        "PERMISSION_DENIED (HTTP 403): Permission 'cloudmessaging.messages.create' denied on resource."
    )


async def test_the_loop_goes_on_while_a_token_is_fetched(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.next_token.append(Reply(500, delay=0.5))
    sending = asyncio.create_task(fcm.send(fcm_messages(1)))
    ticks = 0
    began = time.monotonic()
    while time.monotonic() - began < 0.4:
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 10
    await sending


# ------------------------------------------------------------------------------------------- many at once


async def test_connections_are_bounded_and_kept(make_fcm: Callable[..., Fcm], fcm_server: FcmServer) -> None:
    fcm = make_fcm(attend_push_connections=5)
    ok = json_reply(200, {"name": f"projects/{PROJECT}/messages/1"}).but(delay=0.02)
    fcm_server.devices = {fcm_token(number): ok for number in range(60)}
    await asyncio.gather(fcm.send(fcm_messages(60)[:30]), fcm.send(fcm_messages(60)[30:]))
    assert fcm_server.most_connections <= 6  # one of them to the token endpoint
    assert fcm_server.connections_made <= 6


async def test_many_time_outs_leave_every_connection_usable(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer
) -> None:
    fcm = make_fcm(attend_push_connections=4, attend_push_timeout_seconds=0.3)
    for round_ in range(3):
        slow = {fcm_token(number): Reply(200, delay=1.0) for number in range(round_, 8, 2)}
        fcm_server.devices = dict(slow)
        results = await fcm.send(fcm_messages(8))
        assert [result.verdict == "retry" for result in results] == [fcm_token(n) in slow for n in range(8)]
    fcm_server.devices = {}
    assert verdicts(await fcm.send(fcm_messages(40))) == ["sent"] * 40


async def test_a_dead_provider_costs_a_batch_two_time_outs_and_not_fifty(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer
) -> None:
    fcm = make_fcm(attend_push_connections=10, attend_push_timeout_seconds=0.5)
    await fcm.send([message(fcm_token(999_999))])
    fcm_server.devices = {fcm_token(number): Reply(200, delay=5) for number in range(500)}
    began = time.monotonic()
    results = await fcm.send(fcm_messages(500))
    assert time.monotonic() - began < 2.0
    assert verdicts(results) == ["retry"] * 500
    assert len(fcm_server.to(SEND)) <= 21
    assert results[-1].reason == "not tried, 10 failures in a row: no whole answer within 0.5 s"


async def test_too_many_is_heard_by_the_whole_batch(make_fcm: Callable[..., Fcm], fcm_server: FcmServer) -> None:
    fcm = make_fcm(attend_push_connections=5)
    fcm_server.devices = {fcm_token(number): documented.THROTTLED.reply for number in range(500)}
    results = await fcm.send(fcm_messages(500))
    assert {(result.verdict, result.retry_after) for result in results} == {("retry", 17.0)}
    assert len(fcm_server.to(SEND)) <= 15


async def test_devices_that_are_gone_do_not_make_the_provider_look_dead(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.devices = {fcm_token(number): documented.UNREGISTERED.reply for number in range(50)}
    fcm_server.devices |= {fcm_token(n): documented.THIRD_PARTY_AUTH_ERROR.reply for n in range(50, 100)}
    results = await fcm.send(fcm_messages(110))
    assert verdicts(results) == [*["device_gone"] * 50, *["retry"] * 50, *["sent"] * 10]


async def test_a_cancelled_batch_leaves_the_provider_usable(fcm: Fcm, fcm_server: FcmServer) -> None:
    fcm_server.devices = {fcm_token(number): Reply(200, delay=3) for number in range(10)}
    sending = asyncio.create_task(fcm.send(fcm_messages(10)))
    await asyncio.sleep(0.3)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    fcm_server.devices = {}
    assert verdicts(await fcm.send(fcm_messages(60))) == ["sent"] * 60


async def test_fcm_has_no_receipts(fcm: Fcm) -> None:
    assert await fcm.receipts(["projects/x/messages/1"]) == {}
