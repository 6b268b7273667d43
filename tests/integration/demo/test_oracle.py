"""Names and gates on the real database equal those of the oracle, for several seeds side by side."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from attend.demo.generator import generate
from attend.demo.loading import load
from attend.demo.model import DemoData, Draft
from tests.support.database import Database
from tests.support.engine_oracle import FIRES
from tests.support.oracle import Key, Oracle, gates

SEEDS = (1, 2, 7, 2026)
# What becomes of those who match already, by seed; the demo itself uses only "all".
ACTIVATIONS = {1: "all", 2: "skip", 7: "spread", 2026: "all"}
# A plain day, and those on which a year turns and clocks change. Live evaluations take any clock.
CLOCKS = {
    1: datetime.now(UTC),
    2: datetime(2026, 1, 2, 22, 15, tzinfo=UTC),
    7: datetime(2026, 3, 22, 9, 41, tzinfo=UTC),
    2026: datetime(2025, 10, 5, 5, 30, tzinfo=UTC),
}
QUIET = (time(21), time(8))
_TOLD = """
select n.*, o.state::text as push from public.notifications n
left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id
where n.triggered_at = %s and n.organization_id = any (%s)
"""


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A transaction, so that now() is one instant; nothing of it stays."""
    with database.connect(autocommit=False) as connection:
        # Begins it, so that what follows does not commit its own.
        connection.execute("select")
        yield connection
        connection.rollback()


def value(connection: psycopg.Connection[Any], query: str, *params: Any) -> Any:
    row = connection.execute(query.encode(), params).fetchone()
    assert row is not None
    return next(iter(row.values()))


def switch_on(connection: psycopg.Connection[Any], data: DemoData, activation: str) -> Oracle:
    """Saves the drafts, and tells the oracle."""

    def spread_hash(user_id: UUID, rule_id: UUID) -> int:
        return value(connection, "select hashtextextended(%s::text || %s::text, 0)", user_id, rule_id)

    oracle = Oracle(data, spread_hash)
    for draft in data.drafts:
        oracle.switch_on(draft.organization_id, save(connection, draft, activation, data.now))
    return oracle


def save(connection: psycopg.Connection[Any], draft: Draft, activation: str, now: datetime) -> dict[str, Any]:
    how = "all" if draft.type == "certification_expiry" else activation
    words = json.dumps(draft.words())
    preview = value(connection, "select public.preview_rule(%s, %s, %s)", draft.organization_id, words, now)
    numbers = (preview["added"], preview["removed"], how, 7 if how == "spread" else None)
    query = "select public.save_rule(%s, %s, %s, %s, %s, %s, 0, %s)"
    return value(connection, query, draft.organization_id, words, *numbers, now)


def dry_run(connection: psycopg.Connection[Any], data: DemoData) -> dict[Key, str]:
    """Everybody's gates at the transaction's now."""
    found: dict[Key, str] = {}
    for organization in data.organizations:
        after = None
        query = "select public.dry_run_scenarios(%s, null, %s, 60)"
        while page := value(connection, query, organization.id, after):
            after = page[-1]["user_id"]
            found |= {(UUID(row["user_id"]), row["subject"]): row["gate"] for row in page}
    return found


def told(connection: psycopg.Connection[Any], data: DemoData, at: datetime) -> dict[Key, dict[str, Any]]:
    """What people of a seed were told at an instant."""
    ids = [organization.id for organization in data.organizations]
    rows = connection.execute(_TOLD, (at, ids)).fetchall()
    found = {(row["user_id"], row["subject"]): row for row in rows}
    assert len(found) == len(rows), "somebody was told the same thing twice"
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dry_run_gives_everybody_the_gate_of_the_oracle(connection: psycopg.Connection[Any], seed: int) -> None:
    data = generate(seed, datetime.now(UTC))
    load(connection, data)
    oracle = switch_on(connection, data, ACTIVATIONS[seed])
    assert dry_run(connection, data) == gates(oracle.dry_run(value(connection, "select now()")))


@pytest.mark.parametrize("seed", SEEDS)
def test_live_evaluations_tell_whom_the_oracle_would_now_and_as_weeks_pass(
    connection: psycopg.Connection[Any], seed: int
) -> None:
    data = generate(seed, CLOCKS[seed])
    load(connection, data)
    oracle = switch_on(connection, data, ACTIVATIONS[seed])
    for organization in data.organizations:
        oracle.limit(organization.id, 1, QUIET)
        for key, setting in (("notification_daily_cap", 1), ("quiet_hours", {"from": "21:00", "to": "08:00"})):
            row = (organization.id, key, json.dumps(setting))
            connection.execute("insert into public.org_settings_kv values (%s, %s, %s)", row)
    seen: set[str] = set()

    # An hour later everybody cools down; at all hours, so that some of them are quiet.
    for hours in (0, 1, 7 * 24, 7 * 24 + 9, 14 * 24 + 20, 21 * 24 + 5, 28 * 24 + 12):
        at = data.now + timedelta(hours=hours)
        decided = gates(oracle.evaluate(at))
        expected = oracle.told(at)

        for organization in data.organizations:
            people = [p.id for p in data.people if p.organization_id == organization.id]
            connection.execute("select public.evaluate_people(%s, %s, %s)", (organization.id, people, at))

        found = told(connection, data, at)
        assert found.keys() == expected.keys() == {key for key, gate in decided.items() if gate in FIRES}
        for key, one in expected.items():
            columns = ("crossed_at", "release_on", "push")
            assert {c: found[key][c] for c in columns} == {c: getattr(one, c) for c in columns}
        seen |= set(decided.values())
    assert seen >= {"cooling_down", "capped", "quiet_hours", "enough_reminders", "superseded", "already_celebrated"}


def test_the_daily_evaluation_tells_whom_the_oracle_would(connection: psycopg.Connection[Any]) -> None:
    data = generate(5, datetime.now(UTC))
    load(connection, data)
    oracle = switch_on(connection, data, "all")
    oracle.evaluate(data.now)
    holder = uuid4()
    run = value(connection, "select public.start_run('scenario-evaluation', %s, %s)", holder, data.now)
    while not value(connection, "select public.evaluate_chunk(%s, %s, 37)", run["run_id"], holder)["done"]:
        pass
    assert told(connection, data, data.now).keys() == oracle.told(data.now).keys()
