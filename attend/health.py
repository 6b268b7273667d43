"""`attend health`: how Attend itself is, in the words of its database.

Source: product.md "truth about itself", rules.md §6. What can be found, and what to do then: docs/runbook.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from attend.api import WHERE, AsJson, Project, screen, speak
from attend.scenarios.tables import table
from attend.stack.errors import StackError
from attend.words import ago, span
from shared.health import HealthRow, read_health

FINDINGS = 1
NOT_REACHABLE = 2
# Worst first.
SEVERITIES = ("error", "warning", "note")

Watch = Annotated[
    float | None, typer.Option("--watch", min=1, max=86_400, help="Look again every so many seconds, until Ctrl-C.")
]


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("health", epilog=WHERE)(health)


def health(project: Project = None, watch: Watch = None, as_json: AsJson = False) -> None:
    """Say how Attend is: schedules, calls and functions, what waits, what the nightly proofs found; and what to do.

    Exit status 0: well (there may be notes). 1: findings. 2: the database does not answer.
    """
    status = _look(project, as_json=as_json)
    try:
        while watch is not None:
            time.sleep(watch)
            status = _look_again(project, as_json=as_json)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(status)


def _look_again(project: Path | None, *, as_json: bool) -> int:
    try:
        return _look(project, as_json=as_json)
    except StackError as error:
        # Whoever watches a restart wants to see its end.
        screen.print(f"{error.message} {error.hint}", markup=False, soft_wrap=True)
        return NOT_REACHABLE


def _look(project: Path | None, *, as_json: bool) -> int:
    try:
        rows = speak(project, "Health", read_health)
    except StackError as error:
        if as_json:
            typer.echo(json.dumps({"status": "not_reachable", "message": error.message, "rows": []}))
        error.exit_status = NOT_REACHABLE
        raise
    found = any(row.severity in {"error", "warning"} for row in rows)
    if as_json:
        said = [row.model_dump(mode="json") for row in rows]
        typer.echo(json.dumps({"status": "findings" if found else "well", "rows": said}, indent=2))
    else:
        typer.echo("\n".join(lines(rows)))
    return FINDINGS if found else 0


def lines(rows: Sequence[HealthRow]) -> list[str]:
    """Everything, for people: first what is wrong and what to do, then the figures."""
    now = rows[0].checked_at
    found = [row for severity in SEVERITIES for row in rows if row.severity == severity]
    said = [_sentence(rows)]
    for row in found:
        since = f", since {ago(row.since, now)}" if row.since else ""
        said += ["", f"{row.severity.upper():<8} {row.finding}: {row.part} {row.name}{since}"]
        said += [f"         {text}" for text in (row.says, f"Do: {row.remedy}", row.runbook)]
    for title, part, columns in _TABLES:
        cells = [_cells(row, columns, now) for row in rows if row.part == part]
        said += ["", *table([(title, *columns), *cells], align="<" + ">" * len(columns))]
    return said


def _sentence(rows: Sequence[HealthRow]) -> str:
    numbers = {severity: sum(row.severity == severity for row in rows) for severity in SEVERITIES}
    told = ", ".join(f"{n} {severity}{'s' if n > 1 else ''}" for severity, n in numbers.items() if n)
    well = not (numbers["error"] or numbers["warning"])
    return f"{'Attend is well' if well else 'Attend is not well'}{f': {told}' if told else ''}."


# A column's heading, the figure it shows, and what kind of figure that is.
_SCHEDULE = {
    "due every": ("expected_seconds", "span"),
    "started": ("last_started_at", "ago"),
    "succeeded": ("last_succeeded_at", "ago"),
    "took": ("last_duration_seconds", "duration"),
    "window": ("window_seconds", "span"),
}
_FUNCTION = {
    "rung (15 min)": ("rung", "number"),
    "handled": ("handled", "number"),
    "typically after": ("seconds_to_handle", "duration"),
    "last rung": ("last_rung_at", "ago"),
    "last handled": ("last_handled_at", "ago"),
}
_BACKLOG = {"waiting": ("waiting", "number"), "oldest": ("oldest_at", "ago"), "may wait": ("tolerance_seconds", "span")}
_PROOF = {
    "looked": ("looked_at", "ago"),
    "people": ("people", "number"),
    "missed by ticks": ("missed_by_ticks", "number"),
    "with drift": ("people_with_drift", "number"),
}
type _Columns = dict[str, tuple[str, str]]
_TABLES: tuple[tuple[str, str, _Columns], ...] = (
    ("schedule", "schedule", _SCHEDULE),
    ("function", "function", _FUNCTION),
    ("waits", "backlog", _BACKLOG),
    ("proof", "proof", _PROOF),
)


def _cells(row: HealthRow, columns: _Columns, now: datetime) -> tuple[str, ...]:
    mark = f"{row.name}{'' if row.severity == 'ok' else ' !'}"
    return (mark, *(_shown(row.figures.get(figure), kind, now) for figure, kind in columns.values()))


def _shown(value: Any, kind: str, now: datetime) -> str:
    match value, kind:
        case None, _:
            return "-"
        case _, "ago":
            return ago(datetime.fromisoformat(value), now)
        case _, "span":
            return span(value)
        case _, "duration":
            return f"{value:,.2f} s" if value < 120 else span(value)
        case _:
            return f"{value:,}"
