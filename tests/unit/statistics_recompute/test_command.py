"""attend/statistics.py: how it tells its progress; attend/api.py: where commands find the project."""

from pathlib import Path

import pytest

from attend.api import find_settings
from attend.stack.errors import StackError
from attend.statistics import Progress
from shared.runs import ChunkResult


@pytest.mark.parametrize(
    "environment",
    [
        {"SUPABASE_URL": "http://a.test/", "SUPABASE_SECRET_KEY": "k"},
        {"SUPABASE_URL": "http://a.test", "SUPABASE_SERVICE_ROLE_KEY": "k"},
        {"API_URL": "http://a.test", "SECRET_KEY": "k"},
        {"SUPABASE_URL": "http://a.test", "API_URL": "http://b.test", "SUPABASE_SECRET_KEY": "k", "SECRET_KEY": "x"},
    ],
)
def test_the_environment_names_the_project(environment: dict[str, str]) -> None:
    settings = find_settings(None, environment)
    assert (settings.supabase_url, settings.key.get_secret_value()) == ("http://a.test", "k")


def test_an_address_without_a_key_is_not_guessed_at() -> None:
    with pytest.raises(StackError, match="no key"):
        find_settings(None, {"SUPABASE_URL": "http://a.test"})


def test_a_named_project_that_does_not_run_is_said_and_the_environment_not_used_instead(tmp_path: Path) -> None:
    (tmp_path / "supabase").mkdir()
    (tmp_path / "supabase" / "config.toml").touch()
    with pytest.raises(StackError, match="No stack"):
        find_settings(tmp_path, {"SUPABASE_URL": "http://a.test", "SUPABASE_SECRET_KEY": "k"})


def progress(total: int, before: int, *times: float) -> Progress:
    clock = iter(times)
    return Progress(total, before, lambda: next(clock))


def test_progress_counts_from_where_an_earlier_process_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    telling = progress(1_000, 400, 0.0, 1.0, 4.0, 5.0)
    for done in (False, False, True):
        telling(7, ChunkResult(done=done, people=200))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "Run 7: 800 of 1,000 people, 100 a second, about 2 s left",
        "Run 7: 1,000 of 1,000 people, 120 a second",
    ]


def test_progress_survives_people_who_come_and_runs_without_anybody(capsys: pytest.CaptureFixture[str]) -> None:
    progress(0, 0, 0.0, 0.0)(1, ChunkResult(done=True))
    progress(10, 0, 0.0, 1.0)(1, ChunkResult(done=True, people=12))
    told = capsys.readouterr().err
    assert "0 of 0 people" in told
    assert "12 of 12 people" in told
