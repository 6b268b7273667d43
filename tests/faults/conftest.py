"""Fault tests kill what they test, so each file has a stack of its own, with the scheduler off: the tests tick."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.world import LEASE_SECONDS, World
from tests.support.stack import embedded_stack


@pytest.fixture(scope="module")
def engine_settings() -> dict[str, str]:
    """Environment of the stack's function; a file with other needs overrides this fixture."""
    return {"ATTEND_CHUNK_SIZE": "50", "ATTEND_LEASE_SECONDS": str(LEASE_SECONDS)}


@pytest.fixture(scope="module")
def world(engine_settings: dict[str, str]) -> Iterator[World]:
    with embedded_stack(cron=False, environment=engine_settings) as stack:
        world = World(stack)
        yield world
        world.close()
