"""Figures in a page: the rows between two comments are the benchmark's, everything else is its author's."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from attend.bench.measure import Figure, Measured
from attend.bench.report import machine, short

BEGIN = "<!-- attend bench writes from here -->"
END = "<!-- to here -->"
_HEAD = (
    "| table | size | work | ours ms | limit ms | ratio | target | naive ms |",
    "|---|---|---|---:|---:|---:|---:|---:|",
)


class NoPlaceError(ValueError):
    """The page lacks the two comments, each on a line of its own, that figures stand between."""

    def __init__(self, page: Path) -> None:
        super().__init__(f"{page} has no place for figures: a line {BEGIN} and a line {END}.")


def put(page: Path, measured: Measured) -> None:
    """Puts a table's rows of one size in place of those that were there; rows of other tables and sizes stay."""
    text = page.read_text(encoding="utf-8")
    found = place(page)
    rows, notes = _parts(found[1])
    key = (measured.table, measured.size)
    rows[key] = [_row(figure) for figure in measured.figures]
    notes[key] = _note(measured)
    lines = [BEGIN, "", *_HEAD, *(row for kept in rows.values() for row in kept), "", *notes.values(), "", END]
    page.write_text(text[: found.start()] + "\n".join(lines) + text[found.end() :], encoding="utf-8")


def place(page: Path) -> re.Match[str]:
    """Where figures stand in a page. Raises NoPlaceError."""
    found = re.search(f"^{BEGIN}$(.*?)^{END}$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if found is None:
        raise NoPlaceError(page)
    return found


def _parts(text: str) -> tuple[dict[tuple[str, str], list[str]], dict[tuple[str, str], str]]:
    """What is there: rows by table and size, and what is noted of each."""
    rows: dict[tuple[str, str], list[str]] = {}
    notes: dict[tuple[str, str], str] = {}
    for line in text.strip().splitlines():
        if row := re.match(r"\| (\w+) \| (\w+) \| ", line):
            if line not in _HEAD:
                rows.setdefault((row[1], row[2]), []).append(line)
        elif note := re.match(r"- (\w+), (\w+): ", line):
            notes[note[1], note[2]] = line
    return rows, notes


def _row(figure: Figure) -> str:
    ratio = short(figure.ratio)
    if figure.ratio is not None and figure.target is not None and figure.ratio > figure.target:
        ratio = f"**{ratio}**"
    work = figure.case.replace("|", "\\|")
    numbers = (short(figure.ours_ms), short(figure.limit_ms), ratio, short(figure.target), short(figure.naive_ms))
    return " | ".join((f"| {figure.table}", figure.size, work, *numbers)) + " |"


def _note(measured: Measured) -> str:
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return (
        f"- {measured.table}, {measured.size}: {now}, {machine()}, "
        f"load {measured.began:.1f} before and {measured.ended:.1f} after"
    )
