"""`attend outbox`: list, show, retry, replay, status."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from attend.api import WHERE, AsJson, BadInput, Project, screen, speak
from attend.outbox import words
from attend.outbox.answers import Push, Replayed, Retried
from attend.outbox.store import OutboxStore, Which
from attend.scenarios import guard
from attend.scenarios.answers import Organization
from attend.scenarios.asking import as_uuid, find_organization, find_person, parse_time, refusal
from attend.scenarios.store import OperatorStore
from attend.scenarios.tables import table
from shared.supabase_client import Supabase

NOT_FINISHED = 3
group = typer.Typer(
    help=f"Pushes to people's phones: what waits, what became of each, trying again. {WHERE}", no_args_is_help=True
)

OfOrganization = Annotated[
    str | None, typer.Option("--organization", "-o", help="Its id or its name; without it, all of them.")
]
OfPerson = Annotated[str | None, typer.Option("--person", help="One person, by id or full name.")]
OfScenario = Annotated[
    str | None,
    typer.Option("--scenario", help="One scenario: inactivity, milestone, certification_expiry, pastoral_case."),
]
Since = Annotated[
    str | None, typer.Option("--since", help="Made at this time or later, with its zone: 2026-11-01T08:00+01:00.")
]
Until = Annotated[str | None, typer.Option("--until", help="Made before this time.")]
ThePush = Annotated[str, typer.Argument(metavar="PUSH", help="Its id, as `attend outbox list` shows it.")]
_REFUSALS = {
    "unknown_push": ("There is no push {outbox_id}.", "attend outbox list"),
    "unknown_state": ("There is no such state.", "There are: {allowed}."),
}


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.add_typer(group, name="outbox")


def _converse[T](project: Path | None, ask: Callable[[Supabase], Awaitable[T]]) -> T:
    return speak(project, "Outbox", ask, lambda error: refusal(error, _REFUSALS))


async def _which(
    supabase: Supabase, organization: str | None, person: str | None, which: Which
) -> tuple[Which, Organization | None]:
    """The same with organisation and person found. Raises BadInput."""
    operators = OperatorStore(supabase)
    whose = await find_organization(operators, organization) if organization else None
    found = await find_person(operators, person, whose) if person else None
    organization_id = found.organization_id if found else whose.id if whose else None
    meant = Which(organization_id, found.id if found else None, which.scenario, which.since, which.until, which.states)
    return meant, whose


def _push_id(text: str) -> UUID:
    found = as_uuid(text)
    if found is None:
        raise BadInput(f"{text!r} is no push's id.", "attend outbox list shows them.")
    return found


@group.command("list")
def list_outbox(
    state: Annotated[
        list[str] | None, typer.Option("--state", help=f"One of {', '.join(words.STATES)}; may be repeated.")
    ] = None,
    organization: OfOrganization = None,
    person: OfPerson = None,
    scenario: OfScenario = None,
    since: Since = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many, newest first; 0: all.")] = 100,
    project: Project = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON document a line, one for each push.")] = False,
) -> None:
    """List pushes, newest first, with what became of them."""
    unknown = [name for name in state or [] if name not in words.STATES]
    if unknown:
        raise BadInput(f"There is no state {unknown[0]!r}.", f"There are: {', '.join(words.STATES)}.")
    asked = Which(scenario=scenario, since=parse_time(since), states=state or None)

    async def ask(supabase: Supabase) -> int:
        which, whose = await _which(supabase, organization, person, asked)
        shown = 0
        # One more than is shown says whether there are more. Pages are written as they come, however many there are.
        async for page in OutboxStore(supabase).pushes(which, limit + 1 if limit else None):
            rows = page[: limit - shown] if limit else page
            shown += len(page)
            _show(rows, whose.time_zone if whose else "UTC", as_json=as_json)
        return shown

    shown = _converse(project, ask)
    if not shown:
        screen.print("No push fits.")
    if limit and shown > limit:
        screen.print(f"There are more than {limit:,}: --limit shows more, --state and --since fewer.", markup=False)


def _show(rows: list[Push], zone: str, *, as_json: bool) -> None:
    if not rows:
        return
    lines = [push.model_dump_json() for push in rows] if as_json else table([words.row(push, zone) for push in rows])
    typer.echo("\n".join(lines))


@group.command()
def show(push: ThePush, project: Project = None, as_json: AsJson = False) -> None:
    """Show one push: its words, what became of it on each device, what happened on the way."""
    outbox_id = _push_id(push)

    async def ask(supabase: Supabase) -> None:
        found = await OutboxStore(supabase).show(outbox_id)
        if as_json:
            typer.echo(found.model_dump_json(indent=2))
            return
        whose = await find_organization(OperatorStore(supabase), str(found.organization_id))
        typer.echo("\n".join(words.whole(found, whose.time_zone)))

    _converse(project, ask)


@group.command()
def retry(
    push: Annotated[list[str], typer.Argument(metavar="PUSH...", help="Ids, as `attend outbox list` shows them.")],
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Try pushes again now that failed, were given up, too old or without a device. Exit status 3: not all of them."""
    ids = [_push_id(text) for text in push]

    done: list[Retried] = []

    async def ask(supabase: Supabase) -> None:
        for outbox_id in ids:
            done.append(await OutboxStore(supabase).retry(outbox_id))  # noqa: PERF401 - kept as it comes

    try:
        _converse(project, ask)
    finally:
        # Also where one of them is unknown: those before it are tried again all the same.
        if done and as_json:
            typer.echo(json.dumps([one.model_dump(mode="json") for one in done], indent=2))
        elif done:
            typer.echo("\n".join(words.retried(one) for one in done))
    if any(one.outcome in {"already_sent", "not_wanted"} for one in done):
        raise typer.Exit(NOT_FINISHED)


@group.command()
def replay(
    organization: OfOrganization = None,
    scenario: OfScenario = None,
    since: Since = None,
    until: Until = None,
    error: Annotated[str | None, typer.Option("--error", help="Only those with this text in their error.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Try what was given up again, all of it or a part. A second replay does nothing; nobody is sent a push twice."""
    asked = Which(scenario=scenario, since=parse_time(since), until=parse_time(until))

    async def ask(supabase: Supabase) -> Replayed:
        which, whose = await _which(supabase, organization, None, asked)
        store = OutboxStore(supabase)
        if not yes:
            dead = (await store.status(which.organization_id)).dead
            narrowed = any((scenario, since, until, error))
            pushes = f"{'Some of the ' if narrowed else ''}{dead:,} dead {'push' if dead == 1 else 'pushes'}"
            question = f"{pushes} of {whose.name if whose else 'all organisations'}: try again?"
            guard.confirm(question, "`attend outbox list --state dead` shows them.")
        total, more = 0, True
        while more:
            part = await store.replay(which, error)
            total, more = total + part.replayed, part.more and part.replayed > 0
        return Replayed(replayed=total, more=False)

    done = _converse(project, ask)
    told = f"{done.replayed:,} {'push is' if done.replayed == 1 else 'pushes are'} tried again."
    typer.echo(done.model_dump_json(indent=2) if as_json else told)


@group.command()
def status(organization: OfOrganization = None, project: Project = None, as_json: AsJson = False) -> None:
    """Show what waits, since when, what failed and what was given up."""

    async def ask(supabase: Supabase) -> None:
        which, whose = await _which(supabase, organization, None, Which())
        found = await OutboxStore(supabase).status(which.organization_id)
        lines = words.status(found, whose.time_zone if whose else "UTC")
        typer.echo(found.model_dump_json(indent=2) if as_json else "\n".join(lines))

    _converse(project, ask)
