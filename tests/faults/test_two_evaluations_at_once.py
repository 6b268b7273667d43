"""Any number of evaluators work on the same people: each due person is told once, nobody else is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.faults.world import BELL, RUN, World, together

pytestmark = [pytest.mark.faults, pytest.mark.embedded]


def _one(connection: psycopg.Connection[Any], query: str, *params: object) -> Any:
    row = connection.execute(query.encode(), params).fetchone()
    assert row is not None
    return row[0]


def _run_in_chunks(world: World, size: int) -> int:
    with world.connect() as connection:
        holder, people, more = uuid4(), 0, True
        run = _one(connection, "select public.start_run('scenario-evaluation', %s, null, 60, %s)", holder, size)
        if run["state"] == "busy":
            return 0
        while more:
            answer = _one(connection, "select public.evaluate_chunk(%s, %s, %s)", run["run_id"], holder, size)
            people, more = people + answer["people"], answer["more"]
        return people


def _drain(world: World, size: int) -> int:
    with world.connect() as connection:
        marks = 0
        while found := _one(connection, "select public.drain_scenario_marks(%s)", size)["marks"]:
            marks += found
        return marks


def _enqueue(world: World, people: list[tuple[UUID, str]]) -> int:
    with world.connect() as connection:
        ask = "select public.enqueue_notification(%s, 'inactivity', '{}', %s)"
        return sum(_one(connection, ask, *person)["outcome"] == "sent" for person in people)


def _evaluate_by_name(world: World) -> int:
    with world.connect() as connection:
        found = connection.execute(
            "select organization_id, array_agg(id order by random()) from public.users group by 1"
        )
        ask = "select public.evaluate_people(%s, %s)"
        return sum(_one(connection, ask, *organization)["people"] for organization in found.fetchall())


def test_two_instances_ticked_at_once_tell_everybody_once(world: World, tmp_path: Path) -> None:
    expected = world.populate(1_000)
    with (
        world.instance(tmp_path, attend_chunk_size=40) as first,
        world.instance(tmp_path, attend_chunk_size=30) as second,
    ):
        answers = together(
            partial(world.delivery(RUN).post, first.url),
            partial(world.delivery(RUN).post, second.url),
            world.delivery(RUN).post,
        )
    outcomes = [answer.json()["outcome"] for answer in answers]
    assert set(outcomes) <= {"finished", "in_progress", "busy"}
    assert "finished" in outcomes
    # One run that they shared; a second only if the first was over before the last of them asked.
    assert world.finished()["people"] == 1_000
    assert world.rows("select distinct state, people from private.runs") == [("finished", 1_000)]
    world.assert_told(expected)


def test_one_delivery_to_two_instances_at_once_has_one_effect(world: World, tmp_path: Path) -> None:
    expected = world.populate(400)
    delivery = world.delivery(RUN)
    with world.instance(tmp_path) as first, world.instance(tmp_path) as second:
        answers = together(partial(delivery.post, first.url), partial(delivery.post, second.url))
        repeated = delivery.post(first.url)
    assert [answer.status_code for answer in (*answers, repeated)] == [200, 200, 200]
    assert repeated.json() in [answer.json() for answer in answers]
    assert world.finished()["people"] == 400
    world.assert_told(expected)


def test_instances_that_drain_together_share_the_marks_and_tell_everybody_once(world: World, tmp_path: Path) -> None:
    expected = world.populate(1_000)
    world.mark_everybody()
    with (
        world.instance(tmp_path, attend_chunk_size=40) as first,
        world.instance(tmp_path, attend_chunk_size=30) as second,
    ):
        answers = together(
            partial(world.delivery(BELL).post, first.url),
            partial(world.delivery(BELL).post, second.url),
            world.delivery(BELL).post,
        )
    assert [answer.json()["outcome"] for answer in answers] == ["drained"] * 3
    assert sum(answer.json()["marks"] for answer in answers) == 1_000
    assert world.marks() == 0
    world.assert_told(expected)


@pytest.mark.parametrize("attempt", range(3))
def test_a_run_drains_and_senders_racing_for_the_same_people_tell_each_once(world: World, attempt: int) -> None:
    expected = world.populate(1_000)
    world.mark_everybody()
    people = sorted(expected, reverse=bool(attempt % 2))
    together(
        partial(_run_in_chunks, world, 70),
        partial(_run_in_chunks, world, 40),
        partial(_drain, world, 90),
        partial(_drain, world, 40),
        partial(_evaluate_by_name, world),
        partial(_enqueue, world, people),
    )
    assert world.marks() == 0
    assert world.value("select sum(people) % 1000 from private.runs where state = 'finished'") == 0
    world.assert_told(expected)


def test_a_run_while_everybody_is_active_again_tells_nobody_who_was_active_before_their_chunk(world: World) -> None:
    """Facts are read when a person's chunk begins: whoever's activity was committed before is not reminded."""
    expected = world.populate(600)
    people = sorted(user_id for user_id, _ in expected)
    spared = people[::2]
    with world.connect() as writer:
        writer.execute(
            "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) "
            "select u.organization_id, u.id, 'home-visit', now() - interval '1 second' from public.users u "
            "where u.id = any(%s)",
            (spared,),
        )
    together(partial(_run_in_chunks, world, 50), partial(_drain, world, 50))
    world.assert_told({(user_id, subject) for user_id, subject in expected if user_id not in set(spared)})


def test_a_holder_that_stalls_beyond_its_lease_is_replaced_and_does_no_more(world: World) -> None:
    expected = world.populate(500)
    slow, quick = uuid4(), uuid4()
    with world.connect() as connection:
        run = _one(connection, "select public.start_run('scenario-evaluation', %s, now(), 1)", slow)
        _one(connection, "select public.evaluate_chunk(%s, %s, 100, 1)", run["run_id"], slow)
        world.rows("select pg_sleep(1.1)")
        taken = _one(connection, "select public.start_run('scenario-evaluation', %s)", quick)
        assert (taken["state"], taken["run_id"]) == ("resumed", run["run_id"])
        with pytest.raises(psycopg.Error) as refused:
            connection.execute("select public.evaluate_chunk(%s, %s, 100)", (run["run_id"], slow))
        assert refused.value.sqlstate == "PT409"
        done = False
        while not done:
            done = _one(connection, "select public.evaluate_chunk(%s, %s, 100)", run["run_id"], quick)["done"]
    assert world.run()["people"] == 500
    world.assert_told(expected)
