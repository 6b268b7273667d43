"""Gates in words, from the values that `explain_scenarios` returns."""

from datetime import datetime
from typing import Any

from attend.demo.model import Person

GATES = {
    "sent": "told",
    "would_send": "would be told",
    "not_matched": "not quiet, or no peer mentor",
    "person_inactive": "no longer active",
    "away": "away",
    "opted_out": "opted out",
    "cooling_down": "told recently",
    "rule_disabled": "the rule is off",
}


def why(person: Person, row: dict[str, Any], at: datetime) -> str:
    """One sentence on why the row's gate is what it is. `row` is one of `explain_scenarios`, with its gate."""
    detail, gate = row["detail"], row["gate"]
    if gate == "not_matched" and person.role != "peer_mentor":
        return f"is no peer mentor but {person.role}"
    since = _since(person, detail, at)
    sentences = {
        "person_inactive": "no longer active in the programme",
        "away": f"away until {_day(detail.get('away_until'))}",
        "opted_out": f"wants {_refused(detail.get('opted_out_of'))}; {since}",
        "cooling_down": f"told before, and not again until {_day(detail.get('cooldown_until'))}",
        "rule_disabled": "the rule is off",
    }
    return sentences.get(gate, since)


def _refused(scenario: str | None) -> str:
    return "no notifications" if scenario == "all" else "no such reminders"


def _day(text: str | None) -> str:
    return "further notice" if text is None else f"{datetime.fromisoformat(text):%d %b}"


def _since(person: Person, detail: dict[str, Any], at: datetime) -> str:
    anchor = datetime.fromisoformat(detail["anchor_at"])
    ago = f"{_days((at - anchor).total_seconds())} ago"
    if anchor == person.reactivated_at:
        return f"reactivated {ago}"
    if anchor == person.away_until:
        return f"back from an absence {ago}"
    if detail.get("last_activity_at") == detail["anchor_at"]:
        ahead = person.away_from is not None and person.away_from > at
        return f"last completed activity {ago}" + ("; the absence planned has not begun" if ahead else "")
    return f"joined {ago}, nothing since"


def _days(seconds: float) -> str:
    """Days with two decimals, never rounded up across a threshold."""
    return f"{int(seconds / 864) / 100:.2f} days"
