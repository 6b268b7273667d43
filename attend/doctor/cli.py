"""`attend doctor`: is this installation as it should be? Reads, and has the database ask the functions how they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from attend import serve
from attend.api import AsJson, BadInput, screen
from attend.cli import find_project
from attend.doctor import comparison, database, reach
from attend.doctor.findings import NOT_EXAMINED, Finding, Severity, found
from attend.login import log_in
from attend.stack import state
from attend.stack.errors import StackError
from attend.stack.keys import Keys
from shared.errors import AttendError
from shared.settings import SupabaseSettings

FINDINGS = 1
NOT_REACHABLE = 2
_MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"

Project = Annotated[
    Path | None, typer.Option("--project", help="Look at this folder's running stack, whatever the environment says.")
]
Env = Annotated[serve.Environment | None, typer.Option("--env", help="Ask `supabase status` for everything.")]
DbUrl = Annotated[str | None, typer.Option("--db-url", help="Login as postgres; else DB_URL.")]
ApiUrl = Annotated[str | None, typer.Option("--api-url", help="Base URL of the API; else SUPABASE_URL or API_URL.")]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare/--no-compare",
        help="Apply the migrations to a throw-away Postgres here and compare every definition.",
    ),
]
type Check = Callable[[], Iterator[Finding]]


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("doctor")(doctor)


def doctor(
    env: Env = None,
    db_url: DbUrl = None,
    api_url: ApiUrl = None,
    project: Project = None,
    compare: Compare = True,
    as_json: AsJson = False,
) -> None:
    """Examine an installation, its own or any Supabase project's: nothing is changed, no secret is shown.

    Extensions, migrations, Vault, grants, row-level security, definitions, settings, schedules, exposed schemas, the
    functions with their signature, clocks; and what `attend health` finds. The secret key comes from --env or
    from SUPABASE_SECRET_KEY. Exit status 0: nothing but notes. 1: findings. 2: the database does not answer.
    """
    try:
        target = find_target(env, db_url, api_url, project, os.environ)
        with connect(target.db_url) as connection, connect(target.db_url, read_only=False) as asking:
            screen.print(_whom(connection, target), style="dim", markup=False, soft_wrap=True)
            checks = plan(connection, asking, target, compare=compare)
            findings = {title: carried_out(connection, title, check) for title, check in checks.items()}
    except StackError as error:
        if as_json:
            typer.echo(json.dumps({"status": "not_reachable", "message": error.message, "findings": []}))
        error.exit_status = NOT_REACHABLE
        raise
    bad = any(finding.severity != "note" for of_check in findings.values() for finding in of_check)
    typer.echo(as_text(findings) if not as_json else as_document(findings, bad=bad))
    raise typer.Exit(FINDINGS if bad else 0)


def find_target(
    env: serve.Environment | None,
    db_url: str | None,
    api_url: str | None,
    project: Path | None,
    environment: Mapping[str, str],
) -> serve.Target:
    """Whom to examine: what `supabase status` says, what options and environment say, else the running stack.

    Raises StackError when nobody says where the database is, and where two places are named: whoever gets a clean bill
    of another installation than they meant is worse off than without one.
    """
    _refuse_two_places(env, db_url, api_url, project)
    if env is not None:
        return serve.from_supabase_status(Path.cwd())
    url = db_url or environment.get("DB_URL")
    api = api_url or environment.get("SUPABASE_URL") or environment.get("API_URL")
    if project is None and not url and api:
        raise BadInput(
            "It is known where the API is, and not where its database is.",
            "Set --db-url or DB_URL; for the running stack of a folder, --project.",
        )
    if project is not None or not url:
        running = state.running(find_project(project) / ".attend")
        return serve.Target(running.db_url, running.api_url, Keys().secret)
    names = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SECRET_KEY")
    key = next((environment[name] for name in names if environment.get(name)), "")
    return serve.Target(url, _usable(api, key) if api else "", key)


def _refuse_two_places(
    env: serve.Environment | None, db_url: str | None, api_url: str | None, project: Path | None
) -> None:
    said = {"--env": env, "--project": project, "--db-url": db_url, "--api-url": api_url}
    given = [option for option, value in said.items() if value is not None]
    if len(given) > 1 and given != ["--db-url", "--api-url"]:
        raise BadInput(f"{' and '.join(given)} name more than one installation.", "Say one of them.")
    for option, value in said.items():
        if value == "":
            raise BadInput(f"{option} is empty.", "Is the variable set that it comes from?")


def _usable(api_url: str, key: str) -> str:
    try:
        return SupabaseSettings.load(supabase_url=api_url, supabase_secret_key=key or None).supabase_url
    except AttendError as error:
        raise BadInput(f"{error.message} ({error.code})", 'What it must be: docs/deploy.md, "Settings".') from None


def connect(url: str, *, read_only: bool = True) -> psycopg.Connection[Any]:
    """A connection; the one that reads cannot write. Raises StackError when there is none to be had."""
    connection = log_in(url, autocommit=not read_only, application_name="attend doctor")
    # Said with each transaction. A setting of the session would outlive us in a pooler's connection, and whoever got
    # that next could write nothing.
    connection.read_only = read_only or None
    return connection


def _whom(connection: psycopg.Connection[Any], target: serve.Target) -> str:
    there = connection.info
    return f"Doctor at {there.host}:{there.port}/{there.dbname}, {target.api_url or 'without an API'}"


def plan(
    connection: psycopg.Connection[Any], asking: psycopg.Connection[Any], target: serve.Target, *, compare: bool
) -> dict[str, Check]:
    """The checks in their order. What rests on the migrations is left out where those are not applied."""
    behind = carried_out(connection, "migrations", lambda: database.applied(connection, _MIGRATIONS))
    checks: dict[str, Check] = {
        "extensions": lambda: database.extensions(connection),
        "migrations": lambda: iter(behind),
        "settings": lambda: database.settings(connection),
        "clocks": lambda: reach.clocks(connection),
    }
    if any(finding.severity == "error" for finding in behind):
        return checks
    checks |= {
        "vault": lambda: database.secrets(connection),
        "grants": lambda: database.grants(connection),
        "row-level security": lambda: database.row_level_security(connection),
    }
    if compare:
        checks["definitions"] = lambda: comparison.definitions(connection, _MIGRATIONS)
    checks["api"] = lambda: api(connection, target)
    checks["functions"] = lambda: reach.functions(asking, function_names(connection))
    checks["health"] = lambda: health(connection)
    return checks


def carried_out(connection: psycopg.Connection[Any], title: str, check: Check) -> list[Finding]:
    """What a check found. One that fails is a finding, too: what it reads is not there, or is not for this login.

    Raises StackError when the connection is lost.
    """
    findings: list[Finding] = []
    try:
        findings.extend(check())
    except psycopg.Error as error:
        findings.append(found("check_failed", f"{title} could not be examined (SQLSTATE {error.sqlstate})."))
    if connection.broken:
        raise StackError("The database does not answer any more.", "Try again.")
    connection.rollback()
    return findings


def api(connection: psycopg.Connection[Any], target: serve.Target) -> Iterator[Finding]:
    """The API's checks, or why there are none."""
    if not target.api_url or not target.secret_key:
        lacks = "address" if not target.api_url else "key"
        return iter([found("api_not_asked", f"The API was not asked: its {lacks} is not known.")])
    return reach.api(connection, target.api_url, target.secret_key)


