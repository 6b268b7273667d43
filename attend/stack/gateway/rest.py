"""`/rest/v1`: from a request to its statement, and from its row to the answer."""

from dataclasses import dataclass
from urllib.parse import unquote

from psycopg import sql
from starlette.requests import Request
from starlette.responses import Response

from attend.stack.gateway import answers, calls, statements
from attend.stack.gateway.body import parse_body, text_of
from attend.stack.gateway.catalog import Catalog
from attend.stack.gateway.errors import ApiError, left_out
from attend.stack.gateway.keys import Authenticator, Identity
from attend.stack.gateway.negotiate import (
    OBJECT,
    Preferences,
    accepted_type,
    check_content_type,
    negotiated_schema,
    parse_preferences,
)
from attend.stack.gateway.pool import Pool
from attend.stack.gateway.query import Query, parse_query
from attend.stack.gateway.settings import GatewaySettings
from attend.stack.gateway.sql import Statement
from attend.stack.gateway.transaction import Context, Result, Work, run
from attend.stack.gateway.watcher import SchemaCache

PREFIX = "/rest/v1"
_READS = frozenset({"GET", "HEAD"})
_RELATION_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Asked:
    """A request, read as far as its path, headers and query string go. `name` is a relation or a function."""

    method: str
    is_call: bool
    name: str
    schema: str
    query: Query
    preferences: Preferences
    media_type: str
    identity: Identity
    catalog: Catalog
    headers: dict[str, str]


class RestApi:
    """Answers `/rest/v1/*` over one pool and one schema cache."""

    def __init__(self, settings: GatewaySettings, pool: Pool, cache: SchemaCache) -> None:
        self._settings = settings
        self._pool = pool
        self._cache = cache
        self._authenticator = Authenticator(settings)

    async def answer(self, request: Request) -> Response:
        """The answer to a request; ApiError for every refusal."""
        headers = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in request.headers.raw}
        path = request.scope["raw_path"].decode("ascii").removeprefix(PREFIX) or "/"
        method = request.method
        identity = self._authenticator.identify(headers)
        is_call, name = _resource(path, method)
        schema, named = negotiated_schema(headers, method, self._settings.schemas)
        asked = Asked(
            method=method,
            is_call=is_call,
            name=name,
            schema=schema,
            query=parse_query(request.scope["query_string"], call_by_get=is_call and method in _READS),
            preferences=parse_preferences(headers.get("prefer")),
            media_type=accepted_type(headers.get("accept")),
            identity=identity,
            catalog=self._cache.current(),
            headers=headers,
        )
        if method == "GET" and "range" in headers:
            raise left_out("the Range header (use limit and offset)")
        context = Context(identity, method, path, headers, self._search_path(schema))
        response = await self._handle(asked, context, request)
        if named and "content-type" in response.headers:
            response.headers["Content-Profile"] = schema
        return response

    def _search_path(self, schema: str) -> str:
        names = dict.fromkeys((schema, *self._settings.extra_search_path))
        return ", ".join(sql.Identifier(name).as_string(None) for name in names)

    async def _handle(self, asked: Asked, context: Context, request: Request) -> Response:
        if asked.is_call:
            return await self._call(asked, context, request)
        if asked.method in _READS:
            return await self._read(asked, context)
        return await self._write(asked, context, request)

    async def _read(self, asked: Asked, context: Context) -> Response:
        relation = asked.catalog.relation(asked.schema, asked.name)
        query, preferences, media_type = asked.query, asked.preferences, asked.media_type
        statement = statements.read_relation(relation, query, preferences, media_type, self._settings.max_rows)
        result = await self._run(asked, context, statement, read_only=True)
        return answers.read_answer(result, query, preferences, media_type)

    async def _write(self, asked: Asked, context: Context, request: Request) -> Response:
        relation = asked.catalog.relation(asked.schema, asked.name)
        query, preferences, media_type = asked.query, asked.preferences, asked.media_type
        if asked.method == "DELETE":
            statement = statements.delete(relation, query, preferences, media_type)
            result = await self._run(asked, context, statement)
            return answers.change_answer(result, preferences, media_type, deletes=True)
        body, keys = await _body(asked, request)
        if asked.method == "PATCH":
            statement = statements.update(relation, query, preferences, media_type, sorted(keys), body)
            result = await self._run(asked, context, statement)
            return answers.change_answer(result, preferences, media_type, deletes=False)
        statement = statements.insert(relation, query, preferences, media_type, sorted(keys), body)
        result = await self._run(asked, context, statement)
        upserts = bool(relation.primary_key) or query.on_conflict is not None
        return answers.insert_answer(result, asked.name, preferences, media_type, upserts=upserts)

    async def _call(self, asked: Asked, context: Context, request: Request) -> Response:
        query, preferences, media_type = asked.query, asked.preferences, asked.media_type
        maximum = self._settings.max_rows
        if asked.method == "POST":
            body, keys = await _body(asked, request)
            routine = asked.catalog.routine(asked.schema, asked.name, keys, by_post=True)
            statement = calls.call_by_body(routine, query, preferences, media_type, keys, body, maximum)
        else:
            keys = frozenset(name for name, _ in query.arguments)
            routine = asked.catalog.routine(asked.schema, asked.name, keys, by_post=False)
            statement = calls.call_by_query(routine, query, preferences, media_type, maximum)
        read_only = asked.method in _READS or not routine.volatile
        result = await self._run(asked, context, statement, read_only=read_only, settings=routine.settings)
        return answers.read_answer(result, query, preferences, media_type, void=routine.returns_void)

    async def _run(
        self,
        asked: Asked,
        context: Context,
        statement: Statement,
        *,
        read_only: bool = False,
        settings: tuple[tuple[str, str], ...] = (),
    ) -> Result:
        work = Work(
            statement,
            read_only=read_only,
            singular=asked.media_type == OBJECT,
            role_settings=asked.catalog.role_settings.get(asked.identity.role, ()),
            routine_settings=settings,
        )
        return await run(self._pool, context, work)


async def _body(asked: Asked, request: Request) -> tuple[str, frozenset[str]]:
    check_content_type(asked.headers.get("content-type"), call=asked.is_call)
    raw = await request.body()
    if asked.query.columns is not None:
        return text_of(raw), frozenset(asked.query.columns)
    return parse_body(raw, empty_is_object=asked.is_call)


def _resource(path: str, method: str) -> tuple[bool, str]:
    """Whether the path is a call, and the name of the relation or function; ApiError 404, 405, 501."""
    parts = [unquote(part) for part in path.split("/") if part]
    if not parts:
        if method in _READS:
            raise left_out("the description of the API at its root")
        raise ApiError(405, "PGRST117", f"Unsupported HTTP method: {method}")
    if len(parts) == 2 and parts[0] == "rpc":
        if method not in {"GET", "HEAD", "POST"}:
            raise ApiError(405, "PGRST101", f"Cannot use the {method} method on RPC")
        return True, parts[1]
    if len(parts) != 1:
        raise ApiError(404, "PGRST125", "Invalid path specified in request URL")
    if method == "PUT":
        raise left_out("PUT (use POST with Prefer: resolution=merge-duplicates)")
    if method not in _RELATION_METHODS:
        raise ApiError(405, "PGRST117", f"Unsupported HTTP method: {method}")
    return False, parts[0]
