"""How `attend demo` fails: with what happened, on standard error, and an exit code that scripts can see."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from attend.demo import cli
from attend.demo.desk import StoryFailed
from attend.stack import StackError
from shared.errors import DatabaseUnavailable


class StackThatNeverStarts:
    """Stands in for the embedded stack, whose own failures are tested with it."""

    stopped = 0

    def __init__(self, *, cron: bool, functions: Sequence[str]) -> None:
        assert cron is False
        assert "push-notification-dispatcher" not in functions

    def stop(self) -> None:
        type(self).stopped += 1

    def log_path(self, name: str) -> Path:
        return Path("/nonexistent") / name


@pytest.mark.parametrize(
    "error",
    [
        StoryFailed("the hook's work did not happen within 20 s"),
        StackError("Postgres needs libxml2.so.2.", "apt-get install libxml2"),
        DatabaseUnavailable(operation="dry_run_scenarios"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_went_wrong_is_said_and_the_stack_is_stopped(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def tell(*_: object, **__: object) -> None:
        raise error

    app = typer.Typer()
    cli.register(app)
    monkeypatch.setattr(cli, "Stack", StackThatNeverStarts)
    monkeypatch.setattr(cli, "_tell", tell)
    monkeypatch.setattr(cli.logs, "configure", lambda _level: None)
    StackThatNeverStarts.stopped = 0

    result = CliRunner().invoke(app, ["--json"])

    assert result.exit_code == 1
    assert result.stdout == ""
    assert type(error).__name__ in result.stderr
    assert str(error).splitlines()[0] in result.stderr
    assert StackThatNeverStarts.stopped == 1
