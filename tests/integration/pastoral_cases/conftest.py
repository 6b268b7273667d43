"""The function against the real SQL, through the API: the embedded gateway, or a real project's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.congregation import Congregation
from tests.support.database import Database
from tests.support.served import Api, Process, api_of, starting


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@pytest.fixture
def church(database: Database) -> Iterator[Congregation]:
    church = Congregation(database)
    yield church
    # A run visits every organisation: the next test counts its own.
    database.execute("delete from public.organizations where id = %s", (church.id,))
    database.execute("truncate private.care_marks, private.case_runs")


@pytest.fixture
def start_function(api: Api, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    with starting("pastoral_cases", api, tmp_path) as start:
        yield start
