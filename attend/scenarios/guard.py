"""The change guard: a change of a rule is shown in people, and takes effect when exactly that was acknowledged.

On a terminal it asks. Elsewhere the numbers are arguments, and they must be the ones that hold at that moment: what
was looked at an hour ago in another state of the world acknowledges nothing. Source: rules.md §3 "Switching a rule on".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import typer

from attend.api import BadInput, screen
from attend.scenarios import words
from attend.scenarios.answers import Organization, Preview, Rule
from attend.scenarios.store import OperatorStore
from attend.scenarios.tables import people, table
from shared.errors import Refused

_ANYTHING = 2_000_000_000
# What Attend itself writes of a rule; whoever changes one did not ask for it.
_KEPT = frozenset({"version", "effective_from", "evaluated_until"})
_ACTIVATIONS = {
    "skip": "only what comes from now on; who is quiet already, one cooldown later",
    "all": "everybody",
    "spread": "the others one after the other, over 7 days or as many as you say",
}


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What was said on the command line. Counts that are None are asked for.

    `by_yes`: fewer people are told, which needs no numbers but a yes; it is there or not.
    """

    added: int | None = None
    removed: int | None = None
    activation: str | None = None
    days: int | None = None
    tolerance: int = 0
    by_yes: bool | None = None


def on_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def confirm(question: str, look_first: str) -> None:
    """Asks before something with effects. Raises BadInput where nobody is there: then `look_first` says what to do."""
    if not on_terminal():
        raise BadInput(f"{question} Nobody is here to be asked.", f"Say --yes. {look_first}")
    typer.confirm(question, abort=True, err=True)


async def save(
    store: OperatorStore, organization: Organization, draft: Mapping[str, Any], said: Acknowledged, before: Rule | None
) -> Rule:
    """Shows what the draft changes, has it acknowledged, and saves it; asks again where the numbers drifted meanwhile.

    Raises BadInput where nobody is there to ask and the numbers were not given, or drifted.
    """
    while True:
        if said.added is None or said.removed is None:
            preview = await store.preview(organization.id, draft)
            screen.print("\n".join(lines(preview, before)), markup=False, soft_wrap=True)
            said_now = _agree(preview, said)
        else:
            said_now = replace(said, activation=said.activation or _only_activation(before, draft))
        try:
            return await store.save(
                organization.id,
                draft,
                (said_now.added or 0, said_now.removed or 0),
                activation=said_now.activation,
                spread_days=said_now.days,
                tolerance=_ANYTHING if said.by_yes is not None else said.tolerance,
            )
        except Refused as refused:
            if refused.code != "counts_have_drifted":
                raise
            drifted = _drifted(refused)
            if said.added is not None or not on_terminal():
                raise drifted from None
            screen.print(drifted.message, markup=False)


def _agree(preview: Preview, said: Acknowledged) -> Acknowledged:
    activation, days = said.activation, said.days
    if preview.needs_activation:
        activation = activation or _only_activation(preview.rule, {})
    if said.by_yes:
        return Acknowledged(preview.added, preview.removed, activation, days)
    if not on_terminal():
        ask_for = "" if activation or not preview.needs_activation else " --activation skip|all|spread"
        numbers = f"--added {preview.added} --removed {preview.removed}{ask_for}"
        raise BadInput(
            f"Nothing is changed yet: this is {difference(preview.added, preview.removed)} people.",
            f"Acknowledge it: {numbers if said.by_yes is None else '--yes'}",
        )
    if preview.needs_activation and activation is None:
        activation = _ask_activation(preview)
    if activation == "spread" and days is None:
        days = typer.prompt("Over how many days", type=int, default=7, err=True)
    typer.confirm(f"{difference(preview.added, preview.removed)} people: yes?", abort=True, err=True)
    return Acknowledged(preview.added, preview.removed, activation, days)


def _only_activation(rule: Rule | None, draft: Mapping[str, Any]) -> str | None:
    # Certificates that have not expired yet are what such a rule is for: there is nothing to choose.
    return "all" if (rule.type if rule else draft.get("type")) == "certification_expiry" else None


def _ask_activation(preview: Preview) -> str:
    at_once = [name for name in _ACTIVATIONS if name in (preview.activations or {})]
    while True:
        answer = typer.prompt(f"Those who match already: {', '.join(at_once)}?", err=True).strip()
        if answer in at_once:
            return answer
        screen.print(f"One of {', '.join(at_once)}.", markup=False)


def _drifted(refused: Refused) -> BadInput:
    details: Any = refused.details or {}
    seen, now = details.get("acknowledged", {}), details.get("now", {})
    return BadInput(
        f"The numbers have drifted: {difference(seen.get('added'), seen.get('removed'))} was acknowledged, "
        f"now it is {difference(now.get('added'), now.get('removed'))}. Nothing is changed.",
        f"Look again (attend rules preview), then --added {now.get('added')} --removed {now.get('removed')}; "
        "--tolerance allows for a few more or fewer.",
    )


def difference(added: int | None, removed: int | None) -> str:
    """As everybody writes it: +412 / -38."""
    return f"+{added or 0:,} / -{removed or 0:,}"


def lines(preview: Preview, before: Rule | None) -> list[str]:
    """What a change means, for reading."""
    rule = preview.rule
    state = "on" if rule.is_enabled else "off"
    said = [f"{rule.name} ({rule.type}, {state}): {words.parameters(rule)}"]
    said += [f"  {change}" for change in _changes(before, rule)]
    said.append(f"It would match {people(preview.matching)} now: {difference(preview.added, preview.removed)}.")
    if preview.needs_activation and preview.activations:
        said.append("Notifications at once to those who match already, if it took effect now:")
        choices = [(name, preview.activations[name]) for name in _ACTIVATIONS if name in preview.activations]
        said += [f"  {line}" for line in table([_choice(*choice) for choice in choices], "<><")]
    return said


def _choice(activation: str, number: int) -> tuple[str, str, str]:
    return activation, f"{number:,}", _ACTIVATIONS[activation]


def _changes(before: Rule | None, after: Rule) -> list[str]:
    if before is None:
        return []
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    return [
        f"{name}: {_said(old[name])} becomes {_said(value)}"
        for name, value in new.items()
        if name in old and name not in _KEPT and old[name] != value
    ]


def _said(value: Any) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )
