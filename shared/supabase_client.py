"""The Supabase client every function uses: typed RPCs, mapped errors, retries, and a cap on concurrent calls.

One RPC is one transaction (architecture.md). supabase-py repeats GET up to three times and POST never, and every RPC
is a POST; after a restart of the database each pooled connection of the API fails about twice (platform.md, point
11). So the repeating is here.

Why repeating is safe. An error says whether its statement can have had an effect (`DatabaseError.may_have_run`):
a conflict was rolled back, an exhausted pool and a refused connection never began. Where it may have run (a connection
lost while waiting for the answer), only calls declared `repeatable` are repeated. Those are the reads; claims, whose
second call finds the work gone or the unique key taken; and upserts, whose second call writes the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

import httpx
from postgrest import AsyncPostgrestClient, CountMethod
from pydantic import TypeAdapter, ValidationError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity import wait_random_exponential as full_jitter

from shared.errors import DatabaseError, DatabaseTimeout, DatabaseUnavailable, UnexpectedAnswer
from shared.logs import get_logger
from shared.postgrest_errors import from_postgrest
from shared.settings import SupabaseSettings
from supabase import AsyncClient, AsyncClientOptions, create_async_client

log = get_logger(__name__)

type _Call = Callable[[AsyncPostgrestClient], Awaitable[object]]

_ATTEMPTS = 8
_LONGEST_RETRYING_SECONDS = 12.0
_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 2.0


class _ErrorAnswer(Exception):
    def __init__(self, status: int, body: bytes, retry_after: str | None) -> None:
        super().__init__(status)
        self.status, self.body, self.retry_after = status, body, retry_after


async def _raise_error_answer(response: httpx.Response) -> None:
    # postgrest-py keeps `code` and `message` of an error and loses its HTTP status, all that a proxy's 503 has.
    if not response.is_success:
        await response.aread()
        raise _ErrorAnswer(response.status_code, response.content, response.headers.get("retry-after"))


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of many: the first `rows` in the order of the unique column `key`, behind the value `after`."""

    key: str
    rows: int
    after: object = None


