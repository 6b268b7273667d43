"""An independent judge of the inactivity scenario: rules.md §3 in plain Python, from the rows alone.

It knows no SQL and nothing of how the rows were made (their `casting` is not read), so whoever agrees with it agrees
with the rule. Slow and obvious on purpose.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from attend.demo.model import Activity, DemoData, Person, Rule

type Told = Mapping[tuple[UUID, UUID], datetime]
"""When a person (first) was last told about a rule (second)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about one person by one rule at one instant, and the values it rests on."""

    organization_id: UUID
    user_id: UUID
    rule_id: UUID
    gate: str
    anchor_at: datetime
    last_activity_at: datetime | None
    days_inactive: float
    crossed_at: datetime | None
    push: bool
    """Whether a notification, if there is one, also goes to the phone."""


def decide(data: DemoData, at: datetime, told: Told | None = None) -> list[Decision]:
    """Everybody by every rule of their organisation, as an evaluation at `at` must see them."""
    last = _last_completed(data.activities)
    off: dict[UUID, list[tuple[str, str]]] = {}
    for preference in data.preferences:
        if not preference.is_enabled:
            off.setdefault(preference.user_id, []).append((preference.scenario, preference.channel))
    return [
        _decision(person, rule, last.get(person.id), off.get(person.id, []), at, told or {})
        for person in data.people
        for rule in data.rules
        if rule.organization_id == person.organization_id and rule.type == "inactivity"
    ]


def tell(decisions: Iterable[Decision], at: datetime, told: Told | None = None) -> dict[tuple[UUID, UUID], datetime]:
    """Who has been told after these decisions took effect at `at`: the `told` of the next evaluation."""
    return {**(told or {}), **{(d.user_id, d.rule_id): at for d in decisions if d.gate == "would_send"}}


def with_activities(data: DemoData, change: Mapping[UUID, Activity | None], added: Iterable[Activity] = ()) -> DemoData:
    """The same organisation with some activities replaced (None: deleted) and some added."""
    kept = (change.get(activity.id, activity) for activity in data.activities)
    return replace(data, activities=(*(activity for activity in kept if activity is not None), *added))


def _last_completed(activities: Iterable[Activity]) -> dict[UUID, datetime]:
    last: dict[UUID, datetime] = {}
    for activity in activities:
        if activity.status == "completed":
            last[activity.user_id] = max(last.get(activity.user_id, activity.occurred_at), activity.occurred_at)
    return last


def _decision(
    person: Person, rule: Rule, last: datetime | None, off: list[tuple[str, str]], at: datetime, told: Told
) -> Decision:
    beginnings = [last, person.joined_at, person.reactivated_at]
    if person.away_until is not None and person.away_until <= at:
        beginnings.append(person.away_until)
    anchor = max(instant for instant in beginnings if instant is not None)
    crossing = anchor + timedelta(hours=24 * rule.threshold_days)
    relevant = {channel for scenario, channel in off if scenario in ("inactivity", "all")}
    before = told.get((person.id, rule.id))
    return Decision(
        organization_id=person.organization_id,
        user_id=person.id,
        rule_id=rule.id,
        gate=_gate(person, rule, at, crossing, opted_out="all" in relevant, told=before),
        anchor_at=anchor,
        last_activity_at=last,
        days_inactive=(at - anchor) / timedelta(days=1),
        crossed_at=crossing if crossing <= at else None,
        push="push" not in relevant,
    )


def _gate(
    person: Person, rule: Rule, at: datetime, crossing: datetime, *, opted_out: bool, told: datetime | None
) -> str:
    is_away = person.away_from is not None and person.away_from <= at
    if is_away and person.away_until is not None and at >= person.away_until:
        is_away = False
    gates = {
        "rule_disabled": not rule.is_enabled,
        "person_inactive": not person.is_active,
        "away": is_away,
        "not_matched": person.role != "peer_mentor" or at < crossing,
        "opted_out": opted_out,
        "cooling_down": told is not None and at < told + timedelta(hours=24 * rule.cooldown_days),
    }
    return next((gate for gate, holds in gates.items() if holds), "would_send")
