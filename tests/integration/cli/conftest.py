"""The operators' commands against the real SQL, through the API: within this process, or in a terminal of their own."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.support.command import Attend, runner
from tests.support.database import Database
from tests.support.organisation import NOW, Organisation, days
from tests.support.served import ROOT, Api, api_of


@pytest.fixture(scope="module")
def api(database: Database) -> Iterator[Api]:
    with api_of(database) as api:
        yield api


@dataclass
class Office(Organisation):
    """An organisation called Norra in Oslo, a year old, with the rule "quiet" and the people whom tests need."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.database.execute(
            "update public.organizations set name = 'Norra', time_zone = 'Europe/Oslo', created_at = %s where id = %s",
            (NOW - days(365), self.id),
        )

    def person(self, name: str, **columns: Any) -> UUID:
        return self.mentor(full_name=name, created_at=NOW - days(365), **columns)

    def certificate(self, user_id: UUID, name: str, expires_in: timedelta) -> None:
        self.database.execute(
            "insert into public.certificates (organization_id, user_id, name, expires_at) values (%s, %s, %s, %s)",
            (self.id, user_id, name, NOW + expires_in),
        )

    def rule(self, type_: str, name: str, **columns: Any) -> UUID:
        values = {"organization_id": self.id, "type": type_, "name": name, "is_enabled": True, **columns}
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        return self.database.value(
            f"insert into public.scenario_rules ({names}) values ({marks}) returning id", list(values.values())
        )

    def rules(self) -> dict[str, tuple[bool, int]]:
        rows = self.database.rows(
            "select name, is_enabled, version from public.scenario_rules where organization_id = %s", (self.id,)
        )
        return {row["name"]: (row["is_enabled"], row["version"]) for row in rows}

    def setting(self, key: str, value: str) -> None:
        self.database.execute(
            "insert into public.org_settings_kv (organization_id, key, value) values (%s, %s, %s)",
            (self.id, key, value),
        )


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    office = Office(database)
    yield office
    database.execute("delete from public.organizations")
    database.execute("delete from private.scenario_marks")


@pytest.fixture
def attend(api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attend:
    """Runs a command as the console script does."""
    return runner(api.url, api.key, monkeypatch, capsys)


@pytest.fixture
def terminal(api: Api) -> Callable[..., tuple[int, str]]:
    """Runs a command in a terminal, and answers each question with the next of `answers` when it is asked."""

    def terminal(*arguments: str, answers: list[tuple[str, str]]) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb"}
        process = subprocess.Popen(
            [sys.executable, "-m", "attend.cli", *arguments],
            env=environment | {"SUPABASE_URL": api.url, "SUPABASE_SECRET_KEY": api.key},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        shown, asked = "", 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    shown += os.read(ours, 4096).decode()
                except OSError:
                    break  # it has ended
            if answers and answers[0][0] in shown[asked:]:
                asked = len(shown)
                os.write(ours, answers.pop(0)[1].encode() + b"\n")
        os.close(ours)
        status = process.wait(10)
        assert answers == [], f"not asked: {answers}; shown: {shown}"
        return status, shown.replace("\r", "")

    return terminal
