"""The same delivery twice: the same answer, no new effect.

The answers are rows, so any instance can repeat them. Source: rules.md §3 "Event".
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import TypeAdapter

from shared.errors import DatabaseError
from shared.logs import get_logger
from shared.supabase_client import Supabase

log = get_logger(__name__)

type Answer = dict[str, Any]

_FOUND: TypeAdapter[Answer | None] = TypeAdapter(dict[str, Any] | None)
_RECORDED: TypeAdapter[Answer] = TypeAdapter(dict[str, Any])


class Deliveries:
    """Remembers a function's answer to each verified delivery, by its `webhook-id`. Belongs to one event loop.

    Only answers are remembered, no errors: those are repeatable by their nature, and a passing one must not stick.
    Two instances that get one delivery at the same moment both work; the work itself is safe against that, and the
    first recorded answer is the one that every later repetition gets.
    """

    def __init__(self, supabase: Supabase) -> None:
        self._supabase = supabase
        self._under_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}

    async def once(self, function: str, delivery_id: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the function's answer to a delivery: the remembered one, the one under way, or that of `work`.

        Of the function: a sender may tell several of one event, under one id (Standard Webhooks).

        Raises:
            DatabaseError: the memory cannot be read, so whether the work was done is unknown; and what `work` raises.
        """
        key = (function, delivery_id)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._answer({"p_id": delivery_id, "p_function_name": function}, work))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Shielded: one caller's end must not end the work that another one waits for.
        return await asyncio.shield(task)

    async def _answer(self, delivery: dict[str, str], work: Callable[[], Awaitable[Answer]]) -> Answer:
        known = await self._supabase.rpc("find_webhook_delivery", delivery, _FOUND)
        if known is not None:
            log.info("delivery_repeated")
            return known
        answer = await work()
        try:
            return await self._supabase.rpc("record_webhook_delivery", {**delivery, "p_answer": answer}, _RECORDED)
        except DatabaseError as error:
            # The effect is there and the answer is true: saying 503 now would only hide it. A repetition finds no
            # work left, and says so.
            log.warning("delivery_not_recorded", reason=error.code)
            return answer
