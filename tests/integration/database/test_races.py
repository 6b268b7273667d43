"""Two at once: whoever comes second waits, skips or is told so, and nobody is told twice. Real transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.database import Database


@pytest.fixture
def quiet(database: Database) -> dict[str, Any]:
    """An organisation with a rule and twenty mentors who have been quiet for long."""
    organization = database.value("insert into public.organizations (name) values ('A') returning id")
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'q', true)",
        (organization,),
    )
    rows = database.rows(
        "insert into public.users (organization_id, full_name, role, joined_at)"
        " select %s, 'M', 'peer_mentor', now() - interval '90 days' from generate_series(1, 20) returning id",
        (organization,),
    )
    database.execute("delete from private.scenario_marks")
    return {"organization": organization, "people": [row["id"] for row in rows]}


def told(database: Database, organization: UUID) -> list[UUID]:
    rows = database.rows("select user_id from public.notifications where organization_id = %s", (organization,))
    return [row["user_id"] for row in rows]


def answer(connection: psycopg.Connection[Any], query: str, *arguments: Any) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return next(iter(row.values()))


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def wait_until_blocked(database: Database) -> None:
    """Until some session waits for another's lock."""
    for _ in range(500):
        if database.value("select count(*) from pg_locks where not granted"):
            return
        threading.Event().wait(0.01)
    pytest.fail("nobody came to wait")


EVALUATE = "select public.evaluate_people(%s, %s, now()) -> 'counts'"
ENQUEUE = "select public.enqueue_notification(%s, 'inactivity', '{}', 'race') ->> 'outcome'"


def test_two_evaluations_at_once_tell_everybody_once(database: Database, quiet: dict[str, Any]) -> None:
    counts: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        counts.append(answer(first, EVALUATE, quiet["organization"], quiet["people"]))

        def second() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 20}}, {"inactivity": {"cooling_down": 20}}]
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_an_evaluation_whose_rival_rolls_back_tells_them(database: Database, quiet: dict[str, Any]) -> None:
    counts: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        answer(first, EVALUATE, quiet["organization"], quiet["people"])

        def second() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(second)
        wait_until_blocked(database)
        first.rollback()
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 20}}]


def test_two_evaluations_in_opposite_orders_do_not_wait_for_each_other_in_a_circle(
    database: Database, quiet: dict[str, Any]
) -> None:
    errors: list[Exception] = []

    def evaluate(people: list[UUID]) -> None:
        try:
            with database.connect("service_role") as connection:
                answer(connection, EVALUATE, quiet["organization"], people)
        except psycopg.Error as error:
            errors.append(error)

    threads = [in_background(lambda p=p: evaluate(p)) for p in (quiet["people"], quiet["people"][::-1]) * 3]
    for thread in threads:
        thread.join(20)
    assert errors == []
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_of_many_enqueued_at_once_one_is_sent(database: Database, quiet: dict[str, Any]) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def enqueue() -> None:
        with database.connect("service_role") as connection:
            barrier.wait(10)
            outcomes.append(answer(connection, ENQUEUE, quiet["people"][0]))

    threads = [in_background(enqueue) for _ in range(6)]
    for thread in threads:
        thread.join(20)
    assert sorted(outcomes) == ["cooling_down"] * 5 + ["sent"]


def test_a_person_who_is_deleted_meanwhile_drops_out_and_fails_nobody(
    database: Database, quiet: dict[str, Any]
) -> None:
    counts: list[Any] = []
    gone, *others = quiet["people"]
    with database.connect(autocommit=False) as eraser:
        eraser.execute("delete from public.users where id = %s", (gone,))

        def evaluate() -> None:
            with database.connect("service_role") as connection:
                counts.append(answer(connection, EVALUATE, quiet["organization"], quiet["people"]))

        thread = in_background(evaluate)
        wait_until_blocked(database)
    thread.join(10)
    assert counts == [{"inactivity": {"sent": 19, "person_inactive": 1}}]
    assert sorted(told(database, quiet["organization"])) == sorted(others)


