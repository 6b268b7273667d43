"""Some people of the story, and why they were told or not: the answers of `explain_scenarios` in words."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from attend.demo import words
from attend.demo.desk import Desk
from attend.demo.model import Person
from attend.demo.report import Example

type _Part = tuple[str, str, str]
"""The part people were given, the scenario they are asked about, and the gate that is to be shown of it."""

# One who was told and one who was not, at length.
_AT_LENGTH: tuple[_Part, ...] = (("quiet", "inactivity", "sent"), ("opted-out-of-all", "inactivity", "opted_out"))
# Others, for whom a line each must do.
_IN_SHORT: tuple[_Part, ...] = (
    ("at-threshold", "inactivity", "sent"),
    ("short-of-threshold", "inactivity", "not_matched"),
    ("opted-out-of-push", "inactivity", "sent"),
    ("away", "inactivity", "away"),
    ("back", "inactivity", "not_matched"),
    ("inactive", "inactivity", "person_inactive"),
    ("just-reached", "milestone", "sent"),
    ("reached-before", "milestone", "crossing_too_old"),
    ("expiring-soon", "certification_expiry", "sent"),
    ("renewed", "certification_expiry", "not_matched"),
)


def at_length(desk: Desk, rules: list[dict[str, Any]], at: datetime) -> Iterator[Example]:
    """Asks about one person who was told and one who was not."""
    for part in _AT_LENGTH:
        for person, row, example in _asked(desk, part, at):
            rule = next(rule for rule in rules if rule["id"] == row["rule_id"])
            yield example.model_copy(update={"why": words.at_length(person, row, rule, example.told_at)})


def in_short(desk: Desk, at: datetime) -> Iterator[Example]:
    """Asks about one person of each other part."""
    for part in _IN_SHORT:
        for _, _, example in _asked(desk, part, at):
            yield example


def _asked(desk: Desk, part: _Part, at: datetime) -> Iterator[tuple[Person, dict[str, Any], Example]]:
    """The first who was given the part and has the gate. What happened meanwhile may have given others another one."""
    name, scenario, gate = part
    for person in desk.data.cast(name):
        answer = desk.explain(person, scenario, at)
        row = _row(answer, scenario)
        example = _example(person, answer, row, words.why(person, row, at))
        if example.gate == gate:
            yield person, row, example
            return


def _row(answer: dict[str, Any], scenario: str) -> dict[str, Any]:
    """The answer that says most: of several leads the shortest that is due, of several years the latest."""
    rows = answer["answers"]
    if scenario == "certification_expiry":
        named = [row for row in rows if "lead_days" in row["detail"]]
        return min(named, key=_how_little)
    return max(rows, key=lambda row: row["subject"])


def _how_little(row: dict[str, Any]) -> tuple[bool, bool, int]:
    detail = row["detail"]
    # Of those that do not match, one that is no longer valid says why.
    return row["gate"] in ("not_matched", "superseded"), detail.get("is_valid", True), detail["lead_days"]


def _example(person: Person, answer: dict[str, Any], row: dict[str, Any], why: str) -> Example:
    told = next((t for t in answer["told"] if t["subject"] == row["subject"] and not t["retracted_at"]), None)
    # Of what is recorded for ever, the gate that was decided then says more than that it is recorded.
    held = [h["gate"] for h in answer["held"] if h["subject"] == row["subject"] and row["gate"] == "already_celebrated"]
    return Example(
        user_id=person.id,
        full_name=person.full_name,
        scenario=row["scenario"],
        gate="sent" if told else next(iter(held), row["gate"]),
        told_at=told["triggered_at"] if told else None,
        push=told["push"] if told else None,
        why=why,
        detail=row["detail"],
    )
