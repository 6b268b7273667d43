"""Everything the function asks of the database; its only file that names an RPC or a table.

Each call is one transaction. The clock `now` is an argument throughout; None leaves it to the database's own.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from shared.marks import DrainResult
from shared.runs import Counts
from shared.supabase_client import Supabase


class CareDrainResult(DrainResult):
    """One transaction's worth of marks, what was done to `cases`, and how telling `pastoral_case` ended."""

    counts: Counts = Field(default_factory=dict)


class RunPart(BaseModel):
    """Some organisations of the nightly run. `busy`: somebody else works on it this moment."""

    state: Literal["in_progress", "finished", "busy"]
    run_id: int | None = None
    organizations: int = 0
    counts: Counts = Field(default_factory=dict)


class CareStore:
    """The function's port to the database."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def drain_marks(self, limit: int, now: datetime | None) -> CareDrainResult:
        """Claim marks, tend the cases of whom they name, delete them: one transaction.

        Repeatable: cases follow from what is stored, so a second attempt finds the rest, or changes nothing.
        """
        params = {"p_limit": limit, "p_now": now}
        return await self._supabase.rpc("drain_care_marks", params, CareDrainResult)

    async def work_run(self, organizations: int, now: datetime | None) -> RunPart:
        """Tend the cases of the next organisations of the nightly run, begun if none is open: one transaction.

        Repeatable: what a lost answer did is in the ledger, and the next organisations follow it.
        """
        params = {"p_limit": organizations, "p_now": now}
        return await self._supabase.rpc("work_case_run", params, RunPart)
