"""An independent judge of the whole engine: rules.md §3 in loops over plain objects.

It knows no SQL and no database (`tests/support/scenarios.py` reads the rows). Whoever agrees with it agrees with the
rules. Slow and obvious on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.support.engine_world import DAY, Answer, Person, Rule, Told, World

UNMATCHED = frozenset({"rule_disabled", "person_inactive", "away", "not_matched"})
FIRES = frozenset({"would_send", "quiet_hours"})
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def dry_run(world: World, now: datetime) -> list[Answer]:
    """What an evaluation at `now` would do, everybody by every rule, and every subject."""
    told = [replace(t) for t in world.told]
    return decide(
        replace(world, told=told, cooldowns=dict(world.cooldowns), achievements=dict(world.achievements)), now
    )


def decide(world: World, now: datetime) -> list[Answer]:
    """Evaluates everybody: changes what they have been told and what is recorded."""
    answers = [answer for person in world.people for rule in world.rules for answer in _judge(world, person, rule, now)]
    _retract(world, answers, now)
    for person in world.people:
        _gate_delivery(world, person, [a for a in answers if a.user_id == person.id and a.gate is None], now)
    for answer in answers:
        if answer.gate in FIRES:
            _tell(world, answer, now)
    _record(world, answers, now)
    return answers


def _judge(world: World, person: Person, rule: Rule, now: datetime) -> Iterator[Answer]:
    judges = {"inactivity": _inactivity, "milestone": _milestones, "certification_expiry": _certificates}
    for answer in judges[rule.type](world, person, rule, now):
        general = _general_gate(person, rule, now)
        if general:
            answer.gate, answer.crossed_at, answer.told_with = general, None, None
            answer.ends_at = person.away_until if general == "away" else None
        yield answer


def _general_gate(person: Person, rule: Rule, now: datetime) -> str | None:
    if not rule.is_enabled:
        return "rule_disabled"
    if not person.is_active:
        return "person_inactive"
    return "away" if person.is_away(now) else None


def _inactivity(world: World, person: Person, rule: Rule, now: datetime) -> Iterator[Answer]:
    anchors = [person.joined_at, *(a.occurred_at for a in world.activities if a.user_id == person.id)]
    if person.reactivated_at:
        anchors.append(person.reactivated_at)
    if person.away_until and person.away_until <= now:
        anchors.append(person.away_until)
    anchor = max(anchors)
    crossed = anchor + rule.threshold_days * DAY
    answer = Answer(person.id, rule, str(rule.id), None, crossed)
    if person.role != "peer_mentor" or crossed > now:
        answer.gate, answer.crossed_at = "not_matched", None
        answer.ends_at = crossed if person.role == "peer_mentor" else None
    else:
        reminders = sum(
            t.user_id == person.id and t.subject == answer.subject and t.triggered_at >= anchor and not t.is_retracted
            for t in world.told
        )
        if not _wait_for_activation(world, answer, now) and reminders + _skipped(rule, crossed) >= rule.max_reminders:
            answer.gate = "enough_reminders"
    yield answer


def _skipped(rule: Rule, crossed: datetime) -> int:
    """How many reminders a rule would have sent before it took effect, had it been on all the time."""
    if rule.activation != "skip" or rule.effective_from is None:
        return 0
    number = 0
    while crossed + number * rule.cooldown_days * DAY < rule.effective_from:
        number += 1
    return number


def _wait_for_activation(world: World, answer: Answer, now: datetime) -> bool:
    """Sets the gate of a crossing before the rule took effect, as the rule's activation has it."""
    rule, crossed = answer.rule, answer.crossed_at
    if rule.activation == "all" or rule.effective_from is None or crossed is None or crossed >= rule.effective_from:
        return False
    if rule.activation == "spread":
        assert rule.spread_days
        hour = abs(world.spread_hash(answer.user_id, rule.id)) % (24 * rule.spread_days)
        eligible = rule.effective_from + timedelta(hours=hour)
    elif rule.type == "inactivity":
        eligible = crossed + _skipped(rule, crossed) * rule.cooldown_days * DAY
    else:
        eligible = None
    if eligible is None or eligible > now:
        answer.gate, answer.ends_at = "before_effective", eligible
        return True
    return False


def _milestones(world: World, person: Person, rule: Rule, now: datetime) -> Iterator[Answer]:
    since = (now - rule.max_age_days * DAY).astimezone(UTC).year
    periods = [None] if rule.period == "all_time" else list(range(since, now.astimezone(UTC).year + 1))
    for year in periods:
        crossings = {n: _crossing(world, person, rule.metric, year, n) for n in rule.thresholds}
        highest = max((n for n, at in crossings.items() if at), default=0)
        for threshold, crossed in crossings.items():
            subject = f"{rule.id}:{threshold}:{year or 'all'}"
            answer = Answer(person.id, rule, subject, None, crossed)
            answer.period_start = datetime(year, 1, 1, tzinfo=UTC) if year else None
            if crossed is None:
                answer.gate = "not_matched"
            else:
                _gate_milestone(world, answer, f"{rule.id}:{highest}:{year or 'all'}", now)
            yield answer


