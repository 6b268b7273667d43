"""The recomputation: marks into statistics, and everything anew when somebody asks for it.

SQL computes, because a bucket and the marks that named it must change in one transaction; this class says what is
asked, in which order, and for how long. Source: "Activity Statistics", rules.md §2 and §6.
"""

from dataclasses import replace
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from functions.statistics_recompute.payload import WATCHED_TABLES, Event, RunKind, Schedule
from functions.statistics_recompute.store import StatisticsStore
from shared.events import Bell, RowChange, concerns
from shared.logs import get_logger
from shared.marks import drain
from shared.runs import Pace, RunOutcome, RunReport

log = get_logger(__name__)

# One person can have as much history as a thousand others.
SMALLEST_CHUNK = 1


class EventOutcome(BaseModel):
    """The answer to an event. Each outcome is normal; absent parts are left out of the JSON.

    `drained`: done; `rows` of statistics were written or removed. `ignored`: nothing to do, for `reason`. `finished`,
    `in_progress`, `busy`, `lease_lost`: of a rebuild or reconcile, see `shared.runs.RunOutcome`.
    """

    outcome: Literal["drained", "ignored", "finished", "in_progress", "busy", "lease_lost"]
    reason: str | None = None
    table: str | None = None
    marks: int | None = None
    people: int | None = None
    rows: int | None = None
    more: bool | None = None
    stopped_by: Literal["time_budget", "shutdown"] | None = None
    run: RunReport | None = None


class StatisticsRecompute:
    """Drains, rebuilds, reconciles. Holds no state: any number of instances may work at once, on the same marks.

    `pace.chunk_size` is in marks; `rebuild_people` is the size of a run's chunks, in people with all their history.
    """

    def __init__(self, store: StatisticsStore, pace: Pace, *, rebuild_people: int) -> None:
        self._store = store
        self._pace = pace
        self._run_pace = replace(pace, chunk_size=rebuild_people)

    async def handle_database_event(self, event: Event, *, now: datetime | None = None) -> EventOutcome:
        """Answer a bell, a schedule or a row payload; what concerns no statistics is `ignored`, with the reason.

        Raises:
            DatabaseError: any of its kinds. What was marked stays marked.
        """
        match event:
            case Schedule():
                return _of_run(await self.run(event.schedule, now=now))
            case Bell() | RowChange() if not concerns(event, WATCHED_TABLES):
                log.info("event_ignored", schema=event.schema_name, table=event.table)
                return EventOutcome(outcome="ignored", reason="unknown_table", table=event.table)
            case Bell() | RowChange():
                # A row payload says nothing that its writer's transaction did not mark, more exactly.
                return await self.drain(now=now)

    async def drain(self, *, now: datetime | None = None) -> EventOutcome:
        """Recompute what is marked, until nothing is or until the time budget is over.

        Raises:
            DatabaseError: any of its kinds. What was marked stays marked.
        """
        done = await drain(lambda size: self._store.drain_marks(size, now), self._pace)
        outcome = EventOutcome(
            outcome="drained",
            marks=done.marks,
            people=done.people,
            rows=sum(part.rows for part in done.parts),
            more=done.more,
            stopped_by=done.stopped_by,
        )
        log.info("marks_drained", **outcome.model_dump(exclude_none=True, exclude={"outcome"}))
        return outcome

    async def run(self, kind: RunKind, *, now: datetime | None = None) -> RunOutcome:
        """Rebuild everything, or reconcile: write only rows that differ from their activities, and report whose.

        In chunks, until done or until the time budget is over; the next call goes on. Several at once share the run;
        who finds nothing left hears `busy`.

        Raises:
            DatabaseError: any of its kinds. Chunks already done stay done.
        """
        return await self._store.work_through_everybody(kind, self._run_pace, now)


def _of_run(run: RunOutcome) -> EventOutcome:
    return EventOutcome(outcome=run.outcome, run=run.run, stopped_by=run.stopped_by)
