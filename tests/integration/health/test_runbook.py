"""Whatever health or the doctor can find has an entry in docs/runbook.md that names it."""

from __future__ import annotations

import re

from attend.doctor.findings import KINDS
from tests.support.database import Database
from tests.support.served import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()


def sections() -> dict[str, str]:
    """Text below each heading, by the anchor that GitHub makes of it."""
    parts = re.split(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE)[1:]
    return {
        re.sub(r"[^a-z0-9 \-]", "", title.lower()).replace(" ", "-"): text
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_every_finding_of_health_is_named_in_its_entry(database: Database) -> None:
    kinds = database.rows("select code, runbook from private.finding_kinds()")
    assert kinds
    assert not [kind for kind in kinds if f"`{kind['code']}`" not in sections().get(kind["runbook"], "")]


def test_every_finding_of_the_doctor_is_named_in_its_entry() -> None:
    assert not [code for code, kind in KINDS.items() if f"`{code}`" not in sections().get(kind.entry, "")]


def test_no_code_means_two_things(database: Database) -> None:
    codes = {row["code"] for row in database.rows("select code from private.finding_kinds()")}
    assert not codes & KINDS.keys()
