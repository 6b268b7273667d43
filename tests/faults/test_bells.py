"""Bells are dropped, repeated, reordered, late, forged, or all off: who is told stays the same."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from attend.stack.processes import wait_until
from tests.faults.world import BELL, RUN, Delivery, Told, World, minutes_ago, together

pytestmark = [pytest.mark.faults, pytest.mark.embedded]


@contextmanager
def _bells_dropped(world: World) -> Iterator[None]:
    world.stack.drop_bells(True)
    try:
        yield
    finally:
        world.stack.drop_bells(False)


@contextmanager
def _no_bells(world: World) -> Iterator[None]:
    """Not even queued: as where the bell's trigger was dropped."""
    for marks in ("scenario_marks", "statistics_marks"):
        world.rows(f"alter table private.{marks} disable trigger {marks}_ring_bell")
    try:
        yield
    finally:
        for marks in ("scenario_marks", "statistics_marks"):
            world.rows(f"alter table private.{marks} enable trigger {marks}_ring_bell")


def _people(told: Told) -> list[UUID]:
    return sorted(user_id for user_id, _ in told)


def _only(told: Told, people: list[UUID]) -> Told:
    return {each for each in told if each[0] in set(people)}


def test_a_change_rings_its_own_bell(world: World) -> None:
    expected = world.populate(200)
    person = _people(expected)[0]
    world.touch(person)
    assert wait_until(lambda: world.marks() == 0, 5)
    world.assert_told(_only(expected, [person]))


def test_what_dropped_bells_announced_is_found_by_the_sweep(world: World) -> None:
    expected = world.populate(200)
    with _bells_dropped(world):
        for person in _people(expected):
            world.touch(person)
        assert wait_until(lambda: world.queued() == 0, 10)
        assert world.marks() == len(expected)
        assert world.told() == []
    world.tick("scenario-sweep")
    assert wait_until(lambda: world.marks() == 0, 10)
    world.assert_told(expected)


def test_a_repeated_delivery_gets_the_first_answer_and_has_no_effect(world: World) -> None:
    expected = world.populate(200)
    first, second = _people(expected)[:2]
    with _no_bells(world):
        world.touch(first)
        delivery = world.delivery(BELL)
        answers = together(*[delivery.post] * 5)
        world.touch(second)
        answers += [delivery.post() for _ in range(3)]
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json() for answer in answers] == [answers[0].json()] * len(answers)
        assert world.marks() == 1, "a repetition did work"
        world.assert_told(_only(expected, [first]))
        assert world.delivery(BELL).post().json()["marks"] == 1
    world.assert_told(_only(expected, [first, second]))


@pytest.mark.parametrize("minutes", [10, -10])
def test_a_delivery_replayed_too_late_or_sent_from_the_future_is_refused(world: World, minutes: float) -> None:
    expected = world.populate(200)
    with _no_bells(world):
        world.touch(_people(expected)[0])
        answer = world.delivery(BELL, at=minutes_ago(minutes)).post()
    assert answer.status_code == 401
    assert set(answer.json()) == {"code", "message", "details", "hint"}
    assert world.marks() == 1
    assert world.told() == []


def test_a_delivery_whose_time_was_renewed_by_somebody_else_is_refused(world: World) -> None:
    world.populate(200)
    old, fresh = world.delivery(RUN, at=minutes_ago(10)), world.delivery(RUN)
    old.headers["webhook-timestamp"] = fresh.headers["webhook-timestamp"]
    assert old.post().status_code == 401
    fresh.body = fresh.body.replace(b"evaluation", b"evaluatiom")
    assert fresh.post().status_code == 401
    assert world.run() == {}
    assert world.told() == []


def test_bells_that_arrive_in_the_wrong_order_tell_the_same_people(world: World) -> None:
    expected = world.populate(200)
    first, second, third = _people(expected)[:3]
    deliveries: list[Delivery] = []
    with _no_bells(world):
        for person in (first, second, third):
            world.touch(person)
            deliveries.append(world.delivery(BELL, at=minutes_ago(1 - len(deliveries) / 3)))
        answers = [delivery.post() for delivery in reversed(deliveries)]
    assert [answer.json()["marks"] for answer in answers] == [3, 0, 0]
    world.assert_told(_only(expected, [first, second, third]))


@pytest.mark.parametrize("seed", range(3))
def test_bells_and_ticks_lost_repeated_and_shuffled_end_with_the_set_of_one_run(world: World, seed: int) -> None:
    chance = random.Random(seed)
    expected = world.populate(300)
    people = _people(expected)
    chance.shuffle(people)
    with _no_bells(world):
        deliveries = [world.delivery(chance.choice([BELL, BELL, RUN])) for _ in range(12)]
        posts = [delivery for delivery in deliveries if chance.random() < 0.7] * 2
        chance.shuffle(posts)
        while posts:
            for person in people[:20]:
                world.touch(person)
            people = people[20:]
            burst, posts = posts[:3], posts[3:]
            together(*[delivery.post for delivery in burst])
    world.delivery(BELL).post()
    world.delivery(RUN).post()
    world.finished()
    assert world.marks() == 0
    world.assert_told(expected)


def test_with_every_bell_off_an_activity_logged_a_second_before_the_tick_means_no_reminder(world: World) -> None:
    expected = world.populate(400)
    active_again = _people(expected)[::3]
    with _no_bells(world):
        with world.connect() as connection:
            connection.execute(
                "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) "
                "select u.organization_id, u.id, 'home-visit', now() - interval '1 second' from public.users u "
                "where u.id = any(%s)",
                (active_again,),
            )
        assert world.marks() == len(active_again), "nobody has drained before the tick"
        stale = "select count(*) from private.statistics_marks"
        assert world.value(stale) == len(active_again), "the figures still say what they said before"
        world.tick()
        world.finished()
    world.assert_told(expected - _only(expected, active_again))
