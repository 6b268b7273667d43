"""`attend …` within the test's process, as the console script runs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import typer

from attend import cli


@dataclass
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str


type Attend = Callable[..., Ran]


def runner(url: str, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attend:
    """Runs commands on the API at `url`; nobody is there to be asked."""
    monkeypatch.setenv("SUPABASE_URL", url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", key)
    return commands(monkeypatch, capsys)


def commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attend:
    """Runs commands, which find out themselves where the project is."""

    def attend(*arguments: str) -> Ran:
        # Each time as in a new process: verbs are added. With a callback a single one has its name, too.
        app = typer.Typer(pretty_exceptions_enable=False)
        app.callback()(lambda: None)
        monkeypatch.setattr(cli, "app", app)
        monkeypatch.setattr(sys, "argv", ["attend", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as end:
            status = int(end.code or 0)
        said = capsys.readouterr()
        return Ran(status, said.out, said.err)

    return attend
