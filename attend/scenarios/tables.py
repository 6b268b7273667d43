"""Tables as lines of text: columns as wide as they must be, nothing cut to the width of a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from attend.scenarios.words import GATES
from shared.runs import Counts

NUMBER = ">"
# A note's line ends would tear its row apart, and what else is among these speaks to the terminal.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def table(rows: Sequence[Sequence[str]], align: str = "") -> list[str]:
    """The rows, each column padded to its widest. `align` has a character a column: `>` is for numbers.

    What others typed is shown in one line, and does nothing: control characters are written as `\\n` is.
    """
    if not rows:
        return []
    rows = [[_CONTROL.sub(_written, cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    sides = align.ljust(len(widths), "<")
    return ["  ".join(f"{cell:{sides[i]}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in rows]


def _written(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode()


def counts(of: Counts) -> list[str]:
    """How many answers there are of each scenario and gate, the words beside them."""
    rows = [
        (scenario, gate, f"{number:,}", "cannot be evaluated" if scenario == "quarantined" else GATES.get(gate, ""))
        for scenario, gates in sorted(of.items())
        for gate, number in sorted(gates.items(), key=lambda item: (-item[1], item[0]))
        if number
    ]
    return table(rows, align="<<>") or ["Nobody matches anything."]


def people(number: int) -> str:
    """So many people, in words."""
    return f"{number:,} {'person' if number == 1 else 'people'}"
