"""The dispatcher against the real SQL, through the API, with a push service on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from functions.push_notification_dispatcher.engine import DispatchPace, PushDispatcher
from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from functions.push_notification_dispatcher.sending import Providers
from functions.push_notification_dispatcher.store import OutboxStore, RetryPolicy
from shared.supabase_client import Supabase
from tests.support.database import Database
from tests.support.expo_server import ExpoServer
from tests.support.fcm_server import FcmServer
from tests.support.outbox import Outbox
from tests.support.served import Api, Process, api_of, starting


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@pytest.fixture
def outbox(database: Database) -> Iterator[Outbox]:
    outbox = Outbox(database)
    yield outbox
    outbox.remove()


@pytest.fixture
def fcm() -> Iterator[FcmServer]:
    server = FcmServer()
    yield server
    server.close()


@pytest.fixture
def expo() -> Iterator[ExpoServer]:
    server = ExpoServer()
    yield server
    server.close()


@pytest.fixture
def settings(fcm: FcmServer, expo: ExpoServer) -> dict[str, str]:
    """What leads the dispatcher to the push services of the test."""
    return {
        "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": fcm.account(),
        "ATTEND_PUSH_FCM_URL": fcm.url,
        "ATTEND_PUSH_EXPO_URL": expo.url,
    }


@pytest.fixture
def start_function(api: Api, tmp_path: Path, settings: dict[str, str]) -> Iterator[Callable[..., Process]]:
    with starting("push_notification_dispatcher", api, tmp_path) as start:
        yield lambda **variables: start(**(settings | variables))


@pytest.fixture
def make_dispatcher(
    api: Api, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PushDispatcher]:
    """Dispatchers of this process, each as an instance of its own; `stop` asks them to end."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def make(
        *,
        batch: int = 200,
        part: int = 50,
        slices: int = 2,
        lanes: int = 2,
        max_attempts: int = 8,
        always: str | None = None,
    ) -> PushDispatcher:
        given = ProviderSettings.load()
        pace = DispatchPace(
            50, batch, part, 60, monotonic=time.monotonic, stopping=lambda: False, lanes=lanes, slices=slices
        )
        store = OutboxStore(Supabase(api.settings()), RetryPolicy(max_attempts, 30, 3600))
        made = Providers({name: partial(factory, given) for name, factory in PROVIDERS.items()}, always=always)
        return PushDispatcher(store, made, pace)

    return make
