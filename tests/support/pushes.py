"""Messages for tests of push providers, with texts and tokens that are found again wherever they leak."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from functions.push_notification_dispatcher.providers.protocol import Message, Result

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
TITLE = "Kari Nordmann waits"
BODY = "It has been three weeks since you met Kari."


def fcm_token(number: int) -> str:
    """A token as FCM gives them, in look."""
    return (
        f"dYc{number:06d}QkWb:APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ-hQMRKRrZuJAEcl7B338qju59zJMj{number}"
    )


def expo_token(number: int) -> str:
    """A token as Expo gives them, in look."""
    return f"ExponentPushToken[xxxxxxxxxxxxx{number:09d}]"


def message(token: str, number: int = 1, **changes: object) -> Message:
    """One push to one device."""
    values = {
        "device_id": UUID(int=number),
        "token": token,
        "title": TITLE,
        "body": BODY,
        "collapse_key": f"outbox-{number}",
        "expires_at": NOW + timedelta(hours=6),
        "data": {"notification_id": f"n-{number}"},
        **changes,
    }
    return Message(**values)


def fcm_messages(count: int, **changes: object) -> list[Message]:
    return [message(fcm_token(number), number, **changes) for number in range(count)]


def expo_messages(count: int, **changes: object) -> list[Message]:
    return [message(expo_token(number), number, **changes) for number in range(count)]


def verdicts(results: Sequence[Result]) -> list[str]:
    return [str(result.verdict) for result in results]
