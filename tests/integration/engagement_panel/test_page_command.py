"""`attend panel`: a school to look at, somebody to be, and the page in a browser."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from attend.panel_page import FUNCTION
from attend.stack import Stack
from supabase import create_client
from tests.support.command import Ran, commands
from tests.support.stack import embedded_stack

pytestmark = pytest.mark.embedded

type Panel = Callable[..., Ran]


def project(folder: Path) -> Path:
    (folder / "supabase").mkdir(parents=True)
    (folder / "supabase" / "config.toml").write_text('project_id = "a-school"\n')
    return folder


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in a folder of its own, as `attend up` leaves it."""
    folder = project(tmp_path_factory.mktemp("project") / "school")
    stack = embedded_stack(functions=(FUNCTION,), cron=False, directory=folder / ".attend")
    with stack:
        yield stack


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that a browser was asked to open."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: addresses.append(url) or True)
    return addresses


@pytest.fixture
def panel(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Panel:
    attend = commands(monkeypatch, capsys)

    def run(*arguments: str, folder: Path | None = None) -> Ran:
        return attend("panel", *arguments, "--project", str(folder or stack.directory.parent))

    return run


def told(ran: Ran) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in ran.out.splitlines())


def students(stack: Stack, email: str, password: str) -> int:
    """How many a manager sees who signs in with these."""
    client = create_client(stack.api_url, stack.keys.publishable)
    session = client.auth.sign_in_with_password({"email": email, "password": password}).session
    assert session is not None
    answer = httpx.get(
        f"{stack.api_url}/rest/v1/engagement_inactive_roster_v?select=student_id",
        headers={
            "apikey": stack.keys.publishable,
            "authorization": f"Bearer {session.access_token}",
            "accept-profile": "mgmt",
        },
    )
    return len(answer.raise_for_status().json())


def test_it_makes_a_school_and_says_where_and_as_whom_to_look(stack: Stack, panel: Panel, opened: list[str]) -> None:
    first = panel()
    assert first.status == 0, first.err
    assert "The demo school was made: Academia Andina, 240 students." in first.err
    shown = told(first)
    assert shown["page"] == f"{stack.functions_url}/{FUNCTION}"
    assert opened == [shown["page"]]
    assert students(stack, shown["e-mail"], shown["password"]) == 240
    again = panel("--no-browser")
    assert told(again) == shown, "the password is made once"
    assert "The demo school is there" in again.err
    assert len(opened) == 1


def test_the_password_is_its_owners_to_read(stack: Stack, panel: Panel) -> None:
    panel("--no-browser")
    assert (stack.directory / "panel-password").stat().st_mode & 0o077 == 0


def test_json_is_one_object_and_opens_nothing(panel: Panel, opened: list[str]) -> None:
    panel("--no-browser")
    ran = panel("--json")
    said = json.loads(ran.out)
    assert set(said) == {"url", "email", "password", "school", "students", "made"}
    assert (said["students"], said["made"]) == (240, False)
    assert opened == []
    assert json.loads(panel("open", "--json").out) == said


def test_a_school_that_is_made_anew_has_no_notes(stack: Stack, panel: Panel) -> None:
    panel("--no-browser")
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        connection.execute(
            "insert into public.student_notes (organization_id, student_id, body) select organization_id, 1, 'x'"
            " from public.students where student_id = 1 limit 1"
        )
        connection.execute("update public.student_attendance set checkin_time = checkin_time - interval '9 days'")
        stale = panel("--no-browser")
        assert "`attend panel --fresh` makes the school anew" in stale.err
        fresh = panel("--no-browser", "--fresh")
        assert "was made" in fresh.err
        assert "--fresh" not in fresh.err
        row = connection.execute("select count(*) from public.student_notes").fetchone()
        assert row == (0,)
    assert students(stack, *(told(fresh)[name] for name in ("e-mail", "password"))) == 240


def test_where_no_browser_opens_the_address_is_still_said(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    ran = panel()
    assert ran.status == 0
    assert "go to the address above" in ran.err


def test_without_a_stack_it_says_how_to_start_one(panel: Panel, tmp_path: Path) -> None:
    ran = panel(folder=project(tmp_path / "empty"))
    assert (ran.status, ran.out) == (1, "")
    assert "Start one with `attend up`." in ran.err


def test_a_page_that_does_not_answer_is_said_with_where_to_look(panel: Panel, stack: Stack) -> None:
    pid = stack.kill(FUNCTION)
    ran = panel("--no-browser")
    assert ran.status == 1
    assert f"See `attend logs {FUNCTION}`." in ran.err
    stack.wait_restarted(FUNCTION, pid)
