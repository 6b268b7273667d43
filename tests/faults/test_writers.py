"""Writers of every kind, cron off: whoever stays silent is found by the bell of another."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from uuid import UUID

import pytest

from attend.stack.processes import wait_until
from tests.faults.world import World, together

pytestmark = [pytest.mark.faults, pytest.mark.embedded]
# Owed is about a second; pg_net's pause, a second bell and a busy machine are allowed for.
SOON = 3.0


def _people(world: World, number: int) -> list[UUID]:
    return sorted(user_id for user_id, _ in world.would_tell())[:number]


def _is_told(world: World, person: UUID) -> bool:
    return bool(world.rows("select 1 from public.notifications where user_id = %s", person))


def test_a_writer_in_a_long_transaction_silences_nobody(world: World) -> None:
    world.populate(300)
    slow, *others = _people(world, 6)
    with world.connect(autocommit=False) as writer:
        world.touch(slow, writer)
        for person in others:
            world.touch(person)
            assert wait_until(partial(_is_told, world, person), SOON), "somebody else's open transaction held the bell"
        assert not _is_told(world, slow)
        writer.commit()
    assert wait_until(partial(_is_told, world, slow), SOON)


def test_a_writer_who_rolls_back_takes_nobodys_bell_along(world: World) -> None:
    world.populate(300)
    other, person = _people(world, 2)
    with world.connect(autocommit=False) as writer:
        world.touch(other, writer)
        world.touch(person)
        writer.rollback()
    assert wait_until(partial(_is_told, world, person), SOON)
    assert not _is_told(world, other)
    assert world.marks() == 0


def test_a_rollback_to_a_savepoint_does_not_take_the_bell_of_what_is_written_after_it(world: World) -> None:
    world.populate(300)
    undone, person = _people(world, 2)
    with world.connect(autocommit=False) as writer:
        writer.execute("savepoint before")
        world.touch(undone, writer)
        writer.execute("rollback to savepoint before")
        world.touch(person, writer)
    assert wait_until(partial(_is_told, world, person), SOON)
    assert not _is_told(world, undone)


@pytest.mark.parametrize("pause", [0.0, 0.2, 0.4])
def test_whoever_writes_silently_after_the_bell_was_answered_is_found_by_the_second_one(
    world: World, pause: float
) -> None:
    world.populate(300)
    ringing, silent = _people(world, 2)
    with world.connect() as writer:
        world.touch(ringing, writer)
        assert wait_until(partial(_is_told, world, ringing), SOON, 0.005)
        time.sleep(pause)
        world.touch(silent, writer)
    # On a machine that stalled for 0.8 s the second writer rings as well, which is right too.
    assert wait_until(partial(_is_told, world, silent), SOON)
    assert world.marks() == 0


@pytest.mark.parametrize("seed", range(2))
def test_every_mark_of_many_writers_at_once_is_drained_soon(world: World, seed: int) -> None:
    expected = world.populate(600)
    shares: list[list[UUID]] = [[] for _ in range(6)]
    for index, person in enumerate(_people(world, len(expected))):
        shares[index % len(shares)].append(person)
    together(*[partial(_write_for_a_while, world, people, 100 * seed + n) for n, people in enumerate(shares)])
    assert wait_until(lambda: world.marks() == 0, SOON), f"{world.marks()} marks are left and nobody rings"
    written = {person for people in shares for person in people[: len(people) // 2]}
    world.assert_told({told for told in expected if told[0] in written})


def _write_for_a_while(world: World, people: list[UUID], seed: int) -> None:
    """Quick and slow transactions, some undone; the latter half of the people stays as it is."""
    chance = random.Random(seed)
    half = len(people) // 2
    with world.connect(autocommit=False) as writer:
        for person, bystander in zip(people[:half], people[-half:], strict=True):
            if chance.random() < 0.2:
                world.touch(bystander, writer)
                writer.rollback()
            world.touch(person, writer)
            threading.Event().wait(chance.choice([0, 0, 0, 0.02, 0.3]))
            writer.commit()
