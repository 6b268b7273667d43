"""Nobody is decided on stale aggregates: what the scenario engine knows is right whatever waits to be recomputed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.statistics.conftest import NOW, Programme
from tests.support.statistics import drain

JOINED = NOW - timedelta(days=400)


@pytest.fixture
def quiet(programme: Programme) -> Iterator[UUID]:
    """A mentor who is due: joined long ago, last active 30 days ago, and that is drained."""
    programme.database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'quiet', true)",
        (programme.id,),
    )
    user_id = programme.person()
    programme.database.execute("update public.users set joined_at = %s where id = %s", (JOINED, user_id))
    programme.activity(user_id, NOW - timedelta(days=30))
    programme.drain()
    yield user_id
    programme.database.execute("delete from private.scenario_marks")
    programme.database.execute("delete from private.runs")


def known(programme: Programme, user_id: UUID) -> dict[str, Any]:
    return programme.database.value("select public.evaluate_inactivity(%s, 21)", (user_id,))


def told(programme: Programme) -> list[UUID]:
    """Who is told by a scheduled run, now."""
    holder = uuid4()
    run = programme.database.value("select public.start_run('scenario-evaluation', %s)", (holder,))
    while not programme.database.value("select public.evaluate_chunk(%s, %s)", (run["run_id"], holder))["done"]:
        pass
    rows = programme.database.rows(
        "select user_id from public.notifications where organization_id = %s", (programme.id,)
    )
    return [row["user_id"] for row in rows]


def last_activity(programme: Programme, user_id: UUID) -> datetime | None:
    at = known(programme, user_id)["last_activity_at"]
    return datetime.fromisoformat(at) if at else None


def test_whoever_is_quiet_is_told(programme: Programme, quiet: UUID) -> None:
    assert told(programme) == [quiet]


def test_an_activity_whose_mark_nobody_claimed_counts(programme: Programme, quiet: UUID) -> None:
    at = NOW - timedelta(seconds=1)
    programme.activity(quiet, at)
    assert programme.row(quiet)["last_activity_date"] == NOW - timedelta(days=30), "nothing is drained"
    assert last_activity(programme, quiet) == at
    assert told(programme) == []


def test_an_activity_whose_mark_another_drain_holds_counts(programme: Programme, quiet: UUID) -> None:
    at = NOW - timedelta(seconds=1)
    programme.activity(quiet, at)
    with programme.database.connect(autocommit=False) as drainer:
        assert drain(drainer)["marks"] == 1
        assert last_activity(programme, quiet) == at
        assert told(programme) == []
        drainer.rollback()
    assert last_activity(programme, quiet) == at


def test_an_activity_that_is_gone_no_longer_counts(programme: Programme, quiet: UUID) -> None:
    activity = programme.activity(quiet, NOW - timedelta(seconds=1))
    programme.drain()
    assert not known(programme, quiet)["matched"]
    programme.database.execute("delete from public.activities where id = %s", (activity,))
    assert known(programme, quiet)["matched"]
    assert told(programme) == [quiet]


@pytest.mark.parametrize("column", ["status", "user_id"])
def test_an_activity_that_was_called_off_or_was_another_s_no_longer_counts(
    programme: Programme, quiet: UUID, column: str
) -> None:
    other = programme.person()
    activity = programme.activity(quiet, NOW - timedelta(seconds=1))
    programme.drain()
    programme.change(activity, **{column: "cancelled" if column == "status" else other})
    assert last_activity(programme, quiet) == NOW - timedelta(days=30)
    assert told(programme) == [quiet]


def test_a_row_that_is_missing_is_no_row_of_zeros(programme: Programme, quiet: UUID) -> None:
    programme.activity(quiet, NOW - timedelta(seconds=1))
    programme.drain()
    programme.database.execute("delete from public.activity_statistics where user_id = %s", (quiet,))
    assert last_activity(programme, quiet) == NOW - timedelta(seconds=1)
    assert told(programme) == []


def test_a_mark_of_somebody_else_decides_nothing(programme: Programme, quiet: UUID) -> None:
    programme.activity(programme.person())
    assert last_activity(programme, quiet) == NOW - timedelta(days=30)
    assert told(programme) == [quiet]


@pytest.mark.parametrize("drained", [True, False])
def test_the_three_readers_of_facts_agree(programme: Programme, quiet: UUID, drained: bool) -> None:
    programme.activity(quiet, NOW - timedelta(days=22))
    if drained:
        programme.drain()
    dry = programme.database.value("select public.dry_run_scenarios(%s)", (programme.id,))
    explained = programme.database.value("select public.explain_scenarios(%s, %s)", (programme.id, quiet))
    assert [row["gate"] for row in dry if row["user_id"] == str(quiet)] == ["would_send"]
    assert [row["gate"] for row in explained["answers"]] == ["would_send"]
    assert told(programme) == [quiet]
    programme.drain()
    assert last_activity(programme, quiet) == NOW - timedelta(days=22)


def test_a_streak_that_ends_at_midnight_tells_nobody_twice(programme: Programme, quiet: UUID) -> None:
    programme.activity(quiet, NOW - timedelta(days=1))
    programme.drain()
    assert told(programme) == []
    programme.drain(NOW + timedelta(days=3))
    programme.database.execute("select public.drain_scenario_marks()")
    assert told(programme) == []
