"""`attend bench`: runs the benchmarks and prints ours, the limit, their ratio, the target and the naive form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from attend.bench import (
    care,
    evaluation,
    importing,
    outbox,
    panel,
    panel_page,
    path,
    recomputing,
    report,
    scheduled_run,
    steady,
    writing,
)
from attend.bench.measure import SIZES, Figure, Size, WrongResultError
from attend.bench.stack import whole
from attend.bench.workplace import workplace

Source = Callable[[Size], Iterator[Figure]]


def _in_sql(figures: Callable[..., Iterator[Figure]]) -> Source:
    def run(size: Size) -> Iterator[Figure]:
        with workplace() as place:
            yield from figures(place, size)

    return run


def _on_stack(figures: Callable[..., Iterator[Figure]]) -> Source:
    def run(size: Size) -> Iterator[Figure]:
        with whole() as place:
            yield from figures(place, size)

    return run


SOURCES: dict[str, tuple[Source, ...]] = {
    "scenarios": (_in_sql(evaluation.figures), _on_stack(scheduled_run.figures)),
    "statistics": (_in_sql(writing.figures), _in_sql(recomputing.figures)),
    "care": (_in_sql(care.figures),),
    "panel": (_in_sql(panel.figures), _on_stack(panel_page.figures)),
    "outbox": (_in_sql(outbox.figures),),
    "path": (_on_stack(path.figures), _on_stack(steady.figures), _on_stack(importing.figures)),
}


class TableName(StrEnum):
    """Tables there are."""

    scenarios = "scenarios"
    statistics = "statistics"
    care = "care"
    panel = "panel"
    outbox = "outbox"
    path = "path"


class SizeName(StrEnum):
    """How much of everything; see `attend.bench.measure.SIZES`."""

    smoke = "smoke"
    small = "small"
    full = "full"
    vast = "vast"


def measure(size: str, only: str | None = None) -> list[Figure]:
    """Runs the tables (or one) in order. Raises WrongResultError when what is measured did the wrong thing."""
    chosen = [only] if only else list(SOURCES)
    return [figure for name in chosen for source in SOURCES[name] for figure in source(SIZES[size])]


def bench(
    only: Annotated[TableName | None, typer.Option(help="Only this table.")] = None,
    size: Annotated[
        SizeName,
        typer.Option(help="smoke: is it right; small: 100,000 people; full: 1,000,000; vast: 20 million check-ins."),
    ] = SizeName.small,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as a JSON list.")] = None,
) -> None:
    """Measure: every figure is a ratio against a limit taken in the same run (docs/performance.md)."""
    try:
        figures = measure(size.value, only.value if only else None)
    except WrongResultError as error:
        typer.secho(f"Wrong result, so no figure: {error}", fg="red", err=True)
        raise typer.Exit(1) from error
    # A pipe has no width: a table that is cut off is of no use in a log.
    console = Console()
    report.show(figures, console if console.is_terminal else Console(width=120))
    if json is not None:
        report.write(figures, json)


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(bench)
