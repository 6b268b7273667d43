"""Table `outbox`: claims and outcomes against plain updates, and `attend.bench.sending`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg

from attend.bench.measure import Figure, Size, alternating, fifths, require, say, timed
from attend.bench.population import vacuum
from attend.bench.sending import TABLE, sending_figures
from attend.bench.workplace import Workplace

BATCH = 500
_WORKERS = 4
_EVERYBODY = 1_000

_DEVICES = """
insert into public.devices (organization_id, user_id, provider, platform, token)
select u.organization_id, u.id, 'fcm', 'android', 'token-' || md5(u.id::text) || md5(u.full_name) from public.users u
"""
_TELL = "select private.decide(o.id, null, null, null, now()) from public.organizations o"
_NEXT = (
    "select o.organization_id, o.id from private.outbox o where o.state = 'pending' order by o.next_attempt_at limit %s"
)
# The least that takes and settles rows: no question asked, no row looked for.
_PLAIN_CLAIM = """
update private.outbox o
set state = 'claimed', holder = %s, lease = o.lease + 1, next_attempt_at = now() + interval '60 s'
from rows from (unnest(%s::uuid[]), unnest(%s::uuid[])) as n (organization_id, id)
where o.organization_id = n.organization_id and o.id = n.id
"""
_PLAIN_RECORD = """
update private.outbox o set state = 'sent', settled_at = now()
from rows from (unnest(%s::uuid[]), unnest(%s::uuid[])) as n (organization_id, id)
where o.organization_id = n.organization_id and o.id = n.id
"""
# The very functions by which a claim takes rows and a record settles them: nothing is asked of them, and nothing is
# kept. (Of a push without outcome on any device it is settled that there was no device.)
_TAKE = "select p.organization_id, p.id, p.lease + 1 from unnest(private.take_pushes(%s, %s, 60, now())) p"
_SETTLE = """
select private.settle_pushes(
  array_agg(h.organization_id), array_agg(h.id), array_agg(h.retry_after), 1, now(), 8, 30, 3600)
from private.lock_held_pushes(%s, array(
  select row(p.organization_id, p.id, p.lease, null, null, null, null, null, null)::private.push_outcome
  from rows from (unnest(%s::uuid[]), unnest(%s::uuid[]), unnest(%s::integer[])) as p (organization_id, id, lease))) h
"""
# What a claim must read and a record must write, whatever way: of each push its notification, person, device, last
# activity and whether anything is switched off; of each outcome a row.
_FLOOR_READ = """
select sum(length(n.context::text)), max(n.triggered_at), max(u.full_name), max(d.token), max(a.last_at),
  count(np.user_id)
from rows from (unnest(%s::uuid[]), unnest(%s::uuid[])) as p (organization_id, id)
join private.outbox o on o.organization_id = p.organization_id and o.id = p.id
join public.notifications n on n.organization_id = o.organization_id and n.id = o.notification_id
join public.users u on u.organization_id = o.organization_id and u.id = o.user_id
join public.devices d on d.organization_id = o.organization_id and d.user_id = o.user_id and d.is_active
cross join lateral (
  select max(c.occurred_at) as last_at from public.activities c
  where c.organization_id = o.organization_id and c.user_id = o.user_id and c.status = 'completed') a
left join public.notification_preferences np on np.organization_id = o.organization_id and np.user_id = o.user_id
"""
_FLOOR_WRITE = """
insert into private.outbox_devices (organization_id, outbox_id, device_id, verdict, provider_id, attempted_at)
select o.organization_id, o.id, d.id, 'sent', 'bench', now()
from rows from (unnest(%s::uuid[]), unnest(%s::uuid[])) as p (organization_id, id)
join private.outbox o on o.organization_id = p.organization_id and o.id = p.id
join public.devices d on d.organization_id = o.organization_id and d.user_id = o.user_id
"""


def figures(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines of the table."""
    prepare(place, size)
    yield from measured(place, size)


def prepare(place: Workplace, size: Size) -> None:
    """Fills the outbox, by way of the engine: what is released is judged by what decided it."""
    say(f"outbox: {size.pushes:,} people who are due, each with a phone, told")
    place.load(size.pushes, due_per_mille=_EVERYBODY)
    place.admin.execute("set session_replication_role = replica")
    place.admin.execute(_DEVICES)
    place.admin.execute("set session_replication_role = origin")
    place.own.execute(_TELL)
    vacuum(place.admin, "public.notifications", "private.outbox", "public.devices", "private.cooldowns")


def measured(place: Workplace, size: Size) -> Iterator[Figure]:
    """Yields the lines, of an outbox that is filled."""
    yield from _claiming(place, size)
    yield from _workers(place, size)
    yield from _growth(place, size)
    yield from sending_figures(size)


