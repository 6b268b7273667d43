"""`attend person`: everything held of a person, and erasing them.

Four kinds of people may ask: whoever works for the organisation (user), whom it cares for (member), whom its people
meet (contact), and whom it teaches (student). What an erasure takes and keeps: docs/privacy.md.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter

from attend.api import WHERE, AsJson, BadInput, Project, screen, speak
from attend.scenarios.answers import Organization
from attend.scenarios.asking import OfOrganization, as_uuid, find_organization
from attend.scenarios.guard import on_terminal
from attend.scenarios.store import OperatorStore
from attend.scenarios.tables import table
from attend.stack.errors import StackError
from shared.errors import AttendError, Refused
from shared.supabase_client import Page, Supabase


class Kind(StrEnum):
    """Which kind of person; each has a table of its own."""

    user = "user"
    member = "member"
    contact = "contact"
    student = "student"


# Table, key and name of each kind.
_TABLES = {
    Kind.user: ("users", "id", "full_name"),
    Kind.member: ("people", "id", "full_name"),
    Kind.contact: ("contacts", "id", "display_name"),
    Kind.student: ("students", "student_id", "full_name"),
}
_ROWS = TypeAdapter(list[dict[str, Any]])

group = typer.Typer(help=f"What people may ask for: to see everything, to be forgotten. {WHERE}", no_args_is_help=True)

Who = Annotated[str, typer.Argument(metavar="PERSON", help="Id or full name.")]
OfKind = Annotated[Kind, typer.Option("--kind", help="Works for the organisation, is cared for, met, or taught.")]
To = Annotated[Path | None, typer.Option("--output", help="A new file, which only you may read, and not the screen.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


class Document(BaseModel):
    """Everything held of a person. Unknown keys are kept, so that `--json` loses nothing."""

    model_config = ConfigDict(extra="allow")

    kind: Kind
    person_id: str
    exported_at: AwareDatetime
    organization: Organization
    about: dict[str, str | None]
    records: dict[str, list[dict[str, Any]]]


class Erasure(BaseModel):
    """What an erasure took, what it kept without a name, and where else the name stood: rows by table."""

    model_config = ConfigDict(extra="allow")

    kind: Kind
    person_id: str
    erased_at: AwareDatetime | None
    erased: dict[str, int]
    kept: dict[str, int]
    mentions: dict[str, int]


class Registry:
    """The commands' port to the database."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def organization(self, named: str | None) -> Organization:
        return await find_organization(OperatorStore(self._supabase), named)

    async def find(self, kind: Kind, named: str, whose: Organization) -> str:
        """The id of a person by full name; an id is taken as it is. Raises BadInput for nobody's and several's."""
        if as_uuid(named) or (kind is Kind.student and named.lstrip("-").isdigit()):
            return named
        source, key, name = _TABLES[kind]
        filters = {"organization_id": whose.id, name: named}
        found = await self._supabase.select(source, key, filters, _ROWS, page=Page(key, 11))
        if not found:
            raise BadInput(
                f"No {kind} of {whose.name} is called {named!r}.", "Another --kind, or the id, may find them."
            )
        if len(found) > 1:
            ids = ", ".join(str(row[key]) for row in found)
            raise BadInput(f"Several of {whose.name} are called {named!r}.", f"Say which, by id: {ids}.")
        return str(found[0][key])

    async def export(self, whose: Organization, kind: Kind, person_id: str) -> Document:
        return await self._supabase.rpc("export_person", _named(whose, kind, person_id), Document)

    async def erase(self, whose: Organization, kind: Kind, person_id: str, *, rehearse: bool) -> Erasure:
        """Repeatable: a second erasure of somebody does nothing, and says when the first was."""
        params = _named(whose, kind, person_id) | {"p_rehearse": rehearse}
        return await self._supabase.rpc("erase_person", params, Erasure)


def _named(whose: Organization, kind: Kind, person_id: str) -> dict[str, object]:
    return {"p_organization_id": whose.id, "p_kind": kind.value, "p_person_id": person_id}


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.add_typer(group, name="person")


