"""Figures go between two comments of a page; what people wrote around them stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from attend.bench.document import BEGIN, END, NoPlaceError, put
from attend.bench.measure import Figure, Measured

PAGE = f"""# Performance

## Measured

Said by hand.

{BEGIN}

{END}

| care | small | by hand | 1 | 2 | 3 | 4 | |
"""


def measured(table: str, size: str, *ours: float) -> Measured:
    figures = [Figure(table, f"work {n}", size, ms, 100.0, 1.5, 1234.5) for n, ms in enumerate(ours)]
    return Measured(table, size, began=0.5, ended=2.5, figures=figures)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "performance.md"
    file.write_text(PAGE)
    return file


def test_rows_stand_between_the_comments_and_nothing_else_changes(page: Path) -> None:
    put(page, measured("care", "small", 50.0, 200.0))
    before, _, rest = page.read_text().partition(BEGIN)
    inside, _, after = rest.partition(END)
    assert (before, after) == (PAGE.partition(BEGIN)[0], PAGE.partition(END)[2])
    assert "| care | small | work 0 | 50 | 100 | 0.5 | 1.5 | 1,234 |" in inside
    assert "| care | small | work 1 | 200 | 100 | **2** | 1.5 | 1,234 |" in inside
    assert "- care, small: " in inside
    assert "load 0.5 before and 2.5 after" in inside


def test_a_table_measured_again_replaces_its_own_rows_of_that_size(page: Path) -> None:
    for each in (measured("care", "small", 10.0), measured("care", "full", 20.0), measured("panel", "small", 30.0)):
        put(page, each)
    put(page, measured("care", "small", 40.0, 41.0))
    rows = [line for line in page.read_text().splitlines() if "| work" in line and "ours ms" not in line]
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| care", "small", "work 0", "40"],
        ["| care", "small", "work 1", "41"],
        ["| care", "full", "work 0", "20"],
        ["| panel", "small", "work 0", "30"],
    ]
    assert page.read_text().count("- care, small: ") == 1


def test_a_page_without_a_place_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Nothing\n")
    with pytest.raises(NoPlaceError, match="no place for figures"):
        put(page, measured("care", "small", 1.0))
