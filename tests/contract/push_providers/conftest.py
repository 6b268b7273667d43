"""Each provider against a local server that behaves as the provider's documentation says, over real sockets."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from functions.push_notification_dispatcher.providers.expo import Expo
from functions.push_notification_dispatcher.providers.fcm import Fcm
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared import logs
from tests.support.expo_server import ExpoServer
from tests.support.fcm_server import FcmServer
from tests.support.pushes import NOW

EXPO_ACCESS_TOKEN = "expo-access-token-0123456789"


@pytest.fixture(autouse=True)
def _logging(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("debug")
    # A proxy of the machine has no business between a test and its own server.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def fcm_server() -> Iterator[FcmServer]:
    server = FcmServer()
    yield server
    server.close()


@pytest.fixture
async def make_fcm(fcm_server: FcmServer) -> AsyncIterator[Callable[..., Fcm]]:
    made: list[Fcm] = []

    def make(**settings: object) -> Fcm:
        given = {
            "attend_push_fcm_service_account": fcm_server.account(),
            "attend_push_fcm_url": fcm_server.url,
            "attend_push_timeout_seconds": 5,
            **settings,
        }
        made.append(Fcm(ProviderSettings.load(**given), now=lambda: NOW))
        return made[-1]

    yield make
    for fcm in made:
        await fcm.close()


@pytest.fixture
def fcm(make_fcm: Callable[..., Fcm]) -> Fcm:
    return make_fcm()


@pytest.fixture
def expo_server() -> Iterator[ExpoServer]:
    server = ExpoServer(EXPO_ACCESS_TOKEN)
    yield server
    server.close()


@pytest.fixture
async def make_expo(expo_server: ExpoServer) -> AsyncIterator[Callable[..., Expo]]:
    made: list[Expo] = []

    def make(**settings: object) -> Expo:
        given = {
            "attend_push_expo_access_token": EXPO_ACCESS_TOKEN,
            "attend_push_expo_url": expo_server.url,
            "attend_push_expo_per_second": 100_000,
            "attend_push_timeout_seconds": 5,
            **settings,
        }
        made.append(Expo(ProviderSettings.load(**given), now=lambda: NOW))
        return made[-1]

    yield make
    for expo in made:
        await expo.close()


@pytest.fixture
def expo(make_expo: Callable[..., Expo]) -> Expo:
    return make_expo()
