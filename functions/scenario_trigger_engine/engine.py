"""The scenario trigger engine: the interfaces of its source document under their Python names.

SQL decides, because the decision is about sets and must be atomic with its effects; this class says what is asked, in
which order, and for how long. Source: "Scenario Trigger Engine" (Interfaces), rules.md §3.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from functions.scenario_trigger_engine.payload import (
    WATCHED_TABLES,
    ActivityContactRow,
    Event,
    OwnedRow,
    Schedule,
    UserRow,
)
from functions.scenario_trigger_engine.store import (
    CertificationExpiryAnswer,
    EnqueueOutcome,
    InactivityAnswer,
    MilestoneAnswer,
    MilestonePeriod,
    MilestoneType,
    ScenarioStore,
)
from shared.cooldown import LastTriggered, NotifyAdvice
from shared.events import Bell, RowChange, concerns
from shared.logs import get_logger
from shared.marks import drain
from shared.runs import Counts, Pace, RunOutcome, RunReport

log = get_logger(__name__)

type ScenarioType = Literal["inactivity", "milestone", "certification_expiry"]


class EventOutcome(BaseModel):
    """The answer to an event. Each outcome is normal; absent parts are left out of the JSON.

    `drained`, `evaluated`: done. `ignored`: nothing to do, for `reason`. `finished`, `in_progress`, `busy`,
    `lease_lost`: of a run, see `shared.runs.RunOutcome`.
    """

    outcome: Literal["drained", "evaluated", "ignored", "finished", "in_progress", "busy", "lease_lost"]
    reason: str | None = None
    table: str | None = None
    marks: int | None = None
    people: int | None = None
    counts: Counts | None = None
    more: bool | None = None
    stopped_by: Literal["time_budget", "shutdown"] | None = None
    run: RunReport | None = None


class ScenarioTriggerEngine:
    """The eight interfaces.

    Holds no state: any number of instances may work at once, on the same run and the same marks.
    """

    def __init__(self, store: ScenarioStore, pace: Pace) -> None:
        self._store = store
        self._pace = pace

    async def evaluate_inactivity_scenario(
        self, user_id: UUID, threshold_days: int, *, now: datetime | None = None
    ) -> InactivityAnswer:
        """Evaluate inactivity for one person, without any effect and without regard to preference and cooldown.

        Matches an active peer mentor who is not away and whose anchor (the latest of last completed activity,
        `joined_at`, `reactivated_at`, and `away_until` once past) is at least `threshold_days` before `now`.

        Raises:
            Refused: `unknown_user` (404), `threshold_days_out_of_range` (400, with the range in details).
            DatabaseError: any other of its kinds.
        """
        return await self._store.evaluate_inactivity(user_id, threshold_days, now)

    async def evaluate_milestone_scenario(
        self,
        user_id: UUID,
        milestone_type: MilestoneType,
        *,
        threshold: int = 50,
        period: MilestonePeriod = "year",
        now: datetime | None = None,
    ) -> MilestoneAnswer:
        """Evaluate one milestone for one person, without any effect and whether or not it was celebrated before.

        Matches an active person, not away, whose count of `milestone_type` in the period (the year in UTC that `now`
        lies in, or all time) has reached `threshold`. It crossed when the activity took place that reached it.

        Raises:
            Refused: `unknown_user` (404); `unknown_milestone_type`, `unknown_period`, `threshold_out_of_range` (400,
                with what is allowed in details).
            DatabaseError: any other of its kinds.
        """
        return await self._store.evaluate_milestone(user_id, milestone_type, threshold, period, now)

    async def evaluate_certification_expiry_scenario(
        self, user_id: UUID, lead_time_days: int, *, now: datetime | None = None
    ) -> CertificationExpiryAnswer:
        """Evaluate the certificates of one person, without any effect.

        Matches an active person, not away, with a certificate, neither revoked nor replaced, that expires after `now`
        and at most `lead_time_days` later.

        Raises:
            Refused: `unknown_user` (404), `lead_days_out_of_range` (400, with the range in details).
            DatabaseError: any other of its kinds.
        """
        return await self._store.evaluate_certification_expiry(user_id, lead_time_days, now)

    async def should_notify(
        self, user_id: UUID, scenario_type: ScenarioType, *, subject: str | None = None, now: datetime | None = None
    ) -> NotifyAdvice:
        """Say whether preference and cooldown would let a notification pass now. Advice; the claim asks again.

        A full day and quiet hours are the claim's alone to judge: they depend on what else is told.

        Raises:
            Refused: `unknown_user` (404), `unknown_scenario` (400).
            DatabaseError: any other of its kinds.
        """
        return await self._store.should_notify(user_id, scenario_type, subject, now)

    async def enqueue_notification(
        self,
        user_id: UUID,
        scenario_type: ScenarioType,
        context_data: Mapping[str, Any],
        *,
        subject: str | None = None,
        cooldown_days: int | None = None,
        now: datetime | None = None,
    ) -> EnqueueOutcome:
        """Claim, and if the claim holds, make the notification and its outbox row, all in one transaction.

        Two callers racing make one notification: the other is told `cooling_down`. `context_data` is stored with it
        as JSON. In quiet hours it is made and pushed when they end. Not being told is an outcome, no error.

        Raises:
            Refused: `unknown_user` (404), `unknown_scenario` (400).
            DatabaseError: any other of its kinds; with `may_have_run`, ask again only after looking.
        """
        return await self._store.enqueue_notification(
            user_id, scenario_type, context_data, subject=subject, cooldown_days=cooldown_days, now=now
        )

    async def record_last_triggered(
        self, user_id: UUID, scenario_type: ScenarioType, *, subject: str | None = None, at: datetime | None = None
    ) -> LastTriggered:
        """Record that a sender outside told the person. Idempotent; never moves backwards.

        Raises:
            Refused: `unknown_user` (404), `unknown_scenario` (400).
            DatabaseError: any other of its kinds.
        """
        return await self._store.record_last_triggered(user_id, scenario_type, subject, at)

    async def run_scheduled_evaluation(self, *, now: datetime | None = None) -> RunOutcome:
        """Evaluate everybody, in chunks, until done or until the time budget is over; the next call goes on.

        Several at once share the run; who finds nothing left hears `busy`. A missed call needs no repair.

        Raises:
            DatabaseError: any of its kinds. Chunks already done stay done.
        """
        return await self._store.work_through_everybody(self._pace, now)

    async def handle_database_event(self, event: Event, *, now: datetime | None = None) -> EventOutcome:
        """Answer a bell, a schedule or a row payload; what concerns nobody is `ignored`, with the reason.

        Raises:
            MalformedBody: a row payload of a watched table lacks the columns that say whom it concerns.
            DatabaseError: any of its kinds. What was marked stays marked.
        """
        match event:
            case Schedule():
                return _of_run(await self.run_scheduled_evaluation(now=now))
            case Bell() | RowChange() if not concerns(event, WATCHED_TABLES):
                log.info("event_ignored", schema=event.schema_name, table=event.table)
                return EventOutcome(outcome="ignored", reason="unknown_table", table=event.table)
            # A rule says not whom it concerns; draining looks at rules that changed before it claims marks.
            case Bell() | RowChange(table="scenario_rules"):
                return await self._drain(now)
            case RowChange():
                return await self._evaluate_row(event, now)

    async def _drain(self, now: datetime | None) -> EventOutcome:
        done = await drain(lambda size: self._store.drain_marks(size, now), self._pace)
        counts: Counts = {}
        for part in done.parts:
            _add(counts, part.counts)
        outcome = EventOutcome(
            outcome="drained",
            marks=done.marks,
            people=done.people,
            counts=counts,
            more=done.more,
            stopped_by=done.stopped_by,
        )
        log.info("marks_drained", **outcome.model_dump(exclude={"outcome"}))
        return outcome

    async def _evaluate_row(self, change: RowChange, now: datetime | None) -> EventOutcome:
        people = 0
        counts: Counts = {}
        for organization_id, user_ids in (await self._concerned_by(change)).items():
            result = await self._store.evaluate_people(organization_id, sorted(user_ids), now)
            people += result.people
            _add(counts, result.counts)
        if not people:
            return EventOutcome(outcome="ignored", reason="concerns_nobody", table=change.table)
        return EventOutcome(outcome="evaluated", people=people, counts=counts)

    async def _concerned_by(self, change: RowChange) -> dict[UUID, set[UUID]]:
        """Whom a row is about, by organisation; in an update, those of the old row and of the new."""
        match change.table:
            case "users":
                found = [(row.organization_id, row.id) for row in change.rows(UserRow)]
            case "activity_contacts":
                found = [
                    (link.organization_id, owner)
                    for link in change.rows(ActivityContactRow)
                    for owner in await self._store.owners_of_activity(link.organization_id, link.activity_id)
                ]
            case _:
                found = [(row.organization_id, row.user_id) for row in change.rows(OwnedRow)]
        people: dict[UUID, set[UUID]] = {}
        for organization_id, user_id in found:
            people.setdefault(organization_id, set()).add(user_id)
        return people


def _of_run(run: RunOutcome) -> EventOutcome:
    return EventOutcome(outcome=run.outcome, run=run.run, stopped_by=run.stopped_by)


def _add(total: Counts, part: Counts) -> None:
    for scenario, gates in part.items():
        sums = total.setdefault(scenario, {})
        for gate, number in gates.items():
            sums[gate] = sums.get(gate, 0) + number
