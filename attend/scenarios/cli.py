"""The verbs of the scenario engine: `attend rules`, `dry-run`, `explain`, `decide` and `quarantine`."""

from __future__ import annotations

import typer

from attend.api import WHERE
from attend.scenarios import deciding, questions, rules


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    app.add_typer(rules.group, name="rules")
    app.command("dry-run", epilog=WHERE)(questions.dry_run)
    app.command("explain", epilog=WHERE)(questions.explain)
    app.command("decide", epilog=WHERE)(deciding.decide)
    app.add_typer(deciding.quarantine, name="quarantine")
