"""kill -9 of the dispatcher and of Postgres at random moments of many deliveries: none is lost, and what is repeated
had been answered and not yet recorded. 1,500 deliveries here; ATTEND_FAULT_DELIVERIES=10000 for the whole.
"""

from __future__ import annotations

import itertools
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from attend.stack.processes import wait_until
from tests.faults.phones import Phones
from tests.faults.world import World
from tests.support.stack import embedded_stack

DISPATCHER = "push-notification-dispatcher"
DELIVERIES = int(os.environ.get("ATTEND_FAULT_DELIVERIES", "1500"))
# A machine that does much else at once may need several times as long.
pytestmark = [pytest.mark.faults, pytest.mark.embedded, pytest.mark.timeout(180 + DELIVERIES / 10)]
LEASE_SECONDS = 5
SLICE = 25
CONNECTIONS = 25
# What an instance can have with the push service or on its way to the database at once, in each of its two lanes.
IN_HAND = 4 * SLICE
# From the answer to the commit: a slice, a record, and where Postgres was killed, its restart.
WINDOW_SECONDS = float(LEASE_SECONDS)


@dataclass
class Kills:
    """When somebody was killed, and who."""

    times: list[float] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def kill(self, world: World, name: str) -> None:
        """Note the time before the signal: whatever is answered from then on cannot be recorded any more."""
        self.times.append(time.monotonic())
        self.names.append(name)
        pid = world.stack.kill(name)
        world.stack.wait_restarted(name, pid)

    def between(self, first: float, second: float) -> bool:
        """Whether a kill explains that what was sent first was sent again: soon after the one, before the other."""
        return any(first - 1 <= at <= second and at - first <= WINDOW_SECONDS for at in self.times)


@pytest.fixture(scope="module")
def phones() -> Iterator[Phones]:
    server = Phones()
    yield server
    server.close()


@pytest.fixture(scope="module")
def world(phones: Phones) -> Iterator[World]:
    settings = {
        "ATTEND_PUSH_PROVIDER": "",
        "ATTEND_PUSH_FCM_URL": phones.url,
        "ATTEND_PUSH_FCM_SERVICE_ACCOUNT": phones.account(),
        "ATTEND_PUSH_SLICE": str(SLICE),
        "ATTEND_PUSH_CONNECTIONS": str(CONNECTIONS),
        "ATTEND_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    with embedded_stack(cron=False, functions=[DISPATCHER], environment=settings) as stack:
        world = World(stack)
        yield world
        world.close()


def populate(world: World, pushes: int) -> None:
    """So many people, a phone and a push each."""
    world.rows("delete from public.organizations")
    world.rows("insert into public.organizations (id, name) values (gen_random_uuid(), 'Norra')")
    world.rows(
        "insert into public.users (organization_id, full_name, role)"
        " select o.id, 'Person ' || n, 'peer_mentor' from public.organizations o, generate_series(1, %s) n",
        pushes,
    )
    world.rows(
        "insert into public.devices (organization_id, user_id, provider, platform, token)"
        " select u.organization_id, u.id, 'fcm', 'android', 'phone-of-' || u.id from public.users u"
    )
    world.rows(
        "insert into public.notifications (organization_id, user_id, scenario, subject, context, triggered_at)"
        " select u.organization_id, u.id, 'inactivity', 'x', '{\"days\": 21}', now() from public.users u"
    )
    world.rows(
        "insert into private.outbox (organization_id, notification_id, user_id, channel)"
        " select n.organization_id, n.id, n.user_id, 'push' from public.notifications n"
    )


def states(world: World) -> dict[str, int]:
    return dict(world.rows("select state::text, count(*) from private.outbox group by state"))


def ring_while(world: World, stop: threading.Event) -> None:
    """Cron's own command, every half second instead of every minute."""
    own = World(world.stack)
    while not stop.wait(0.5):
        own.minute("push-sweep")
    own.close()


def test_none_is_lost_and_only_what_was_not_recorded_is_repeated(world: World, phones: Phones) -> None:
    populate(world, DELIVERIES)
    chance = random.Random(7)
    kills = Kills()
    stop = threading.Event()
    ringing = threading.Thread(target=ring_while, args=(world, stop), daemon=True)
    ringing.start()
    try:
        while states(world).get("sent", 0) < DELIVERIES and len(kills.times) < DELIVERIES / 250:
            time.sleep(chance.uniform(0.3, 2.5))
            # Each at least once, then as it comes.
            first = (DISPATCHER, "postgres")[len(kills.names) : len(kills.names) + 1]
            kills.kill(world, chance.choice(first or (DISPATCHER, "postgres")))
        seconds = 60 + DELIVERIES / 20
        assert wait_until(lambda: states(world) == {"sent": DELIVERIES}, seconds, 0.5), (states(world), kills.names)
    finally:
        stop.set()
        ringing.join(30)

    assert {"postgres", DISPATCHER} == set(kills.names), "the test killed too little to say anything"
    assert set(phones.taken) == {str(row[0]) for row in world.rows("select id from private.outbox")}
    # Whoever is told twice is told under one key, and the phone shows one.
    assert {len(keys) for keys in phones.keys_of.values()} == {1}
    repeated = {key: times for key, times in phones.taken.items() if len(times) > 1}
    for times in repeated.values():
        for first, second in itertools.pairwise(times):
            assert kills.between(first, second), (first, second, kills.times)
    repeats = sum(len(times) - 1 for times in repeated.values())
    assert repeats <= IN_HAND * len(kills.times)
    print(
        f"{DELIVERIES} deliveries, {len(kills.times)} kills {kills.names}: {repeats} repeats of {len(repeated)} pushes"
    )
    world.rows("delete from public.organizations")


def test_without_a_kill_nothing_is_repeated(world: World, phones: Phones) -> None:
    phones.taken.clear()
    populate(world, 500)
    stop = threading.Event()
    ringing = threading.Thread(target=ring_while, args=(world, stop), daemon=True)
    ringing.start()
    try:
        assert wait_until(lambda: states(world) == {"sent": 500}, 60, 0.5), states(world)
    finally:
        stop.set()
        ringing.join(30)
    assert {len(times) for times in phones.taken.values()} == {1}
    assert len(phones.taken) == 500
