"""A function as functions-framework serves it, the network to the database scripted; which one, the folder says."""

from collections.abc import AsyncIterator, Callable
from importlib import import_module

import pytest

from tests.support.api import ScriptedApi
from tests.support.function import Function
from tests.support.served import VARIABLES, loader, scripted_api


@pytest.fixture
def package(request: pytest.FixtureRequest) -> str:
    """The folder of functions/ that is tested: the test's own folder has the same name."""
    return request.path.parent.name


@pytest.fixture
def api() -> ScriptedApi:
    return scripted_api()


@pytest.fixture
def serve(package: str, monkeypatch: pytest.MonkeyPatch, api: ScriptedApi) -> Callable[..., Function]:
    return loader(import_module(f"functions.{package}.handler"), monkeypatch, api)


@pytest.fixture
async def function(serve: Callable[..., Function]) -> AsyncIterator[Function]:
    function = serve(**VARIABLES)
    yield function
    await function.http.aclose()
