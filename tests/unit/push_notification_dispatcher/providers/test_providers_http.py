"""providers/http.py and both providers over it, with the network scripted: what a real socket cannot be made to do."""

import asyncio
import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
import respx

from functions.push_notification_dispatcher.providers import http
from functions.push_notification_dispatcher.providers.collapsing import collapse_id, topic
from functions.push_notification_dispatcher.providers.expo import Expo
from functions.push_notification_dispatcher.providers.fcm import Fcm
from functions.push_notification_dispatcher.providers.protocol import Result, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared import logs
from shared.errors import SettingInvalid
from tests.support.fcm_server import PROJECT, SEND, service_account
from tests.support.pushes import NOW, expo_messages, fcm_messages, message, verdicts

FCM = f"https://fcm.googleapis.com{SEND}"
TOKEN = "https://oauth2.googleapis.com/token"
EXPO = "https://exp.host/--/api/v2/push/send"
NAME = {"name": f"projects/{PROJECT}/messages/0:1"}

FAILURES = [
    httpx.ConnectError("x"),
    httpx.ConnectTimeout("x"),
    httpx.ReadTimeout("x"),
    httpx.WriteError("x"),
    httpx.PoolTimeout("x"),
    httpx.RemoteProtocolError("x"),
    httpx.LocalProtocolError("x"),
    httpx.ProxyError("x"),
    httpx.UnsupportedProtocol("x"),
    httpx.DecodingError("x"),
    OSError("x"),
    UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
]


@pytest.fixture(autouse=True)
def _logging() -> None:
    logs.configure("debug")


@pytest.fixture
def network() -> Iterator[respx.MockRouter]:
    with respx.mock(assert_all_called=False) as network:
        network.post(TOKEN).respond(json={"access_token": "ya29.a", "expires_in": 3599, "token_type": "Bearer"})
        yield network


@pytest.fixture
def fcm() -> Fcm:
    return Fcm(ProviderSettings.load(attend_push_fcm_service_account=service_account()), now=lambda: NOW)


@pytest.fixture
def expo() -> Expo:
    return Expo(ProviderSettings.load(), now=lambda: NOW)


async def test_fcm_is_asked_where_its_documentation_says(network: respx.MockRouter, fcm: Fcm) -> None:
    route = network.post(FCM).respond(json=NAME)
    assert verdicts(await fcm.send(fcm_messages(2))) == ["sent"] * 2
    assert [call.request.headers["authorization"] for call in route.calls] == ["Bearer ya29.a"] * 2


async def test_expo_is_asked_where_its_documentation_says(network: respx.MockRouter, expo: Expo) -> None:
    network.post(EXPO).respond(json={"data": [{"status": "ok", "id": "t"}]})
    assert verdicts(await expo.send(expo_messages(1))) == ["sent"]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
async def test_whatever_breaks_on_the_way_is_a_result(
    network: respx.MockRouter, fcm: Fcm, expo: Expo, failure: Exception
) -> None:
    network.post(FCM).mock(side_effect=failure)
    network.post(EXPO).mock(side_effect=failure)
    for provider, messages in ((fcm, fcm_messages(1)), (expo, expo_messages(1))):
        (result,) = await provider.send(messages)
        assert result == Result(Verdict.RETRY, reason=f"no answer: {type(failure).__name__}")


async def test_what_nobody_foresaw_costs_its_message_alone(
    network: respx.MockRouter, fcm: Fcm, expo: Expo, capsys: pytest.CaptureFixture[str]
) -> None:
    def reply(request: httpx.Request) -> httpx.Response:
        if fcm_messages(2)[1].token in request.content.decode():
            raise ZeroDivisionError(fcm_messages(2)[1].token)
        return httpx.Response(200, json=NAME)

    network.post(FCM).mock(side_effect=reply)
    network.post(EXPO).mock(side_effect=ZeroDivisionError)
    results = [*await fcm.send(fcm_messages(3)), *await expo.send(expo_messages(2))]
    assert verdicts(results) == ["sent", "retry", "sent", "retry", "retry"]
    assert results[1].reason == "an unexpected ZeroDivisionError of the dispatcher; its log says where"
    said = capsys.readouterr().err
    assert "push_failed_unexpectedly" in said
    assert fcm_messages(2)[1].token not in said


@pytest.mark.parametrize("status", [201, 204, 304, 402, 405, 409, 418, 451, 501, 504, 599])
async def test_a_status_that_the_documentation_does_not_have_is_tried_again(
    network: respx.MockRouter, fcm: Fcm, expo: Expo, status: int
) -> None:
    network.post(FCM).respond(status, json={"error": {"message": "?", "status": "WHAT"}})
    network.post(EXPO).respond(status, json={"errors": [{"code": "WHAT", "message": "?"}]})
    results = [*await fcm.send(fcm_messages(1)), *await expo.send(expo_messages(1))]
    assert verdicts(results) == ["retry", "retry"]
    assert [result.reason for result in results] == [f"WHAT (HTTP {status}): ?"] * 2


async def test_no_setting_of_the_machine_makes_a_redirect_be_followed(network: respx.MockRouter, fcm: Fcm) -> None:
    elsewhere = network.post("https://elsewhere.example/").respond(json=NAME)
    network.post(FCM).respond(308, headers={"location": "https://elsewhere.example/"})
    assert verdicts(await fcm.send(fcm_messages(1))) == ["retry"]
    assert not elsewhere.called


