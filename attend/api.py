"""How a command speaks to a project's API: where it is, with which key, and what its errors are to whoever typed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from attend.cli import find_project
from attend.stack import state
from attend.stack.errors import StackError
from attend.stack.keys import Keys
from shared import logs
from shared.errors import AttendError
from shared.settings import SupabaseSettings
from shared.supabase_client import Supabase

screen = Console(stderr=True, highlight=False)

Project = Annotated[
    Path | None, typer.Option("--project", help="Use this folder's running stack, whatever the environment says.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on standard output.")]
WHERE = (
    "Speaks to SUPABASE_URL with SUPABASE_SECRET_KEY (or API_URL and SECRET_KEY, as `attend status -o env` prints "
    "them); without them, to this project's running stack."
)


class BadInput(StackError):
    """What was asked for cannot be, whoever asks: exit status 2, as where an option is unknown."""

    exit_status = 2


def find_settings(project: Path | None, environment: Mapping[str, str]) -> SupabaseSettings:
    """Where the API is, and its key. Raises StackError when neither environment nor a running stack says."""
    url = environment.get("SUPABASE_URL") or environment.get("API_URL")
    names = ("SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "SECRET_KEY")
    key = next((environment[name] for name in names if environment.get(name)), None)
    if project is not None or not url:
        url, key = state.running(find_project(project) / ".attend").api_url, Keys().secret
    if not key:
        raise StackError(f"There is an address ({url}) but no key for it.", "Set SUPABASE_SECRET_KEY.")
    return SupabaseSettings.load(supabase_url=url, supabase_secret_key=key)


def speak[T](
    project: Path | None,
    about: str,
    ask: Callable[[Supabase], Awaitable[T]],
    explain: Callable[[AttendError], StackError | None] | None = None,
    *,
    otherwise: str = "",
    find: Callable[[Path | None, Mapping[str, str]], SupabaseSettings] = find_settings,
) -> T:
    """One conversation with the database, `about` something. Its errors become the command line's.

    `explain` may know better what an error means; `otherwise` is the hint where nothing certain is known; `find` says
    where the API is, and with which key to speak.
    """
    logs.configure("error")

    async def conversation() -> T:
        settings = find(project, os.environ)
        screen.print(f"{about} at {settings.supabase_url}", style="dim", markup=False)
        logs.redaction.know([secret.get_secret_value() for secret in (settings.key, settings.token) if secret])
        supabase = Supabase(settings)
        try:
            return await ask(supabase)
        finally:
            await supabase.aclose()

    try:
        return asyncio.run(conversation())
    except AttendError as error:
        hint = error.hint or _HINTS.get(error.code) or otherwise or _OTHERWISE.get(error.code, "")
        raise (explain and explain(error)) or StackError(f"{error.message} ({error.code})", hint) from error


_HINTS = {
    "database_unavailable": "Check the address, and that it answers.",
    "database_refused": "The secret key of this very project is needed: SUPABASE_SECRET_KEY.",
    "database_outdated": "Apply the migrations.",
    "setting_invalid": 'What it must be: docs/deploy.md, "Settings".',
}
_OTHERWISE = {
    "database_busy": "Nothing was changed. Try again.",
    "database_conflict": "Nothing was changed. Try again when what holds it up is over.",
    "database_timeout": "Try again when the database has less to do.",
    "database_error": "Check the address; if it is the project's, the database's log says more.",
    "unexpected_answer": "Check the address; then apply the migrations, or use the version that fits them.",
}
