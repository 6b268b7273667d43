"""`attend dry-run` and `attend explain`: what would happen, and why; without any effect.

A dry run is of everybody and never cut off: it comes in pages, and is kept in a file until its counts are known.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import IO, Annotated
from uuid import UUID

import typer

from attend.api import AsJson, BadInput, Project, screen
from attend.scenarios import tables, words
from attend.scenarios.answers import Explanation, GateRow, Organization, Rule
from attend.scenarios.asking import (
    At,
    OfOrganization,
    Scenario,
    converse,
    find_organization,
    find_person,
    parse_time,
)
from attend.scenarios.store import OperatorStore
from shared.runs import Counts

_LINE_EVERY_SECONDS = 2.0


def dry_run(
    organization: OfOrganization = None,
    at: At = None,
    scenario: Scenario = None,
    gate: Annotated[str | None, typer.Option("--gate", help="Only rows with this gate; the counts are of all.")] = None,
    project: Project = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A JSON document a line: each row, then {counts, people, rows, at}.")
    ] = False,
) -> None:
    """Say for everybody and every rule what an evaluation would do, now or at a time of the past. No effects."""
    moment = parse_time(at)
    if gate is not None and gate not in words.GATES.keys() - {"sent"}:
        raise BadInput(f"There is no gate {gate!r}.", f"There are: {', '.join(sorted(words.GATES.keys() - {'sent'}))}.")
    converse(project, lambda store: _dry_run(store, organization, moment, scenario, gate, as_json=as_json))


@dataclass(slots=True)
class _Seen:
    """What a dry run has come by: a few numbers, however many people."""

    counts: Counts = field(default_factory=dict)
    people: int = 0
    rows: int = 0

    def add(self, rows: list[GateRow]) -> None:
        self.people += len({row.user_id for row in rows})
        self.rows += len(rows)
        for row in rows:
            gates = self.counts.setdefault(row.scenario, {})
            gates[row.gate] = gates.get(row.gate, 0) + 1


async def _dry_run(
    store: OperatorStore,
    organization: str | None,
    at: datetime | None,
    scenario: str | None,
    gate: str | None,
    *,
    as_json: bool,
) -> None:
    whose = await find_organization(store, organization)
    names = await _RuleNames.of(store, whose.id)
    asked_at = at or datetime.now(UTC)
    seen, tell = _Seen(), progress(await store.count_people(whose.id))
    with tempfile.TemporaryFile("w+", encoding="utf-8") as kept:
        out: IO[str] = sys.stdout if as_json else kept
        async for rows in store.dry_run(whose.id, at, scenario):
            seen.add(rows)
            for row in rows:
                if gate in {None, row.gate}:
                    name = await names.name(row.rule_id)
                    out.write(_json_line(row, name) if as_json else _row(row, name, whose.time_zone))
            tell(seen.people)
        if as_json:
            summary = {"counts": seen.counts, "people": seen.people, "rows": seen.rows, "at": asked_at.isoformat()}
            typer.echo(json.dumps(summary))
            return
        zone = whose.time_zone
        when = f"{words.moment(asked_at, zone)} {zone}"
        if not seen.rows:
            typer.echo(f"Dry run of {whose.name}, {when}: no rule looks at anybody.")
            return
        typer.echo(f"Dry run of {whose.name}, {when}: {tables.people(seen.people)}, {seen.rows:,} answers\n")
        typer.echo("\n".join(tables.counts(seen.counts)) + "\n")
        kept.seek(0)
        shutil.copyfileobj(kept, sys.stdout)


def _json_line(row: GateRow, rule: str) -> str:
    return json.dumps(row.model_dump(mode="json") | {"rule_name": rule}, ensure_ascii=False) + "\n"


def _row(row: GateRow, rule: str, zone: str) -> str:
    about = words.subject(row.scenario, row.subject, row.detail)
    dates = [f"crossed {words.moment(row.crossed_at, zone)}"] if row.crossed_at else []
    dates += [f"eligible {words.moment(row.eligible_again_at, zone)}"] if row.eligible_again_at else []
    dates += [f"pushed {words.moment(row.release_at, zone)}"] if row.gate == "quiet_hours" else []
    what = f"{rule}: {about}" if about else rule
    # Columns of a fixed width, which longer words break: nothing is cut, and nothing waits for the widest.
    return f"{row.full_name:<24}  {row.gate:<18}  {what:<40}  {', '.join(dates)}".rstrip() + "\n"


@dataclass(slots=True)
class _RuleNames:
    """Names of rules, of those that are gone too."""

    store: OperatorStore
    organization_id: UUID
    known: dict[UUID, str]

    @classmethod
    async def of(cls, store: OperatorStore, organization_id: UUID) -> _RuleNames:
        rules: list[Rule] = await store.rules(organization_id)
        return cls(store, organization_id, {rule.id: rule.name for rule in rules})

    async def name(self, rule_id: UUID | None) -> str:
        if rule_id is None:
            return "told by another sender"
        if rule_id not in self.known:
            versions = await self.store.versions(self.organization_id, rule_id)
            self.known[rule_id] = f"{versions[-1].rule.name} (deleted)" if versions else str(rule_id)
        return self.known[rule_id]


def progress(total: int, monotonic: Callable[[], float] = time.monotonic) -> Callable[[int], None]:
    """Lines on stderr, at most one in two seconds, and none where it is over sooner."""
    told = monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if monotonic() - told >= _LINE_EVERY_SECONDS:
            told = monotonic()
            screen.print(f"{done:,} of {max(total, done):,} people")

    return tell


def explain(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="An id, or a full name.")],
    scenario: Scenario = None,
    at: At = None,
    organization: OfOrganization = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Say why a person would or would not be told something, now or at a time of the past, and what they were told."""
    moment = parse_time(at)

    async def ask(store: OperatorStore) -> tuple[Explanation, dict[UUID | None, str]]:
        whose: Organization | None = await find_organization(store, organization) if organization else None
        found = await find_person(store, person, whose)
        answer = await store.explain(found, scenario, moment)
        names = await _RuleNames.of(store, found.organization_id)
        rules = {row.rule_id for row in (*answer.answers, *answer.told, *answer.held)}
        return answer, {rule_id: await names.name(rule_id) for rule_id in rules}

    answer, names = converse(project, ask)
    typer.echo(answer.model_dump_json(indent=2) if as_json else "\n".join(explanation(answer, names)))


