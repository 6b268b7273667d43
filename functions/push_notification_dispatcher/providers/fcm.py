"""Firebase Cloud Messaging, HTTP v1: one POST a message, with a service account's token.

As documented, read 2026-11-21: firebase.google.com/docs/reference/fcm/rest/v1/projects.messages (the message),
…/fcm/rest/v1/ErrorCode and …/cloud-messaging/error-codes (what errors mean), …/cloud-messaging/scale-fcm (retries).

That last page says not to repeat 401 and 403, and we do, minutes later: an expired key, a role taken away or an APNs
certificate are nobody's message's fault, and whoever puts them right expects what waits to go. A push that nobody puts
right in time becomes stale. Of 404, only UNREGISTERED says something of the device: a wrong address is a 404, too.

SENDER_ID_MISMATCH says that token and account are of two projects, and not which of them is the wrong one. With the
wrong account every token is answered so, and none of them is gone: it is the token's fault only once the account has
delivered.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import httpx
from pydantic import BaseModel, Field, ValidationError

from functions.push_notification_dispatcher.providers.collapsing import collapse_id, topic
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
from functions.push_notification_dispatcher.providers.service_account import NoAccessToken, ServiceAccount
from functions.push_notification_dispatcher.providers.settings import ProviderSettings

_LONGEST_TTL = 2_419_200  # four weeks
_RETRY_AFTER_TOO_MANY = 60.0  # "If no retry-after header is set, default to 60 seconds"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


class _Accepted(BaseModel):
    name: str = Field(pattern=PROVIDER_ID, max_length=500)


class _Violation(BaseModel):
    field: str = ""


class _Detail(BaseModel):
    kind: str = Field(default="", alias="@type")
    code: str = Field(default="", alias="errorCode")
    violations: list[_Violation] = Field(default_factory=list[_Violation], alias="fieldViolations")


class _Error(BaseModel):
    message: str = ""
    status: str = ""
    details: list[_Detail] = Field(default_factory=list[_Detail])

    @property
    def code(self) -> str:
        """FCM's own code; the general one of Google's APIs where FCM itself did not answer."""
        return next((detail.code for detail in self.details if detail.kind == _FCM_ERROR), "") or self.status

    @property
    def blames_the_token(self) -> bool:
        """Whether it is the token that is malformed.

        A malformed token and a message too big are documented with one code and no field; only the text tells them
        apart. In doubt the message is refused: a device must not be lost over a long text.
        """
        fields = [violation.field for detail in self.details for violation in detail.violations]
        return fields == ["message.token"] if fields else "registration token" in self.message


class _Refused(BaseModel):
    error: _Error


@dataclass(slots=True)
class _Batch:
    """One call of `send`: its patience with FCM, and the token its messages go with."""

    streak: Streak
    token: str


class Fcm:
    """Android, iOS and web, through one Firebase project. What arrived is not told later: there are no receipts."""

    name = "fcm"

    def __init__(self, settings: ProviderSettings, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Read the service account; open nothing.

        Raises:
            SettingMissing, SettingInvalid: naming the variable.
        """
        self._account = ServiceAccount(settings)
        base = settings.attend_push_fcm_url
        self._url = httpx.URL(f"{base}/v1/projects/{self._account.project_id}/messages:send")
        self._at_once = settings.attend_push_connections
        self._http = Http(settings, base, connections=self._at_once)
        self._now = now
        self._has_delivered = False

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        """Send each message by itself."""
        if not messages:
            return []
        try:
            batch = _Batch(Streak(self.name), await self._account.access_token())
        except NoAccessToken as error:
            return [Result(Verdict.RETRY, reason=str(error))] * len(messages)
        work = partial(self._send_one, batch)
        return await concurrently(messages, self._at_once, work, lambda _, error: unexpected(error))

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:  # noqa: ARG002 - FCM has none
        """Answer that there are none."""
        return {}

    async def close(self) -> None:
        """Give the connections back."""
        await self._account.close()
        await self._http.close()

    async def _send_one(self, batch: _Batch, message: Message) -> Result:
        held = batch.streak.held()
        if held is not None:
            return held
        result, providers_failure = await self._try(batch, message)
        batch.streak.note(result, providers_failure=providers_failure)
        self._has_delivered = self._has_delivered or result.verdict is Verdict.SENT
        return result

    async def _try(self, batch: _Batch, message: Message) -> tuple[Result, bool]:
        body, used = as_json(request_body(message, self._now())), batch.token
        answer = await self._post(body, used)
        if isinstance(answer, Answer) and answer.status == HTTPStatus.UNAUTHORIZED:
            # A token is revoked with its key, whatever its age: a new one decides.
            try:
                batch.token = await self._account.access_token(refused=used)
            except NoAccessToken as error:
                return Result(Verdict.RETRY, reason=str(error)), True
            answer = await self._post(body, batch.token)
        if isinstance(answer, NoAnswer):
            return Result(Verdict.RETRY, reason=answer.reason), True
        return judge(answer, message, self._now(), has_delivered=self._has_delivered)

    async def _post(self, body: bytes, token: str) -> Answer | NoAnswer:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return await self._http.post(self._url, body, headers)


