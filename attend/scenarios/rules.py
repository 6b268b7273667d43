"""`attend rules`: what an organisation wants noticed, and what a change of it would mean."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from attend.api import WHERE, AsJson, BadInput, Project, screen
from attend.scenarios import guard, words
from attend.scenarios.answers import Organization, Rule, RuleVersion
from attend.scenarios.asking import OfOrganization, converse, find_organization, find_rule
from attend.scenarios.guard import Acknowledged
from attend.scenarios.options import complete, takes_acknowledgement, takes_parameters
from attend.scenarios.store import OperatorStore
from attend.scenarios.tables import table

group = typer.Typer(help=f"Rules: who is told what. {WHERE}", no_args_is_help=True)

RuleName = Annotated[str, typer.Argument(metavar="RULE", help="Its id or its name.")]
MaybeRule = Annotated[
    str | None, typer.Argument(metavar="RULE", help="Id or name of the rule to change; without it, a new one.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@group.command("list")
def list_rules(organization: OfOrganization = None, project: Project = None, as_json: AsJson = False) -> None:
    """Show the rules of an organisation."""

    async def ask(store: OperatorStore) -> tuple[Organization, list[Rule]]:
        found = await find_organization(store, organization)
        return found, await store.rules(found.id)

    whose, rules = converse(project, ask)
    if as_json:
        _print_json([rule.model_dump(mode="json") for rule in rules])
        return
    rows = [
        (rule.name, rule.type, "on" if rule.is_enabled else "off", f"version {rule.version}", words.parameters(rule))
        for rule in rules
    ]
    typer.echo(
        "\n".join(table(rows)) or f"{whose.name} has no rules, so nobody is told anything: attend rules save --help"
    )


@group.command()
def show(rule: RuleName, organization: OfOrganization = None, project: Project = None, as_json: AsJson = False) -> None:
    """Show a rule with its parameters and its versions."""

    async def ask(store: OperatorStore) -> tuple[Organization, Rule, list[RuleVersion]]:
        whose = await find_organization(store, organization)
        found = await find_rule(store, whose, rule)
        return whose, found, await store.versions(whose.id, found.id)

    whose, found, versions = converse(project, ask)
    if as_json:
        past = [version.model_dump(mode="json") for version in versions]
        _print_json(found.model_dump(mode="json") | {"versions": past})
        return
    zone = whose.time_zone
    rows = [
        ("id", str(found.id)),
        ("name", found.name),
        ("type", found.type),
        ("is", "on" if found.is_enabled else "off"),
        ("tells", words.parameters(found)),
        ("priority", str(found.parameter("priority"))),
        ("since", f"{words.moment(found.effective_from, zone)}, activated with {_activation(found)}"),
        ("evaluated until", words.moment(found.evaluated_until, zone)),
    ]
    typer.echo("\n".join(table(rows)))
    typer.echo(f"\nVersions ({zone})")
    typer.echo("\n".join(table([_version(version, zone) for version in versions])))


def _activation(rule: Rule) -> str:
    return f"spread over {rule.spread_days} days" if rule.activation == "spread" else str(rule.activation)


def _version(past: RuleVersion, zone: str) -> tuple[str, str, str, str]:
    until = "" if past.valid_to == "infinity" else f"until {words.moment(past.valid_to, zone)}"
    state = "on" if past.rule.is_enabled else "off"
    return (
        f"  {past.version}",
        f"from {words.moment(past.valid_from, zone)}",
        until,
        f"{state}; {words.parameters(past.rule)}",
    )


@group.command()
@takes_parameters
def preview(
    parameters: dict[str, Any],
    rule: MaybeRule = None,
    organization: OfOrganization = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Show whom a new or changed rule would concern: people more and people fewer. Changes nothing."""

    async def ask(store: OperatorStore) -> tuple[Any, Rule | None]:
        whose = await find_organization(store, organization)
        before, draft = await _draft(store, whose, rule, parameters)
        return await store.preview(whose.id, draft), before

    found, before = converse(project, ask)
    typer.echo(found.model_dump_json(indent=2) if as_json else "\n".join(guard.lines(found, before)))


@group.command()
@takes_acknowledgement
@takes_parameters
def save(
    parameters: dict[str, Any],
    said: Acknowledged,
    rule: MaybeRule = None,
    organization: OfOrganization = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Make a rule, or a new version of one. Shows whom it concerns, and asks."""
    _save(rule, parameters, said, organization, project, as_json=as_json)


@group.command()
@takes_acknowledgement
def enable(
    said: Acknowledged,
    rule: RuleName,
    organization: OfOrganization = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Switch a rule on. Shows whom it concerns, and asks what becomes of those who match already."""
    _save(rule, {"is_enabled": True}, said, organization, project, as_json=as_json)


@group.command()
def disable(
    rule: RuleName,
    organization: OfOrganization = None,
    yes: Yes = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Switch a rule off, and take back what it has not delivered yet."""
    said = Acknowledged(by_yes=yes)
    _save(rule, {"is_enabled": False}, said, organization, project, as_json=as_json)


@group.command()
def delete(
    rule: RuleName,
    organization: OfOrganization = None,
    yes: Yes = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Delete a rule. What was told by it stays, and its versions."""

    async def ask(store: OperatorStore) -> Rule:
        whose = await find_organization(store, organization)
        found = await find_rule(store, whose, rule)
        if not yes:
            _confirm(f"Delete {found.name} ({found.type}) of {whose.name}?")
        return await store.delete(whose.id, found.id)

    _tell("Deleted", converse(project, ask), as_json=as_json)


def _confirm(question: str) -> None:
    if not guard.on_terminal():
        raise BadInput(f"{question} Nobody is here to be asked.", "Say --yes.")
    typer.confirm(question, abort=True, err=True)


def _save(
    rule: str | None,
    parameters: dict[str, Any],
    said: Acknowledged,
    organization: str | None,
    project: Any,
    *,
    as_json: bool,
) -> None:
    async def ask(store: OperatorStore) -> Rule:
        whose = await find_organization(store, organization)
        before, draft = await _draft(store, whose, rule, parameters)
        return await guard.save(store, whose, draft, said, before)

    _tell("Saved", converse(project, ask), as_json=as_json)


async def _draft(
    store: OperatorStore, whose: Organization, rule: str | None, parameters: dict[str, Any]
) -> tuple[Rule | None, dict[str, Any]]:
    if rule is None:
        complete(parameters)
        return None, parameters
    before = await find_rule(store, whose, rule)
    return before, parameters | {"id": str(before.id)}


def _tell(what: str, rule: Rule, *, as_json: bool) -> None:
    if as_json:
        _print_json(rule.model_dump(mode="json"))
        return
    state = "on" if rule.is_enabled else "off"
    screen.print(f"{what}: {rule.name} ({rule.type}), version {rule.version}, {state}.", markup=False, soft_wrap=True)


def _print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
