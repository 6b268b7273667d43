"""What every provider over HTTP needs: bounded calls whose failures are values, and reasons that give nothing away.

Whatever a server does (hang, reset, redirect, HTML, an endless answer) ends here as an `Answer` or a `NoAnswer`. No
redirect is followed: credentials go where a setting says, and nowhere else.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.request import getproxies, proxy_bypass

import httpx

from functions.push_notification_dispatcher.providers.protocol import Message, Result, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared.errors import SettingInvalid
from shared.logs import get_logger, redaction

log = get_logger(__name__)

LONGEST_RETRY_AFTER = 86_400.0
_LONGEST_REASON = 300
_LONGEST_READ = 8_000
# Compressed, a small answer could become a large one.
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "attend"}
# In a row, and nothing answered in between: a provider that answers one in a thousand still gets all of a batch.
_FAILURES_IN_A_ROW = 10
_CONTENT_TYPE = re.compile(r"[a-z0-9.+/\-]{1,60}")
_CODE = re.compile(r"[A-Za-z0-9_]{1,60}")
_HOST = re.compile(r"[a-z0-9.\-]{1,100}")
_TOKEN_SHAPES = re.compile(r"Expo(?:nent)?PushToken\[[^\]]*\]?|[^\s\"'<>(){}\[\],;]{40,}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\s]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that arrived whole."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """None arrived, for `reason`. Whether the request was acted on is not known."""

    reason: str


class Http:
    """POST requests to one provider's address, at most so many at once. Opens nothing before the first.

    A transport for each connection, and the one that was used last is the next: httpx's pool looks at every connection
    it has for every request, which with fifty of them costs more than the request. Without a client around it there is
    nothing that could follow a redirect, keep a cookie or read a password file, either.
    """

    def __init__(self, settings: ProviderSettings, base: str, *, connections: int) -> None:
        self._timeout = settings.attend_push_timeout_seconds
        self._longest = settings.attend_push_max_answer_bytes
        self._certificates = httpx.create_ssl_context()
        self._proxy = _proxy(httpx.URL(base))
        self._transports: list[httpx.AsyncHTTPTransport] = []
        self._idle: asyncio.LifoQueue[httpx.AsyncHTTPTransport | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._idle.put_nowait(None)

    async def post(self, url: httpx.URL, content: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """Send one request; its time begins when it has a connection to itself."""
        transport = await self._idle.get()
        try:
            transport = transport or self._transport()
            # One clock for all of it: httpx's own time-outs begin anew with every piece that trickles in.
            async with asyncio.timeout(self._timeout):
                request = httpx.Request("POST", url, content=content, headers={**_HEADERS, **headers})
                return await self._post(transport, request)
        except TimeoutError:
            return NoAnswer(f"no whole answer within {self._timeout:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            # The type says what happened (ConnectError, ReadError, RemoteProtocolError); the text may quote.
            return NoAnswer(f"no answer: {type(error).__name__}")
        finally:
            self._idle.put_nowait(transport)

    async def _post(self, transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> Answer | NoAnswer:
        response = await transport.handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                return NoAnswer(f"HTTP {response.status_code}, compressed though nobody asked for it")
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > self._longest:
                    return NoAnswer(f"HTTP {response.status_code}, longer than {self._longest} bytes")
            return Answer(response.status_code, response.headers, bytes(body))
        finally:
            await response.aclose()

    def _transport(self) -> httpx.AsyncHTTPTransport:
        # Kept longer than the pause between two claims, shorter than services keep a connection that says nothing.
        limits = httpx.Limits(max_connections=1, keepalive_expiry=30.0)
        transport = httpx.AsyncHTTPTransport(verify=self._certificates, limits=limits, proxy=self._proxy)
        self._transports.append(transport)
        return transport

    async def close(self) -> None:
        """Give the connections back."""
        for transport in self._transports:
            await transport.aclose()


def _proxy(url: httpx.URL) -> str | None:
    """The machine's proxy for an address, from HTTPS_PROXY, NO_PROXY and their like; without a scheme it is http.

    Raises:
        SettingInvalid: naming the variable.
    """
    proxy = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = httpx.URL(proxy)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.host)
    except httpx.InvalidURL:
        is_usable = False
    if not is_usable:
        raise SettingInvalid(f"{url.scheme.upper()}_PROXY", "an http or https proxy is expected")
    return proxy


def as_json(value: object) -> bytes:
    """The value as a request's body. What cannot be UTF-8 (half of a surrogate pair) becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def not_understood(answer: Answer) -> str:
    """Why an answer is not one of the provider's own: for the person who has to find what stands in between."""
    if 300 <= answer.status < 400:
        try:
            host = httpx.URL(answer.headers.get("location", "")).host
        except httpx.InvalidURL:
            host = ""
        where = host if _HOST.fullmatch(host) else "somewhere"
        return f"HTTP {answer.status}, a redirect to {where}: not followed"
    announced = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    kind = announced if _CONTENT_TYPE.fullmatch(announced) else "no content type"
    return f"HTTP {answer.status}, not in this provider's form ({kind}, {len(answer.body)} bytes)"


