"""`attend panel export`: all rows of a view of the engagement panel, as the manager whose token it is sees them.

The API hands over 1,000 rows at a time and the rosters have one for every student, so that they are asked for in pages
by key. Source: rules.md §5, docs/panel.md.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from pydantic import SecretStr, TypeAdapter

from attend import panel_page
from attend.api import BadInput, Project, screen, speak
from attend.cli import find_project
from attend.stack import state
from attend.stack.errors import StackError
from attend.stack.keys import Keys
from shared.errors import AttendError, DatabaseOutdated, DatabaseRefused
from shared.settings import SupabaseSettings
from shared.supabase_client import Page, Supabase

# As the database has them; an empty view has a header, too.
VIEWS = {
    "engagement_inactive_roster_v": (
        *("student_id", "full_name", "level", "last_checkin_time", "days_since_last_checkin", "inactivity_bucket"),
    ),
    "engagement_student_activity_v": (
        *("student_id", "full_name", "level", "sessions_30d", "avg_days_between_visits", "days_since_last_checkin"),
        "consistency_score",
    ),
    "engagement_recent_reactivated_14d_v": (
        *("student_id", "full_name", "days_inactive_before_return", "return_date"),
    ),
    "engagement_session_frequency_30d_v": ("bin_label", "student_count"),
    "engagement_daypart_retention_v": ("daypart", "return_rate"),
    "engagement_dual_risk_students_v": (
        *("student_id", "full_name", "level", "engagement_issue", "learning_issue", "days_since_last_checkin"),
    ),
    "engagement_dau_90d_v": ("d", "active_students", "total_minutes"),
    "learning_at_risk_learners_v": (
        *("student_id", "full_name", "level", "stuck_flag", "slow_flag", "average_score", "lessons_completed"),
        *("lessons_total", "days_since_last_progress"),
    ),
    "learning_stuck_students_v": (
        *("student_id", "full_name", "level", "lessons_completed", "lessons_total", "days_since_last_progress"),
    ),
}
_KEY = "student_id"
_ROWS_A_PAGE = 1_000
_ROWS = TypeAdapter(list[dict[str, Any]])
_LINE_EVERY_SECONDS = 2.0
# What begins a formula in some spreadsheet, the full-width forms and control characters among them.
_FORMULA = re.compile(r"^[\s\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")
# Where the decimal sign is a comma, spreadsheets separate by semicolons (or tabs) and do not see our quotes, which
# stand within what they take for one cell: there each of these, and each line, begins another.
_FORMULA_WITHIN = re.compile(r"([;\t\r\n])(?=(?:(?![\t\r\n])[\s\ufeff])*[=+\-@\uff1d\uff0b\uff0d\uff20])")
_WHERE = (
    "Speaks to SUPABASE_URL with SUPABASE_PUBLISHABLE_KEY, or to this project's running stack, on behalf of the "
    "manager whose access token is in ATTEND_MANAGER_TOKEN (or --token-file)."
)

group = typer.Typer(help=panel_page.HELP)

type Row = Mapping[str, Any]
type Writer = Callable[[Sequence[Row]], None]


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group.callback(invoke_without_command=True, help=panel_page.HELP)(panel_page.unless_another)
    group.command("open")(panel_page.open_page)
    app.add_typer(group, name="panel")


@group.command(epilog=_WHERE)
def export(
    view: Annotated[str, typer.Argument(help=f"One of: {', '.join(VIEWS)}.")],
    as_csv: Annotated[bool, typer.Option("--csv/--json", help="CSV (RFC 4180), or a JSON object a line.")] = True,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file instead of standard output; whole, or not there.")
    ] = None,
    bom: Annotated[
        bool, typer.Option("--bom", help="Begin with a byte order mark: Excel needs it for accents.")
    ] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Read the manager's access token from this file; -: from stdin.")
    ] = None,
    project: Project = None,
) -> None:
    """Write all rows of a view; students in the order of their numbers.

    In CSV a text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    if view not in VIEWS:
        raise BadInput(f"There is no view {view!r} in the panel.", f"There are: {', '.join(VIEWS)}.")
    token = _token(token_file)

    def find(folder: Path | None, environment: Mapping[str, str]) -> ManagerSettings:
        return find_settings(folder, environment, token)

    with _opened(output, bom=bom) as file:
        write = csv_writer(file, VIEWS[view]) if as_csv else json_writer(file)
        speak(project, "Panel", lambda supabase: _export(supabase, view, write), _explain, find=find)


class ManagerSettings(SupabaseSettings):
    """Where the API is, the key that everybody has, and the token that says who asks."""

    supabase_publishable_key: SecretStr
    attend_manager_token: SecretStr

    @property
    def key(self) -> SecretStr:
        return self.supabase_publishable_key

    @property
    def token(self) -> SecretStr:
        return self.attend_manager_token


