"""Whether the database reaches the functions: signed calls through net.http_post, read from net._http_response."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

import psycopg
from pydantic import SecretStr
from standardwebhooks import Webhook

from shared.webhooks import parse_secrets, sign

_FUNCTION = "scenario-trigger-engine"
# Above the connect time-out of a host name that does not resolve inside a container.
_WAIT_SECONDS = 8.0


@dataclass(frozen=True)
class Attempt:
    """One call from inside the database. `status` is None when nothing answered; `problem` says why."""

    base_url: str
    status: int | None
    problem: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        """The function answered and accepted the signature."""
        return self.status == 200

    def describe(self) -> str:
        """One line for people."""
        if self.succeeded:
            return f"{self.base_url}: answered in {self.seconds * 1000:.0f} ms, signature accepted"
        if self.status == 401:
            return f"{self.base_url}: answered 401, so another secret is in use there"
        return f"{self.base_url}: {self.problem or f'answered {self.status}'}"


def bell() -> dict[str, Any]:
    """A harmless event: it asks the engine to work off marks, which it would do anyway."""
    return {"type": "BELL", "schema": "public", "table": "activities", "bell_id": f"msg_{secrets.token_hex(12)}"}


def call(connection: psycopg.Connection[Any], base_url: str, secret: str) -> Attempt:
    """Has the database send a signed bell to a base URL that need not be in Vault. `connection` is autocommit."""
    payload = bell()
    row = connection.execute("select %s::jsonb::text", (json.dumps(payload),)).fetchone()
    assert row is not None  # noqa: S101 - a select without from has a row
    moment = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": payload["bell_id"],
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(payload["bell_id"], moment, row[0]),
    }
    request = connection.execute(
        "select net.http_post(%s, %s::jsonb, headers := %s::jsonb, timeout_milliseconds := 3000)",
        (f"{base_url}/{_FUNCTION}", json.dumps(payload), json.dumps(headers)),
    ).fetchone()
    assert request is not None  # noqa: S101 - as above
    return _outcome(connection, request[0], base_url)


def call_as_the_triggers_do(connection: psycopg.Connection[Any], base_url: str) -> Attempt:
    """The way of a real bell: URL and secret from Vault, signed inside the database."""
    connection.execute("select private.post_signed(%s, %s::jsonb)", (_FUNCTION, json.dumps(bell())))
    try:
        # The same session queued it, so the sequence's current value is that request.
        row = connection.execute("select currval('net.http_request_queue_id_seq')").fetchone()
    except psycopg.errors.ObjectNotInPrerequisiteState:
        row = None
    if row is None:
        return Attempt(base_url, None, "the database could not sign; see its log", 0.0)
    return _outcome(connection, row[0], base_url)


@dataclass(frozen=True)
class Answer:
    """What a function said of itself, as the database heard it. `status` None: nothing answered, `problem` says why.

    `body` is the JSON object it answered with, if it was one; `ahead_seconds` is how far its clock is before the
    database's, by the Date of its answer: to a second, and to the time the answer took.
    """

    status: int | None
    body: dict[str, Any]
    problem: str = ""
    ahead_seconds: float | None = None
    was_sent: bool = True


def ask(connection: psycopg.Connection[Any], url: str, secret: str) -> Answer:
    """Has the database GET a function's own health, signed by its clock. Changes nothing. `connection` is autocommit.

    Raises:
        SettingInvalid: the secret is none.
    """
    (webhook,) = parse_secrets("attend_webhook_secret", SecretStr(secret))
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a select without from has a row
    headers = sign(webhook, b"", webhook_id=f"msg_{secrets.token_hex(12)}", at=row[0])
    try:
        request = connection.execute(
            "select net.http_get(%s, headers := %s::jsonb, timeout_milliseconds := 8000)", (url, json.dumps(headers))
        ).fetchone()
    except psycopg.errors.InternalError:
        return Answer(None, {}, "the address is malformed")
    assert request is not None  # noqa: S101 - as above
    query = (
        "select r.status_code, coalesce(r.error_msg, ''), r.content, r.created, r.headers"
        " from net._http_response r where r.id = %s"
    )
    deadline = time.monotonic() + _WAIT_SECONDS + 2.0
    while time.monotonic() < deadline:
        answered = connection.execute(query, (request[0],)).fetchone()
        if answered is not None:
            status, problem, content, created, given = answered
            return Answer(status, _json_object(content), problem, _ahead(given or {}, created))
        time.sleep(0.02)
    return Answer(None, {}, "pg_net sent nothing; its worker does not run", was_sent=False)


def _json_object(content: str | None) -> dict[str, Any]:
    try:
        read = json.loads(content or "")
    except ValueError:
        return {}
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {}


def _ahead(headers: dict[str, str], at: datetime) -> float | None:
    dates = [value for name, value in headers.items() if name.lower() == "date"]
    try:
        date = parsedate_to_datetime(dates[0]) if dates else None
    except ValueError:
        return None
    # "-0000" says that the zone is not known, and is read without one.
    return None if date is None else ((date if date.tzinfo else date.replace(tzinfo=UTC)) - at).total_seconds()


def _outcome(connection: psycopg.Connection[Any], request: int, base_url: str) -> Attempt:
    started = time.monotonic()
    query = (
        "select r.status_code, coalesce(r.error_msg, left(r.content, 300)) from net._http_response r where r.id = %s"
    )
    while time.monotonic() - started < _WAIT_SECONDS:
        row = connection.execute(query, (request,)).fetchone()
        if row is not None:
            return Attempt(base_url, row[0], row[1] or "", time.monotonic() - started)
        time.sleep(0.02)
    return Attempt(base_url, None, "pg_net sent nothing; its worker does not run", time.monotonic() - started)


def first_that_answers(
    connection: psycopg.Connection[Any], base_urls: Iterable[str], secret: str
) -> tuple[Attempt | None, list[Attempt]]:
    """Tries one after the other; the first success, and every attempt made."""
    attempts: list[Attempt] = []
    for base_url in base_urls:
        attempts.append(call(connection, base_url, secret))
        if attempts[-1].succeeded:
            return attempts[-1], attempts
    return None, attempts