def request_body(message: Message, now: datetime) -> Mapping[str, object]:
    """The message as FCM takes it: shown once on each kind of device, not kept beyond its time, replacing a repeat.

    Collapse key, collapse id and topic replace what is under way; the tags replace what is shown already.
    """
    ttl = min(max(int((message.expires_at - now).total_seconds()), 0), _LONGEST_TTL)
    same = collapse_id(message.collapse_key)
    return {
        "message": {
            "token": message.token,
            "notification": {"title": message.title, "body": message.body},
            "data": dict(message.data),
            "android": {"collapse_key": same, "ttl": f"{ttl}s", "notification": {"tag": same}},
            "apns": {
                "headers": {"apns-collapse-id": same, "apns-expiration": str(int(message.expires_at.timestamp()))}
            },
            "webpush": {
                "headers": {"TTL": str(ttl), "Topic": topic(message.collapse_key)},
                "notification": {"tag": same},
            },
        }
    }


def judge(answer: Answer, message: Message, now: datetime, *, has_delivered: bool) -> tuple[Result, bool]:
    """What an answer says of a message, and whether it speaks of FCM as a whole.

    `has_delivered`: the account has been seen to be the right one, for some token.
    """
    try:
        if answer.status == HTTPStatus.OK:
            return Result(Verdict.SENT, _Accepted.model_validate_json(answer.body).name), False
        error = _Refused.model_validate_json(answer.body).error
    except ValidationError:
        # It may have been sent. Nothing is lost by a repeat that replaces it; something may be by believing this.
        after = retry_after(answer.headers, now)
        return Result(Verdict.RETRY, reason=not_understood(answer), retry_after=after), True
    reason = f"{code_of(error.code)} (HTTP {answer.status}): {cleaned(error.message, *private_parts(message))}"
    if error.code == "SENDER_ID_MISMATCH":
        return Result(Verdict.DEVICE_GONE if has_delivered else Verdict.RETRY, reason=reason), False
    return _judge_error(error, answer, reason, now)


def _judge_error(error: _Error, answer: Answer, reason: str, now: datetime) -> tuple[Result, bool]:
    after = retry_after(answer.headers, now)
    match answer.status:
        case _ if error.code == "UNREGISTERED" or (error.code == "INVALID_ARGUMENT" and error.blames_the_token):
            return Result(Verdict.DEVICE_GONE, reason=reason), False
        case 429:
            wait = _RETRY_AFTER_TOO_MANY if after is None else after
            return Result(Verdict.RETRY, reason=reason, retry_after=wait), True
        case 401 if error.code == "THIRD_PARTY_AUTH_ERROR":
            # The project's key for Apple's devices: Android's are sent to as ever.
            return Result(Verdict.RETRY, reason=reason, retry_after=after), False
        case 400 | 413:
            return Result(Verdict.REFUSED, reason=reason), False
        case _:
            return Result(Verdict.RETRY, reason=reason, retry_after=after), True
