"""attend/scenarios/words.py: every gate of every scenario in words, in the zone of whom it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from attend.scenarios import words
from attend.scenarios.answers import GateRow, Held, Rule, Told

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OSLO = "Europe/Oslo"
RULE = UUID(int=7)


def row(scenario: str, gate: str, detail: dict[str, Any] | None = None, **more: Any) -> GateRow:
    values = {"user_id": UUID(int=1), "full_name": "Kari", "rule_id": RULE, "rule_version": 1, "subject": "s"}
    return GateRow.model_validate(values | {"scenario": scenario, "gate": gate, "detail": detail or {}} | more)


@pytest.mark.parametrize(
    ("at", "zone", "said"),
    [
        (AT, OSLO, "Sat 21 Nov 2026 13:00"),
        (datetime(2026, 7, 1, 23, 30, tzinfo=UTC), OSLO, "Thu 2 Jul 2026 01:30"),
        (datetime(2026, 7, 1, 3, 30, tzinfo=UTC), "America/Guayaquil", "Tue 30 Jun 2026 22:30"),
        (None, OSLO, "never"),
        ("-infinity", OSLO, "the beginning"),
        ("infinity", OSLO, "further notice"),
    ],
)
def test_times_are_told_in_the_zone_they_are_asked_in(at: Any, zone: str, said: str) -> None:
    assert words.moment(at, zone) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(21 * 86_400, "21 days"), (21 * 86_400 - 1, "20.9 days"), (86_400, "1 day"), (0, "0 days"), (129_600, "1.5 days")],
)
def test_days_are_never_rounded_up_across_a_threshold(seconds: int, said: str) -> None:
    assert words.days_between(AT - timedelta(seconds=seconds), AT) == said


def test_inactivity_is_told_with_what_its_anchor_is() -> None:
    anchor = (AT - timedelta(days=24)).isoformat()
    detail = {"threshold_days": 21, "anchor_at": anchor, "last_activity_at": anchor}
    crossed = row("inactivity", "would_send", detail, crossed_at=AT - timedelta(days=3))
    assert words.facts(crossed, AT, OSLO) == (
        "Last completed activity Wed 28 Oct 2026 13:00, 24 days ago; the rule says 21 days. "
        "That was reached Wed 18 Nov 2026 13:00."
    )
    joined = row("inactivity", "not_matched", {"threshold_days": 30, "anchor_at": anchor, "role": "peer_mentor"})
    assert words.facts(joined, AT, OSLO) == (
        "No activity since Wed 28 Oct 2026 13:00 (joined, reactivated or back from an absence), 24 days ago; "
        "the rule says 30 days."
    )
    admin = row("inactivity", "not_matched", {"threshold_days": 30, "anchor_at": anchor, "role": "admin"})
    assert words.facts(admin, AT, OSLO) == "Only peer mentors are reminded, and this is an admin."


def test_a_milestone_is_told_with_the_value_and_where_it_was_reached() -> None:
    detail = {"metric": "hours", "period": "year", "period_start": "2026-01-01T00:00:00+00:00", "threshold": 50}
    short = row("milestone", "not_matched", detail | {"value": 49.75})
    assert words.subject("milestone", "s", short.detail) == "50 hours in 2026"
    assert words.facts(short, AT, OSLO) == "49.75 so far."
    ever = {"metric": "contacts", "period": "all_time", "threshold": 3, "value": 4}
    reached = row("milestone", "would_send", ever, crossed_at=AT)
    assert words.subject("milestone", "s", ever) == "3 contacts in all"
    assert words.facts(reached, AT, OSLO) == "4 so far. Reached Sat 21 Nov 2026 13:00."


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({"lead_days": 30}, ""),
        (
            {"name": "First aid", "lead_days": 30, "expires_at": "2026-12-01T12:00:00+00:00", "is_valid": True},
            "First aid expires Tue 1 Dec 2026 13:00, in 10 days; the rule says 30 days before.",
        ),
        (
            {"name": "First aid", "lead_days": 30, "expires_at": AT.isoformat(), "is_valid": True},
            "First aid expired Sat 21 Nov 2026 13:00.",
        ),
        (
            {"name": "First aid", "lead_days": 30, "expires_at": "2026-12-01T12:00:00+00:00", "is_valid": False},
            "First aid was revoked or replaced.",
        ),
    ],
)
def test_a_certificate_is_told_with_its_end(detail: dict[str, Any], said: str) -> None:
    assert words.facts(row("certification_expiry", "not_matched", detail), AT, OSLO) == said


AGAIN = {"eligible_again_at": "2026-12-01T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("gate", "detail", "more", "said"),
    [
        ("away", {"away_until": "2026-12-01T12:00:00+00:00"}, AGAIN, "Away until Tue 1 Dec 2026 13:00."),
        ("away", {}, {}, "Away until further notice."),
        ("not_matched", {}, AGAIN, "Eligible on Tue 1 Dec 2026 13:00, if nothing changes."),
        ("not_matched", {}, {}, ""),
        (
            "before_effective",
            {},
            AGAIN,
            "That was before the rule took effect. Eligible again on Tue 1 Dec 2026 13:00.",
        ),
        ("before_effective", {}, {}, "That was before the rule took effect. It is never told."),
        ("opted_out", {"opted_out_of": "all"}, {}, "Has switched off all notifications."),
        ("opted_out", {"opted_out_of": "milestone"}, {}, "Has switched off notifications of milestone."),
        (
            "cooling_down",
            {"cooldown_until": "2026-12-01T12:00:00+00:00"},
            AGAIN,
            "Told recently. Eligible again on Tue 1 Dec 2026 13:00.",
        ),
        ("cooling_down", {}, AGAIN, "Each is told once and for all."),
        (
            "capped",
            {},
            AGAIN,
            "Has as many notifications on that day as the organisation allows. Eligible again on Tue 1 Dec 2026 13:00.",
        ),
        (
            "quiet_hours",
            {},
            {"release_at": "2026-12-01T07:00:00+00:00"},
            "In the app at once; pushed Tue 1 Dec 2026 08:00, when quiet hours end.",
        ),
        ("superseded", {"told_with": f"{RULE}:100:2026"}, {}, "Told with 100 in 2026, and not by itself."),
        ("would_send", {}, {}, ""),
        ("a gate of a later version", {}, AGAIN, "Eligible again on Tue 1 Dec 2026 13:00."),
    ],
)
def test_each_gate_says_what_it_means_and_when_it_ends(
    gate: str, detail: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    assert words.consequence(row("milestone", gate, detail, **more), OSLO) == said


def test_a_longer_lead_is_told_with_the_shorter() -> None:
    superseded = row("certification_expiry", "superseded", {"told_with": f"{RULE}:{UUID(int=3)}:7"})
    assert words.consequence(superseded, OSLO) == "Told with 7 days before, and not by itself."


def test_every_gate_has_words() -> None:
    # The gates of docs/rules.md, in their order.
    gates = (
        "quarantined rule_disabled person_inactive away not_matched already_celebrated before_effective "
        "crossing_too_old superseded enough_reminders opted_out cooling_down capped quiet_hours would_send sent"
    )
    assert set(gates.split()) == set(words.GATES)


@pytest.mark.parametrize(
    ("type_", "parameters", "said"),
    [
        (
            "inactivity",
            {"threshold_days": 21, "cooldown_days": 14, "max_reminders": 3},
            "after 21 days without an activity; again after 14, 3 times in all",
        ),
        (
            "milestone",
            {"metric": "hours", "period": "all_time", "thresholds": [100, 50], "max_age_days": 7, "is_mandatory": True},
            "at 50, 100 hours in all; not later than 7 days after; whatever they prefer",
        ),
        (
            "certification_expiry",
            {"lead_days": [30, 7], "informs_coordinators": True},
            "7, 30 days before a certificate expires; tells their coordinators, too",
        ),
        ("a type of a later version", {}, "a type of a later version"),
    ],
)
def test_a_rule_is_told_in_one_line(type_: str, parameters: dict[str, Any], said: str) -> None:
    values = {"id": RULE, "type": type_, "name": "x", "is_enabled": True, "version": 1}
    assert words.parameters(Rule.model_validate(values | parameters)) == said


def test_what_was_told_names_rule_version_push_and_what_became_of_it() -> None:
    past = {"scenario": "milestone", "rule_id": RULE, "rule_version": 2, "subject": f"{RULE}:50:2026", "detail": {}}
    times = {"triggered_at": AT, "read_at": AT, "retracted_at": AT, "release_at": AT}
    told = Told.model_validate(past | times | {"push": "deferred"})
    assert words.told(told, "Fifty", OSLO) == (
        "Sat 21 Nov 2026 13:00  Fifty, version 2, 50 in 2026: push waits until Sat 21 Nov 2026 13:00, "
        "read Sat 21 Nov 2026 13:00, taken back Sat 21 Nov 2026 13:00"
    )
    # A sender outside passes a context of its own.
    outside = {"scenario": "milestone", "subject": "mine", "detail": {"threshold": 3}, "triggered_at": AT}
    assert words.told(Told.model_validate(outside), "another", OSLO).endswith("  another: in the app only")


def test_what_was_held_says_when_it_is_looked_at_again() -> None:
    held = {"scenario": "inactivity", "rule_id": RULE, "rule_version": 1, "subject": str(RULE), "gate": "capped"}
    past = Held.model_validate(held | {"decided_at": AT, "look_again_at": AT})
    assert words.held(past, "Quiet", OSLO) == (
        "Sat 21 Nov 2026 13:00  Quiet, version 1: the day is full; looked at again Sat 21 Nov 2026 13:00"
    )