def _claiming(place: Workplace, size: Size) -> Iterator[Figure]:
    batches = size.push_batches
    say(f"outbox: {batches} batches of {BATCH} claimed and recorded, updated plainly, and as little as can be")
    few = max(batches // 4, 1)  # what is left is wanted below
    ours, plain, floor, bare = alternating(
        size.rounds,
        lambda: _drain(place.own, batches) / batches,
        lambda: _plainly(place.own, batches) / batches,
        lambda: _floor(place.own, batches) / batches,
        lambda: _bare_rows(place.own, few) / few,
    )
    yield Figure(TABLE, f"{BATCH} claimed and acknowledged, against two plain updates", size.name, bare, plain, 1.43)
    case = f"{BATCH} claimed, judged, worded and recorded, against two plain updates"
    yield Figure(TABLE, case, size.name, ours, plain, None)
    yield Figure(TABLE, "the same, against two updates and what it must read and write", size.name, ours, floor, None)


def _drain(connection: psycopg.Connection[Any], batches: int, holder: UUID | None = None) -> float:
    """Milliseconds for so many batches, each with a full one to claim. Raises WrongResultError."""
    holder, spent = holder or uuid4(), 0.0
    for _ in range(batches):
        spent += _one_batch(connection, holder)
    return spent


def _one_batch(connection: psycopg.Connection[Any], holder: UUID) -> float:
    began = time.perf_counter()
    claimed = _value(connection, "select public.claim_outbox(%s, %s)", holder, BATCH)
    spent = time.perf_counter() - began
    messages = claimed["messages"]
    require(claimed["claimed"] == len(messages) == BATCH, f"a claim brought {claimed['claimed']}: {claimed['held']}")
    # The dispatcher's own work on the answer is not the database's time.
    outcomes = json.dumps(
        [
            {name: message[name] for name in ("organization_id", "outbox_id", "lease", "device_id")}
            | {"verdict": "sent", "provider_id": "bench"}
            for message in messages
        ]
    )
    began = time.perf_counter()
    recorded = _value(connection, "select public.record_outbox(%s, %s::jsonb)", holder, outcomes)
    require(recorded["states"] == {"sent": BATCH}, f"a batch was recorded as {recorded}")
    return (spent + time.perf_counter() - began) * 1000


def _plainly(connection: psycopg.Connection[Any], batches: int) -> float:
    spent, holder = 0.0, uuid4()
    for _ in range(batches):
        keys = _next(connection)
        spent += timed(lambda keys=keys: connection.execute(_PLAIN_CLAIM, (holder, *keys)))
        spent += timed(lambda keys=keys: connection.execute(_PLAIN_RECORD, keys))
    return spent


def _bare_rows(connection: psycopg.Connection[Any], batches: int) -> float:
    spent, holder = 0.0, uuid4()
    for _ in range(batches):
        began = time.perf_counter()
        taken = connection.execute(_TAKE, (holder, BATCH)).fetchall()
        keys = [[row[column] for row in taken] for column in range(3)]
        settled = _value(connection, _SETTLE, holder, *keys)
        spent += time.perf_counter() - began
        require(settled == {"skipped": BATCH}, f"{len(taken)} were taken, and settled as {settled}")
    return spent * 1000


def _floor(connection: psycopg.Connection[Any], batches: int) -> float:
    spent, holder = 0.0, uuid4()
    for _ in range(batches):
        keys = _next(connection)
        with connection.transaction():
            spent += timed(lambda keys=keys: connection.execute(_PLAIN_CLAIM, (holder, *keys)))
            spent += timed(lambda keys=keys: connection.execute(_FLOOR_READ, keys).fetchall())
        with connection.transaction():
            spent += timed(lambda keys=keys: connection.execute(_PLAIN_RECORD, keys))
            spent += timed(lambda keys=keys: connection.execute(_FLOOR_WRITE, keys))
    return spent


def _next(connection: psycopg.Connection[Any]) -> tuple[list[UUID], list[UUID]]:
    rows = connection.execute(_NEXT, (BATCH,)).fetchall()
    require(len(rows) == BATCH, "too few pushes are left")
    return [row[0] for row in rows], [row[1] for row in rows]


def _value(connection: psycopg.Connection[Any], query: str, *params: object) -> Any:
    row = connection.execute(query.encode(), params).fetchone()
    require(row is not None, "an answer is missing")
    return row[0] if row else None


def _workers(place: Workplace, size: Size) -> Iterator[Figure]:
    batches = max(size.push_batches // _WORKERS, 1) * _WORKERS
    say(f"outbox: {batches} batches by {_WORKERS} workers at once, and by one")
    connections = [place.connect() for _ in range(_WORKERS)]

    def together() -> float:
        failures: list[BaseException] = []

        def work(connection: psycopg.Connection[Any]) -> None:
            try:
                _drain(connection, batches // _WORKERS)
            except BaseException as error:  # noqa: BLE001 - told below, in the thread that measures
                failures.append(error)

        threads = [threading.Thread(target=work, args=(connection,)) for connection in connections]

        def run() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        spent = timed(run)
        if failures:
            raise failures[0]
        return spent / batches

    ours, one = alternating(size.rounds, together, lambda: timed(lambda: _drain(place.own, batches)) / batches)
    for connection in connections:
        connection.close()
    twice = (
        "select count(*) from (select from private.outbox_devices group by outbox_id, device_id having count(*) > 1) d"
    )
    require(place.value(twice) == 0, "a push was recorded twice")
    case = f"{BATCH} claimed and recorded by {_WORKERS} workers at once, against one"
    yield Figure(TABLE, case, size.name, ours, one, 0.67)


def _growth(place: Workplace, size: Size) -> Iterator[Figure]:
    waiting = place.value("select count(*) from private.outbox where state = 'pending'")
    batches = min(waiting // BATCH, size.push_batches * 4)
    say(f"outbox: {batches} batches more, the last against the first")
    require(batches > 0, "nothing is left")
    holder = uuid4()
    first, last = fifths([_one_batch(place.own, holder) for _ in range(batches)])
    yield Figure(TABLE, "a batch of the last fifth, against one of the first", size.name, last, first, 1.2)
