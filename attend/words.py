"""Words that several commands use."""

from __future__ import annotations

from datetime import datetime

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))


def ago(then: datetime, now: datetime) -> str:
    """How long ago something was, by the largest unit that it is at least two of."""
    return f"{span(max((now - then).total_seconds(), 0))} ago"


def span(seconds: float) -> str:
    """A length of time, by the largest unit that it is at least two of."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return "1 second" if round(seconds) == 1 else f"{seconds:.0f} seconds"
