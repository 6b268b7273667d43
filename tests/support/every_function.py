"""Every function that takes events, found by its folder: a new one is tested here because it exists."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(payload.parent.name for payload in ROOT.glob("functions/*/payload.py"))
# What the database says of any work when there is none: each function reads of it what it knows. One whose own words
# are not among them adds them.
NOTHING = {
    "marks": 0,
    "people": 0,
    "rows": 0,
    "more": False,
    "rang_again": False,
    "counts": {},
    "claimed": 0,
    "messages": [],
    "held": {},
    "receipts": [],
    "new": [],
}


@dataclass(frozen=True)
class Subject:
    """One function, and what it is sent."""

    package: str

    @property
    def name(self) -> str:
        return self.package.replace("_", "-")

    @property
    def payload(self) -> Any:
        return import_module(f"functions.{self.package}.payload")

    @property
    def main(self) -> Path:
        return ROOT / "functions" / self.package / "main.py"

    @property
    def schedules(self) -> set[str]:
        """The names of cron's ticks that are meant for it; none where cron rings it as anybody does."""
        if not hasattr(self.payload, "Schedule"):
            return set()
        annotation = self.payload.Schedule.model_fields["schedule"].annotation
        # A `type` statement's name for the literal, or the literal itself.
        return set(get_args(getattr(annotation, "__value__", annotation)))

    @property
    def bell(self) -> bytes:
        table = min(self.payload.WATCHED_TABLES)
        return json.dumps({"type": "BELL", "schema": "public", "table": table, "bell_id": "b"}).encode()

    @property
    def ticks(self) -> list[bytes]:
        return [
            json.dumps({"type": "SCHEDULE", "schedule": s, "bell_id": "b"}).encode() for s in sorted(self.schedules)
        ]

    def row_payload(self, kind: str = "INSERT", table: str | None = None, **rows: Any) -> bytes:
        event = {"type": kind, "schema": "public", "table": table or min(self.payload.WATCHED_TABLES)}
        return json.dumps(event | {"record": None, "old_record": None} | rows).encode()
