"""What the story has seen so far: who was told, who stopped at which gate. Every look is also a check."""

from datetime import datetime
from typing import Any
from uuid import UUID

from attend.demo.desk import Desk, StoryFailed, count
from attend.demo.model import DemoData, Draft
from attend.demo.report import Capped, Counts, Decision, Previewed, Told

_HELD = """
select h.user_id, h.rule_id, h.scenario, h.gate
from private.held_decisions h where h.organization_id = %s order by h.gate, h.user_id
"""


class Evidence:
    """Looks at one stack through its desk, and remembers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.data: DemoData = desk.data
        self.told: dict[UUID, Told] = {}
        self.retracted: set[UUID] = set()
        self.rules: list[dict[str, Any]] = []

    def newly_told(self) -> list[Told]:
        """Who has been told since the last look; from now on they count as told."""
        new = [t for t in self.desk.notifications() if t.id not in self.told]
        owners = {rule["id"]: rule["organization_id"] for rule in self.rules}
        for one in new:
            is_own = owners.get(str(one.rule_id)) == str(one.organization_id)
            insist(is_own, f"{one.full_name} was told by a rule of another organisation, or by none")
        insist(len({(t.user_id, t.subject) for t in new}) == len(new), "somebody was told the same thing twice")
        self.told |= {one.id: one for one in new}
        return new

    def newly_retracted(self) -> list[UUID]:
        """Notifications taken back since the last look."""
        query = "select n.id from public.notifications n where n.retracted_at is not null order by n.retracted_at, n.id"
        new = [row["id"] for row in self.desk.rows(query) if row["id"] not in self.retracted]
        self.retracted.update(new)
        return new

    def ours(self, told: list[Told]) -> list[Told]:
        """Those of the demo's own organisation."""
        return [one for one in told if one.organization_id == self.data.organization.id]

    def preview(self, draft: Draft) -> tuple[Previewed, dict[str, Any]]:
        """What switching a rule on would do, and the numbers to acknowledge."""
        said = self.desk.call("preview_rule", p_organization_id=draft.organization_id, p_rule=draft.words())
        insist(said["needs_activation"], "a rule is switched on, and nobody is asked what becomes of those who match")
        numbers = {"p_added": said["added"], "p_removed": said["removed"]}
        return Previewed(matching=said["matching"], activations=said["activations"]), numbers

    def save(self, draft: Draft, numbers: dict[str, Any]) -> dict[str, Any]:
        """Switches a rule on; returns its row."""
        params = {"p_organization_id": draft.organization_id, "p_rule": draft.words()}
        row = self.desk.call("save_rule", **params, p_activation=draft.activation, **numbers)
        self.rules.append(row)
        return row

    def decisions(self, at: datetime) -> list[Decision]:
        """Everybody's gate at every subject at an instant, of every organisation."""
        fields = ("user_id", "full_name", "rule_id", "scenario", "subject", "gate")
        return [
            Decision(organization_id=organization.id, **{field: row[field] for field in fields})
            for organization in self.data.organizations
            for row in self.desk.dry_run(at, organization)
        ]

    def held(self, rule_id: str | None = None) -> Counts:
        """How many of the demo's organisation match and are not told (by a rule, or any), by gate."""
        rows = self.desk.rows(_HELD, self.data.organization.id)
        return count(row["gate"] for row in rows if rule_id in (None, str(row["rule_id"])))

    def capped(self, told: list[Told]) -> list[Capped]:
        """Whose day is full in the demo's organisation, and of what. `told`: by the evaluation that decided so."""
        rows = [row for row in self.desk.rows(_HELD, self.data.organization.id) if row["gate"] == "capped"]
        instead = {t.user_id: t.scenario for t in told}
        insist(all(row["user_id"] in instead for row in rows), "the day of somebody is full who was told nothing")
        return [
            Capped(
                full_name=self.desk.people[row["user_id"]].full_name,
                user_id=row["user_id"],
                scenario=row["scenario"],
                told_instead=instead[row["user_id"]],
            )
            for row in rows
        ]


def insist(holds: bool, otherwise: str) -> None:
    """Raises StoryFailed with the message `otherwise` unless it `holds`."""
    if not holds:
        raise StoryFailed(otherwise)