class Supabase:
    """A lazily connected client for one event loop (keep it in `shared.lifecycle.PerLoop`)."""

    def __init__(self, settings: SupabaseSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network, for tests."""
        self._url, self._key, self._token = settings.supabase_url, settings.key, settings.token
        self._timeout = httpx.Timeout(settings.attend_rpc_timeout_seconds, connect=5.0, pool=None)
        self._slots = asyncio.Semaphore(settings.attend_max_concurrent_rpcs)
        self._transport = transport
        self._opening = asyncio.Lock()
        self._http: httpx.AsyncClient | None = None
        self._client: AsyncClient | None = None

    async def rpc[T](
        self,
        name: str,
        params: Mapping[str, object],
        result: type[T] | TypeAdapter[T],
        *,
        repeatable: bool = True,
    ) -> T:
        """Call a function of the database and validate its answer.

        Parameters that are None are left out, so that the function's own default (`now()`) applies. UUIDs and times
        are written as text; times must be aware. `repeatable=False` is for calls that must not happen twice: they are
        repeated only where it is certain that nothing happened.

        Raises:
            DatabaseError: any of its kinds; `Refused` where a rule in SQL said no.
            UnexpectedAnswer: the answer does not fit `result`.
        """
        present = {key: _plain(value) for key, value in params.items() if value is not None}

        async def call(client: AsyncPostgrestClient) -> object:
            # Typed as text by postgrest-py, but written as the JSON it is.
            return (await client.rpc(name, cast("dict[str, str]", present)).execute()).data

        return _validated(await self._repeat(name, call, repeatable=repeatable), result, name)

    async def select[T](
        self,
        table: str,
        columns: str,
        filters: Mapping[str, object],
        result: type[T] | TypeAdapter[T],
        *,
        page: Page | None = None,
        schema: str | None = None,
    ) -> T:
        """Read the rows of a table or view whose columns equal `filters`: at most 1,000, the API's cap. Repeatable.

        `schema` is another exposed one than `public`.

        Raises:
            DatabaseError: any of its kinds.
        """

        async def call(client: AsyncPostgrestClient) -> object:
            query = (client.schema(schema) if schema else client).from_(table).select(columns)
            for column, value in filters.items():
                query = query.eq(column, _plain(value))
            if page is not None:
                query = query.order(page.key).limit(page.rows)
                query = query if page.after is None else query.gt(page.key, _plain(page.after))
            return (await query.execute()).data

        return _validated(await self._repeat(table, call, repeatable=True), result, table)

    async def count(self, table: str, filters: Mapping[str, object] | None = None) -> int:
        """Count the rows of a table whose columns equal `filters`. Repeatable.

        Raises:
            DatabaseError: any of its kinds.
        """

        async def call(client: AsyncPostgrestClient) -> object:
            query = client.from_(table).select("*", count=CountMethod.exact, head=True)
            for column, value in (filters or {}).items():
                query = query.eq(column, _plain(value))
            return (await query.execute()).count

        return _validated(await self._repeat(table, call, repeatable=True), int, table)

    async def aclose(self) -> None:
        """Close the connections; the next call opens new ones."""
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.aclose()

    async def _repeat(self, operation: str, call: _Call, *, repeatable: bool) -> object:
        def worth_repeating(error: BaseException) -> bool:
            return isinstance(error, DatabaseError) and error.retryable and (repeatable or not error.may_have_run)

        def note(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            code = error.code if isinstance(error, DatabaseError) else None
            log.warning("database_call_repeated", operation=operation, attempt=state.attempt_number, reason=code)

        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(_LONGEST_RETRYING_SECONDS),
            wait=full_jitter(multiplier=_FIRST_WAIT_SECONDS, max=_LONGEST_WAIT_SECONDS),
            retry=retry_if_exception(worth_repeating),
            before_sleep=note,
            reraise=True,
        ):
            with attempt:
                # The slot is given back between attempts: waiting for a restart must not keep others waiting.
                async with self._slots:
                    return await self._once(operation, call)
        raise AssertionError("unreachable: AsyncRetrying ends with a result or an error")

    async def _once(self, operation: str, call: _Call) -> object:
        try:
            return await call((await self._open()).postgrest)
        except _ErrorAnswer as answer:
            raise from_postgrest(
                answer.status, answer.body, operation=operation, retry_after=answer.retry_after
            ) from None
        except httpx.HTTPError as error:
            raise _from_transport(error, operation) from error
        except UnicodeDecodeError:
            # A page of somebody in between, under a 200; postgrest-py takes other text that is no JSON as it is.
            raise UnexpectedAnswer(operation=operation) from None

    async def _open(self) -> AsyncClient:
        async with self._opening:
            if self._client is None:
                self._http = httpx.AsyncClient(
                    timeout=self._timeout,
                    transport=self._transport,
                    event_hooks={"response": [_raise_error_answer]},
                )
                options = AsyncClientOptions(
                    auto_refresh_token=False,
                    persist_session=False,
                    postgrest_client_retry=False,
                    httpx_client=self._http,
                )
                if self._token is not None:
                    options.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
                self._client = await create_async_client(self._url, self._key.get_secret_value(), options)
            return self._client


def _from_transport(error: httpx.HTTPError, operation: str) -> DatabaseError:
    mapped: DatabaseError
    if isinstance(error, httpx.ReadTimeout):
        # The statement may still run. Not repeated: the caller has waited long enough, and so has the database.
        mapped = DatabaseTimeout(operation=operation)
        mapped.may_have_run = True
        return mapped
    mapped = DatabaseUnavailable(operation=operation)
    mapped.may_have_run = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return mapped


def _plain(value: object) -> object:
    """Write a value as JSON has it; None, text and numbers stay."""
    match value:
        case datetime():
            if value.tzinfo is None:
                raise TypeError("a time without a zone means another instant to every machine")
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in cast("Mapping[object, object]", value).items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in cast("list[object]", value)]
        case _:
            return value


def _validated[T](data: object, result: type[T] | TypeAdapter[T], operation: str) -> T:
    # Cheap for a model: the adapter reuses the validator that the class has.
    adapter = cast("TypeAdapter[T]", result if isinstance(result, TypeAdapter) else TypeAdapter(result))
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        places = [".".join(str(part) for part in problem["loc"]) + ": " + problem["type"] for problem in problems[:5]]
        log.warning("database_answer_not_understood", operation=operation, places=places)
        raise UnexpectedAnswer(operation=operation) from None
