"""The panel through the API, as its readers meet it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import typer

from attend import cli
from attend.stack.keys import Keys
from tests.conftest import on_real_stack
from tests.support.database import Database
from tests.support.gateway import running_gateway
from tests.support.school import School
from tests.support.stack import GivenStack


@dataclass
class Api:
    """Where the API is, and its keys."""

    url: str
    keys: Keys

    def get(self, view: str, login: UUID | None = None, key: str | None = None, **filters: str) -> httpx.Response:
        """Rows of a view of `mgmt`, as a person (or with a key alone)."""
        return self.request("GET", view, login, key, params=filters)

    def request(
        self,
        method: str,
        view: str,
        login: UUID | None = None,
        key: str | None = None,
        schema: str = "mgmt",
        **request: Any,
    ) -> httpx.Response:
        headers = {"apikey": key or self.keys.publishable, "accept-profile": schema, "content-profile": schema}
        if login is not None:
            headers["authorization"] = f"Bearer {self.token(login)}"
        return httpx.request(method, f"{self.url}/rest/v1/{view}", headers=headers, timeout=30, **request)

    def token(self, login: UUID, **claims: Any) -> str:
        return self.keys.user_token(str(login), **claims)


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    if on_real_stack():
        given = GivenStack()
        yield Api(given.api_url, given.keys)
        return
    with running_gateway(database.dsn("authenticator")) as url:
        yield Api(url, Keys())


@pytest.fixture
def school(database: Database) -> Iterator[School]:
    school = School(database)
    yield school
    school.remove()


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


@pytest.fixture
def export(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., Ran]:
    """Runs `attend panel export` as the console script does, for the manager of a school or with another token."""

    def export(*arguments: str, by: School | str | None) -> Ran:
        monkeypatch.setattr(cli, "app", typer.Typer(pretty_exceptions_enable=False))
        monkeypatch.setattr(sys, "argv", ["attend", "panel", "export", *arguments])
        monkeypatch.setenv("SUPABASE_URL", api.url)
        monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", api.keys.publishable)
        monkeypatch.setenv("ATTEND_MANAGER_TOKEN", api.token(by.manager) if isinstance(by, School) else by or "")
        monkeypatch.chdir(tmp_path)
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capfdbinary.readouterr()
        return Ran(status, said.out.decode(), said.err.decode())

    return export
