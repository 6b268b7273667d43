"""No secret, no device token and no text of a message leaves a provider by a log, an error or a reason."""

import json
from collections.abc import Callable

import pytest

from functions.push_notification_dispatcher.providers.expo import Expo
from functions.push_notification_dispatcher.providers.fcm import Fcm
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared import logs
from shared.errors import SettingInvalid
from tests.support.expo_server import SEND, ExpoServer, error_ticket, request_error
from tests.support.fcm_server import TOKEN, FcmServer, private_key, service_account
from tests.support.http_server import Reply, json_reply
from tests.support.pushes import BODY, TITLE, expo_token, fcm_token, message

PRIVATE = [TITLE, BODY, "n-1", fcm_token(1), expo_token(1), private_key(), private_key().splitlines()[5]]


def blabber(*also: str) -> str:
    """What a provider that quotes everything says."""
    return " and ".join([*PRIVATE, *also, fcm_token(1)[:60], "Bearer abcdefghijklmnop", "kari@example.org"])


def everything(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 413, 429, 500, 503])
async def test_what_fcm_quotes_goes_no_further(
    make_fcm: Callable[..., Fcm], fcm_server: FcmServer, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    fcm = make_fcm()
    await fcm.send([message(fcm_token(7), title="Else", body="Something else", data={})])
    (access_token,) = fcm_server.valid_tokens
    said = blabber(access_token)
    detail = {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": said}
    errors = [
        json_reply(
            status, {"error": {"message": said, "status": said, "details": []}}, location=f"https://x.org/{said}"
        ),
        json_reply(status, {"error": {"message": said, "status": "X", "details": [detail]}}, location=said),
        Reply(status, said.encode(), {"content-type": said, "retry-after": said, "location": said}),
    ]
    for reply in errors:
        fcm_server.devices = {fcm_token(1): reply}
        (result,) = await fcm.send([message(fcm_token(1))])
        assert_nothing_private(repr(result), access_token)
    assert_nothing_private(everything(capsys), access_token)


async def test_what_the_token_endpoint_quotes_goes_no_further(
    fcm: Fcm, fcm_server: FcmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    await fcm.send([message(fcm_token(7), title="Else", body="Something else", data={})])
    assertion = fcm_server.to(TOKEN)[0].body.decode().split("assertion=")[1].split("&")[0]
    for reply in (
        json_reply(400, {"error": assertion, "error_description": private_key()}),
        Reply(400, private_key().encode()),
        Reply(200, private_key().encode()),
    ):
        fcm_server.valid_tokens.clear()
        fcm_server.next_token.append(reply)
        (result,) = await fcm.send([message(fcm_token(1))])
        assert result.verdict == "retry"
        assert_nothing_private(repr(result), assertion)
    assert_nothing_private(everything(capsys), assertion)


async def test_what_expo_quotes_goes_no_further(
    make_expo: Callable[..., Expo], expo_server: ExpoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = str(expo_server.access_token)
    logs.redaction.know(
        ProviderSettings.load(
            attend_push_expo_access_token=secret, attend_push_fcm_service_account=service_account()
        ).secret_values()
    )
    expo = make_expo()
    said = blabber(secret)
    replies = [
        *(request_error(status, said, said, said).reply for status in (200, 400, 401, 404, 413, 429, 500)),
        json_reply(200, {"data": [error_ticket(said, said)]}),
        json_reply(200, {"data": [error_ticket("DeviceNotRegistered", said)]}),
        Reply(200, said.encode(), {"content-type": said}),
    ]
    for reply in replies:
        expo_server.next.append(reply)
        (result,) = await expo.send([message(expo_token(1))])
        assert_nothing_private(repr(result), secret)
    for reply in [request_error(400, said, said).reply, Reply(200, said.encode())]:
        expo_server.next.append(reply)
        await expo.receipts([expo_token(1)])
    expo_server.receipts = {"a": error_ticket("InvalidCredentials", blabber(secret))}
    # A receipt comes without its message: what looks like a token is taken out, and what the log's redaction knows.
    reason = (await expo.receipts(["a"]))["a"].reason or ""
    assert not [part for part in (fcm_token(1), expo_token(1), secret, "kari@") if part in reason]
    assert_nothing_private(everything(capsys), secret)
    assert expo_server.to(SEND)


@pytest.mark.parametrize("broken", ["private_key", "project_id", "client_email", "token_uri", "type"])
def test_an_error_about_the_key_says_nothing_of_it(broken: str) -> None:
    secret = private_key().replace("\n", "").replace("-----", "")[:200]
    account = service_account(**{broken: {"private_key": secret}.get(broken, secret)})
    with pytest.raises(SettingInvalid) as caught:
        Fcm(ProviderSettings.load(attend_push_fcm_service_account=account))
    said = (
        json.dumps(caught.value.body()) + str(caught.value) + repr(caught.value) + logs.format_exception(caught.value)
    )
    assert secret[50:90] not in said
    assert broken in said


def assert_nothing_private(text: str, *also: str) -> None:
    shapes = [fcm_token(1)[:60], "abcdefghijklmnop", "kari@example.org"]
    found = [part for part in (*PRIVATE, *also, *shapes) if part in text]
    assert found == [], text
