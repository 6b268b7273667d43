"""One push through the real service, for whoever has an account and a device; it is on nobody else's machine.

    ATTEND_LIVE_FCM_TOKEN=<a device's token>  ATTEND_PUSH_FCM_SERVICE_ACCOUNT=<key or its path>
    ATTEND_LIVE_EXPO_TOKEN='ExponentPushToken[…]'

With a service account alone, FCM is asked all the same: a malformed token must be known as one.
"""

import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.protocol import Message, Result
from functions.push_notification_dispatcher.providers.settings import ProviderSettings


def need(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"not run: {variable} is not set, so there is nobody to send a real push to")
    return value


async def send(provider: str, token: str) -> Result:
    now = datetime.now(UTC)
    push = Message(
        device_id=uuid4(),
        token=token,
        title="Attend",
        body=f"A test of {now:%H:%M:%S} UTC.",
        collapse_key="attend-live-test",
        expires_at=now + timedelta(minutes=10),
    )
    service = PROVIDERS[provider](ProviderSettings.load())
    try:
        (result,) = await service.send([push])
    finally:
        await service.close()
    return result


async def test_fcm_takes_a_push() -> None:
    need("ATTEND_PUSH_FCM_SERVICE_ACCOUNT")
    result = await send("fcm", need("ATTEND_LIVE_FCM_TOKEN"))
    assert result.verdict == "sent", result


async def test_fcm_knows_a_malformed_token() -> None:
    need("ATTEND_PUSH_FCM_SERVICE_ACCOUNT")
    result = await send("fcm", "not-a-token")
    assert result.verdict == "device_gone", result


async def test_expo_takes_a_push() -> None:
    result = await send("expo", need("ATTEND_LIVE_EXPO_TOKEN"))
    assert result.verdict == "sent", result
    assert result.awaits_receipt
