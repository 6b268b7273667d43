"""Expo's push service: a hundred messages a request, a ticket for each, and later a receipt for each ticket.

As documented, read 2026-11-21: docs.expo.dev/push-notifications/sending-notifications (tickets, receipts, errors,
limits, message format; `collapseId` and `tag` since March 2026).
"""

import asyncio
import gzip
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import httpx
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from functions.push_notification_dispatcher.providers.collapsing import collapse_id
from functions.push_notification_dispatcher.providers.http import (
    PROVIDER_ID,
    Answer,
    Http,
    NoAnswer,
    Streak,
    as_json,
    cleaned,
    code_of,
    concurrently,
    not_understood,
    private_parts,
    retry_after,
    unexpected,
)
from functions.push_notification_dispatcher.providers.protocol import Message, Result, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared.errors import SettingInvalid
from shared.logs import get_logger

log = get_logger(__name__)

LARGEST_BATCH = 100
LARGEST_QUESTION = 1_000
# "limit the number of your concurrent connections. The Node SDK … opens a maximum of six"
_CONNECTIONS = 6
_PUSH_TOKEN = re.compile(r"Expo(?:nent)?PushToken\[[^\]\s]{1,200}\]|[a-zA-Z\d]{8}(?:-[a-zA-Z\d]{4}){3}-[a-zA-Z\d]{12}")
_ACCESS_TOKEN = re.compile(r"[\x21-\x7e]+")
_MIXED = "PUSH_TOO_MANY_EXPERIENCE_IDS"
_TOKENS_OF_PROJECTS = TypeAdapter(dict[str, list[str]])
# Of a request as a whole; what else is refused with 400 is somewhere in its messages.
_PASSES = frozenset({"TOO_MANY_REQUESTS", "UNAUTHORIZED", "INTERNAL_SERVER_ERROR"})

# Not here is what the project's owner can repair (InvalidCredentials, MismatchSenderId) or what passes
# (MessageRateExceeded): tried again until it is stale, as is whatever this version does not know.
_VERDICTS = {
    "DeviceNotRegistered": Verdict.DEVICE_GONE,
    "MessageTooBig": Verdict.REFUSED,
}


class _Details(BaseModel):
    error: str | None = None
    expo_push_token: str | None = Field(default=None, alias="expoPushToken")


class _Outcome(BaseModel):
    """A ticket or a receipt."""

    status: Literal["ok", "error"]
    id: Annotated[str, StringConstraints(pattern=PROVIDER_ID, max_length=200)] | None = None
    message: str = ""
    details: _Details = Field(default_factory=_Details)


class _Problem(BaseModel):
    code: object = None
    message: str = ""
    details: object = None


class _Body(BaseModel):
    data: list[Any] | dict[str, Any] | None = None
    errors: list[_Problem] = Field(default_factory=list[_Problem])


@dataclass(frozen=True, slots=True)
class _Patience:
    """With Expo as a whole, and with a batch that is divided: ten refusals in a row, and its rest waits for later."""

    provider: Streak
    batch: Streak

    def held(self) -> Result | None:
        return self.provider.held() or self.batch.held()


