"""Gates in words, from the values that `explain_scenarios` returns."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from attend.demo.model import Person

GATES = {
    "sent": "told",
    "would_send": "would be told",
    "quiet_hours": "told, pushed when quiet hours end",
    "not_matched": "not quiet, or no peer mentor",
    "person_inactive": "no longer active",
    "away": "away",
    "opted_out": "opted out",
    "cooling_down": "told recently",
    "rule_disabled": "the rule is off",
    "before_effective": "waits for its day",
    "crossing_too_old": "reached too long ago",
    "already_celebrated": "recorded before",
    "superseded": "told with another",
    "enough_reminders": "reminded often enough",
    "capped": "day is full",
}


def why(person: Person, row: dict[str, Any], at: datetime) -> str:
    """One clause on why the row's gate is what it is. `row` is an answer of `explain_scenarios`."""
    detail, gate = row["detail"], row["gate"]
    values = _VALUES[row["scenario"]](person, row, at)
    sentences = {
        "person_inactive": "no longer active in the programme",
        "away": f"away until {_day(detail.get('away_until'))}",
        "opted_out": f"wants {_refused(detail.get('opted_out_of'))}; {values}",
        "rule_disabled": "the rule is off",
    }
    return sentences.get(gate, values)


def at_length(person: Person, row: dict[str, Any], rule: dict[str, Any], told_at: datetime | None) -> str:
    """The inactivity rule's answer in sentences: what was decided by which rule, when, and when it will be again."""
    detail = row["detail"]
    crossed = datetime.fromisoformat(row["crossed_at"])
    by = f"“{rule['name']}”, version {row['rule_version']},"
    if told_at is None:
        return (
            f"{person.full_name} was not told. {by} matches since {crossed:%d %b %Y}, and stops at the gate"
            f" {row['gate']}: {person.full_name} wants {_refused(detail.get('opted_out_of'))}."
        )
    again = datetime.fromisoformat(row["eligible_again_at"])
    last = datetime.fromisoformat(detail["anchor_at"])
    return (
        f"{person.full_name} was told at {told_at:%H:%M:%S} UTC. {by} matches since"
        f" {crossed:%d %b %Y}, {detail['threshold_days']} days after the last completed activity on {last:%d %b %Y}."
        f" Again on {again:%d %b} at the earliest, {rule['max_reminders']} times in all."
    )


def _refused(scenario: str | None) -> str:
    return "no notifications at all" if scenario == "all" else "no such notifications"


def _day(text: str | None) -> str:
    return "further notice" if text is None else f"{datetime.fromisoformat(text):%d %b}"


def _inactivity(person: Person, row: dict[str, Any], at: datetime) -> str:
    detail = row["detail"]
    anchor = datetime.fromisoformat(detail["anchor_at"])
    ago = f"{_days(at - anchor)} ago, allowed are {detail['threshold_days']}"
    if row["gate"] == "not_matched" and person.role != "peer_mentor":
        return f"is no peer mentor but {person.role}"
    if anchor == person.reactivated_at:
        return f"reactivated {ago}"
    if anchor == person.away_until:
        return f"back from an absence {ago}"
    if detail.get("last_activity_at") == detail["anchor_at"]:
        return f"last activity {ago}"
    return f"nothing since joining {ago}"


def _milestone(_person: Person, row: dict[str, Any], at: datetime) -> str:
    detail = row["detail"]
    if row["crossed_at"] is None:
        return f"{detail['value']} {detail['metric']} this year, the milestone is {detail['threshold']}"
    ago = _days(at - datetime.fromisoformat(row["crossed_at"]))
    return f"reached {detail['threshold']} {detail['metric']} {ago} ago, now {detail['value']}"


def _certificate(_person: Person, row: dict[str, Any], at: datetime) -> str:
    detail = row["detail"]
    if not detail.get("is_valid", True):
        return f"“{detail['name']}” was renewed or revoked, nothing to tell"
    left = datetime.fromisoformat(detail["expires_at"]) - at
    if left <= timedelta(0):
        return f"“{detail['name']}” expired {_days(-left)} ago"
    return f"“{detail['name']}” ends in {_days(left)}, the lead is {detail['lead_days']}"


_VALUES: dict[str, Callable[[Person, dict[str, Any], datetime], str]] = {
    "inactivity": _inactivity,
    "milestone": _milestone,
    "certification_expiry": _certificate,
}


def _days(distance: timedelta) -> str:
    """Days with two decimals, never rounded up across a threshold."""
    return f"{int(distance.total_seconds() / 864) / 100:.2f} days"
