"""Everything the operators' commands ask of the database; the only file here that names an RPC or a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from attend.scenarios.answers import (
    Decided,
    Explanation,
    GateRow,
    Organization,
    Person,
    Preview,
    Quarantined,
    Rule,
    RuleVersion,
)
from shared.supabase_client import Page, Supabase

PEOPLE_A_PAGE = 500
_ORGANIZATIONS = TypeAdapter(list[Organization])
_PEOPLE = TypeAdapter(list[Person])
_RULES = TypeAdapter(list[Rule])
_VERSIONS = TypeAdapter(list[RuleVersion])
_ROWS = TypeAdapter(list[GateRow])
_QUARANTINED = TypeAdapter(list[Quarantined])


class OperatorStore:
    """The commands' port to the database."""

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase

    async def organizations(self, filters: Mapping[str, object], rows: int) -> list[Organization]:
        columns, page = "id,name,time_zone", Page("id", rows)
        return await self._supabase.select("organizations", columns, filters, _ORGANIZATIONS, page=page)

    async def people(self, filters: Mapping[str, object], rows: int, after: UUID | None = None) -> list[Person]:
        page = Page("id", rows, after)
        return await self._supabase.select("users", "organization_id,id,full_name", filters, _PEOPLE, page=page)

    async def count_people(self, organization_id: UUID) -> int:
        return await self._supabase.count("users", {"organization_id": organization_id})

    async def rules(self, organization_id: UUID) -> list[Rule]:
        return await self._supabase.rpc("list_rules", {"p_organization_id": organization_id}, _RULES)

    async def versions(self, organization_id: UUID, rule_id: UUID) -> list[RuleVersion]:
        """The versions of a rule, deleted or not, oldest first; the first 1,000."""
        key = {"organization_id": organization_id, "rule_id": rule_id}
        columns = "rule_id,version,rule,valid_from,valid_to"
        page = Page("version", 1_000)
        return await self._supabase.select("scenario_rule_versions", columns, key, _VERSIONS, page=page)

    async def preview(self, organization_id: UUID, draft: Mapping[str, Any]) -> Preview:
        params = {"p_organization_id": organization_id, "p_rule": draft}
        return await self._supabase.rpc("preview_rule", params, Preview)

    async def save(
        self,
        organization_id: UUID,
        draft: Mapping[str, Any],
        counts: tuple[int, int],
        *,
        activation: str | None,
        spread_days: int | None,
        tolerance: int,
    ) -> Rule:
        """Not repeated after a lost answer: the second attempt of a new rule would find its name taken."""
        params = {
            "p_organization_id": organization_id,
            "p_rule": draft,
            "p_added": counts[0],
            "p_removed": counts[1],
            "p_activation": activation,
            "p_spread_days": spread_days,
            "p_tolerance": tolerance,
        }
        return await self._supabase.rpc("save_rule", params, Rule, repeatable=False)

    async def delete(self, organization_id: UUID, rule_id: UUID) -> Rule:
        params = {"p_organization_id": organization_id, "p_rule_id": rule_id}
        return await self._supabase.rpc("delete_rule", params, Rule, repeatable=False)

    async def dry_run(
        self, organization_id: UUID, at: datetime | None, scenario: str | None
    ) -> AsyncIterator[list[GateRow]]:
        """The rows of everybody, in pages of people."""
        params = {"p_organization_id": organization_id, "p_at": at, "p_scenario": scenario, "p_limit": PEOPLE_A_PAGE}
        after: UUID | None = None
        while rows := await self._supabase.rpc("dry_run_scenarios", params | {"p_after_user": after}, _ROWS):
            yield rows
            after = rows[-1].user_id

    async def explain(self, person: Person, scenario: str | None, at: datetime | None) -> Explanation:
        who = {"p_organization_id": person.organization_id, "p_user_id": person.id}
        return await self._supabase.rpc("explain_scenarios", who | {"p_scenario": scenario, "p_at": at}, Explanation)

    async def decide(self, organization_id: UUID, user_ids: Sequence[UUID]) -> Decided:
        """Repeatable: whoever was told by a first attempt is cooling down in the second."""
        params = {"p_organization_id": organization_id, "p_user_ids": list(user_ids)}
        return await self._supabase.rpc("evaluate_people", params, Decided)

    async def quarantined(self, organization_id: UUID) -> list[Quarantined]:
        return await self._supabase.rpc("list_quarantine", {"p_organization_id": organization_id}, _QUARANTINED)

    async def retry(self, organization_id: UUID, user_id: UUID | None) -> Decided:
        params = {"p_organization_id": organization_id, "p_user_id": user_id}
        return await self._supabase.rpc("retry_quarantine", params, Decided, repeatable=False)
