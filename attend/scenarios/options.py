"""Options that several commands have in common: a rule's parameters, and what acknowledges a change.

A new scenario's parameters get their options here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from attend.api import BadInput
from attend.scenarios.asking import parse_numbers
from attend.scenarios.guard import Acknowledged

type Options = Mapping[str, tuple[Any, str, str]]
"""Name of the argument: its type, its flag, its help."""

_PARAMETERS: Options = {
    "type": (str, "--type", "Of a new rule: inactivity, milestone or certification_expiry."),
    "name": (str, "--name", "What it is called; no two of a type alike."),
    "is_enabled": (bool, "--enabled/--disabled", "Whether it tells anybody; of a new rule it must be said."),
    "priority": (int, "--priority", "Who goes first where somebody's day is full: 0 to 1000."),
    "is_mandatory": (bool, "--mandatory/--not-mandatory", "Told whatever the person's preferences say."),
    "informs_coordinators": (bool, "--informs-coordinators/--informs-nobody-else", "Their coordinators see it, too."),
    "threshold_days": (int, "--threshold-days", "inactivity: days without a completed activity, 1 to 3650."),
    "cooldown_days": (int, "--cooldown-days", "inactivity: days before a person is reminded again, 1 to 3650."),
    "max_reminders": (int, "--max-reminders", "inactivity: notifications in one spell, 1 to 100."),
    "metric": (str, "--metric", "milestone: sessions, hours or contacts."),
    "period": (str, "--period", "milestone: year or all_time."),
    "thresholds": (str, "--thresholds", "milestone: the counts that are celebrated, as 50,100."),
    "max_age_days": (int, "--max-age-days", "milestone: days after which it is recorded, not celebrated, 1 to 366."),
    "lead_days": (str, "--lead-days", "certification_expiry: days before the end, as 30,7; each 1 to 365."),
}
_LISTS = ("thresholds", "lead_days")


_ACKNOWLEDGING: Options = {
    "added": (int, "--added", "Acknowledges so many people more."),
    "removed": (int, "--removed", "Acknowledges so many people fewer."),
    "tolerance": (int, "--tolerance", "How far the numbers acknowledged may be off; 0 by default."),
    "activation": (str, "--activation", "What becomes of those who match already: skip, all or spread."),
    "days": (int, "--days", "With --activation spread: over how many days, 1 to 365."),
}


def _takes[**P, R](
    argument: str, panel: str, options: Options, make: Callable[[dict[str, Any]], Any], command: Callable[P, R]
) -> Callable[..., R]:
    """Gives a command these options in place of its argument, which is made of them."""

    @functools.wraps(command)
    def taking(**given: Any) -> R:
        made = make({name: given.pop(name) for name in options})
        return command(**given, **{argument: made})  # type: ignore[call-arg] - typer calls by the signature below

    own = [one for one in inspect.signature(command, eval_str=True).parameters.values() if one.name != argument]
    for name, (kind, flag, told) in options.items():
        annotation = Annotated[kind | None, typer.Option(flag, help=told, rich_help_panel=panel)]
        own.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    # Beside the signature, because typer reads the one for the order and the other for the types.
    taking.__annotations__ = {one.name: one.annotation for one in parameters}
    return taking


def takes_parameters[**P, R](command: Callable[P, R]) -> Callable[..., R]:
    """Gives a command the parameters of a rule as options; it gets those that were said as `parameters`."""
    return _takes("parameters", "The rule", _PARAMETERS, _draft, command)


def takes_acknowledgement[**P, R](command: Callable[P, R]) -> Callable[..., R]:
    """Gives a command what a script acknowledges a change with; it gets it as `said`."""
    return _takes("said", "In place of being asked", _ACKNOWLEDGING, _acknowledged, command)


def _acknowledged(said: Mapping[str, Any]) -> Acknowledged:
    if (said["added"] is None) != (said["removed"] is None):
        raise BadInput("--added and --removed go together.", "Where there is none: --removed 0")
    for name in ("added", "removed", "tolerance"):
        if (said[name] or 0) < 0:
            raise BadInput(f"--{name} {said[name]} is no number of people.", "Allowed: 0 and more.")
    return Acknowledged(
        said["added"], said["removed"], said["activation"], said["days"], tolerance=said["tolerance"] or 0
    )


def _draft(said: Mapping[str, Any]) -> dict[str, Any]:
    draft = {name: value for name, value in said.items() if value is not None}
    for name in _LISTS:
        if name in draft:
            draft[name] = parse_numbers(_PARAMETERS[name][1], draft[name])
    return draft


def complete(draft: Mapping[str, Any]) -> None:
    """Raises BadInput where a new rule lacks what has no default."""
    if not {"type", "name", "is_enabled"} <= draft.keys():
        raise BadInput(
            "A new rule needs --type, --name, and --enabled or --disabled.",
            "To change one that there is, name it: attend rules save 'Three weeks quiet' --threshold-days 28",
        )
