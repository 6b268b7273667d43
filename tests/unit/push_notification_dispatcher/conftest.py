"""The function as functions-framework serves it, with the network to the database scripted."""

from collections.abc import AsyncIterator, Callable

import pytest

from functions.push_notification_dispatcher import handler
from tests.support.api import ScriptedApi
from tests.support.function import Function
from tests.support.served import VARIABLES, loader, scripted_api


@pytest.fixture
def api() -> ScriptedApi:
    return scripted_api()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, api: ScriptedApi) -> Callable[..., Function]:
    return loader(handler, monkeypatch, api)


@pytest.fixture
async def function(serve: Callable[..., Function]) -> AsyncIterator[Function]:
    function = serve(**VARIABLES)
    yield function
    await function.http.aclose()
