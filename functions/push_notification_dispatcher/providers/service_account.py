"""A Google service account: its key from the settings, and access tokens that it is given for an hour at a time.

google-auth knows the protocol (a signed JWT for a token, RFC 7523) and the token's age; the request is ours, over
httpx, because its own transports each bring another HTTP library. It is blocking code, so a refresh runs in a thread,
and everybody who needs a token meanwhile waits for the same one. The request itself runs on the loop: nothing can end
a thread that waits for a server which trickles headers, and nobody would have a token until it ended.
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol, cast, override

import httpx
from google.auth import exceptions, transport
from google.oauth2 import service_account
from pydantic import BaseModel, Field, SecretStr, ValidationError

from functions.push_notification_dispatcher.providers.http import cleaned
from functions.push_notification_dispatcher.providers.settings import ProviderSettings, ProviderUrl
from shared.errors import SettingInvalid, SettingMissing
from shared.logs import get_logger

log = get_logger(__name__)

VARIABLE = "ATTEND_PUSH_FCM_SERVICE_ACCOUNT"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
# Opaque to us, but it becomes a header: whatever could end one is no token.
_ACCESS_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


class NoAccessToken(Exception):
    """The account was given no token; the message says why, and holds no secret."""


class _Key(BaseModel):
    type: Literal["service_account"]
    project_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.:\-]{1,100}$")]
    client_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    private_key: SecretStr
    token_uri: ProviderUrl


class _Credentials(Protocol):
    """What we use of google-auth's credentials, whose members have no types."""

    token: object

    @property
    def valid(self) -> bool: ...

    def refresh(self, request: transport.Request) -> None: ...


class ServiceAccount:
    """The account's project, and its access token."""

    def __init__(self, settings: ProviderSettings) -> None:
        """Read the key. Opens no connection.

        Raises:
            SettingMissing, SettingInvalid: naming the variable; nothing of the key is repeated.
        """
        text = _text(settings.attend_push_fcm_service_account)
        try:
            self.project_id = _Key.model_validate_json(text).project_id
        except ValidationError as error:
            raise SettingInvalid(VARIABLE, _what_is_wrong(error)) from None
        self._credentials = _credentials(text)
        self._timeout = settings.attend_push_timeout_seconds
        self._longest = settings.attend_push_max_answer_bytes
        # Read once: it costs more than a refresh, whose time would pay for it.
        self._certificates = httpx.create_ssl_context()
        self._refreshing: asyncio.Task[str] | None = None

    async def access_token(self, *, refused: str | None = None) -> str:
        """Return a token that is valid for some minutes still, and is not the one that was `refused`.

        Raises:
            NoAccessToken: the token endpoint gave none.
        """
        token = self._credentials.token
        if self._credentials.valid and isinstance(token, str) and token != refused:
            return token
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(asyncio.to_thread(self._refresh, asyncio.get_running_loop()))
            self._refreshing.add_done_callback(self._refreshed)
        # Whoever is cancelled while waiting must not cancel it for the others.
        return await asyncio.shield(self._refreshing)

    def _refreshed(self, task: asyncio.Task[str]) -> None:
        self._refreshing = None
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("push_access_token_refused", reason=str(error))

    def _refresh(self, loop: asyncio.AbstractEventLoop) -> str:
        try:
            self._credentials.refresh(_Transport(loop, self._certificates, self._timeout, self._longest))
        except exceptions.TransportError as error:
            raise NoAccessToken(f"token endpoint: {cleaned(str(error))}") from None
        except exceptions.GoogleAuthError as error:
            raise NoAccessToken(f"token endpoint: {_refusal(error)}") from None
        except Exception as error:  # noqa: BLE001 - google-auth takes the answer's shape on trust
            raise NoAccessToken(f"token endpoint: an answer nobody expects ({type(error).__name__})") from None
        token = self._credentials.token
        if not isinstance(token, str) or not _ACCESS_TOKEN.fullmatch(token):
            self._credentials.token = None
            raise NoAccessToken("token endpoint: an answer nobody expects (no usable token)")
        return token

    async def close(self) -> None:
        """Let a refresh under way end: its thread cannot be stopped."""
        if self._refreshing is not None:
            await asyncio.gather(self._refreshing, return_exceptions=True)


def _text(setting: SecretStr | None) -> str:
    if setting is None:
        raise SettingMissing(VARIABLE, hint="The JSON key of a service account, or the path of its file.")
    value = setting.get_secret_value().strip()
    if value.startswith("{"):
        return value
    try:
        return Path(value).expanduser().read_text()
    except (OSError, ValueError, RuntimeError) as error:
        reason = f"it is neither JSON nor the path of a file that can be read ({type(error).__name__})"
        raise SettingInvalid(VARIABLE, reason) from None


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return "it is not JSON"
    return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"


def _credentials(text: str) -> _Credentials:
    try:
        make = cast(
            "Callable[..., _Credentials]",
            service_account.Credentials.from_service_account_info,  # pyright: ignore[reportUnknownMemberType] - no types
        )
        return make(json.loads(text), scopes=[_SCOPE])
    except Exception as error:  # noqa: BLE001 - whatever a parser of keys raises, the key is what is wrong
        raise SettingInvalid(VARIABLE, f"private_key cannot be used ({type(error).__name__})") from None


def _refusal(error: exceptions.GoogleAuthError) -> str:
    body: object = error.args[1] if len(error.args) > 1 else None
    if isinstance(body, dict):
        body = cast("dict[str, object]", body)
        said = [str(body[key]) for key in ("error", "error_description") if key in body]
        return cleaned(": ".join(said)) or "refused without a reason"
    # The first argument is the body itself, whatever it was.
    return "refused in a form that is not its own"


class _Response(transport.Response):
    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self._status, self._headers, self._data = status, headers, data

    @property
    @override
    def status(self) -> int:
        return self._status

    @property
    @override
    def headers(self) -> Mapping[str, str]:
        return self._headers

    @property
    @override
    def data(self) -> bytes:
        return self._data


class _Transport(transport.Request):
    """One refresh's requests, all within its time: google-auth repeats a 5xx twice, after a second or two.

    Called in a thread; `loop` is another one's, and runs.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, certificates: ssl.SSLContext, seconds: float, longest: int
    ) -> None:
        self._loop = loop
        self._certificates = certificates
        self._deadline = time.monotonic() + seconds
        self._longest = longest

    @override
    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> _Response:
        sending = self._send(method, url, body, {**(headers or {}), "accept-encoding": "identity"})
        try:
            return asyncio.run_coroutine_threadsafe(sending, self._loop).result()
        except TimeoutError:
            raise exceptions.TransportError("no whole answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise exceptions.TransportError(f"no answer: {type(error).__name__}") from None

    async def _send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> _Response:
        # One clock for all of it: httpx's own time-outs begin anew with every piece that trickles in.
        async with (
            asyncio.timeout(self._deadline - time.monotonic()),
            httpx.AsyncClient(verify=self._certificates, follow_redirects=False, timeout=None) as client,  # noqa: S113 - the line above
            client.stream(method, url, content=body, headers=headers) as response,
        ):
            if response.is_redirect:
                raise exceptions.TransportError(f"HTTP {response.status_code}, a redirect: not followed")
            data = bytearray()
            async for piece in response.aiter_raw():
                data += piece
                if len(data) > self._longest:
                    raise exceptions.TransportError(f"HTTP {response.status_code}, longer than {self._longest} bytes")
            return _Response(response.status_code, response.headers, bytes(data))
