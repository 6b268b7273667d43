"""What the story has seen so far: who was told, who stopped at which gate. Every look is also a check."""

from datetime import datetime
from uuid import UUID

from attend.demo.desk import Desk, StoryFailed, count
from attend.demo.model import DemoData
from attend.demo.report import Decision, RuleGates, Told

type Key = tuple[UUID, UUID]
"""A person and a rule."""


class Evidence:
    """Looks at one stack through its desk, and remembers."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.data: DemoData = desk.data
        self.our_rules = [rule for rule in self.data.rules if rule.organization_id == self.data.organization.id]
        self.told: dict[Key, datetime] = {}

    def newly_told(self, since: datetime) -> list[Told]:
        """Who has been told since the last look; from now on they count as told."""
        new = [t for t in self.desk.notifications(since) if self.told.get((t.user_id, t.rule_id)) != t.triggered_at]
        owners = {rule.id: rule.organization_id for rule in self.data.rules}
        for one in new:
            insist(owners.get(one.rule_id) == one.organization_id, f"{one.full_name} was told by another organisation")
            self.told[one.user_id, one.rule_id] = one.triggered_at
        insist(len({(t.user_id, t.rule_id) for t in new}) == len(new), "somebody was told the same thing twice")
        return new

    def decisions(self, at: datetime) -> list[Decision]:
        """Everybody's gate by every rule at an instant, of every organisation."""
        return [
            Decision(
                organization_id=organization.id,
                user_id=row["user_id"],
                full_name=self.desk.people[UUID(row["user_id"])].full_name,
                rule_id=row["rule_id"],
                gate=row["gate"],
            )
            for organization in self.data.organizations
            for row in self.desk.dry_run(at, organization)
        ]

    def by_rule(self, decisions: list[Decision], would_send: str = "would_send") -> list[RuleGates]:
        """The gates of the demo's own organisation counted; `would_send` is what that gate is called by now."""
        return [
            RuleGates(
                rule_id=rule.id,
                name=rule.name,
                is_enabled=rule.is_enabled,
                threshold_days=rule.threshold_days,
                cooldown_days=rule.cooldown_days,
                gates=count(
                    would_send if d.gate == "would_send" else d.gate for d in decisions if d.rule_id == rule.id
                ),
            )
            for rule in self.our_rules
        ]


def insist(holds: bool, otherwise: str) -> None:
    """Raises StoryFailed with the message `otherwise` unless it `holds`."""
    if not holds:
        raise StoryFailed(otherwise)
