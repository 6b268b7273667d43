"""From what an operator typed to whom and what it means; and what a refusal of the database's means to an operator."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from attend.api import BadInput, speak
from attend.scenarios.answers import Organization, Person, Rule
from attend.scenarios.store import OperatorStore
from attend.stack.errors import StackError
from shared.errors import AttendError, Refused

OfOrganization = Annotated[
    str | None,
    typer.Option("--organization", "-o", help="Its id or its name; may be left out where there is only one."),
]
Scenario = Annotated[
    str | None, typer.Option("--scenario", help="One scenario: inactivity, milestone, certification_expiry.")
]
At = Annotated[
    str | None,
    typer.Option("--at", help="A time of the past with its zone, as 2026-11-01T08:00+01:00; now by default."),
]


def converse[T](project: Path | None, ask: Callable[[OperatorStore], Awaitable[T]]) -> T:
    """One conversation about scenarios; refusals become sentences."""
    return speak(project, "Scenarios", lambda supabase: ask(OperatorStore(supabase)), refusal)


def parse_time(text: str | None) -> datetime | None:
    """Reads a time with its zone. Raises BadInput."""
    if text is None:
        return None
    how = "Say it with its zone, as 2026-11-01T08:00+01:00 or 2026-11-01T07:00Z."
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"{text!r} is no time.", how) from None
    if at.tzinfo is None:
        raise BadInput(f"{text!r} is another instant in every zone.", how)
    return at


def parse_numbers(option: str, text: str | None) -> list[int] | None:
    """Reads whole numbers with commas between them. Raises BadInput."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"{option} {text!r} is no list of whole numbers.", f"As: {option} 30,7") from None


def as_uuid(text: str) -> UUID | None:
    """The id that a text is, or None: then it is a name."""
    try:
        return UUID(text)
    except ValueError:
        return None


async def find_organization(store: OperatorStore, named: str | None) -> Organization:
    """By id or by unique name; without either, the only one there is. Raises BadInput."""
    if named is None:
        found = await store.organizations({}, rows=2)
        if len(found) != 1:
            raise BadInput("Which organisation?", await _organizations_there_are(store))
        return found[0]
    identity = as_uuid(named)
    found = await store.organizations({"name": named} if identity is None else {"id": identity}, rows=11)
    if not found:
        raise BadInput(f"There is no organisation {named!r}.", await _organizations_there_are(store))
    if len(found) > 1:
        raise BadInput(f"Several organisations are called {named!r}.", f"Say which, by id: {_list(found)}.")
    return found[0]


async def _organizations_there_are(store: OperatorStore) -> str:
    found = await store.organizations({}, rows=11)
    names = ", ".join(f"{one.name!r}" for one in found[:10]) + (", and others" if len(found) > 10 else "")
    return f"Name one with --organization: {names}." if found else "There is none yet in this project."


async def find_person(store: OperatorStore, named: str, organization: Organization | None) -> Person:
    """By id or by full name. Raises BadInput when nobody is, or several are called so."""
    identity = as_uuid(named)
    filters: dict[str, object] = {"full_name": named} if identity is None else {"id": identity}
    filters |= {"organization_id": organization.id} if organization else {}
    found = await store.people(filters, rows=11)
    where = f" in {organization.name}" if organization else ""
    if not found:
        raise BadInput(f"There is nobody{where} with the {'id' if identity else 'full name'} {named!r}.")
    if len(found) > 1:
        raise BadInput(f"Several people{where} are called {named!r}.", f"Say which, by id: {_list(found)}.")
    return found[0]


async def find_rule(store: OperatorStore, organization: Organization, named: str) -> Rule:
    """By id or by name, which may be taken once a type. Raises BadInput."""
    rules = await store.rules(organization.id)
    found = [rule for rule in rules if named in {str(rule.id), rule.name}]
    if not found:
        names = ", ".join(f"{rule.name!r}" for rule in rules)
        there = f"There are: {names}." if rules else "It has none yet: attend rules save --help"
        raise BadInput(f"{organization.name} has no rule {named!r}.", there)
    if len(found) > 1:
        ids = ", ".join(f"{rule.id} ({rule.type})" for rule in found)
        raise BadInput(f"Several rules of {organization.name} are called {named!r}.", f"Say which, by id: {ids}.")
    return found[0]


def _list(found: Sequence[Organization | Person]) -> str:
    return ", ".join(str(one.id) for one in found[:10]) + (", and others" if len(found) > 10 else "")


def refusal(error: AttendError, also: Mapping[str, tuple[str, str]] | None = None) -> StackError | None:
    """What a refusal of the rules in SQL means to whoever typed. None: it is no refusal.

    `also`: sentences of another part, a message and what to do, by code.
    """
    if not isinstance(error, Refused):
        return None
    details: dict[str, Any] = error.details if isinstance(error.details, dict) else {}
    told = {**_REFUSALS, **(also or {})}.get(error.code)
    if told is None:
        return BadInput(error.message, json.dumps(details) if details else "")
    message, hint = told
    values = _Values({key: _time(key, value) or _plain(value) for key, value in details.items()})
    return BadInput(message.format_map(values), hint.format_map(values))


class _Values(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


def _time(key: str, value: object) -> str | None:
    if key not in {"at", "earliest", "latest"} or not isinstance(value, str):
        return None
    # In whole seconds that lie within the range, to be copied.
    at = datetime.fromisoformat(value).astimezone(UTC) + timedelta(seconds=key == "earliest")
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | bool) or value is None else str(value)


_REFUSALS = {
    "unknown_organization": ("There is no organisation {organization_id}.", ""),
    "unknown_user": ("There is nobody {user_id}.", ""),
    "unknown_rule": ("There is no rule {rule_id}.", "attend rules list"),
    "unknown_scenario": ("There is no scenario {scenario}.", "There are: {allowed}."),
    "time_out_of_range": ("Nothing is known of {at}.", "Ask about a time from {earliest} to {latest}."),
    "parameter_out_of_range": ("{parameter} cannot be {value}.", "Allowed: {allowed}."),
    "parameter_of_wrong_type": ("A parameter has a value of another type: {problem}.", ""),
    "unknown_parameter": ("A rule of type {type} has no {unknown}.", "It has: {allowed}."),
    "rule_is_incomplete": ("A new rule needs {needed}.", ""),
    "type_cannot_change": ("A rule keeps its type.", "Make another rule."),
    "metric_cannot_change": ("A rule keeps what it counts.", "Make another rule."),
    "rule_name_is_taken": ("There is another rule of this type with the name {name}.", ""),
    "activation_is_needed": (
        "What becomes of those who match already?",
        "--activation skip (never tell them of it), all (tell them now) or spread (--days: over some days).",
    ),
    "certificates_are_never_skipped": (
        "Certificates that have not expired yet are what the rule is for.",
        "--activation all, or leave it out.",
    ),
    "spread_days_out_of_range": (
        "--days goes with --activation spread, and with nothing else.",
        "As: --activation spread --days 7; allowed: {minimum} to {maximum}.",
    ),
    "not_in_quarantine": ("Nobody to retry: not in quarantine.", "attend quarantine list"),
}