def _gate_milestone(world: World, answer: Answer, highest: str, now: datetime) -> None:
    rule, crossed = answer.rule, answer.crossed_at
    assert crossed
    answer.told_with = highest if answer.subject != highest else None
    recorded = world.achievements.get((answer.user_id, answer.subject))
    if recorded:
        answer.gate, answer.crossed_at = "already_celebrated", recorded[0]
        return
    if _wait_for_activation(world, answer, now):
        return
    # A rule that spreads does not make anybody too late who was not when it was switched on.
    waited = rule.activation == "spread" and rule.effective_from and crossed < rule.effective_from
    measured_at = rule.effective_from if waited and rule.effective_from else now
    if answer.told_with:
        answer.gate = "superseded"
    elif crossed < measured_at - rule.max_age_days * DAY:
        answer.gate = "crossing_too_old"


def _crossing(world: World, person: Person, metric: str, year: int | None, threshold: int) -> datetime | None:
    """When the activity took place that reached the threshold, counted in the order in which they took place."""
    total, met = 0, set[UUID]()
    for activity in sorted(world.activities, key=lambda a: (a.occurred_at, a.id.bytes)):
        if activity.user_id != person.id or (year and activity.occurred_at.astimezone(UTC).year != year):
            continue
        met |= activity.contacts
        total += {"sessions": 1, "hours": activity.duration_minutes, "contacts": 0}[metric]
        reached = {"sessions": total, "hours": total / 60, "contacts": len(met)}[metric]
        if reached >= threshold:
            return activity.occurred_at
    return None


def _certificates(world: World, person: Person, rule: Rule, now: datetime) -> Iterator[Answer]:
    own = [c for c in world.certificates if c.user_id == person.id]
    if not own:
        yield from (Answer(person.id, rule, f"{rule.id}:{lead}", "not_matched") for lead in rule.lead_days)
    for certificate in own:
        due = [lead for lead in rule.lead_days if certificate.expires_at - lead * DAY <= now]
        for lead in rule.lead_days:
            crossed = certificate.expires_at - lead * DAY
            answer = Answer(person.id, rule, f"{rule.id}:{certificate.id}:{lead}", None, crossed)
            if not (certificate.is_valid and crossed <= now < certificate.expires_at):
                answer.gate, answer.crossed_at = "not_matched", None
                answer.ends_at = crossed if certificate.is_valid and now < crossed else None
            elif lead > min(due):
                answer.gate, answer.told_with = "superseded", f"{rule.id}:{certificate.id}:{min(due)}"
            yield answer


def _retract(world: World, answers: list[Answer], now: datetime) -> None:
    """What was decided by a rule, is not pushed yet and no longer holds, is taken back; what has been read stays."""
    matched = {(a.user_id, a.subject) for a in answers if a.gate not in UNMATCHED}
    this_year = datetime(now.astimezone(UTC).year, 1, 1, tzinfo=UTC)
    for told in world.told:
        is_of_an_old_year = told.period_start is not None and told.period_start < this_year
        if told.push not in {"pending", "deferred"} or told.triggered_at > now or is_of_an_old_year:
            continue
        if (told.user_id, told.subject) in matched:
            continue
        told.push = "retracted"
        if told.is_read or told.is_retracted:
            continue
        told.is_retracted = True
        # A lead that nobody saw can be told again. A milestone stays recorded, inactivity cools down.
        if told.scenario == "certification_expiry":
            world.cooldowns.pop((told.user_id, told.subject), None)
        for copy in world.told:
            if (copy.subject, copy.triggered_at) == (f"{told.subject}/{told.user_id}", told.triggered_at):
                copy.is_retracted = copy.is_retracted or not copy.is_read


def _gate_delivery(world: World, person: Person, wishes: list[Answer], now: datetime) -> None:
    release_at = _release_at(now, world.zone(person), world.quiet)
    day = release_at.astimezone(world.zone(person)).date()
    told = sum(t.user_id == person.id and t.release_on == day and not t.is_retracted for t in world.told)
    for answer in sorted(wishes, key=lambda a: (-a.rule.priority, a.crossed_at, a.subject)):
        rule = answer.rule
        cooldown_ends_at = _cooldown_ends_at(world, answer)
        if _is_off(world, person.id, rule.type, "all") and not rule.is_mandatory:
            answer.gate = "opted_out"
        elif cooldown_ends_at and now < cooldown_ends_at:
            answer.gate, answer.ends_at = "cooling_down", cooldown_ends_at if cooldown_ends_at < FOR_EVER else None
        elif world.daily_cap and told >= world.daily_cap:
            answer.gate, answer.ends_at = "capped", _when_day_ends(day, world.zone(person), world.quiet)
        else:
            told += 1
            answer.gate = "quiet_hours" if release_at > now else "would_send"
            answer.release_at = release_at