# ------------------------------------------------------------------------------------------- the pieces


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 5 ", 5.0),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120.0),
        ("Saturday, 21-Nov-26 15:02:00 GMT", 120.0),
        ("Sat, 21 Nov 2026 15:02:00 -0000", 120.0),
        ("Sat, 21 Nov 2026 17:02:00 +0200", 120.0),
        ("Sat, 21 Nov 2020 15:02:00 GMT", 0.0),
        ("Sat, 21 Nov 9999 15:02:00 GMT", 86_400.0),
        ("9" * 400, 86_400.0),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0665", None),
        ("tomorrow", None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_within_a_day(header: str, seconds: float | None) -> None:
    assert http.retry_after(httpx.Headers([(b"retry-after", header.encode())]), NOW) == seconds


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Not a\nvalid\x00 token", "Not a valid token"),
        ("half of a pair: \ud800", "half of a pair: ?"),
        (f"no {'x' * 40} here", "no […] here"),
        ("no ExponentPushToken[abc] here", "no […] here"),
        ("no ExponentPushToken[abc", "no […]"),
        ("say Kari to Kari Nordmann", "say […] to […]"),
        ("Bearer abcdefghijklm", logs.REDACTED),
        ("word " * 500, ("word " * 500)[:300]),
    ],
)
def test_a_reason_is_short_and_gives_nothing_away(said: str, kept: str) -> None:
    assert http.cleaned(said, "Kari", "Kari Nordmann", "") == kept


def test_a_collapse_key_is_kept_where_it_may_be_and_else_always_stands_for_the_same() -> None:
    assert (collapse_id("outbox-1"), topic("outbox-1")) == ("outbox-1", "outbox-1")
    for key in ("x" * 65, "a b", "nørd", "a\r\nb", ""):
        assert collapse_id(key) == collapse_id(key)
        assert len(collapse_id(key)) == 32
    assert topic("x" * 33) != topic("x" * 34)
    assert topic("organisation:1") != "organisation:1"
    assert len(topic("organisation:1")) == 32


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://fcm.googleapis.com", "http://proxy.example:3128"),
        ("http://127.0.0.1:9", None),
        ("https://push.intern.example", None),
    ],
)
def test_the_machines_proxy_is_used_where_it_is_meant(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1,.intern.example")
    assert http._proxy(httpx.URL(url)) == proxy


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [("proxy.example:3128", "http://proxy.example:3128"), ("http://proxy.example:3128", "http://proxy.example:3128")],
)
def test_a_proxy_without_a_scheme_is_http_as_curl_reads_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", variable)
    monkeypatch.delenv("no_proxy", raising=False)
    assert http._proxy(httpx.URL("https://fcm.googleapis.com")) == proxy


@pytest.mark.parametrize("variable", ["socks5://127.0.0.1:1", "http://[::1", "http://"])
def test_a_proxy_that_cannot_be_used_is_named_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("https_proxy", variable)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(SettingInvalid) as refused:
        Expo(ProviderSettings.load())
    assert refused.value.variable == "HTTPS_PROXY"


async def test_a_connection_that_cannot_be_made_is_nobody_elses_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """One place for each connection: if it were lost with the attempt, whoever came next would wait for ever."""
    client = http.Http(ProviderSettings.load(), "http://push.example", connections=1)

    def fails(*_: object, **__: object) -> None:
        raise ValueError("no transport")

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", fails)
    for _ in range(2):
        with pytest.raises(ValueError, match="no transport"):
            async with asyncio.timeout(2):
                await client.post(httpx.URL("http://push.example/"), b"", {})


async def test_a_name_that_the_database_cannot_hold_is_no_answer_of_the_providers(
    network: respx.MockRouter, fcm: Fcm, expo: Expo
) -> None:
    """Recording it would fail, for all that were sent with it, and all of them would be sent again."""
    network.post(FCM).respond(json={"name": "a\x00b"})
    network.post(EXPO).respond(json={"data": [{"status": "ok", "id": "a\x00b"}]})
    assert verdicts(await fcm.send(fcm_messages(1))) == ["retry"]
    assert verdicts(await expo.send(expo_messages(1))) == ["retry"]


def test_a_streak_ends_with_any_answer_that_shows_the_provider_works() -> None:
    streak = http.Streak("fcm")
    failed = Result(Verdict.RETRY, reason="no answer", retry_after=7.0)
    for _ in range(9):
        streak.note(failed, providers_failure=True)
    streak.note(Result(Verdict.DEVICE_GONE), providers_failure=False)
    for _ in range(9):
        streak.note(failed, providers_failure=True)
    assert streak.held() is None
    streak.note(failed, providers_failure=True)
    assert streak.held() == Result(Verdict.RETRY, reason="not tried, 10 failures in a row: no answer", retry_after=7.0)


def test_a_message_is_sent_as_utf_8_and_not_as_escapes() -> None:
    assert http.as_json({"title": "Kåre får sár"}) == '{"title":"Kåre får sár"}'.encode()
    assert json.loads(http.as_json({"title": "\ud83d"})) == {"title": "?"}


async def test_expiry_is_the_messages_own(network: respx.MockRouter, expo: Expo) -> None:

    route = network.post(EXPO).respond(json={"data": [{"status": "ok", "id": "t"}]})
    await expo.send([message(expo_messages(1)[0].token, expires_at=datetime(2027, 1, 1, tzinfo=UTC))])
    (sent,) = json.loads(gzip.decompress(route.calls.last.request.content))
    assert sent["expiration"] == 1_798_761_600