def test_two_drainers_share_the_marks_and_never_wait(database: Database, quiet: dict[str, Any]) -> None:
    database.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) select %s, id, false from unnest(%s) id",
        (quiet["organization"], quiet["people"]),
    )
    drain = "select public.drain_scenario_marks(%s)"
    with (
        database.connect("service_role", autocommit=False) as one,
        database.connect("service_role", autocommit=False) as two,
    ):
        two.execute("set local lock_timeout = '500ms'")
        first, second = answer(one, drain, 12), answer(two, drain, 12)
    assert (first["marks"], second["marks"]) == (12, 8)
    assert sorted(told(database, quiet["organization"])) == sorted(quiet["people"])


def test_a_drainer_that_dies_leaves_its_marks(database: Database, quiet: dict[str, Any]) -> None:
    database.execute(
        "insert into private.scenario_marks (organization_id, user_id, rings) select %s, id, false from unnest(%s) id",
        (quiet["organization"], quiet["people"]),
    )
    with database.connect("service_role", autocommit=False) as dying:
        answer(dying, "select public.drain_scenario_marks(100)")
        dying.rollback()
    assert told(database, quiet["organization"]) == []
    assert database.value("select count(*) from private.scenario_marks") == 20


def test_a_mark_made_while_another_is_drained_waits_for_the_next(database: Database, quiet: dict[str, Any]) -> None:
    mark = "insert into private.scenario_marks (organization_id, user_id, rings) values (%s, %s, false)"
    database.execute(mark, (quiet["organization"], quiet["people"][0]))
    with database.connect("service_role", autocommit=False) as drainer:
        assert answer(drainer, "select public.drain_scenario_marks(100)")["marks"] == 1
        database.execute(mark, (quiet["organization"], quiet["people"][1]))
    assert database.value("select count(*) from private.scenario_marks") == 1


def test_of_two_that_start_a_run_at_once_one_is_busy(database: Database) -> None:
    start = "select public.start_run(%s, %s) ->> 'state'"
    states: list[str] = []
    with database.connect("service_role", autocommit=False) as first:
        states.append(answer(first, start, "race", uuid4()))

        def second() -> None:
            with database.connect("service_role") as connection:
                states.append(answer(connection, start, "race", uuid4()))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert states == ["started", "busy"]


def test_who_is_in_the_middle_of_a_chunk_is_not_followed_even_with_the_lease_over(database: Database) -> None:
    run = database.value("select public.start_run('chunking', %s) -> 'run_id'", (uuid4(),))
    database.execute("update private.run_slices set lease_until = clock_timestamp() where run_id = %s", (run,))
    with (
        database.connect("service_role", autocommit=False) as working,
        database.connect("service_role", autocommit=False) as second,
    ):
        # As evaluate_chunk holds it while it works.
        working.execute("select from private.run_slices where run_id = %s for update", (run,))
        second.execute("set local lock_timeout = '500ms'")
        assert answer(second, "select public.start_run('chunking', %s) ->> 'state'", uuid4()) == "busy"


def test_a_holder_whose_run_was_taken_over_writes_nothing(database: Database, quiet: dict[str, Any]) -> None:
    old, new = uuid4(), uuid4()
    run = database.value("select public.start_run('taken', %s) -> 'run_id'", (old,))
    database.execute("update private.run_slices set lease_until = clock_timestamp() where run_id = %s", (run,))
    assert database.value("select public.start_run('taken', %s) ->> 'state'", (new,)) == "resumed"
    with pytest.raises(psycopg.Error, match="lease_lost") as caught:
        database.execute("select public.evaluate_chunk(%s, %s)", (run, old))
    assert caught.value.sqlstate == "PT409"
    assert told(database, quiet["organization"]) == []


def test_the_first_answer_to_a_webhook_counts_for_both(database: Database) -> None:
    record = "select public.record_webhook_delivery(%s, %s::jsonb)"
    answers: list[Any] = []
    with database.connect("service_role", autocommit=False) as first:
        answers.append(answer(first, record, "msg_race", '{"n": 1}'))

        def second() -> None:
            with database.connect("service_role") as connection:
                answers.append(answer(connection, record, "msg_race", '{"n": 2}'))

        thread = in_background(second)
        wait_until_blocked(database)
    thread.join(10)
    assert answers == [{"n": 1}, {"n": 1}]
