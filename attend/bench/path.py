"""Table `path`, second part: from a committed change to its notification, and the throughput of signed calls."""

from __future__ import annotations

import asyncio
import random
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx

from attend.bench.measure import Figure, Size, alternating, percentile, require, say
from attend.bench.stack import BELL, Whole, wait_for

TABLE = "path"
_OWED_MS = 2_500.0
_CONCURRENCY = 16
_CHANGE = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() - interval '60 days' from public.users u where u.id = %s
"""
_QUIET = """
select u.id from public.users u
where not exists (select from public.activities a where a.user_id = u.id and a.occurred_at > now() - interval '21 days')
  and not exists (select from public.notification_preferences np where np.user_id = u.id)
order by u.id limit %s
"""


def figures(whole: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines of the path. Needs a stack."""
    # Each change is about another person who is due, untold, and one in about 24.
    say("path: loading people whose changes are followed")
    whole.load(max(60 * size.changes, 2_000))
    people = [row[0] for row in whole.admin.execute(_QUIET, (2 * size.changes,)).fetchall()]
    require(len(people) == 2 * size.changes, "too few people are due")
    whole.call(BELL)
    say(f"path: {size.changes} changes, each followed to its notification")
    hooked = _follow(whole, people[: size.changes])
    say(f"path: {size.changes} changes, each announced by a direct signed call instead")
    direct = _announced(whole, people[size.changes :])
    p50, p99 = statistics.median(hooked), percentile(hooked, 0.99)
    yield Figure(
        TABLE,
        "change committed → notification, p50, against a direct call",
        size.name,
        p50,
        statistics.median(direct),
        None,
    )
    yield Figure(TABLE, "change committed → notification, p99, against the 2.5 s owed", size.name, p99, _OWED_MS, 1.0)
    say(f"path: {size.calls} signed calls, {_CONCURRENCY} at a time")
    ours, limit = alternating(size.rounds, lambda: _calls(whole, size.calls), lambda: _rpcs(whole, size.calls))
    case = f"one signed call, {_CONCURRENCY} at a time, against the three RPCs it makes"
    yield Figure(TABLE, case, size.name, ours, limit, None)


def _follow(whole: Whole, people: list[UUID]) -> list[float]:
    """Milliseconds from commit to notification, for changes at random moments about a fifth of a second apart."""
    chance = random.Random(7)
    seen: dict[UUID, float] = {}
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(whole, people, seen, over))
    watcher.start()
    written: dict[UUID, float] = {}
    with whole.connect() as connection:
        for person in people:
            connection.execute(_CHANGE, (person,))
            written[person] = time.perf_counter()
            time.sleep(chance.uniform(0, 0.4))
    # The bell is at most once; where one was lost the sweep would come, which is not what is measured here.
    arrived = wait_for(lambda: len(seen) == len(people), 10)
    over.set()
    watcher.join(10)
    require(arrived, f"{len(people) - len(seen)} changes were not followed by a notification")
    return [(seen[person] - written[person]) * 1000 for person in people]


def _watch(whole: Whole, people: list[UUID], seen: dict[UUID, float], over: threading.Event) -> None:
    with whole.connect() as connection:
        while not over.wait(0.003):
            rows = connection.execute("select user_id from public.notifications where user_id = any(%s)", (people,))
            now = time.perf_counter()
            for (person,) in rows.fetchall():
                seen.setdefault(person, now)


def _announced(whole: Whole, people: list[UUID]) -> list[float]:
    """The same without hook: the writer calls the function itself and waits for its answer."""
    times: list[float] = []
    whole.admin.execute("alter table private.scenario_marks disable trigger scenario_marks_ring_bell")
    # The last hooked change is followed by a second bell, a second later; it would take the first mark away.
    settled = "select max(last_rung_at) < clock_timestamp() - interval '3 seconds' from private.bells"
    require(wait_for(lambda: whole.value(settled), 10, 0.1), "bells ring though nobody writes")
    with whole.connect() as connection, httpx.Client() as client:
        for person in people:
            connection.execute(_CHANGE, (person,))
            began = time.perf_counter()
            answer = whole.call(BELL, client)
            times.append((time.perf_counter() - began) * 1000)
            require(answer["counts"] == {"inactivity": {"sent": 1}}, f"a direct call answered {answer}")
    whole.admin.execute("alter table private.scenario_marks enable trigger scenario_marks_ring_bell")
    return times


def _calls(whole: Whole, number: int) -> float:
    """Milliseconds of the engine for each of `number` signed calls, past the gateway: one instance's own throughput."""
    prepared = [whole.signed(BELL) for _ in range(number)]

    async def one(client: httpx.AsyncClient, index: int) -> int:
        body, headers = prepared[index]
        return (await client.post(whole.url, content=body, headers=headers)).status_code

    return _spread(number, one)


def _rpcs(whole: Whole, number: int) -> float:
    """The same number of times the three RPCs of a call that finds no mark, straight to the gateway."""
    base = f"{whole.stack.api_url}/rest/v1/rpc"
    headers = {"apikey": whole.stack.keys.secret}

    async def one(client: httpx.AsyncClient, index: int) -> int:
        delivery: dict[str, Any] = {"p_id": f"bench_{time.perf_counter_ns()}_{index}", "p_function_name": "bench"}
        statuses = [
            (await client.post(f"{base}/{name}", json=arguments, headers=headers)).status_code
            for name, arguments in (
                ("find_webhook_delivery", delivery),
                ("drain_scenario_marks", {"p_limit": 2_000}),
                ("record_webhook_delivery", delivery | {"p_answer": {}}),
            )
        ]
        return max(statuses)

    return _spread(number, one)


def _spread(number: int, one: Any) -> float:
    async def all_of_them() -> float:
        limits = httpx.Limits(max_connections=_CONCURRENCY)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            gate = asyncio.Semaphore(_CONCURRENCY)

            async def gated(index: int) -> int:
                async with gate:
                    return await one(client, index)

            began = time.perf_counter()
            statuses = await asyncio.gather(*(gated(index) for index in range(number)))
            spent = time.perf_counter() - began
        require(set(statuses) == {200}, f"answers were {sorted(set(statuses))}")
        return spent * 1000 / number

    return asyncio.run(all_of_them())