def _cooldown_ends_at(world: World, answer: Answer) -> datetime | None:
    last = world.cooldowns.get((answer.user_id, answer.subject))
    if last is None:
        return None
    if answer.rule.type == "inactivity":
        return last + answer.rule.cooldown_days * DAY
    # Once and for all. Of a certificate there is nothing more to tell once it has expired.
    expires = [c.expires_at for c in world.certificates if str(c.id) in answer.subject]
    return expires[0] if expires else FOR_EVER


def _is_off(world: World, user_id: UUID, scenario: str, channel: str) -> bool:
    return any((user_id, what, channel) in world.switched_off for what in ("all", scenario))


def _is_quiet(at: time, quiet: tuple[time, time]) -> bool:
    begins, ends = quiet
    return begins <= at < ends if begins < ends else at >= begins or at < ends


@cache
def _release_at(now: datetime, zone: ZoneInfo, quiet: tuple[time, time] | None) -> datetime:
    """The first moment from now on that is not quiet; quiet hours end at full minutes, whatever the clocks do."""
    at = now
    while quiet and _is_quiet(at.astimezone(zone).time(), quiet):
        at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return at


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """A wall clock's time as an instant: of two the later; one that is skipped, as far after the skip as into it."""
    return max(datetime.combine(day, at, tzinfo=zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))


def _when_day_ends(day: date, zone: ZoneInfo, quiet: tuple[time, time] | None) -> datetime:
    """When something new is no longer planned for this day: at midnight, or where quiet hours defer it to the next."""
    if quiet and quiet[0] > quiet[1]:
        return _instant(day, quiet[0], zone)
    tomorrow = day + timedelta(days=1)
    first = datetime.combine(tomorrow, time(0), tzinfo=zone)
    candidates = [first.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return min(at for at in candidates if at.astimezone(zone).date() == tomorrow)


def _tell(world: World, answer: Answer, now: datetime) -> None:
    person = next(p for p in world.people if p.id == answer.user_id)
    rule, release_at = answer.rule, answer.release_at
    assert release_at
    world.cooldowns[answer.user_id, answer.subject] = now
    is_pushed = rule.is_mandatory or not _is_off(world, person.id, rule.type, "push")
    push = ("deferred" if release_at > now else "pending") if is_pushed else None
    day = release_at.astimezone(world.zone(person)).date()
    told = Told(person.id, rule.type, answer.subject, rule.id, now, answer.crossed_at, day, answer.period_start, push)
    world.told.append(told)
    if not rule.informs_coordinators:
        return
    for coordinator in world.people:
        if (person.id, coordinator.id) not in world.coordinators or not coordinator.is_active:
            continue
        if not _is_off(world, coordinator.id, rule.type, "all"):
            subject = f"{answer.subject}/{person.id}"
            informed = Told(
                coordinator.id, rule.type, subject, rule.id, now, answer.crossed_at, None, answer.period_start, None
            )
            world.told.append(informed)


def _record(world: World, answers: list[Answer], now: datetime) -> None:
    """What is told once and never again: with what became of it, and whatever was told together with another."""
    outcomes = {"would_send": "celebrated", "quiet_hours": "celebrated"}
    outcomes |= {"opted_out": "opted_out", "crossing_too_old": "crossing_too_old"}
    for answer in answers:
        outcome = outcomes.get(answer.gate or "")
        if answer.gate == "before_effective" and answer.ends_at is None:
            outcome = "before_effective"
        if answer.rule.type == "milestone" and outcome and answer.crossed_at:
            world.achievements.setdefault((answer.user_id, answer.subject), (answer.crossed_at, outcome))
    fired = {(a.user_id, a.subject) for a in answers if a.gate in FIRES}
    for answer in answers:
        if answer.gate != "superseded" or not answer.told_with or not answer.crossed_at:
            continue
        if answer.rule.type == "milestone" and (answer.user_id, answer.told_with) in world.achievements:
            world.achievements.setdefault((answer.user_id, answer.subject), (answer.crossed_at, "superseded"))
        if answer.rule.type == "certification_expiry" and (answer.user_id, answer.told_with) in fired:
            world.cooldowns.setdefault((answer.user_id, answer.subject), now)
