"""Gates, rules and decisions in words that somebody who coordinates mentors understands.

Times are told in the zone of whom they are about, days are 24 hours. Source: docs/rules.md.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from attend.scenarios.answers import GateRow, Held, Moment, Rule, Told

GATES = {
    "sent": "told",
    "would_send": "would be told",
    "quiet_hours": "told in the app, pushed after quiet hours",
    "quarantined": "cannot be evaluated",
    "rule_disabled": "the rule is switched off",
    "person_inactive": "no longer active",
    "away": "away",
    "not_matched": "does not match",
    "already_celebrated": "recorded before",
    "before_effective": "from before the rule took effect",
    "crossing_too_old": "too long ago to be celebrated",
    "superseded": "told together with another",
    "enough_reminders": "reminded often enough",
    "opted_out": "switched off by the person",
    "cooling_down": "told before",
    "capped": "the day is full",
}


def moment(at: Moment | None, zone: str) -> str:
    """A time as it is read aloud in a zone."""
    match at:
        case None:
            return "never"
        case "-infinity":
            return "the beginning"
        case "infinity":
            return "further notice"
        case datetime():
            local = at.astimezone(ZoneInfo(zone))
            return f"{local:%a} {local.day} {local:%b %Y %H:%M}"
        case str():
            raise ValueError(at)


def _told_at(text: Any, zone: str) -> str:
    return moment(datetime.fromisoformat(text), zone)


def days_between(earlier: datetime, later: datetime) -> str:
    """Days with one decimal, never rounded up across a threshold."""
    days = int((later - earlier).total_seconds() / 8_640) / 10
    return f"{days:g} {'day' if days == 1 else 'days'}"


def parameters(rule: Rule) -> str:
    """What a rule says, in one line."""
    match rule.type:
        case "inactivity":
            said = (
                f"after {rule.parameter('threshold_days')} days without an activity; again after "
                f"{rule.parameter('cooldown_days')}, {rule.parameter('max_reminders')} times in all"
            )
        case "milestone":
            period = "in a year" if rule.parameter("period") == "year" else "in all"
            said = (
                f"at {_numbers(rule.parameter('thresholds'))} {rule.parameter('metric')} {period}; "
                f"not later than {rule.parameter('max_age_days')} days after"
            )
        case "certification_expiry":
            said = f"{_numbers(rule.parameter('lead_days'))} days before a certificate expires"
        case _:
            said = rule.type
    more = "; whatever they prefer" if rule.parameter("is_mandatory") else ""
    return said + more + ("; tells their coordinators, too" if rule.parameter("informs_coordinators") else "")


def _numbers(of: list[int]) -> str:
    return ", ".join(str(number) for number in sorted(of))


def subject(scenario: str, named: str, detail: dict[str, Any]) -> str:
    """Which of the things a rule is about: a milestone, a certificate and its lead. Inactivity has one only."""
    if scenario == "milestone" and {"threshold", "metric"} <= detail.keys():
        return f"{detail['threshold']} {detail['metric']} {_period(detail)}"
    if scenario == "certification_expiry" and "lead_days" in detail:
        name = detail.get("name")
        return f"{name}, {detail['lead_days']} days before" if name else "no certificate"
    # What was held keeps the subject alone: rule:threshold:year, rule:certificate:lead.
    parts = named.split(":")
    if scenario == "milestone" and len(parts) == 3:
        return f"{parts[1]} in {parts[2]}"
    return f"{parts[2]} days before" if scenario == "certification_expiry" and len(parts) == 3 else ""


def _period(detail: dict[str, Any]) -> str:
    return f"in {detail['period_start'][:4]}" if detail.get("period_start") else "in all"


def facts(row: GateRow, at: datetime, zone: str) -> str:
    """The value against the threshold, as one sentence or two."""
    match row.scenario:
        case "inactivity":
            return _inactivity(row, at, zone)
        case "milestone":
            reached = f" Reached {moment(row.crossed_at, zone)}." if row.crossed_at else ""
            return f"{row.detail.get('value', 0):g} so far.{reached}"
        case "certification_expiry":
            return _certificate(row, at, zone)
        case _:
            return ""


def _inactivity(row: GateRow, at: datetime, zone: str) -> str:
    detail = row.detail
    role = detail.get("role", "peer_mentor")
    if role != "peer_mentor":
        return f"Only peer mentors are reminded, and this is {_article(role)}."
    if "anchor_at" not in detail:
        return ""
    anchor = datetime.fromisoformat(detail["anchor_at"])
    ago = f"{days_between(anchor, at)} ago; the rule says {detail['threshold_days']} days."
    if detail.get("last_activity_at") == detail["anchor_at"]:
        told = f"Last completed activity {moment(anchor, zone)}, {ago}"
    else:
        told = f"No activity since {moment(anchor, zone)} (joined, reactivated or back from an absence), {ago}"
    if row.crossed_at:
        return f"{told} That was reached {moment(row.crossed_at, zone)}."
    return told


def _certificate(row: GateRow, at: datetime, zone: str) -> str:
    detail = row.detail
    if "expires_at" not in detail:
        return ""
    expires = datetime.fromisoformat(detail["expires_at"])
    if detail.get("is_valid") is False:
        return f"{detail['name']} was revoked or replaced."
    if expires <= at:
        return f"{detail['name']} expired {moment(expires, zone)}."
    left = days_between(at, expires)
    return (
        f"{detail['name']} expires {moment(expires, zone)}, in {left}; the rule says {detail['lead_days']} days before."
    )


def _article(role: str) -> str:
    return f"{'an' if role[0] in 'aeiou' else 'a'} {role.replace('_', ' ')}"


def consequence(row: GateRow, zone: str) -> str:
    """What the gate means for the person, and when it ends."""
    again = f" Eligible again on {moment(row.eligible_again_at, zone)}." if row.eligible_again_at else ""
    detail = row.detail
    away_until = detail.get("away_until")
    instead = subject(row.scenario, str(detail.get("told_with", "")), {}) or "another"
    off = "all notifications" if detail.get("opted_out_of") == "all" else f"notifications of {row.scenario}"
    # The end that a certificate's lead has is the certificate's: it is told once.
    once = "" if detail.get("cooldown_until") else "Each is told once and for all."
    ahead = f"Eligible on {moment(row.eligible_again_at, zone)}, if nothing changes." if row.eligible_again_at else ""
    return {
        "quarantined": "An evaluation failed; `attend quarantine list` says why.",
        "rule_disabled": "Nobody is told by it.",
        "person_inactive": "Whoever is no longer active is told nothing.",
        "away": f"Away until {_told_at(away_until, zone) if away_until else 'further notice'}.",
        "not_matched": ahead,
        "already_celebrated": "A milestone is told once and for all.",
        "before_effective": f"That was before the rule took effect.{again or ' It is never told.'}",
        "crossing_too_old": "It is recorded, and not celebrated.",
        "superseded": f"Told with {instead}, and not by itself.",
        "enough_reminders": "The next activity begins anew.",
        "opted_out": f"Has switched off {off}.",
        "cooling_down": once or f"Told recently.{again}",
        "capped": f"Has as many notifications on that day as the organisation allows.{again}",
        "quiet_hours": f"In the app at once; pushed {moment(row.release_at, zone)}, when quiet hours end.",
    }.get(row.gate, again.strip())


def told(past: Told, rule: str, zone: str) -> str:
    """One notification of the past, as a line."""
    pushes = {"pending": "push waits", "deferred": f"push waits until {moment(past.release_at, zone)}"}
    states = [pushes.get(past.push, f"push {past.push}") if past.push else "in the app only"]
    states += [f"read {moment(past.read_at, zone)}"] if past.read_at else []
    states += [f"taken back {moment(past.retracted_at, zone)}"] if past.retracted_at else []
    return _line(past, past.triggered_at, rule, zone, past.detail) + ", ".join(states)


def held(past: Held, rule: str, zone: str) -> str:
    """One decision not to tell, as a line."""
    again = f"; looked at again {moment(past.look_again_at, zone)}" if past.look_again_at else ""
    return _line(past, past.decided_at, rule, zone, {}) + GATES.get(past.gate, past.gate) + again


def _line(past: Told | Held, at: datetime, rule: str, zone: str, detail: dict[str, Any]) -> str:
    about = subject(past.scenario, past.subject, detail)
    version = f", version {past.rule_version}" if past.rule_version else ""
    return f"{moment(at, zone)}  {rule}{version}{f', {about}' if about else ''}: "
