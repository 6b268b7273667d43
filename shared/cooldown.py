"""May the person be told now, and when were they last? Cooldown lives in the database and survives cold starts.

Source: "Scenario Trigger Engine" (`shouldNotify`, `recordLastTriggered`), rules.md §3 "One claim, one transaction".
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel

from shared.supabase_client import Supabase


class NotifyAdvice(BaseModel):
    """Whether a notification would pass at this moment; `until` is the end of the cooldown that stands in the way."""

    allowed: bool
    reason: Literal["person_inactive", "opted_out", "cooling_down"] | None = None
    until: AwareDatetime | None = None


class LastTriggered(BaseModel):
    """The latest time at which the person was told."""

    last_triggered_at: AwareDatetime


class Cooldown:
    """The two questions of cooldown. `subject` is what the scenario is about (a rule's id); None: any."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def should_notify(
        self, user_id: UUID, scenario: str, *, subject: str | None = None, now: datetime | None = None
    ) -> NotifyAdvice:
        """Ask whether preferences and cooldown let a notification pass.

        Advice only: two callers may both be told yes. `enqueue_notification` is the atomic claim.

        Raises:
            Refused: `unknown_user` (404), `unknown_scenario` (400).
            DatabaseError: any other of its kinds.
        """
        params = {"p_user_id": user_id, "p_scenario": scenario, "p_subject": subject, "p_now": now}
        return await self._supabase.rpc("should_notify", params, NotifyAdvice)

    async def record_last_triggered(
        self, user_id: UUID, scenario: str, *, subject: str | None = None, at: datetime | None = None
    ) -> LastTriggered:
        """Record that the person was told, for senders outside; `enqueue_notification` does it by itself.

        An idempotent upsert that never moves backwards, so repeating it is safe.

        Raises:
            Refused: `unknown_user` (404), `unknown_scenario` (400).
            DatabaseError: any other of its kinds.
        """
        params = {"p_user_id": user_id, "p_scenario": scenario, "p_subject": subject, "p_at": at}
        return await self._supabase.rpc("record_last_triggered", params, LastTriggered)
