"""Rebuilding and comparing everything: in chunks, resumed, beside writers, with a report of what was wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.integration.statistics.conftest import NOW, Programme
from tests.support.statistics import drain

REBUILD, RECONCILE = "statistics-rebuild", "statistics-reconcile"


@pytest.fixture
def people(programme: Programme) -> Iterator[list[UUID]]:
    """Seven people with five activities each, drained."""
    people = sorted(programme.person() for _ in range(7))
    contact = programme.contact()
    for user_id in people:
        for n in range(5):
            programme.activity(user_id, NOW - timedelta(days=n * n, hours=1), *([contact] if n % 2 else []))
    programme.drain()
    yield people
    programme.database.execute("delete from private.runs")
    programme.database.execute("delete from private.statistics_drift")


def start(programme: Programme, kind: str, holder: UUID, state: str = "started") -> int:
    run = programme.database.value("select public.start_run(%s, %s)", (kind, holder))
    assert run["state"] == state
    return run["run_id"]


def chunk(programme: Programme, run_id: int, holder: UUID, size: int = 3) -> dict[str, Any]:
    return programme.database.value("select public.rebuild_statistics_chunk(%s, %s, %s)", (run_id, holder, size))


def run(programme: Programme, kind: str, size: int = 3) -> dict[str, Any]:
    """A whole run; its report."""
    holder = uuid4()
    run_id = start(programme, kind, holder)
    while not chunk(programme, run_id, holder, size)["done"]:
        pass
    return programme.database.value("select public.run_report(%s)", (run_id,))


def drift(programme: Programme) -> dict[UUID, int]:
    rows = programme.database.rows("select user_id, rows_changed from private.statistics_drift")
    assert len(rows) == len({row["user_id"] for row in rows})
    return {row["user_id"]: row["rows_changed"] for row in rows}


def spoil(programme: Programme, user_id: UUID) -> None:
    """One row says too much, one is gone, one should not be there."""
    execute = programme.database.execute
    execute(
        "update public.activity_statistics set total_activities = 99 where user_id = %s and period_type = 'year'",
        (user_id,),
    )
    execute("delete from public.activity_statistics where user_id = %s and period_type = 'quarter'", (user_id,))
    execute(
        "insert into public.activity_statistics (organization_id, user_id, period_type, period_start, period_end)"
        " values (%s, %s, 'day', '2001-01-01 00:00+00', '2001-01-02 00:00+00')",
        (programme.id, user_id),
    )


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_rebuild_makes_everything_anew(programme: Programme, people: list[UUID], size: int) -> None:
    programme.database.execute("delete from public.activity_statistics where organization_id = %s", (programme.id,))
    report = run(programme, REBUILD, size)
    assert (report["state"], report["people"]) == ("finished", len(people))
    assert report["counts"]["statistics"]["rows_written"] > 0
    programme.assert_right()


def test_a_rebuild_forgets_rows_behind_which_nothing_is(programme: Programme, people: list[UUID]) -> None:
    spoil(programme, people[3])
    run(programme, REBUILD)
    programme.assert_right()


@pytest.mark.parametrize("given_back", [True, False], ids=["paused", "abandoned"])
def test_a_rebuild_is_continued_by_another_where_it_was_left(
    programme: Programme, people: list[UUID], given_back: bool
) -> None:
    programme.database.execute("delete from public.activity_statistics where organization_id = %s", (programme.id,))
    one, two = uuid4(), uuid4()
    run_id = start(programme, REBUILD, one)
    assert chunk(programme, run_id, one)["people"] == 3
    start(programme, REBUILD, two, "busy")
    if given_back:
        programme.database.execute("select public.pause_run(%s, %s)", (run_id, one))
    else:
        programme.database.execute("update private.run_slices set lease_until = clock_timestamp()")
    assert start(programme, REBUILD, two, "resumed") == run_id
    with pytest.raises(psycopg.Error, match="lease_lost"):
        chunk(programme, run_id, one)
    assert programme.row(people[2])["total_activities"] == 5, "what was done stays done"
    assert programme.row(people[3]) == {}
    while not (answer := chunk(programme, run_id, two))["done"]:
        assert answer["people"] <= 3
    report = programme.database.value("select public.run_report(%s)", (run_id,))
    assert report["people"] == len(people)
    programme.assert_right()


def test_a_chunk_that_fails_is_done_again_whole(programme: Programme, people: list[UUID]) -> None:
    programme.database.execute("delete from public.activity_statistics where organization_id = %s", (programme.id,))
    holder = uuid4()
    run_id = start(programme, REBUILD, holder)
    with programme.database.connect(autocommit=False) as connection:
        connection.execute("select public.rebuild_statistics_chunk(%s, %s, 100)", (run_id, holder))
        connection.rollback()
    assert programme.row(people[0]) == {}
    assert chunk(programme, run_id, holder, 100)["people"] == len(people)
    programme.assert_right()


def test_a_reconcile_of_what_is_right_changes_and_reports_nothing(programme: Programme, people: list[UUID]) -> None:
    before = programme.database.rows("select * from public.activity_statistics order by id")
    report = run(programme, RECONCILE)
    assert report["people"] == len(people)
    assert report["counts"]["statistics"] == {"rows_repaired": 0, "people_with_drift": 0}
    assert drift(programme) == {}
    assert programme.database.rows("select * from public.activity_statistics order by id") == before


def test_a_reconcile_repairs_drift_and_says_whose_it_was(programme: Programme, people: list[UUID]) -> None:
    spoil(programme, people[1])
    programme.database.execute(
        "update public.activity_statistics set streak_days = 50 where user_id = %s and period_type = 'all_time'",
        (people[5],),
    )
    report = run(programme, RECONCILE)
    assert report["counts"]["statistics"]["people_with_drift"] == 2
    assert set(drift(programme)) == {people[1], people[5]}
    assert drift(programme)[people[5]] == 1
    programme.assert_right()
    assert run(programme, RECONCILE)["counts"]["statistics"]["rows_repaired"] == 0


def test_what_a_mark_announces_is_no_drift(programme: Programme, people: list[UUID]) -> None:
    programme.activity(people[0])
    programme.database.execute("delete from public.activities where user_id = %s", (people[1],))
    run(programme, RECONCILE)
    assert drift(programme) == {}
    assert programme.marks() == 0
    programme.assert_right()


def test_a_mark_that_was_lost_is_drift(programme: Programme, people: list[UUID]) -> None:
    programme.activity(people[0])
    programme.database.execute("delete from private.statistics_marks")
    run(programme, RECONCILE)
    assert set(drift(programme)) == {people[0]}
    programme.assert_right()


def test_a_person_without_a_row_gets_it_back(programme: Programme, people: list[UUID]) -> None:
    programme.database.execute("delete from public.activity_statistics where user_id = any (%s)", (people[:2],))
    run(programme, RECONCILE)
    assert set(drift(programme)) == set(people[:2])
    programme.assert_right()


def test_writers_and_drains_go_on_beside_a_rebuild(programme: Programme, people: list[UUID]) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(what: str) -> None:
        try:
            with programme.database.connect() as connection:
                n = 0
                while not stop.is_set():
                    if what == "write":
                        programme.activity(people[n % 7], NOW - timedelta(days=n % 5, minutes=1), connection=connection)
                    else:
                        drain(connection, 5)
                    n += 1
        except BaseException as error:  # noqa: BLE001 - reported by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(what,)) for what in ("write", "drain")]
    for thread in threads:
        thread.start()
    try:
        for _ in range(8):
            run(programme, REBUILD, 2)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert failures == []
    programme.drain()
    programme.assert_right()
