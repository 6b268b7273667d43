"""The short form of `make mutate`: the instrument itself, and a mutant of each kind with the file that must kill it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import on_real_stack
from tests.mutation.mutants import Mutant, enumerate_mutants
from tests.mutation.runner import ROOT, Laboratory, likeliest_first, named_tests
from tests.support import pgtap
from tests.support.missing import skip_without

pytestmark = [
    pytest.mark.skipif(on_real_stack(), reason="a real stack gives no database to clone"),
    skip_without(pgtap.ARCHIVE.exists(), "pgTAP is not installed: run `make install`"),
]

# kind and name → the pgTAP file that notices.
WITNESSES = {
    ("check dropped", "public.users: user_time_zone_is_known"): "00_foundation/constraints",
    ("gate opened", "private.inactivity_matches: person_inactive when not f.is_active"): "40_scenarios/gates",
    ("grant revoked", "public.notifications: select to authenticated"): "30_delivery/rls",
    ("key dropped", "public.notifications: notifications_once_per_decision"): "30_delivery/constraints",
    ("policy opened", "public.notifications: people read their own notifications"): "30_delivery/rls",
    ("policy dropped", "public.notifications: people read their own notifications"): "30_delivery/rls",
    ("row security off", "public.activities"): "10_activities/rls",
    ("trigger dropped", "public.notification_preferences: notification_preferences_retract"): "30_delivery/opting_out",
}


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    laboratory = Laboratory()
    yield laboratory
    laboratory.close()


@pytest.fixture(scope="module")
def mutants(laboratory: Laboratory) -> list[Mutant]:
    with laboratory.database() as database:
        return enumerate_mutants(database)


def test_every_mutant_can_live(laboratory: Laboratory, mutants: list[Mutant]) -> None:
    with laboratory.database() as database, database.connect(autocommit=False) as connection:
        for mutant in mutants:
            connection.execute("savepoint before")
            connection.execute(mutant.sql.encode(), prepare=False)
            connection.execute("rollback to savepoint before")
        connection.rollback()


def test_no_two_have_one_name_and_no_kind_is_missing(mutants: list[Mutant]) -> None:
    assert len({(m.kind, m.name) for m in mutants}) == len(mutants)
    assert {m.kind for m in mutants} >= {kind for kind, _ in WITNESSES} | {
        "execute added",
        "grant added",
        "lock removed",
        "reference dropped",
        "skip locked removed",
    }


@pytest.mark.parametrize(("mutant", "file"), WITNESSES.items(), ids=[kind for kind, _ in WITNESSES])
def test_a_guard_less_is_noticed(
    laboratory: Laboratory, mutants: list[Mutant], mutant: tuple[str, str], file: str
) -> None:
    (found,) = [m for m in mutants if (m.kind, m.name) == mutant]
    files = [pgtap.TESTS / f"{file}.sql"]
    assert laboratory.killed_by_pgtap(None, files) is None
    killer = laboratory.killed_by_pgtap(found, files)
    assert killer is not None
    assert killer.startswith(f"{file}: ")


def test_what_most_likely_notices_is_asked_first(mutants: list[Mutant]) -> None:
    (emptied,) = [m for m in mutants if m.name == "public.activities: activities_mark_statistics_truncated"]
    asked = likeliest_first(emptied, "tests/integration/statistics")
    assert {ROOT / path for path in asked} == set((ROOT / "tests/integration/statistics").rglob("test_*.py"))
    assert "truncate" in (ROOT / asked[0]).read_text()
    assert likeliest_first(emptied, asked[-1]) == [asked[-1]]


def test_the_tests_that_are_asked_exist() -> None:
    assert [path for path in sorted(named_tests()) if not (ROOT / path).exists()] == []
