"""A scripted API in place of the network, for unit tests of what the real one cannot be made to do at will."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx

from shared.settings import SupabaseSettings
from shared.supabase_client import Supabase

SECRET_KEY = "sb_secret_unit_test_key_0123456789"

type Reply = httpx.Response | Exception | Callable[[dict[str, Any]], Any] | dict[str, Any] | list[Any] | None


def problem(
    status: int, code: str | None, message: str = "x", details: object = None, **headers: str
) -> httpx.Response:
    """An error answer as PostgREST writes it."""
    body = {"code": code, "message": message, "details": details, "hint": None}
    return httpx.Response(status, json=body, headers=headers)


class ScriptedApi:
    """Answers each RPC or table with its replies in turn; the last one is repeated. Records what was sent."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.requests: list[httpx.Request] = []
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        self._otherwise: list[Reply] = []

    def on(self, operation: str, *replies: Reply) -> ScriptedApi:
        self._replies[operation] = list(replies)
        return self

    def otherwise(self, *replies: Reply) -> ScriptedApi:
        """Answers every operation that is not scripted."""
        self._otherwise = list(replies)
        return self

    def called(self, operation: str) -> list[dict[str, Any]]:
        """Parameters of every call of one operation."""
        return [params for name, params in self.calls if name == operation]

    def supabase(self, **settings: Any) -> Supabase:
        values = {"supabase_url": "http://api.test", "supabase_secret_key": SECRET_KEY, **settings}
        return Supabase(SupabaseSettings.load(**values), transport=httpx.MockTransport(self._answer))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        operation = request.url.path.removeprefix("/rest/v1/").removeprefix("rpc/")
        params = json.loads(request.content) if request.content else dict(request.url.params)
        self.requests.append(request)
        self.calls.append((operation, params))
        replies = self._replies[operation] or self._otherwise
        assert replies, f"nothing is scripted for {operation}"
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if callable(reply):
            reply = reply(params)
        if hasattr(reply, "__await__"):
            reply = await reply  # type: ignore[misc]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            return reply
        # Not httpx's json=, which takes null for "no body".
        return httpx.Response(200, content=json.dumps(reply), headers={"content-type": "application/json"})