def function_names(connection: psycopg.Connection[Any]) -> list[str]:
    """Every function that is rung."""
    return [row[0] for row in connection.execute("select function_name from private.bells order by 1").fetchall()]


def health(connection: psycopg.Connection[Any]) -> Iterator[Finding]:
    """What health finds, in its own words."""
    query = (
        "select h.finding, h.severity, h.part || ' ' || h.name || ': ' || h.says, h.remedy, h.runbook"
        " from public.health h where h.finding is not null"
    )
    for row in connection.execute(query).fetchall():
        yield Finding(*row)


_MARKS: dict[Severity, str] = {"error": "ERROR", "warning": "WARNING", "note": "note"}


def as_text(findings: dict[str, list[Finding]]) -> str:
    """For people: a line a check, and under it what was found and what to do."""
    lines: list[str] = []
    for title, of_check in findings.items():
        bad = sum(finding.severity != "note" for finding in of_check)
        left_out = any(finding.code in NOT_EXAMINED for finding in of_check)
        well = "not examined" if left_out else "as it should be"
        lines.append(f"{title:<20}{f'{bad} found' if bad else well}")
        for finding in of_check:
            lines.append(f"  {_MARKS[finding.severity]:<8}{finding.code}: {finding.says}")
            lines += [f"          Do: {finding.remedy}", f"          {finding.runbook}"]
    return "\n".join(lines)


def as_document(findings: dict[str, list[Finding]], *, bad: bool) -> str:
    """For machines."""
    said = [{"check": title, **finding.as_dict()} for title, of in findings.items() for finding in of]
    return json.dumps({"status": "findings" if bad else "well", "checks": list(findings), "findings": said}, indent=2)
