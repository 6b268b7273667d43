"""Names and gates on the real database equal those of the oracle, for several seeds side by side."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from attend.demo.generator import generate
from attend.demo.loading import load
from attend.demo.model import DemoData
from tests.support import oracle
from tests.support.database import Database

SEEDS = (1, 2, 7, 2026)
THREE_WEEKS = timedelta(days=21)

type Key = tuple[UUID, UUID]


@pytest.fixture(scope="module")
def organizations(database: Database) -> dict[int, DemoData]:
    """What each seed made, as it now stands in the database."""
    now = datetime.now(UTC)
    made = {seed: generate(seed, now) for seed in SEEDS}
    with database.connect() as connection:
        for data in made.values():
            load(connection, data)
    return made


def dry_run(database: Database, data: DemoData, at: datetime) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for organization in data.organizations:
        after = None
        while answer := database.value("select public.dry_run_scenarios(%s, %s, %s, 60)", (organization.id, at, after)):
            rows += answer
            after = answer[-1]["user_id"]
    return rows


def evaluate(database: Database, at: datetime) -> dict[str, int]:
    """A scheduled evaluation of everybody at `at`; returns the ledger's counts."""
    holder = uuid4()
    run = database.value("select public.start_run('scenario-evaluation', %s, %s)", (holder, at))
    chunk = "select public.evaluate_chunk(%s, %s, 37)"
    while not database.value(chunk, (run["run_id"], holder))["done"]:
        pass
    return database.value("select public.run_report(%s)", (run["run_id"],))["counts"]["inactivity"]


def notifications(database: Database, data: DemoData, at: datetime) -> dict[Key, dict[str, Any]]:
    """What people of a seed were told by the evaluation at `at`."""
    rows = database.rows(
        "select n.*, o.id is not null as push from public.notifications n"
        " left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id"
        " where n.triggered_at = %s and n.organization_id = any (%s)",
        (at, [organization.id for organization in data.organizations]),
    )
    told = {(row["user_id"], row["rule_id"]): row for row in rows}
    assert len(told) == len(rows), "somebody was told the same thing twice"
    return told


def assert_same_decisions(rows: list[dict[str, Any]], decisions: list[oracle.Decision]) -> None:
    seen = {(UUID(row["user_id"]), UUID(row["rule_id"])): row for row in rows}
    assert len(seen) == len(rows)
    assert {key: row["gate"] for key, row in seen.items()} == {(d.user_id, d.rule_id): d.gate for d in decisions}
    for decision in decisions:
        row = seen[decision.user_id, decision.rule_id]
        detail = row["detail"]
        assert instant(detail["anchor_at"]) == decision.anchor_at
        assert instant(detail.get("last_activity_at")) == decision.last_activity_at
        assert instant(row["crossed_at"]) == decision.crossed_at
        assert detail["days_inactive"] == pytest.approx(decision.days_inactive, abs=0.00051)


def assert_told(told: dict[Key, dict[str, Any]], decisions: list[oracle.Decision]) -> None:
    expected = {(d.user_id, d.rule_id): d for d in decisions if d.gate == "would_send"}
    assert told.keys() == expected.keys()
    for key, notification in told.items():
        assert notification["organization_id"] == expected[key].organization_id
        assert notification["crossed_at"] == expected[key].crossed_at
        assert notification["push"] == expected[key].push


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


@pytest.mark.parametrize("later", [timedelta(0), THREE_WEEKS], ids=["now", "in-three-weeks"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_dry_run_gives_everybody_the_gate_and_the_values_of_the_oracle(
    database: Database, organizations: dict[int, DemoData], seed: int, later: timedelta
) -> None:
    data = organizations[seed]
    at = data.now + later
    assert_same_decisions(dry_run(database, data, at), oracle.decide(data, at))


def test_live_evaluations_tell_whom_the_oracle_would_now_and_as_weeks_pass(
    database: Database, organizations: dict[int, DemoData]
) -> None:
    told: dict[Key, datetime] = {}
    # An hour later everybody cools down; then weekly, so that some cooldowns have ended and some have not.
    for later in (timedelta(0), timedelta(hours=1), *(timedelta(days=days) for days in (7, 14, 21, 28))):
        at = organizations[SEEDS[0]].now + later
        decided = {seed: oracle.decide(data, at, told) for seed, data in organizations.items()}
        for seed, data in organizations.items():
            assert_same_decisions(dry_run(database, data, at), decided[seed])

        counts = evaluate(database, at)

        for seed, data in organizations.items():
            assert_told(notifications(database, data, at), decided[seed])
        everybody = [decision for decisions in decided.values() for decision in decisions]
        assert sum(counts.values()) == len(everybody)
        assert counts.get("sent", 0) == sum(d.gate == "would_send" for d in everybody)
        told = oracle.tell(everybody, at, told)
        if later == timedelta(hours=1):
            assert {d.gate for d in everybody} > {"cooling_down", "not_matched"}
