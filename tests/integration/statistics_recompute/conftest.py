"""The recomputation's own Python against the real SQL, through the API: the embedded gateway, or a real project's."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from functions.statistics_recompute.engine import StatisticsRecompute
from functions.statistics_recompute.store import StatisticsStore
from shared.runs import Pace
from shared.supabase_client import Supabase
from tests.support.database import Database
from tests.support.served import Api, Process, api_of, starting
from tests.support.team import Team


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@pytest.fixture
def team(database: Database) -> Iterator[Team]:
    team = Team(database)
    yield team
    # A run visits every organisation: the next test counts its own.
    database.execute("delete from public.organizations where id = %s", (team.id,))
    database.execute("truncate private.statistics_marks, private.statistics_drift, private.runs, private.run_slices")


@pytest.fixture
async def make_recompute(api: Api) -> AsyncIterator[Callable[..., StatisticsRecompute]]:
    """Instances as processes have them: a client of its own each."""
    clients: list[Supabase] = []

    def make(
        *, budget: float = 50, marks: int = 2_000, people: int = 200, stopping: bool = False
    ) -> StatisticsRecompute:
        supabase = Supabase(api.settings())
        clients.append(supabase)
        pace = Pace(budget, marks, lease_seconds=60, monotonic=time.monotonic, stopping=lambda: stopping)
        return StatisticsRecompute(StatisticsStore(supabase), pace, rebuild_people=people)

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def recompute(make_recompute: Callable[..., StatisticsRecompute]) -> StatisticsRecompute:
    return make_recompute()


@pytest.fixture
def start_function(api: Api, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    with starting("statistics_recompute", api, tmp_path) as start:
        yield start