class Expo:
    """Devices of apps made with Expo. A ticket says that Expo took a message; the receipt, that Apple or Google did."""

    name = "expo"

    def __init__(
        self,
        settings: ProviderSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing.

        Raises:
            SettingInvalid: naming the variable.
        """
        self._headers = {"content-type": "application/json", "content-encoding": "gzip"}
        if settings.attend_push_expo_access_token is not None:
            token = settings.attend_push_expo_access_token.get_secret_value().strip()
            if not _ACCESS_TOKEN.fullmatch(token):
                raise SettingInvalid("ATTEND_PUSH_EXPO_ACCESS_TOKEN", "it is not one word")
            self._headers["authorization"] = f"Bearer {token}"
        base = settings.attend_push_expo_url
        self._send_url = httpx.URL(f"{base}/--/api/v2/push/send")
        self._receipts_url = httpx.URL(f"{base}/--/api/v2/push/getReceipts")
        self._at_once = min(_CONNECTIONS, settings.attend_push_connections)
        self._http = Http(settings, base, connections=self._at_once)
        self._per_second = settings.attend_push_expo_per_second
        self._now, self._monotonic = now, monotonic
        self._next_at = 0.0

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        """Send in batches; a batch that is refused whole is divided until it is known for what."""
        results: dict[int, Result] = {}
        known: list[int] = []
        for place, message in enumerate(messages):
            if _PUSH_TOKEN.fullmatch(message.token):
                known.append(place)
            else:
                results[place] = Result(Verdict.DEVICE_GONE, reason="not an Expo push token")
        batches = [known[start : start + LARGEST_BATCH] for start in range(0, len(known), LARGEST_BATCH)]

        streak = Streak(self.name)

        async def work(batch: Sequence[int]) -> Sequence[Result]:
            patience = _Patience(streak, Streak(self.name))
            return await self._send_batch([messages[place] for place in batch], patience)

        answered = await concurrently(batches, self._at_once, work, lambda batch, e: [unexpected(e)] * len(batch))
        for batch, outcomes in zip(batches, answered, strict=True):
            results.update(zip(batch, outcomes, strict=True))
        return [results[place] for place in range(len(messages))]

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:
        """Ask for the receipts of tickets, kept for a day. Those of a question that fails are not known yet."""
        ids = list(dict.fromkeys(provider_ids))
        questions = [ids[start : start + LARGEST_QUESTION] for start in range(0, len(ids), LARGEST_QUESTION)]
        nothing: Mapping[str, Result] = {}
        answers = await concurrently(questions, self._at_once, self._receipts_of, lambda _, __: nothing)
        return {receipt: result for answer in answers for receipt, result in answer.items()}

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.close()

    async def _send_batch(self, batch: Sequence[Message], patience: _Patience) -> Sequence[Result]:
        held = patience.held()
        if held is not None:
            return [held] * len(batch)
        await self._turn(len(batch))
        answer = await self._post(self._send_url, [push(message) for message in batch])
        if isinstance(answer, NoAnswer):
            return _failed(batch, patience, answer.reason)
        body = _body(answer)
        if body is None:
            return _failed(batch, patience, not_understood(answer), retry_after(answer.headers, self._now()))
        if body.errors:
            return await self._refused(batch, answer, body.errors[0], patience)
        tickets = [body.data] if isinstance(body.data, dict) else body.data or []
        if len(tickets) != len(batch):
            # Nobody can say whose is missing, so none is believed; a repeat replaces what was sent all the same.
            return _failed(batch, patience, f"{len(tickets)} tickets for {len(batch)} messages")
        for streak in (patience.provider, patience.batch):
            streak.note(Result(Verdict.SENT), providers_failure=False)
        return [ticket_result(ticket, message) for ticket, message in zip(tickets, batch, strict=True)]

    async def _refused(
        self, batch: Sequence[Message], answer: Answer, problem: _Problem, patience: _Patience
    ) -> Sequence[Result]:
        private = [part for message in batch for part in private_parts(message)]
        said = f"{code_of(problem.code)} (HTTP {answer.status}): {cleaned(problem.message, *private)}"
        mixed = problem.code == _MIXED
        if code_of(problem.code) in _PASSES or (answer.status not in {400, 413} and not mixed):
            return _failed(batch, patience, said, retry_after(answer.headers, self._now()))
        refused = Result(Verdict.REFUSED, reason=said)
        patience.batch.note(refused, providers_failure=not mixed)
        if len(batch) == 1:
            return [refused]
        results: dict[int, Result] = {}
        for part in (mixed and _by_project(batch, problem)) or _halves(batch):
            results.update(zip(part, await self._send_batch([batch[place] for place in part], patience), strict=True))
        return [results[place] for place in range(len(batch))]

    async def _receipts_of(self, ids: list[str]) -> Mapping[str, Result]:
        answer = await self._post(self._receipts_url, {"ids": ids})
        body = None if isinstance(answer, NoAnswer) else _body(answer)
        if body is not None and not body.errors and isinstance(body.data, dict):
            found = {ticket: receipt_result(ticket, body.data[ticket]) for ticket in ids if ticket in body.data}
            return {ticket: result for ticket, result in found.items() if result is not None}
        if isinstance(answer, Answer) and body is not None and body.errors:
            # Without its text: it could quote messages, which are not at hand to be taken out.
            reason = f"{code_of(body.errors[0].code)} (HTTP {answer.status})"
        else:
            reason = answer.reason if isinstance(answer, NoAnswer) else not_understood(answer)
        log.warning("push_receipts_not_read", provider=self.name, reason=reason, tickets=len(ids))
        return {}

    async def _post(self, url: httpx.URL, value: object) -> Answer | NoAnswer:
        # Level 1: pushes of one scenario differ by a name and a token, and the processor has others to serve.
        return await self._http.post(url, gzip.compress(as_json(value), 1), self._headers)

    async def _turn(self, messages: int) -> None:
        # Expo refuses what exceeds its limit a second, and counts what it refuses.
        begins = max(self._monotonic(), self._next_at)
        self._next_at = begins + messages / self._per_second
        await asyncio.sleep(begins - self._monotonic())


def push(message: Message) -> Mapping[str, object]:
    """The message as Expo takes it.

    `collapseId` replaces what is under way and, on iOS, what is shown; on Android `tag` does the latter.
    """
    same = collapse_id(message.collapse_key)
    return {
        "to": message.token,
        "title": message.title,
        "body": message.body,
        "data": dict(message.data),
        "expiration": int(message.expires_at.timestamp()),
        "collapseId": same,
        "tag": same,
    }


def ticket_result(ticket: object, message: Message) -> Result:
    """What a ticket says of the message in its place."""
    try:
        outcome = _Outcome.model_validate(ticket)
    except ValidationError:
        return Result(Verdict.RETRY, reason="a ticket in no known form")
    if outcome.status == "ok":
        if outcome.id is None:
            return Result(Verdict.RETRY, reason="a ticket without an id")
        return Result(Verdict.SENT, outcome.id, awaits_receipt=True)
    named = outcome.details.expo_push_token
    if named is not None and named != message.token:
        return Result(Verdict.RETRY, reason="a ticket for another device in this one's place")
    return _error_result(outcome, None, private_parts(message))


def receipt_result(ticket: str, receipt: object) -> Result | None:
    """What a receipt says; None if that cannot be read, as if there were none yet."""
    try:
        outcome = _Outcome.model_validate(receipt)
    except ValidationError:
        return None
    return Result(Verdict.SENT, ticket) if outcome.status == "ok" else _error_result(outcome, ticket, ())


def _error_result(outcome: _Outcome, provider_id: str | None, private: Sequence[str]) -> Result:
    code = code_of(outcome.details.error)
    reason = f"{code}: {cleaned(outcome.message, *private)}"
    return Result(_VERDICTS.get(code, Verdict.RETRY), provider_id, reason)


def _body(answer: Answer) -> _Body | None:
    try:
        body = _Body.model_validate_json(answer.body)
    except ValidationError:
        return None
    return body if body.errors or (answer.status == 200 and body.data is not None) else None


def _failed(batch: Sequence[Message], patience: _Patience, reason: str, after: float | None = None) -> Sequence[Result]:
    result = Result(Verdict.RETRY, reason=reason, retry_after=after)
    patience.provider.note(result, providers_failure=True)
    return [result] * len(batch)


def _by_project(batch: Sequence[Message], problem: _Problem) -> list[list[int]]:
    """The places of a batch by the project that Expo says each token is of; empty where that does not divide it."""
    try:
        projects = _TOKENS_OF_PROJECTS.validate_python(problem.details)
    except ValidationError:
        return []
    project_of = {token: project for project, tokens in projects.items() for token in tokens}
    parts: dict[str | None, list[int]] = {}
    for place, message in enumerate(batch):
        parts.setdefault(project_of.get(message.token), []).append(place)
    return list(parts.values()) if len(parts) > 1 else []


def _halves(batch: Sequence[Message]) -> list[list[int]]:
    places = list(range(len(batch)))
    return [places[: len(places) // 2], places[len(places) // 2 :]]