def find_settings(project: Path | None, environment: Mapping[str, str], token: str) -> ManagerSettings:
    """As `attend.api.find_settings`, with the publishable key in place of the secret one."""
    url = environment.get("SUPABASE_URL") or environment.get("API_URL")
    names = ("SUPABASE_PUBLISHABLE_KEY", "PUBLISHABLE_KEY", "SUPABASE_ANON_KEY", "ANON_KEY")
    key = next((environment[name] for name in names if environment.get(name)), None)
    if project is not None or not url:
        url, key = state.running(find_project(project) / ".attend").api_url, Keys().publishable
    if not key:
        raise StackError(f"There is an address ({url}) but no key for it.", "Set SUPABASE_PUBLISHABLE_KEY.")
    return ManagerSettings.load(supabase_url=url, supabase_publishable_key=key, attend_manager_token=token)


def _token(file: Path | None) -> str:
    # Never an argument: those are everybody's to read on the machine.
    token = os.environ.get("ATTEND_MANAGER_TOKEN", "")
    if file is not None:
        try:
            token = sys.stdin.read() if str(file) == "-" else file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{file} cannot be read as a token: {error}.") from error
    if not token.strip():
        raise BadInput(
            "Only a manager's own token reads the panel, and there is none.",
            "Put the access token of the manager's session in ATTEND_MANAGER_TOKEN, or in a file: --token-file.",
        )
    return token.strip()


async def _export(supabase: Supabase, view: str, write: Writer) -> None:
    written, told = 0, time.monotonic()
    async for page in pages(supabase, view):
        write(page)
        written += len(page)
        if time.monotonic() - told >= _LINE_EVERY_SECONDS:
            told = time.monotonic()
            screen.print(f"{written:,} rows so far")
    write([])
    screen.print(f"{written:,} rows")


async def pages(supabase: Supabase, view: str) -> AsyncIterator[list[dict[str, Any]]]:
    """All rows of a view of `mgmt`, some at a time, each once."""
    columns = ",".join(VIEWS[view])
    if _KEY not in VIEWS[view]:
        yield await supabase.select(view, columns, {}, _ROWS, schema="mgmt")
        return
    after: object = None
    # Until there is nothing left: a project's cap may be lower than a page, so that a short one is not the last.
    while page := await supabase.select(view, columns, {}, _ROWS, page=Page(_KEY, _ROWS_A_PAGE, after), schema="mgmt"):
        yield page
        after = page[-1][_KEY]


def csv_writer(file: IO[str], columns: tuple[str, ...]) -> Writer:
    """Gives what writes some rows; the header comes with the first of them, or with none."""
    writer = csv.writer(file, lineterminator="\r\n")
    header = iter([columns])

    def write(page: Sequence[Row]) -> None:
        writer.writerows(header)
        writer.writerows([_cell(row[column]) for column in columns] for row in page)

    return write


def json_writer(file: IO[str]) -> Writer:
    """Gives what writes some rows, each as a line of JSON."""
    return lambda page: file.writelines(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in page)


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        # In decimals, as the page has them: 7 days and not 7.0, 0.00001 and not 1e-05.
        return f"{Decimal(repr(value)).normalize():f}"
    if isinstance(value, str):
        return ("'" if _FORMULA.search(value) else "") + _FORMULA_WITHIN.sub(r"\1'", value)
    return value


@contextmanager
def _opened(output: Path | None, *, bom: bool) -> Iterator[IO[str]]:
    """The file to write to, in UTF-8; a named one gets its name when it is whole."""
    encoding = "utf-8-sig" if bom else "utf-8"
    if output is None:
        stream = io.TextIOWrapper(sys.stdout.buffer, encoding, newline="")
        try:
            yield stream
            stream.flush()
        except BrokenPipeError:
            # Whoever read has had enough; what is left in the buffer must not be tried again at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from None
        finally:
            stream.detach()
        return
    partial = output.with_name(f"{output.name}.partial")
    try:
        with partial.open("w", encoding=encoding, newline="") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise BadInput(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)


def _explain(error: AttendError) -> StackError | None:
    if isinstance(error, DatabaseRefused):
        return BadInput(
            "Only a manager's own token reads the panel, and this one is not.",
            "It must be an active manager's, of this project, and not have expired: sign in again.",
        )
    if isinstance(error, DatabaseOutdated):
        return StackError(
            f"The project's API has no such view ({error.code}).",
            "Apply the migrations, and add mgmt to the schemas that the API exposes: docs/panel.md.",
        )
    return None
