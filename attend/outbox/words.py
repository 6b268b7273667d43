"""States, verdicts and events of pushes in words."""

from __future__ import annotations

from attend.outbox.answers import DeviceOutcome, Push, Retried, Status, WholePush
from attend.scenarios.tables import table
from attend.scenarios.words import moment

STATES = {
    "pending": "to be sent",
    "claimed": "being sent",
    "sent": "sent",
    "deferred": "later",
    "skipped": "not sent",
    "retracted": "taken back",
    "failed": "to be tried again",
    "dead": "given up",
}
_REASONS = {
    "retracted": "taken back",
    "opted_out": "switched off by the person",
    "person_inactive": "no longer active",
    "stale": "too old",
    "condition_gone": "no longer true",
    "read": "read in the app",
    "no_device": "no device",
}
_VERDICTS = {
    "sent": "sent",
    "device_gone": "the device is gone",
    "retry": "to be tried again",
    "refused": "refused",
}
_EVENTS = {
    "quiet_hours": "put off: quiet hours",
    "capped": "put off: the day is full",
    "failed": "failed",
    "dead": "given up",
    "lease_lost": "whoever had it was not heard of again",
    "given_back": "given back unsent",
    "retried": "tried again by hand",
    "replayed": "tried again by hand, with others",
    "receipt": "the provider's receipt",
}
_RETRIED = {
    "queued": "is tried again now",
    "already_queued": "is on its way already",
    "already_sent": "has been sent",
    "not_wanted": "is not sent",
}


def row(push: Push, zone: str) -> tuple[str, ...]:
    """A push in a table, with what to know about its state."""
    return (
        str(push.outbox_id),
        moment(push.created_at, zone),
        push.full_name,
        push.scenario,
        push.state,
        about(push, zone),
    )


def about(push: Push, zone: str) -> str:
    """Why a push is where it is."""
    if push.skipped_reason:
        return _REASONS.get(push.skipped_reason, push.skipped_reason)
    times = "" if push.attempts <= 1 else f", {push.attempts} attempts"
    match push.state:
        case "dead":
            return f"{push.last_error or 'no reason'}{times}"
        case "failed":
            return f"{push.last_error or 'no reason'}{times}; again {moment(push.next_attempt_at, zone)}"
        case "deferred":
            return f"not before {moment(push.release_at, zone)}"
        case "sent":
            return f"{moment(push.settled_at, zone)}{times}"
        case _:
            return times.removeprefix(", ")


def whole(push: WholePush, zone: str) -> list[str]:
    """A push, everything about it."""
    said = STATES.get(push.state, push.state)
    why = about(push, zone)
    lines = [
        f"{push.full_name}: {push.scenario}, {moment(push.created_at, zone)} ({zone})",
        f"{push.state} ({said}){f': {why}' if why else ''}",
        "",
    ]
    lines += [f"Has no words: {push.problem}"] if push.problem else [f"  {push.title}", f"  {push.body}"]
    lines += ["", "On no device so far." if not push.devices else "Devices"]
    lines += [f"  {line}" for line in table([_device(device, zone) for device in push.devices])]
    if push.history:
        lines += ["", "On the way"]
        events = [
            (moment(event.at, zone), _EVENTS.get(event.event, event.event), event.reason or "")
            for event in push.history
        ]
        lines += [f"  {line}" for line in table(events)]
    return lines


def _device(device: DeviceOutcome, zone: str) -> tuple[str, ...]:
    what = f"{device.platform} by {device.provider}" if device.provider else "erased since"
    said = _VERDICTS.get(device.verdict, device.verdict)
    waits = ", its receipt is awaited" if device.receipt_due_at else ""
    return str(device.device_id), what, moment(device.attempted_at, zone), said + waits, device.reason or ""


def retried(push: Retried) -> str:
    """What came of trying again, in a sentence."""
    why = _REASONS.get(push.skipped_reason or "", push.skipped_reason or STATES.get(push.was, push.was))
    said = _RETRIED.get(push.outcome, push.outcome)
    return f"{push.outbox_id}  {said}{f': {why}' if push.outcome == 'not_wanted' else ''}"


def status(now: Status, zone: str) -> list[str]:
    """What waits, in a few lines."""
    since = f", the oldest since {moment(now.oldest_due_at, zone)}" if now.oldest_due_at else ""
    rows = [
        (f"{getattr(now, state):,}", state, STATES[state])
        for state in ("pending", "deferred", "claimed", "failed", "dead")
    ]
    return [f"{now.due:,} due{since}", *table(rows, "><<"), f"{now.receipts:,} receipts awaited"]
