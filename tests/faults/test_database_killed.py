"""kill -9 of Postgres at the worst moments: what was marked is done after the restart, once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from attend.stack.processes import wait_until
from tests.faults.world import BELL, LEASE_SECONDS, RUN, Told, World, pause_process

pytestmark = [pytest.mark.faults, pytest.mark.embedded]


@contextmanager
def _sender_paused(world: World) -> Iterator[None]:
    """Whatever is rung meanwhile stays in pg_net's queue."""
    pid = world.stack.pid("background")
    pause_process(pid)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _kill_postgres(world: World) -> None:
    pid = world.stack.kill("postgres")
    world.stack.wait_restarted("postgres", pid)


def _in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _tick_until_finished(world: World, seconds: float = 30) -> None:
    """A tick a second, as cron gives one a minute."""

    def finished() -> bool:
        if world.run().get("state") == "finished":
            return True
        world.minute("scenario-evaluation")
        return False

    assert wait_until(finished, seconds, 1.0), world.run()


def test_a_bell_lost_in_the_crash_is_made_up_for_by_the_sweep(world: World) -> None:
    world.populate(200)
    person = min(user_id for user_id, _ in world.would_tell())
    expected: Told = {told for told in world.would_tell() if told[0] == person}
    with _sender_paused(world):
        world.touch(person)
        assert world.marks() == 1
        assert world.queued() == 1
        _kill_postgres(world)
        assert world.queued() == 0
        assert world.marks() == 1
        assert world.told() == []
    world.tick("scenario-sweep")
    assert wait_until(lambda: world.marks() == 0, 15)
    world.assert_told(expected)


def test_a_change_that_was_not_committed_leaves_neither_mark_nor_bell(world: World) -> None:
    world.populate(200)
    person = min(user_id for user_id, _ in world.would_tell())
    with world.connect(autocommit=False) as connection:
        world.touch(person, connection)
        _kill_postgres(world)
        connection.close()
    assert world.marks() == 0
    assert world.queued() == 0


def test_a_run_cut_off_by_the_crash_ends_with_the_set_of_an_undisturbed_one(world: World) -> None:
    expected = world.populate(4_000)
    call = _in_background(world.delivery(RUN).post)
    before = world.wait_for_run(lambda run: run.get("chunks", 0) >= 5)
    _kill_postgres(world)
    after = world.run()
    assert before["people"] < 4_000
    assert after["chunks"] >= before["chunks"], "a committed chunk was lost"
    call.join(30)
    _tick_until_finished(world, 30 + LEASE_SECONDS)
    assert world.run()["people"] == 4_000
    world.assert_told(expected)


def test_a_drain_cut_off_by_the_crash_leaves_the_marks_of_whoever_was_not_told(world: World) -> None:
    expected = world.populate(4_000)
    world.mark_everybody()
    call = _in_background(world.delivery(BELL).post)
    assert wait_until(lambda: 0 < world.marks() < 3_800, 15, 0.005)
    _kill_postgres(world)
    call.join(30)

    def swept() -> bool:
        if world.marks() == 0:
            return True
        world.minute("scenario-sweep")
        return False

    assert wait_until(swept, 20, 1.0)
    world.assert_told(expected)


def test_crash_after_crash_in_one_run_loses_nobody(world: World) -> None:
    expected = world.populate(4_000)
    call = _in_background(world.delivery(RUN).post)
    chunks = 0
    for _ in range(3):
        chunks = world.wait_for_run(partial(_has_moved, chunks + 5), 20)["chunks"]
        _kill_postgres(world)
        told = world.told()
        assert len(told) == len(set(told))
    call.join(30)
    _tick_until_finished(world, 30 + LEASE_SECONDS)
    world.assert_told(expected)


def _has_moved(chunks: int, run: dict[str, Any]) -> bool:
    return run.get("chunks", 0) >= chunks or run.get("state") == "finished"
