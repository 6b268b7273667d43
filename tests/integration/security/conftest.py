"""Two organisations in which every table has rows, and the API over them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attend.stack.keys import Keys
from tests.conftest import on_real_stack
from tests.support.api_surface import SCHEMAS
from tests.support.database import Database
from tests.support.gateway import running_gateway
from tests.support.people import World, empty, neighbours_of
from tests.support.stack import GivenStack
from tests.support.two_organisations import Ground


@pytest.fixture(scope="module")
def address(database: Database) -> Iterator[tuple[str, Keys]]:
    if on_real_stack():
        given = GivenStack()
        yield given.api_url, given.keys
        return
    with running_gateway(database.dsn("authenticator"), schemas=SCHEMAS) as url:
        yield url.removesuffix("/"), Keys()


@pytest.fixture
def ground(database: Database, address: tuple[str, Keys]) -> Ground:
    empty(database)
    ours = World(database)
    return Ground(database, *address, ours, neighbours_of(ours))
