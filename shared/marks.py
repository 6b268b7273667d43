"""Draining marks until none are left, or until time is over: the pace, the same for every kind of mark.

A mark is durable and a bell is not: whatever is left here is found by the next bell or sweep. Source: rules.md §6,
architecture.md "The way of the data".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from shared.errors import DatabaseTimeout
from shared.logs import get_logger
from shared.runs import Pace

log = get_logger(__name__)


class DrainResult(BaseModel):
    """One transaction's worth of marks; `more` says that others wait. Each kind of mark adds its own counts."""

    marks: int = 0
    people: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Drained[Result: DrainResult]:
    """What a drain did: the result of each transaction, and whether and why something is left."""

    parts: list[Result]
    more: bool
    stopped_by: Literal["time_budget", "shutdown"] | None

    @property
    def marks(self) -> int:
        """Marks claimed, done and deleted."""
        return sum(part.marks for part in self.parts)

    @property
    def people(self) -> int:
        """People they were about; somebody met in two transactions counts twice."""
        return sum(part.people for part in self.parts)


async def drain[Result: DrainResult](claim: Callable[[int], Awaitable[Result]], pace: Pace) -> Drained[Result]:
    """Claim marks, `pace.chunk_size` a transaction, until none are left or time is over. At least one claim is made.

    A claim that exceeds the statement time-out is halved instead of failing for ever.

    Raises:
        DatabaseError: any of its kinds. What was claimed by then is done; the rest stays marked.
    """
    began = pace.monotonic()
    size = pace.chunk_size
    parts: list[Result] = []
    while True:
        try:
            result = await claim(size)
        except DatabaseTimeout as error:
            if error.may_have_run or size <= pace.smallest_chunk:
                raise
            size = max(size // 2, pace.smallest_chunk)
            log.warning("drain_claim_halved", size=size)
            continue
        parts.append(result)
        # "more" without a mark for us: other instances hold the rest, and asking again would only spin.
        if not result.more or result.marks == 0:
            return Drained(parts, more=result.more, stopped_by=None)
        if pace.stopping():
            return Drained(parts, more=True, stopped_by="shutdown")
        if pace.monotonic() - began >= pace.time_budget:
            return Drained(parts, more=True, stopped_by="time_budget")
