"""`attend panel`: the engagement panel's page on the running stack, with a school to look at and a manager to be."""

from __future__ import annotations

import contextlib
import json
import secrets
import webbrowser
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import httpx
import psycopg
import typer
from psycopg.rows import tuple_row

from attend.api import screen
from attend.cli import Project, find_project
from attend.demo import school
from attend.stack import logins, state
from attend.stack.errors import StackError

HELP = """The engagement panel. Without a command: opens its page on the demo school.

Makes the school when the running stack has none, and a manager who may sign in with the password that is printed.
"""
FUNCTION = "engagement-panel"
EMAIL = "manager@school.example"
_MANAGER = "Lucía Vera"
_SCHOOL = UUID("a77e0000-0000-4000-8000-0000000005c1")
_USER = UUID("a77e0000-0000-4000-8000-0000000005c2")
_SEED = 7
# Whoever looks at it later than this finds everybody at risk.
_STALE = timedelta(days=3)

NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Only print the address.")]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object on standard output; opens no browser.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Make the school anew, with check-ins up to now. Its notes go.")]


@dataclass(frozen=True)
class Opened:
    """Where the page is, and as whom to sign in."""

    url: str
    email: str
    password: str
    school: str
    students: int
    made: bool


def unless_another(
    context: typer.Context,
    no_browser: NoBrowser = False,
    as_json: AsJson = False,
    fresh: Fresh = False,
    project: Project = None,
) -> None:
    """Opens the page where no other command of the group is asked for."""
    if context.invoked_subcommand is None:
        open_page(no_browser=no_browser, as_json=as_json, fresh=fresh, project=project)


def open_page(
    no_browser: NoBrowser = False, as_json: AsJson = False, fresh: Fresh = False, project: Project = None
) -> None:
    """Open the page on the demo school: prints its address and a manager's password, and opens a browser."""
    directory = find_project(project) / ".attend"
    stack = state.running(directory)
    url = f"{stack.functions_url}/{FUNCTION}"
    _require_page(stack, url)
    with psycopg.connect(stack.db_url, autocommit=True, row_factory=tuple_row) as connection:
        opened = _prepare(connection, url, _password(directory), fresh=fresh)
    if as_json:
        typer.echo(json.dumps(asdict(opened), ensure_ascii=False, indent=2))
        return
    made = "was made" if opened.made else "is there"
    screen.print(f"The demo school {made}: {opened.school}, {opened.students} students.", markup=False)
    typer.echo(f"{'page':<10}{opened.url}\n{'e-mail':<10}{opened.email}\n{'password':<10}{opened.password}")
    if not no_browser and not _shown(opened.url):
        screen.print("No browser could be opened here: go to the address above.")


def _require_page(stack: state.StackState, url: str) -> None:
    again = "Start it again: `attend down`, then `attend up`."
    if FUNCTION not in stack.processes:
        raise StackError(f"This stack runs without the function {FUNCTION}.", again)
    try:
        answer = httpx.get(url, timeout=10, trust_env=False)
    except httpx.HTTPError as error:
        raise StackError(f"The page does not answer: {error}.", f"See `attend logs {FUNCTION}`.") from error
    if answer.status_code != httpx.codes.OK:
        raise StackError(f"The page is answered {answer.status_code}.", f"See `attend logs {FUNCTION}`.")


def _password(directory: Path) -> str:
    """The manager's, made once: whoever signed in yesterday signs in today."""
    file = directory / "panel-password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(9))
    return file.read_text().strip()


def _prepare(connection: psycopg.Connection[Any], url: str, password: str, *, fresh: bool) -> Opened:
    """The school and its manager, made where they are missing."""
    if fresh:
        connection.execute("delete from public.organizations where id = %s", (_SCHOOL,))
    with connection.transaction():
        made = connection.execute(
            "insert into public.organizations (id, name, time_zone) values (%s, %s, %s) on conflict do nothing",
            (_SCHOOL, school.NAME, school.ZONE),
        ).rowcount
        if made:
            screen.print("Making the demo school …", style="dim")
            school.load(connection, _SCHOOL, school.generate(_SEED, datetime.now(UTC)))
        let_in(connection, _SCHOOL, _USER, _MANAGER, EMAIL, password)
    counted = connection.execute(
        "select count(*), max(s.last_checkin_at) from public.students s where s.organization_id = %s", (_SCHOOL,)
    ).fetchone()
    students, latest = counted or (0, None)
    if latest is not None and datetime.now(UTC) - latest > _STALE:
        screen.print(f"Nobody has come since {latest:%Y-%m-%d}: `attend panel --fresh` makes the school anew.")
    return Opened(url, EMAIL, password, school.NAME, students, bool(made))


def let_in(
    connection: psycopg.Connection[Any], organization: UUID, user: UUID, name: str, email: str, password: str
) -> UUID:
    """A manager of the organisation who may sign in; returns the login."""
    login = logins.create(connection, email, password)
    connection.execute(
        "insert into public.users (organization_id, id, full_name, role) values (%s, %s, %s, 'manager')"
        " on conflict do nothing",
        (organization, user, name),
    )
    connection.execute(
        "insert into public.user_logins (auth_user_id, organization_id, user_id) values (%s, %s, %s)"
        " on conflict do nothing",
        (login, organization, user),
    )
    return login


def _shown(url: str) -> bool:
    with contextlib.suppress(webbrowser.Error):
        return webbrowser.open(url)
    return False
