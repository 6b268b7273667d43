"""A push service's key is rotated: both hold for a while; and where the old one was deleted too early, pushes wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.push_notification_dispatcher.engine import PushDispatcher
from tests.support.expo_server import ExpoServer
from tests.support.fcm_server import INVALID_SIGNATURE, TOKEN, FcmServer
from tests.support.outbox import Outbox

type Make = Callable[..., PushDispatcher]


async def test_what_a_deleted_fcm_key_did_not_send_goes_with_the_new_one(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer
) -> None:
    first, second = outbox.people(2)
    running = make_dispatcher()
    outbox.push(first)
    await running.dispatch()
    assert outbox.states() == {"sent": 1}
    # Deleted at Google: the access token ends, and none is given for this key any more.
    fcm.valid_tokens.clear()
    fcm.next_token.extend([INVALID_SIGNATURE.reply] * 20)
    outbox.push(second)
    await running.dispatch()
    assert outbox.states() == {"sent": 1, "failed": 1}
    # The key that was made before; the service knows it.
    fcm.next_token.clear()
    outbox.hurry(3_600)
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 2}
    assert len(fcm.to(TOKEN)) >= 3


async def test_what_a_deleted_expo_token_did_not_send_goes_with_the_new_one(
    outbox: Outbox, make_dispatcher: Make, expo: ExpoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (person,) = outbox.people(1, provider="expo")
    expo.access_token = "the-new-token"
    monkeypatch.setenv("ATTEND_PUSH_EXPO_ACCESS_TOKEN", "the-old-token")
    outbox.push(person)
    await make_dispatcher().dispatch()
    assert outbox.states() == {"failed": 1}
    monkeypatch.setenv("ATTEND_PUSH_EXPO_ACCESS_TOKEN", "the-new-token")
    outbox.hurry(3_600)
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 1}