@group.command()
def export(
    person: Who,
    kind: OfKind = Kind.user,
    organization: OfOrganization = None,
    output: To = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Everything held of a person, as one document: for reading, or as JSON. Other people's names are left out."""

    async def ask(registry: Registry) -> Document:
        whose = await registry.organization(organization)
        return await registry.export(whose, kind, await registry.find(kind, person, whose))

    document = _converse(project, ask)
    text = document.model_dump_json(indent=2) if as_json else "\n".join(lines(document))
    if output is None:
        typer.echo(text)
    else:
        _write(output, text + "\n")
        screen.print(f"Written to {output}.", markup=False, soft_wrap=True)


@group.command()
def erase(
    person: Who,
    kind: OfKind = Kind.user,
    organization: OfOrganization = None,
    yes: Yes = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person for ever, after showing what that takes and what it keeps. Figures stay, nameless."""

    async def ask(registry: Registry) -> Erasure:
        whose = await registry.organization(organization)
        person_id = await registry.find(kind, person, whose)
        if not yes:
            shown = await registry.erase(whose, kind, person_id, rehearse=True)
            if shown.erased_at is not None:
                return shown
            screen.print("\n".join(counts(shown, "Would be erased")), markup=False, soft_wrap=True)
            _confirm(f"Erase {person} ({person_id}) of {whose.name} for ever?")
        return await registry.erase(whose, kind, person_id, rehearse=False)

    erasure = _converse(project, ask)
    if as_json:
        typer.echo(erasure.model_dump_json(indent=2))
        return
    if yes and erasure.erased:
        screen.print("\n".join(counts(erasure, "Erased")), markup=False, soft_wrap=True)
    when = f" on {erasure.erased_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if erasure.erased_at else ""
    typer.echo(f"{erasure.person_id} was erased{when}.")


def _confirm(question: str) -> None:
    if not on_terminal():
        raise BadInput(f"{question} Nobody is here to be asked, and nothing is erased.", "Say --yes.")
    typer.confirm(question, abort=True, err=True)


def _write(file: Path, text: str) -> None:
    made = False
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            made = True
            out.write(text)
    except OSError as error:
        if made:
            # Half of what is held of somebody is no answer to them, and lies about.
            file.unlink(missing_ok=True)
        raise StackError(f"{file} cannot be written: {error.strerror}.", _WRITING.get(error.errno or 0, "")) from error


_WRITING = {
    errno.EEXIST: "Name a file that is not there yet.",
    errno.ENOENT: "Make its folder first, or name a file in one that is there.",
    errno.ENOTDIR: "Make its folder first, or name a file in one that is there.",
}


def counts(erasure: Erasure, title: str) -> list[str]:
    """What an erasure takes and keeps, for reading; `title` says whether it did or would."""
    parts = (
        (title, erasure.erased),
        ("Kept under an id that leads nowhere, so that no figure changes", erasure.kept),
        ("Written by others, with the name in it, which becomes [erased]", erasure.mentions),
    )
    said: list[str] = []
    for heading, rows in parts:
        if rows:
            said += [f"{heading}:"]
            said += [
                f"  {line}" for line in table([(_words(name), f"{n:,}") for name, n in sorted(rows.items())], "<>")
            ]
    return said


def lines(document: Document) -> list[str]:
    """The document for reading: what each table is for, then its rows."""
    zone = f"{document.exported_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    said = [f"Everything that {document.organization.name} holds of {document.kind} {document.person_id}, {zone}"]
    for name, rows in sorted(document.records.items()):
        about = document.about.get(name)
        said += ["", f"{_words(name)} ({len(rows):,})" + (f": {about}" if about else "")]
        said += [f"  {line}" for line in _listed(rows)]
    return said


def _listed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if len(rows) == 1:
        return table([(_words(column), _said(rows[0][column])) for column in columns])
    return table([[_words(column) for column in columns], *([_said(row.get(c)) for c in columns] for row in rows)])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _converse[T](project: Path | None, ask: Callable[[Registry], Awaitable[T]]) -> T:
    return speak(project, "People", lambda supabase: ask(Registry(supabase)), _refusal)


def _refusal(error: AttendError) -> StackError | None:
    if not isinstance(error, Refused):
        return None
    details: Mapping[str, Any] = error.details if isinstance(error.details, dict) else {}
    match error.code:
        case "unknown_person":
            return BadInput(
                f"There is no {details.get('kind')} {details.get('person_id')} in this organisation.",
                "Is it another --kind, or another --organization?",
            )
        case "login_is_referenced":
            return StackError(
                f"Nobody was erased: the table {details.get('table')} of this project holds on to the login "
                f"({details.get('constraint')}).",
                "Delete or change those rows first, or let their reference cascade.",
            )
        case _:
            return None
