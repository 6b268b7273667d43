"""Everything `attend outbox` asks of the database; the only file here that names an RPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from attend.outbox.answers import Page, Push, Replayed, Retried, Status, WholePush
from shared.supabase_client import Supabase

PUSHES_A_PAGE = 500
DEAD_A_CALL = 1_000


@dataclass(frozen=True, slots=True)
class Which:
    """Which pushes are meant: those that fit all that is said. Times are of creation, `since` included, `until` not."""

    organization_id: UUID | None = None
    user_id: UUID | None = None
    scenario: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    states: list[str] | None = None


class OutboxStore:
    """The commands' port to the database."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def pushes(self, which: Which, limit: int | None) -> AsyncIterator[list[Push]]:
        """Pushes newest first, in pages: at most `limit`, or all there are."""
        params: dict[str, Any] = {
            "p_organization_id": which.organization_id,
            "p_states": which.states,
            "p_scenario": which.scenario,
            "p_user_id": which.user_id,
            "p_from": which.since,
            "p_to": which.until,
        }
        left, after = limit, None
        while left is None or left > 0:
            rows = PUSHES_A_PAGE if left is None else min(left, PUSHES_A_PAGE)
            page = await self._supabase.rpc("list_outbox", params | {"p_limit": rows, "p_after": after}, Page)
            yield page.rows
            if page.next is None:
                return
            after = page.next
            left = None if left is None else left - len(page.rows)

    async def show(self, outbox_id: UUID) -> WholePush:
        return await self._supabase.rpc("show_outbox", {"p_outbox_id": outbox_id}, WholePush)

    async def retry(self, outbox_id: UUID) -> Retried:
        """Repeatable: a second attempt finds it queued."""
        return await self._supabase.rpc("retry_outbox", {"p_outbox_id": outbox_id}, Retried)

    async def replay(self, which: Which, error: str | None) -> Replayed:
        """One transaction's worth. Repeatable: what a first attempt put back is not dead in the second."""
        params = {
            "p_organization_id": which.organization_id,
            "p_scenario": which.scenario,
            "p_from": which.since,
            "p_to": which.until,
            "p_error": error,
            "p_limit": DEAD_A_CALL,
        }
        return await self._supabase.rpc("replay_outbox", params, Replayed)

    async def status(self, organization_id: UUID | None) -> Status:
        return await self._supabase.rpc("outbox_status", {"p_organization_id": organization_id}, Status)
