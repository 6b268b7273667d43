"""How figures are shown: a table for people, a JSON list for comparing two commits."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from attend.bench.measure import Figure


def show(figures: Iterable[Figure], console: Console) -> None:
    """Prints the table. Ratios beyond their target are marked."""
    table = Table(
        title=machine(),
        title_justify="left",
        box=box.SIMPLE,
    )
    table.add_column("work", overflow="fold")
    for name in ("ours ms", "limit ms", "ratio", "target", "naive ms"):
        table.add_column(name, justify="right", no_wrap=True)
    section = None
    for figure in figures:
        if (figure.table, figure.size) != section:
            section = (figure.table, figure.size)
            table.add_section()
            table.add_row(f"[bold]{figure.table}[/bold] ({figure.size})")
        table.add_row(figure.case, *_cells(figure))
    console.print(table)


def _cells(figure: Figure) -> list[str]:
    ratio = short(figure.ratio)
    if figure.ratio is not None and figure.target is not None and figure.ratio > figure.target:
        ratio = f"[red]{ratio}[/red]"
    target = "" if figure.target is None else f"≤ {short(figure.target)}"
    return [short(figure.ours_ms), short(figure.limit_ms), ratio, target, short(figure.naive_ms)]


def short(value: float | None) -> str:
    """With three digits, or none after the point."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def load_average() -> float:
    """How many processes wanted the processor in the last minute."""
    return os.getloadavg()[0]


def machine() -> str:
    """What this was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, Python {platform.python_version()}"


def write(figures: Iterable[Figure], path: Path) -> None:
    """Writes the JSON list."""
    path.write_text(json.dumps([figure.as_json() for figure in figures], indent=2) + "\n", encoding="utf-8")
