"""Functions served as functions-framework does it: here with a scripted API, or in processes of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import functions_framework.aio
import httpx
import pytest

from attend.stack.keys import SECRET_KEY
from shared import supabase_client
from shared.settings import SupabaseSettings
from tests.support import api as scripted
from tests.support.database import Database
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET, Function
from tests.support.gateway import running_gateway
from tests.support.stack import GivenStack

ROOT = Path(__file__).parents[2]
VARIABLES = {
    "SUPABASE_URL": "http://api.test",
    "SUPABASE_SECRET_KEY": scripted.SECRET_KEY,
    "ATTEND_WEBHOOK_SECRET": WEBHOOK_SECRET,
    "ATTEND_HOOK_SHARED_SECRET": SHARED_SECRET,
}


def scripted_api() -> scripted.ScriptedApi:
    """An API that knows no delivery yet."""
    api = scripted.ScriptedApi().on("find_webhook_delivery", None)
    return api.on("record_webhook_delivery", lambda params: params["p_answer"])


def loader(handler: ModuleType, monkeypatch: pytest.MonkeyPatch, api: scripted.ScriptedApi) -> Callable[..., Function]:
    """What loads a function's main.py as functions-framework does, with the given variables and no others of ours."""
    for name in [*VARIABLES, "SUPABASE_SERVICE_ROLE_KEY"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(handler, "Supabase", lambda settings: api.supabase(**settings.model_dump()))
    main = Path(str(handler.__file__)).with_name("main.py")

    def load(**variables: str) -> Function:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        app = functions_framework.aio.create_asgi_app("main", str(main), "http")
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return Function(httpx.AsyncClient(transport=transport, base_url="http://function.test"))

    return load


@dataclass
class Api:
    """Where the database's API is."""

    url: str
    key: str

    def settings(self, **more: Any) -> SupabaseSettings:
        return SupabaseSettings.load(supabase_url=self.url, supabase_secret_key=self.key, **more)


@contextmanager
def api_of(database: Database) -> Iterator[Api]:
    """The embedded gateway over `database`, or a real project's API."""
    if os.environ.get("ATTEND_STACK", "embedded") == "supabase":
        real = GivenStack()
        yield Api(real.api_url, real.keys.secret)
        return
    with running_gateway(database.dsn("authenticator"), schemas=("public",)) as url:
        yield Api(url, SECRET_KEY)


class Process:
    """A function as a functions-framework process: gunicorn's parent and one worker, in a group of their own."""

    def __init__(self, package: str, log: Path, **variables: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        command = [str(Path(sys.executable).with_name("functions-framework")), "--target", "main"]
        command += ["--source", str(ROOT / "functions" / package / "main.py")]
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


@contextmanager
def starting(package: str, api: Api, folder: Path) -> Iterator[Callable[..., Process]]:
    """What starts processes of a function, with settings beside those it needs; all are ended at the end."""
    started: list[Process] = []

    def start(**variables: str) -> Process:
        given = {"SUPABASE_URL": api.url, "SUPABASE_SECRET_KEY": api.key}
        process = Process(package, folder / f"function-{len(started)}.log", **(given | variables))
        started.append(process)
        process.wait_ready()
        return process

    try:
        yield start
    finally:
        for process in started:
            if process.process.poll() is None:
                process.signal_group(9)
            process.process.wait(10)
