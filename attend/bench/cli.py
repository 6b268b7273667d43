"""`attend bench`: runs the benchmarks and prints ours, the limit, their ratio, the target and the naive form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from attend.bench import (
    care,
    document,
    evaluation,
    importing,
    load,
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
from attend.bench.measure import SIZES, Figure, Measured, Size, WrongResultError
from attend.bench.stack import whole
from attend.bench.workplace import workplace

Source = Callable[[Size], Iterator[Figure]]


def _in_sql(figures: Callable[..., Iterator[Figure]]) -> Source:
    def run(size: Size) -> Iterator[Figure]:
        with workplace() as place:
            yield from figures(place, size)

    return run


def _on_stack(figures: Callable[..., Iterator[Figure]], *, cron: bool = False) -> Source:
    def run(size: Size) -> Iterator[Figure]:
        with whole(cron=cron) as place:
            yield from figures(place, size)

    return run


SOURCES: dict[str, tuple[Source, ...]] = {
    "scenarios": (_in_sql(evaluation.figures), _on_stack(scheduled_run.figures)),
    "statistics": (_in_sql(writing.figures), _in_sql(recomputing.figures)),
    "care": (_in_sql(care.figures),),
    "panel": (_in_sql(panel.figures), _on_stack(panel_page.figures)),
    "outbox": (_in_sql(outbox.figures),),
    "path": (_on_stack(path.figures), _on_stack(steady.figures), _on_stack(importing.figures)),
    "load": (_on_stack(load.figures, cron=True),),
}


class TableName(StrEnum):
    """Tables there are."""

    scenarios = "scenarios"
    statistics = "statistics"
    care = "care"
    panel = "panel"
    outbox = "outbox"
    path = "path"
    load = "load"


class SizeName(StrEnum):
    """How much of everything; see `attend.bench.measure.SIZES`."""

    smoke = "smoke"
    small = "small"
    full = "full"
    vast = "vast"


def measure(sizes: Sequence[str], only: str | None = None) -> Iterator[Measured]:
    """Runs the tables (or one) in order, each in every size.

    What did the wrong thing has no figures but a reason; the others are measured all the same, which may take hours.
    """
    for name in [only] if only else list(SOURCES):
        for size in sizes:
            measured = Measured(name, size, began=report.load_average())
            try:
                measured.figures += [figure for source in SOURCES[name] for figure in source(SIZES[size])]
            except WrongResultError as error:
                measured.figures.clear()
                measured.wrong = str(error)
            measured.ended = report.load_average()
            yield measured


def bench(
    only: Annotated[TableName | None, typer.Option(help="Only this table.")] = None,
    size: Annotated[
        list[SizeName] | None,
        typer.Option(
            help="smoke: is it right; small (unless said otherwise): 100,000 people; full: 1,000,000; "
            "vast: 20 million check-ins. May be given several times."
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Also write the figures to this file, as a JSON list.")] = None,
    write: Annotated[
        Path | None, typer.Option(help="Also put them into the table of this page (docs/performance.md).")
    ] = None,
) -> None:
    """Measure: every figure is a ratio against a limit taken in the same run (docs/performance.md)."""
    if write is not None:
        try:
            document.place(write)
        except (OSError, document.NoPlaceError) as error:
            raise typer.BadParameter(str(error), param_hint="--write") from error
    done: list[Measured] = []
    for measured in measure([each.value for each in size or [SizeName.small]], only.value if only else None):
        done.append(measured)
        # At once: what was measured in an hour is not lost with the next.
        if json is not None:
            report.write([figure for each in done for figure in each.figures], json)
        if write is not None and not measured.wrong:
            document.put(write, measured)
    # A pipe has no width: a table that is cut off is of no use in a log.
    console = Console()
    figures = [figure for each in done for figure in each.figures]
    report.show(figures, console if console.is_terminal else Console(width=120))
    for each in done:
        if each.wrong:
            typer.secho(f"Wrong result, so no figure of {each.table}, {each.size}: {each.wrong}", fg="red", err=True)
    if any(each.wrong for each in done):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""
    app.command()(bench)
