"""The engine's own Python against the real SQL, through the API: the embedded gateway, or that of a real project."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from attend.stack.keys import SECRET_KEY
from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.store import ScenarioStore
from shared.runs import Pace
from shared.settings import SupabaseSettings
from shared.supabase_client import Supabase
from tests.support.database import Database
from tests.support.function import WEBHOOK_SECRET, Function
from tests.support.gateway import running_gateway
from tests.support.organisation import Organisation
from tests.support.stack import GivenStack

ROOT = Path(__file__).parents[3]


@dataclass
class Api:
    """Where the database's API is."""

    url: str
    key: str

    def settings(self, **more: Any) -> SupabaseSettings:
        return SupabaseSettings.load(supabase_url=self.url, supabase_secret_key=self.key, **more)


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    if os.environ.get("ATTEND_STACK", "embedded") == "supabase":
        real = GivenStack()
        yield Api(real.api_url, real.keys.secret)
        return
    with running_gateway(database.dsn("authenticator"), schemas=("public",)) as url:
        yield Api(url, SECRET_KEY)


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


class Process:
    """The function as a functions-framework process: gunicorn's parent and one worker, in a group of their own."""

    def __init__(self, log: Path, **variables: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        command = [str(Path(sys.executable).with_name("functions-framework")), "--target", "main"]
        command += ["--source", str(ROOT / "functions/scenario_trigger_engine/main.py")]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environment | variables, stdout=output, stderr=output, start_new_session=True
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def signal_group(self, number: int) -> None:
        os.killpg(self.process.pid, number)

    def client(self) -> Function:
        limits = httpx.Limits(max_connections=400)
        return Function(httpx.AsyncClient(base_url=self.url, timeout=120, limits=limits, trust_env=False))


@pytest.fixture
def start_function(api: Api, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    @contextmanager
    def ending() -> Iterator[None]:
        try:
            yield
        finally:
            for process in started:
                if process.process.poll() is None:
                    process.signal_group(9)
                process.process.wait(10)

    def start(**variables: str) -> Process:
        given = {"SUPABASE_URL": api.url, "SUPABASE_SECRET_KEY": api.key}
        process = Process(tmp_path / f"function-{len(started)}.log", **(given | variables))
        started.append(process)
        process.wait_ready()
        return process

    with ending():
        yield start
