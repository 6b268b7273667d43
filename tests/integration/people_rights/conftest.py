"""Two organisations in which every table has rows of somebody who will ask."""

from __future__ import annotations

import pytest

from tests.support.database import Database
from tests.support.people import World, empty, neighbours_of


@pytest.fixture
def world(database: Database) -> World:
    empty(database)
    return World(database)


@pytest.fixture
def neighbours(world: World) -> World:
    return neighbours_of(world)