def retry_after(headers: httpx.Headers, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for, given as a number or as a date; None without one that can be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return min(float(value[:12]), LONGEST_RETRY_AFTER)
    try:
        when = parsedate_to_datetime(value)
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(max(seconds.total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def cleaned(text: str, *private: str) -> str:
    """A provider's own words on one short line, without secrets, tokens, and the message it speaks of."""
    # Half of a surrogate pair is text to Python, and neither to UTF-8 nor to the database that the reason goes to.
    text = text[:_LONGEST_READ].encode("utf-8", "replace").decode()
    for value in sorted(filter(None, private), key=len, reverse=True):
        text = text.replace(value, "[…]")
    text = _TOKEN_SHAPES.sub("[…]", redaction.text(text))
    return _UNPRINTABLE.sub(" ", text).strip()[:_LONGEST_REASON]


def code_of(value: object) -> str:
    """A provider's error code, if it is a word as codes are."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "no code"


PROVIDER_ID = r"^[\x21-\x7e]+$"
"""What names a message at its provider. It is written to the database, which takes no NUL in a text."""


def private_parts(message: Message) -> tuple[str, ...]:
    """What of a message must not stand in a reason."""
    return (message.token, message.title, message.body, *message.data.values())


async def concurrently[Item, Outcome](
    items: Sequence[Item],
    at_once: int,
    work: Callable[[Item], Awaitable[Outcome]],
    otherwise: Callable[[Item, Exception], Outcome],
) -> list[Outcome]:
    """Work on all items, some at a time, and return what came of each in their order.

    An item on which `work` fails costs nobody else anything: `otherwise` says what becomes of it.
    """
    outcomes: dict[int, Outcome] = {}
    waiting = iter(enumerate(items))

    async def worker() -> None:
        for place, item in waiting:
            try:
                outcomes[place] = await work(item)
            except Exception as error:
                log.exception("push_failed_unexpectedly")
                outcomes[place] = otherwise(item, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(items))):
            group.create_task(worker())
    return [outcomes[place] for place in range(len(items))]


def unexpected(error: Exception) -> Result:
    """What becomes of a message at which our own code failed: tried again, until it is stale."""
    return Result(Verdict.RETRY, reason=f"an unexpected {type(error).__name__} of the dispatcher; its log says where")


class Streak:
    """Notices, within one batch, that a provider only fails, so that the rest need not find out one by one.

    Five hundred messages at a dead provider would wait for five hundred time-outs and outlast their claim's lease; and
    one that says "too many" must not hear it five hundred times.
    """

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._failures = 0
        self._last: Result | None = None

    def note(self, result: Result, *, providers_failure: bool) -> None:
        """Count a failure of the provider as a whole; whatever else it answers shows that it works."""
        self._failures = self._failures + 1 if providers_failure else 0
        self._last = result
        if self._failures == _FAILURES_IN_A_ROW:
            log.warning("push_provider_failing", provider=self._provider, reason=result.reason)

    def held(self) -> Result | None:
        """What to answer for a message without trying; None while trying makes sense."""
        if self._failures < _FAILURES_IN_A_ROW or self._last is None:
            return None
        reason = f"not tried, {self._failures} failures in a row: {self._last.reason}"
        return Result(Verdict.RETRY, reason=reason[:_LONGEST_REASON], retry_after=self._last.retry_after)
