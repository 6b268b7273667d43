"""`attend decide` and `attend quarantine`: evaluate now, with all effects."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import typer

from attend.api import WHERE, AsJson, Project
from attend.scenarios import guard, tables, words
from attend.scenarios.answers import Decided, Organization, Quarantined
from attend.scenarios.asking import OfOrganization, converse, find_organization, find_person
from attend.scenarios.questions import progress
from attend.scenarios.store import PEOPLE_A_PAGE, OperatorStore
from shared.runs import Counts

NOT_FINISHED = 3
quarantine = typer.Typer(help=f"People whose evaluation failed. {WHERE}", no_args_is_help=True)

People = Annotated[list[str] | None, typer.Option("--user", help="A person, by id or full name; may be repeated.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def decide(
    organization: OfOrganization = None,
    user: People = None,
    yes: Yes = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate people now, with all effects: whoever matches is told. Everybody of the organisation, or --user."""

    async def ask(store: OperatorStore) -> Decided:
        whose = await find_organization(store, organization)
        ids = [(await find_person(store, named, whose)).id for named in user or []]
        people = len(ids) if user else await store.count_people(whose.id)
        if not yes:
            question = f"Evaluate {tables.people(people)} of {whose.name} now, and tell whoever is to be told?"
            guard.confirm(question, "`attend dry-run` shows what would happen.")
        return await store.decide(whose.id, ids) if user else await _decide_everybody(store, whose, people)

    _tell(converse(project, ask), as_json=as_json)


async def _decide_everybody(store: OperatorStore, whose: Organization, people: int) -> Decided:
    done, tell = Decided(people=0, counts={}), progress(people)
    after: UUID | None = None
    while page := await store.people({"organization_id": whose.id}, PEOPLE_A_PAGE, after):
        part = await store.decide(whose.id, [person.id for person in page])
        done.people += part.people
        _add(done.counts, part.counts)
        after = page[-1].id
        tell(done.people)
    return done


def _add(total: Counts, part: Counts) -> None:
    for scenario, gates in part.items():
        sums = total.setdefault(scenario, {})
        for gate, number in gates.items():
            sums[gate] = sums.get(gate, 0) + number


def _tell(decided: Decided, *, as_json: bool) -> None:
    if as_json:
        typer.echo(decided.model_dump_json(indent=2))
    else:
        typer.echo(f"Evaluated {tables.people(decided.people)}\n")
        typer.echo("\n".join(tables.counts(decided.counts)))
    if decided.counts.get("quarantined"):
        raise typer.Exit(NOT_FINISHED)


@quarantine.command("list")
def list_quarantine(organization: OfOrganization = None, project: Project = None, as_json: AsJson = False) -> None:
    """Show whose evaluation failed, since when and why."""

    async def ask(store: OperatorStore) -> tuple[Organization, list[Quarantined]]:
        whose = await find_organization(store, organization)
        return whose, await store.quarantined(whose.id)

    whose, found = converse(project, ask)
    if as_json:
        typer.echo("[" + ",\n".join(one.model_dump_json(indent=2) for one in found) + "]")
        return
    zone = whose.time_zone
    rows = [
        (one.full_name, str(one.user_id), f"since {words.moment(one.since, zone)}", one.reason, one.message)
        for one in found
    ]
    typer.echo("\n".join(tables.table(rows)) or f"Nobody of {whose.name} is in quarantine.")


@quarantine.command()
def retry(
    person: Annotated[str | None, typer.Argument(metavar="PERSON", help="Id or full name; without it, all.")] = None,
    organization: OfOrganization = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate again, with all effects. Whoever fails again is back in quarantine: exit status 3."""

    async def ask(store: OperatorStore) -> Decided:
        whose = await find_organization(store, organization)
        found = await find_person(store, person, whose) if person else None
        return await store.retry(whose.id, found.id if found else None)

    _tell(converse(project, ask), as_json=as_json)
