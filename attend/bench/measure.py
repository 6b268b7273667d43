"""What a benchmark measures with: a clock, medians of alternating runs, and the figure that is printed."""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Size:
    """How much of everything. `rounds` is how often each thing is measured; its median is the figure."""

    name: str
    people: int
    scheduled_people: int
    rows: int
    many_rows: int
    activities: int
    sample: int
    changes: int
    calls: int
    steady_seconds: int
    members: int
    students: int
    checkins: int
    pushes: int
    push_batches: int
    sends: int
    load_seconds: int
    rounds: int = 3


SIZES = {
    size.name: size
    for size in (
        Size(
            "smoke",
            people=2_000,
            scheduled_people=30_000,
            rows=1_000,
            many_rows=2_000,
            activities=4_000,
            sample=20,
            changes=6,
            calls=60,
            steady_seconds=2,
            members=2_000,
            students=500,
            checkins=20_000,
            pushes=20_000,
            push_batches=1,
            sends=300,
            load_seconds=6,
        ),
        Size(
            "small",
            people=100_000,
            scheduled_people=100_000,
            rows=20_000,
            many_rows=200_000,
            activities=100_000,
            sample=300,
            changes=100,
            calls=300,
            steady_seconds=25,
            members=100_000,
            students=10_000,
            checkins=500_000,
            pushes=200_000,
            push_batches=20,
            sends=20_000,
            load_seconds=60,
        ),
        Size(
            "full",
            people=1_000_000,
            scheduled_people=1_000_000,
            rows=100_000,
            many_rows=1_000_000,
            activities=10_000_000,
            sample=300,
            changes=300,
            calls=1_000,
            steady_seconds=25,
            members=500_000,
            students=50_000,
            checkins=5_000_000,
            pushes=200_000,
            push_batches=20,
            sends=50_000,
            load_seconds=180,
        ),
    )
}
# Only the panel has a larger one.
SIZES["vast"] = replace(SIZES["full"], name="vast", checkins=20_000_000)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `ratio` is ours / limit and smaller is better; `target` is the most it should be.

    Times are milliseconds. A part that makes no sense for a line is None; a line whose unit is not time gives only
    its ratio.
    """

    table: str
    case: str
    size: str
    ours_ms: float | None
    limit_ms: float | None
    target: float | None
    naive_ms: float | None = None
    given_ratio: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the limit."""
        if self.given_ratio is not None or not self.limit_ms or self.ours_ms is None:
            return self.given_ratio
        return self.ours_ms / self.limit_ms

    def as_json(self) -> dict[str, Any]:
        """The form that `--json` writes."""
        values = asdict(self) | {"ratio": self.ratio}
        names = ("table", "case", "size", "ours_ms", "limit_ms", "ratio", "target", "naive_ms")
        return {name: _rounded(values[name]) for name in names}


@dataclass
class Measured:
    """A table in one size: its figures, or why there are none, and the machine's load before and after."""

    table: str
    size: str
    began: float
    ended: float = 0.0
    figures: list[Figure] = field(default_factory=list)
    wrong: str = ""


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


class Stopwatch:
    """Milliseconds between entering and leaving; reusable."""

    ms: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.ms = (time.perf_counter() - began) * 1000


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` takes."""
    watch = Stopwatch()
    with watch.running():
        work()
    return watch.ms


def alternating(rounds: int, *works: Callable[[], float]) -> list[float]:
    """Medians of works that each return milliseconds, run in turns: what disturbs one of them disturbs all."""
    runs: list[list[float]] = [[] for _ in works]
    for _ in range(max(rounds, 1)):
        for times, work in zip(runs, works, strict=True):
            times.append(work())
    return [statistics.median(times) for times in runs]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def fifths(times: Sequence[float]) -> tuple[float, float]:
    """Medians of the first and of the last fifth of a series: what growth shows itself in."""
    share = max(1, len(times) // 5)
    return statistics.median(times[:share]), statistics.median(times[-share:])


def say(text: str) -> None:
    """Progress, on stderr: stdout holds the figures."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


class WrongResultError(RuntimeError):
    """What was measured did the wrong thing; its time means nothing."""


def require(condition: bool, what: str) -> None:
    """Hard limits first: a fast wrong answer is no figure. Raises WrongResultError."""
    if not condition:
        raise WrongResultError(what)
