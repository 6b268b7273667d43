"""Pastoral cases: marks into cases as people become at risk, and everybody by night.

SQL decides, because a case, its notification and the mark that asked for both must change in one transaction; this
class says what is asked, and for how long. Source: "Engagement Scoring & At-Risk Automation", rules.md §4 and §6.
"""

from collections import Counter
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from functions.pastoral_cases.payload import WATCHED_TABLES, Event, Schedule
from functions.pastoral_cases.store import CareStore
from shared.errors import DatabaseTimeout
from shared.events import Bell, RowChange, concerns
from shared.logs import get_logger
from shared.marks import drain
from shared.runs import Counts, Pace

log = get_logger(__name__)

# One congregation can have as many people as a thousand others.
SMALLEST_CLAIM = 1


class CareOutcome(BaseModel):
    """The answer to an event. Each outcome is normal; absent parts are left out of the JSON.

    `drained`: marks are done. `ignored`: nothing to do, for `reason`. `finished`: the night's run is done, this call
    having done `organizations`. `in_progress`: stopped by time, and the next tick goes on. `busy`: another works on it.
    `counts`: what was done to cases, and how telling their servants ended.
    """

    outcome: Literal["drained", "ignored", "finished", "in_progress", "busy"]
    reason: str | None = None
    table: str | None = None
    marks: int | None = None
    people: int | None = None
    organizations: int | None = None
    run_id: int | None = None
    counts: Counts | None = None
    more: bool | None = None
    stopped_by: Literal["time_budget", "shutdown"] | None = None


class PastoralCases:
    """Drains, and runs by night. Holds no state: any number of instances may work at once."""

    def __init__(self, store: CareStore, pace: Pace, *, organizations: int) -> None:
        self._store = store
        self._pace = pace
        self._organizations = organizations

    async def handle_database_event(self, event: Event, *, now: datetime | None = None) -> CareOutcome:
        """Answer a bell, the schedule or a row payload; what concerns nobody's attendance is `ignored`.

        Raises:
            DatabaseError: any of its kinds. What was marked stays marked.
        """
        match event:
            case Schedule():
                return await self.run(now=now)
            case Bell() | RowChange() if not concerns(event, WATCHED_TABLES):
                log.info("event_ignored", schema=event.schema_name, table=event.table)
                return CareOutcome(outcome="ignored", reason="unknown_table", table=event.table)
            case Bell() | RowChange():
                # A row payload says nothing that its writer's transaction did not mark, more exactly.
                return await self.drain(now=now)

    async def drain(self, *, now: datetime | None = None) -> CareOutcome:
        """Tend the cases of whoever is marked, until nobody is or until the time budget is over.

        Raises:
            DatabaseError: any of its kinds. What was marked stays marked.
        """
        done = await drain(lambda size: self._store.drain_marks(size, now), self._pace)
        outcome = CareOutcome(
            outcome="drained",
            marks=done.marks,
            people=done.people,
            counts=_sum([part.counts for part in done.parts]),
            more=done.more,
            stopped_by=done.stopped_by,
        )
        log.info("marks_drained", **outcome.model_dump(exclude_none=True, exclude={"outcome"}))
        return outcome

    async def run(self, *, now: datetime | None = None) -> CareOutcome:
        """Tend everybody's cases, in parts, until done or until the time budget is over; the next call goes on.

        A part that exceeds the statement time-out is halved instead of failing for ever. Two at once are safe: one
        works, the other hears `busy`.

        Raises:
            DatabaseError: any of its kinds. Parts already done stay done.
        """
        began, size, worked = self._pace.monotonic(), self._organizations, 0
        parts: list[Counts] = []
        while True:
            try:
                part = await self._store.work_run(size, now)
            except DatabaseTimeout as error:
                if error.may_have_run or size <= SMALLEST_CLAIM:
                    raise
                size //= 2
                log.warning("run_part_halved", size=size)
                continue
            worked += part.organizations
            parts.append(part.counts)
            stopped_by = self._stopped_by(began) if part.state == "in_progress" else None
            if part.state != "in_progress" or stopped_by is not None:
                outcome = CareOutcome(
                    outcome=part.state,
                    run_id=part.run_id,
                    organizations=worked,
                    counts=_sum(parts),
                    stopped_by=stopped_by,
                )
                log.info("run_left", **outcome.model_dump(exclude_none=True))
                return outcome

    def _stopped_by(self, began: float) -> Literal["time_budget", "shutdown"] | None:
        if self._pace.stopping():
            return "shutdown"
        return "time_budget" if self._pace.monotonic() - began >= self._pace.time_budget else None


def _sum(parts: list[Counts]) -> Counts:
    totals: dict[str, Counter[str]] = {}
    for part in parts:
        for scenario, counts in part.items():
            totals.setdefault(scenario, Counter()).update(counts)
    return {scenario: dict(counts) for scenario, counts in totals.items()}
