"""What every function does is tested here once, with each of them."""

import pytest

from tests.support.api import ScriptedApi
from tests.support.every_function import NOTHING, PACKAGES, Subject
from tests.support.served import scripted_api


@pytest.fixture(params=PACKAGES)
def package(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def subject(package: str) -> Subject:
    return Subject(package)


@pytest.fixture
def api() -> ScriptedApi:
    """An API that knows no delivery yet, and whose database has nothing to do."""
    return scripted_api().otherwise(NOTHING)
