"""`attend statistics`: rebuild, reconcile, and see whether statistics keep up, through the project's API.

The same runs as the function's, in the same ledger: whoever comes next, this command, the function or cron, continues
what another left. Source: rules.md §2, docs/statistics.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import time
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from attend.api import WHERE, AsJson, Project, screen, speak
from attend.words import ago
from functions.statistics_recompute.engine import SMALLEST_CHUNK
from functions.statistics_recompute.payload import RunKind
from functions.statistics_recompute.store import StatisticsStatus, StatisticsStore
from shared.runs import ChunkResult, Pace, RunOutcome

_LINE_EVERY_SECONDS = 2.0
NOT_FINISHED = 3

People = Annotated[int, typer.Option("--people", min=1, max=50_000, help="People in one transaction.")]

group = typer.Typer(
    help=f"Activity statistics: rebuild, reconcile, status. {WHERE}",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.add_typer(group, name="statistics")


@group.command()
def rebuild(project: Project = None, people: People = 200, as_json: AsJson = False) -> None:
    """Recompute every row of everybody; continues an open rebuild. Ctrl-C pauses it. Exit status 3: not finished."""
    _run("statistics-rebuild", project, people, as_json=as_json)


@group.command()
def reconcile(project: Project = None, people: People = 200, as_json: AsJson = False) -> None:
    """Find rows that differ from their activities, repair and report them. Exit status 3: not finished."""
    _run("statistics-reconcile", project, people, as_json=as_json)


@group.command()
def status(project: Project = None, as_json: AsJson = False) -> None:
    """Show whether statistics keep up: what waits, the latest runs, the schedules."""
    found = _speak(project, lambda store: store.status())
    typer.echo(found.model_dump_json(indent=2) if as_json else "\n".join(_status_lines(found, datetime.now(UTC))))


def _speak[T](project: Path | None, ask: Callable[[StatisticsStore], Awaitable[T]]) -> T:
    open_run = "An open run continues where it stopped."
    return speak(project, "Statistics", lambda supabase: ask(StatisticsStore(supabase)), otherwise=open_run)


def _run(kind: RunKind, project: Path | None, people: int, *, as_json: bool) -> None:
    outcome = _speak(project, lambda store: _work(store, kind, people))
    typer.echo(outcome.model_dump_json(indent=2, exclude_none=True) if as_json else _sentence(kind, outcome))
    if outcome.outcome != "finished":
        raise typer.Exit(NOT_FINISHED)


async def _work(store: StatisticsStore, kind: RunKind, people: int) -> RunOutcome:
    open_ones = [run for run in (await store.status()).runs if run.kind == kind and run.state != "finished"]
    progress = Progress(await store.people(), sum(run.people for run in open_ones))
    for run in open_ones:
        screen.print(f"Run {run.run_id} is open since {run.started_at:%Y-%m-%d %H:%M} UTC: continuing it.")
    with _stopping() as stopping:
        pace = Pace(math.inf, people, 60, time.monotonic, stopping, smallest_chunk=SMALLEST_CHUNK)
        return await store.work_through_everybody(kind, pace, None, progress)


class Progress:
    """Lines on stderr, at most one in two seconds: how many people are done, and how long the rest may take."""

    def __init__(self, total: int, before: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._total, self._before, self._monotonic = total, before, monotonic
        self._began = self._told = monotonic()
        self._here = 0

    def __call__(self, run_id: int, chunk: ChunkResult) -> None:
        """Takes note of a chunk."""
        self._here += chunk.people
        now = self._monotonic()
        if chunk.done or now - self._told >= _LINE_EVERY_SECONDS:
            self._told = now
            screen.print(self.line(run_id, now))

    def line(self, run_id: int, now: float) -> str:
        """What is told; people who came or went meanwhile make the total an estimate."""
        done = self._before + self._here
        rate = self._here / max(now - self._began, 0.001)
        rest = max(self._total - done, 0)
        left = f", about {rest / rate:.0f} s left" if rest and rate else ""
        return f"Run {run_id}: {done:,} of {max(self._total, done):,} people, {rate:,.0f} a second{left}"


@contextlib.contextmanager
def _stopping() -> Generator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the chunk under way and give the lease back; a second Ctrl-C ends the process."""
    loop = asyncio.get_running_loop()
    told: list[int] = []

    def stop(number: int) -> None:
        told.append(number)
        loop.remove_signal_handler(number)
        screen.print("Pausing after this chunk.")

    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield lambda: bool(told)
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _sentence(kind: RunKind, outcome: RunOutcome) -> str:
    name = kind.removeprefix("statistics-")
    counts = outcome.run.counts.get("statistics", {}) if outcome.run else {}
    chunks = "chunk" if outcome.run and outcome.run.chunks == 1 else "chunks"
    done = f"{outcome.run.people:,} people in {outcome.run.chunks:,} {chunks}" if outcome.run else ""
    rows = "; ".join(f"{gate.replace('_', ' ')}: {number:,}" for gate, number in sorted(counts.items()))
    match outcome.outcome:
        case "finished":
            return f"The {name} is finished: {done}. {rows.capitalize() or 'No rows'}."
        case "in_progress" if outcome.stopped_by is None:
            return f"Other processes work on what is left of the {name}: {done} so far."
        case "in_progress":
            return f"The {name} is paused after {done}. The same command continues it, and so does cron."
        case "busy":
            return f"Another process works on a {name} at the moment. `attend statistics status` shows how far it is."
        case "lease_lost":
            return f"Another process has taken this {name} over. `attend statistics status` shows how far it is."


def _status_lines(status: StatisticsStatus, now: datetime) -> list[str]:
    marks = status.marks
    since = f", the oldest since {ago(marks.oldest_at, now)}" if marks.oldest_at else ""
    lines = [f"marks      {marks.waiting:,} wait, of {marks.people:,} people{since}"]
    for run in status.runs:
        counts = ", ".join(f"{gate.replace('_', ' ')} {n:,}" for gate, n in run.counts.get("statistics", {}).items())
        state_and_people = f"{run.state.replace('_', ' ')}, {run.people:,} people"
        lines.append(f"run {run.run_id:<6} {run.kind}: {state_and_people}, {counts or 'no rows'}")
    for schedule in status.schedules:
        succeeded = ago(schedule.last_succeeded_at, now) if schedule.last_succeeded_at else "never"
        lines.append(f"schedule   {schedule.name}: last succeeded {succeeded}")
    return lines
