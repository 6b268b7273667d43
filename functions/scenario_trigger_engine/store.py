"""Everything the engine asks of the database; the only file of this function that names an RPC or a table.

Each call is one transaction. The clock `now` is an argument throughout; None leaves it to the database's own, which is
what production does: two instances whose clocks differ must not decide differently.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter

from shared.cooldown import Cooldown, LastTriggered, NotifyAdvice
from shared.marks import DrainResult
from shared.runs import ChunkResult, Counts, Pace, RunLedger, RunOutcome
from shared.supabase_client import Supabase

EVALUATION = "scenario-evaluation"

type MilestoneType = Literal["sessions", "hours", "contacts"]
type MilestonePeriod = Literal["year", "all_time"]


class InactivityAnswer(BaseModel):
    """The evaluator's answer for one person; `gate` says why not; `days_inactive` is fractional."""

    user_id: UUID
    organization_id: UUID
    matched: bool
    gate: Literal["matched", "person_inactive", "away", "not_matched"]
    days_inactive: float | None = None
    threshold_days: int
    last_activity_at: AwareDatetime | None = None
    anchor_at: AwareDatetime | None = None
    crossed_at: AwareDatetime | None = None


class MilestoneAnswer(BaseModel):
    """The evaluator's answer for one person and one threshold; `value` is in the milestone's unit (hours: decimal)."""

    user_id: UUID
    organization_id: UUID
    milestone_type: MilestoneType
    period: MilestonePeriod
    period_start: AwareDatetime | None = None
    threshold: int
    value: float
    matched: bool
    gate: Literal["matched", "person_inactive", "away", "not_matched"]
    crossed_at: AwareDatetime | None = None


class CertificateAnswer(BaseModel):
    """One certificate; `crossed_at` is when it comes, or came, within the lead."""

    certificate_id: UUID
    name: str
    expires_at: AwareDatetime
    matched: bool
    crossed_at: AwareDatetime | None = None


class CertificationExpiryAnswer(BaseModel):
    """The evaluator's answer for one person: matched, if one of the certificates is."""

    user_id: UUID
    organization_id: UUID
    lead_days: int
    matched: bool
    gate: Literal["matched", "person_inactive", "away", "not_matched"]
    certificates: list[CertificateAnswer]


class EnqueueOutcome(BaseModel):
    """What the claim did.

    `sent` and `quiet_hours` (in the app now, pushed when they end) made the notification `notification_id`. `until` is
    when `cooling_down` or `capped` ends; after `sent`, when the person may be told again.
    """

    outcome: Literal["sent", "quiet_hours", "opted_out", "cooling_down", "capped", "person_inactive"]
    notification_id: UUID | None = None
    until: AwareDatetime | None = None


class EngineDrainResult(DrainResult):
    """One transaction's worth of marks, with what came of them for each scenario and gate."""

    counts: Counts = Field(default_factory=dict)


class EvaluationResult(BaseModel):
    """People evaluated on request."""

    people: int = 0
    counts: Counts = {}


class _Owner(BaseModel):
    user_id: UUID


_OWNERS = TypeAdapter(list[_Owner])


class ScenarioStore:
    """The engine's port to the database."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase
        self._cooldown = Cooldown(supabase)
        self._runs = RunLedger(supabase)

    async def evaluate_inactivity(self, user_id: UUID, threshold_days: int, now: datetime | None) -> InactivityAnswer:
        """Read-only, so repeatable."""
        params = {"p_user_id": user_id, "p_threshold_days": threshold_days, "p_now": now}
        return await self._supabase.rpc("evaluate_inactivity", params, InactivityAnswer)

    async def evaluate_milestone(
        self,
        user_id: UUID,
        milestone_type: MilestoneType,
        threshold: int,
        period: MilestonePeriod,
        now: datetime | None,
    ) -> MilestoneAnswer:
        """Read-only, so repeatable."""
        params = {
            "p_user_id": user_id,
            "p_metric": milestone_type,
            "p_threshold": threshold,
            "p_period": period,
            "p_now": now,
        }
        return await self._supabase.rpc("evaluate_milestone", params, MilestoneAnswer)

    async def evaluate_certification_expiry(
        self, user_id: UUID, lead_days: int, now: datetime | None
    ) -> CertificationExpiryAnswer:
        """Read-only, so repeatable."""
        params = {"p_user_id": user_id, "p_lead_days": lead_days, "p_now": now}
        return await self._supabase.rpc("evaluate_certification_expiry", params, CertificationExpiryAnswer)

    async def should_notify(
        self, user_id: UUID, scenario: str, subject: str | None, now: datetime | None
    ) -> NotifyAdvice:
        """Read-only, so repeatable."""
        return await self._cooldown.should_notify(user_id, scenario, subject=subject, now=now)

    async def record_last_triggered(
        self, user_id: UUID, scenario: str, subject: str | None, at: datetime | None
    ) -> LastTriggered:
        """An upsert of the same value, so repeatable."""
        return await self._cooldown.record_last_triggered(user_id, scenario, subject=subject, at=at)

    async def enqueue_notification(
        self,
        user_id: UUID,
        scenario: str,
        context: Mapping[str, Any],
        *,
        subject: str | None,
        cooldown_days: int | None,
        now: datetime | None,
    ) -> EnqueueOutcome:
        """The atomic claim.

        Repeated only where the first attempt certainly did nothing. A second attempt would tell nobody twice, but after
        a lost answer it would say `cooling_down` of the notification that this very call had made.
        """
        params = {
            "p_user_id": user_id,
            "p_scenario": scenario,
            "p_context": dict(context),
            "p_subject": subject,
            "p_cooldown_days": cooldown_days,
            "p_now": now,
        }
        return await self._supabase.rpc("enqueue_notification", params, EnqueueOutcome, repeatable=False)

    async def evaluate_people(
        self, organization_id: UUID, user_ids: Sequence[UUID], now: datetime | None
    ) -> EvaluationResult:
        """Evaluate with effects. Repeatable: whoever was told by a first attempt is cooling down in the second."""
        params = {"p_organization_id": organization_id, "p_user_ids": list(user_ids), "p_now": now}
        return await self._supabase.rpc("evaluate_people", params, EvaluationResult)

    async def drain_marks(self, limit: int, now: datetime | None) -> EngineDrainResult:
        """Claim marks, evaluate, delete them: one transaction. Repeatable: a second attempt finds the rest."""
        return await self._supabase.rpc("drain_scenario_marks", {"p_limit": limit, "p_now": now}, EngineDrainResult)

    async def owners_of_activity(self, organization_id: UUID, activity_id: UUID) -> list[UUID]:
        """Return whose activity it is; nobody's, when it is gone."""
        key = {"organization_id": organization_id, "id": activity_id}
        return [owner.user_id for owner in await self._supabase.select("activities", "user_id", key, _OWNERS)]

    async def work_through_everybody(self, pace: Pace, now: datetime | None) -> RunOutcome:
        """Start or resume the evaluation of everybody, and work until it is done or time is over."""

        async def chunk(run_id: int, holder: UUID, size: int) -> ChunkResult:
            # Repeatable: the slice goes in the transaction that has the effects, so a second attempt is the next
            # chunk; what a lost answer counted is in the ledger all the same.
            params = {
                "p_run_id": run_id,
                "p_holder": holder,
                "p_chunk_size": size,
                "p_lease_seconds": pace.lease_seconds,
            }
            return await self._supabase.rpc("evaluate_chunk", params, ChunkResult)

        return await self._runs.work(EVALUATION, chunk, pace, now)
