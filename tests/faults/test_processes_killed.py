"""kill -9 of the function, the gateway and the background worker in the middle of work."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from attend.stack.processes import wait_until
from tests.faults.world import BELL, ENGINE, LEASE_SECONDS, RUN, World

pytestmark = [pytest.mark.faults, pytest.mark.embedded]
# Chunks of this size make a run of these people long enough to be hit in the middle.
PEOPLE = 4_000


@contextmanager
def _called(post: Callable[[], httpx.Response]) -> Iterator[None]:
    """A call under way during the block; whether it is answered is the test's business, not ours."""

    def call() -> None:
        with contextlib.suppress(httpx.HTTPError):
            post()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    yield
    thread.join(60)


def _restart_of(world: World, name: str) -> None:
    world.stack.wait_restarted(name, world.stack.kill(name))


def _wait_healthy(world: World) -> None:
    def answers() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{world.stack.functions_url}/{ENGINE}/health").status_code == 200
        return False

    assert wait_until(answers, 20)


def test_a_function_killed_in_the_middle_of_a_run_is_followed_by_the_next_after_the_lease(world: World) -> None:
    expected = world.populate(PEOPLE)
    world.tick()
    world.wait_for_run(lambda run: run.get("chunks", 0) >= 5)
    _restart_of(world, ENGINE)
    killed_at = time.monotonic()
    _wait_healthy(world)
    half = world.run()
    assert half["state"] == "running"
    assert 0 < half["people"] < PEOPLE

    early = world.delivery(RUN).post()
    assert early.json()["outcome"] == "in_progress"
    left = PEOPLE - world.run()["people"]
    assert 0 < left < PEOPLE - half["people"], "the next one does all but whom the dead holder had in hand"
    assert world.delivery(RUN).post().json()["outcome"] == "busy", "the dead holder's lease counts until it ends"
    assert wait_until(lambda: world.value("select min(lease_until) < clock_timestamp() from private.run_slices"), 10)
    assert time.monotonic() - killed_at <= LEASE_SECONDS + 1
    world.tick()
    run = world.finished()
    assert run["id"] == half["id"]
    assert run["people"] == PEOPLE, "nobody is counted twice or skipped"
    world.assert_told(expected)


def test_a_function_killed_while_it_drains_leaves_the_rest_of_the_marks_to_the_sweep(world: World) -> None:
    expected = world.populate(PEOPLE)
    world.mark_everybody()
    with _called(world.delivery(BELL).post):
        assert wait_until(lambda: world.marks() < PEOPLE - 200, 15, 0.005)
        _restart_of(world, ENGINE)
    assert 0 < world.marks() < PEOPLE
    _wait_healthy(world)
    world.tick("scenario-sweep")
    assert wait_until(lambda: world.marks() == 0, 20)
    world.assert_told(expected)


def test_a_gateway_killed_in_the_middle_of_a_run_does_not_end_it(world: World) -> None:
    expected = world.populate(PEOPLE)
    with _called(world.delivery(RUN).post):
        world.wait_for_run(lambda run: run.get("chunks", 0) >= 5)
        _restart_of(world, "gateway")
    _wait_healthy(world)
    # The caller is gone with the gateway; the function goes on, or the tick after the lease does.
    world.rows("select pg_sleep(0.2)")
    if world.run()["state"] != "finished":
        assert wait_until(lambda: _ticked_to_the_end(world), LEASE_SECONDS + 20, 1.0)
    assert world.run()["people"] == PEOPLE
    world.assert_told(expected)


def _ticked_to_the_end(world: World) -> bool:
    world.minute("scenario-evaluation")
    return world.run()["state"] == "finished"


def test_bells_queued_while_the_worker_is_dead_ring_when_it_is_back(world: World) -> None:
    expected = world.populate(200)
    people = sorted(user_id for user_id, _ in expected)[:5]
    old = world.stack.kill("background")
    for person in people:
        world.touch(person)
    world.stack.wait_restarted("background", old)
    assert wait_until(lambda: world.marks() == 0, 10)
    world.assert_told({told for told in expected if told[0] in people})


def test_a_worker_killed_with_bells_in_flight_costs_time_and_nothing_else(world: World) -> None:
    expected = world.populate(600)
    for person, _ in sorted(expected):
        world.touch(person)
        if world.queued() == 0:
            break
    _restart_of(world, "background")
    for person, _ in sorted(expected):
        world.touch(person)
    _restart_of(world, "background")
    world.tick("scenario-sweep")
    assert wait_until(lambda: world.marks() == 0, 20)
    world.assert_told(expected)


def test_a_run_out_of_its_time_is_paused_and_continued_by_the_next_tick(world: World, tmp_path: Path) -> None:
    expected = world.populate(400)
    outcomes: list[str] = []
    with world.instance(tmp_path, attend_time_budget_seconds=0.2, attend_chunk_size=10) as instance:
        while not outcomes or outcomes[-1] == "in_progress":
            answer = world.delivery(RUN).post(instance.url).json()
            outcomes.append(answer["outcome"])
            told = world.told()
            assert len(told) == len(set(told))
            if answer["outcome"] == "in_progress":
                assert answer["stopped_by"] == "time_budget"
                assert world.run()["state"] == "in_progress"
    assert len(outcomes) > 1, "the budget was no limit"
    assert outcomes[-1] == "finished"
    assert world.value("select count(*) from private.runs") == 1
    assert world.run()["people"] == 400
    world.assert_told(expected)
