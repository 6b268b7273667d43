"""The engine's own Python against the real SQL, through the API: the embedded gateway, or that of a real project."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.store import ScenarioStore
from shared.runs import Pace
from shared.supabase_client import Supabase
from tests.support.database import Database
from tests.support.organisation import Organisation
from tests.support.served import Api, Process, api_of, starting


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@pytest.fixture
def organisation(database: Database) -> Iterator[Organisation]:
    organisation = Organisation(database)
    yield organisation
    # The run visits every organisation: the next test counts its own.
    database.execute("delete from public.organizations where id = %s", (organisation.id,))
    database.execute("delete from private.scenario_marks")
    database.execute("delete from private.runs")


@pytest.fixture
async def make_engine(api: Api) -> AsyncIterator[Callable[..., ScenarioTriggerEngine]]:
    """Engines as separate instances have them: a client of its own each."""
    clients: list[Supabase] = []

    def make(*, budget: float = 50, chunk_size: int = 2_000, stopping: bool = False) -> ScenarioTriggerEngine:
        supabase = Supabase(api.settings())
        clients.append(supabase)
        pace = Pace(budget, chunk_size, lease_seconds=60, monotonic=time.monotonic, stopping=lambda: stopping)
        return ScenarioTriggerEngine(ScenarioStore(supabase), pace)

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def engine(make_engine: Callable[..., ScenarioTriggerEngine]) -> ScenarioTriggerEngine:
    return make_engine()


@pytest.fixture
def start_function(api: Api, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    with starting("scenario_trigger_engine", api, tmp_path) as start:
        yield start