def explanation(answer: Explanation, names: dict[UUID | None, str]) -> list[str]:
    """An explanation to be read to the person concerned."""
    zone = answer.user.time_zone
    lines = [
        f"{answer.user.full_name}, {answer.user.role.replace('_', ' ')}",
        f"{words.moment(answer.at, zone)} ({zone})",
    ]
    if answer.quarantine:
        since = words.moment(answer.quarantine.since, zone)
        lines += ["", f"In quarantine since {since}, and not evaluated: {answer.quarantine.message}"]
    for rule_id, rows in groupby(answer.answers, lambda row: row.rule_id):
        lines += ["", *_about_rule(names[rule_id], list(rows), answer.at, zone)]
    if not answer.answers:
        lines += ["", "No rule looks at this person."]
    lines += ["", "Told so far" if answer.told else "Told nothing so far."]
    lines += [f"  {words.told(past, names[past.rule_id], zone)}" for past in answer.told]
    if answer.held:
        lines += ["", "Matched and not told"]
        lines += [f"  {words.held(past, names[past.rule_id], zone)}" for past in answer.held]
    return lines


def _about_rule(name: str, rows: list[GateRow], at: datetime, zone: str) -> list[str]:
    lines = [f"{name} ({rows[0].scenario}, version {rows[0].rule_version})"]
    for row in sorted(rows, key=lambda row: (row.detail.get("name", ""), row.detail.get("threshold", 0))):
        about = words.subject(row.scenario, row.subject, row.detail)
        gate = words.GATES.get(row.gate, row.gate)
        said = [f"  {about}: {gate}." if about else f"  {_capital(gate)}."]
        said += [f"    {more}" for more in (words.facts(row, at, zone), words.consequence(row, zone)) if more]
        # Without a certificate each lead says the same.
        lines += said if said[0] not in lines else []
    return lines


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
