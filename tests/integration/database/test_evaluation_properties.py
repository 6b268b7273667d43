"""Dry run ≡ live ≡ explanation ≡ rules.md, for any population: random people, exact boundaries, one SQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st

from attend.demo.model import Activity, DemoData, Organization, Person, Preference, Rule
from tests.support import oracle
from tests.support.database import Database

# Well in the past: a completed activity cannot lie in the database's future, and some of these lie after the decision.
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
ROLES = ("peer_mentor", "peer_mentor", "peer_mentor", "coordinator", "admin")
MICROSECOND = timedelta(microseconds=1)

type Told = dict[tuple[UUID, UUID], datetime]

# Around every boundary there is: thresholds and cooldowns of whole days, and a microsecond to either side.
instants = st.builds(
    lambda days, edge: NOW - timedelta(days=days) + edge,
    st.sampled_from((-3, 0, 1, 2, 13, 14, 15, 20, 21, 22, 50)),
    st.sampled_from((-MICROSECOND, timedelta(0), MICROSECOND)),
)
ids = st.uuids(version=4)


@st.composite
def people(draw: st.DrawFn, organization: UUID) -> Person:
    away_from = draw(st.none() | instants)
    away_until = draw(st.none() | instants) if away_from else None
    if away_from and away_until and away_until <= away_from:
        away_from, away_until = away_until - MICROSECOND, away_from
    return Person(
        organization_id=organization,
        id=draw(ids),
        full_name="Somebody",
        role=draw(st.sampled_from(ROLES)),
        joined_at=draw(instants),
        is_active=draw(st.sampled_from((True, True, True, False))),
        reactivated_at=draw(st.none() | st.none() | instants),
        away_from=away_from,
        away_until=away_until,
    )


@st.composite
def activities(draw: st.DrawFn, person: Person) -> Activity:
    return Activity(
        organization_id=person.organization_id,
        id=draw(ids),
        user_id=person.id,
        activity_type_id="phone-call",
        occurred_at=draw(instants),
        recorded_at=NOW,
        duration_minutes=30,
        status=draw(st.sampled_from(("completed", "completed", "planned", "cancelled"))),
        approval="pending",
    )


@st.composite
def preferences(draw: st.DrawFn, person: Person) -> list[Preference]:
    keys = draw(
        st.sets(st.tuples(st.sampled_from(("all", "inactivity")), st.sampled_from(("all", "push"))), max_size=2)
    )
    return [Preference(person.organization_id, person.id, *key, is_enabled=draw(st.booleans())) for key in sorted(keys)]


@st.composite
def rules(draw: st.DrawFn, organization: UUID, name: str) -> Rule:
    return Rule(
        organization_id=organization,
        id=draw(ids),
        type="inactivity",
        name=name,
        is_enabled=draw(st.sampled_from((True, True, False))),
        threshold_days=draw(st.sampled_from((1, 14, 21))),
        cooldown_days=draw(st.sampled_from((1, 14))),
    )


@st.composite
def populations(draw: st.DrawFn) -> tuple[DemoData, Told]:
    """Two organisations with up to six people each, and who has been told about what before."""
    organizations = tuple(Organization(draw(ids), "Organisation", "Europe/Oslo") for _ in range(2))
    everybody = [p for o in organizations for p in draw(st.lists(people(o.id), max_size=6))]
    ruled = [draw(rules(o.id, name)) for o in organizations for name in draw(st.sampled_from((["a"], ["a", "b"], [])))]
    data = DemoData(
        seed=0,
        now=NOW,
        organizations=organizations,
        people=tuple(everybody),
        contacts=(),
        activities=tuple(a for p in everybody for a in draw(st.lists(activities(p), max_size=3))),
        preferences=tuple(f for p in everybody for f in draw(preferences(p))),
        rules=tuple(ruled),
        casting={},
    )
    told = {
        (p.id, r.id): draw(instants)
        for p in everybody
        for r in ruled
        if r.organization_id == p.organization_id and draw(st.integers(0, 3)) == 0
    }
    return data, told


def insert(connection: psycopg.Connection[Any], table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        columns = ", ".join(rows[0])
        statement = f"insert into {table} ({columns}) select {columns} from jsonb_populate_recordset(null::{table}, %s)"
        connection.execute(statement.encode(), (json.dumps(rows, default=str),))


@contextmanager
def loaded(database: Database, data: DemoData, told: Told) -> Iterator[psycopg.Connection[Any]]:
    """A transaction of the service with the population in it; nothing of it stays."""
    with database.connect("service_role", autocommit=False) as connection:
        try:
            insert(connection, "public.organizations", [asdict(o) for o in data.organizations])
            insert(connection, "public.users", [asdict(p) for p in data.people])
            plain = [asdict(a) for a in data.activities]
            insert(connection, "public.activities", [{k: v for k, v in a.items() if k != "contact_ids"} for a in plain])
            insert(connection, "public.notification_preferences", [asdict(p) for p in data.preferences])
            insert(connection, "public.scenario_rules", [asdict(r) for r in data.rules])
            organization_of = {p.id: p.organization_id for p in data.people}
            rows = [
                {
                    "organization_id": organization_of[user],
                    "user_id": user,
                    "scenario": "inactivity",
                    "subject": rule,
                    "last_triggered_at": at,
                    "cooldown_days": 14,
                }
                for (user, rule), at in told.items()
            ]
            insert(connection, "private.cooldowns", rows)
            yield connection
        finally:
            connection.rollback()


def call(connection: psycopg.Connection[Any], function: str, *arguments: Any) -> Any:
    places = ", ".join(["%s"] * len(arguments))
    row = connection.execute(f"select public.{function}({places}) as answer".encode(), arguments).fetchone()
    assert row is not None
    return row["answer"]


def dry_run(connection: psycopg.Connection[Any], data: DemoData) -> list[dict[str, Any]]:
    return [row for o in data.organizations for row in call(connection, "dry_run_scenarios", o.id, NOW)]


def evaluate(connection: psycopg.Connection[Any], data: DemoData) -> Counter[str]:
    """Evaluates every organisation, with everybody's id, its own people's and the others'."""
    counts: Counter[str] = Counter()
    for organization in data.organizations:
        answer = call(connection, "evaluate_people", organization.id, [p.id for p in data.people], NOW)
        counts.update(answer["counts"].get("inactivity", {}))
    return counts


def notified(connection: psycopg.Connection[Any]) -> set[tuple[str, str, datetime, bool]]:
    """Who was told about what, when it had crossed, and whether it also goes to the phone."""
    rows = connection.execute(
        "select n.user_id, n.rule_id, n.crossed_at, o.id is not null as push from public.notifications n"
        " left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id"
    ).fetchall()
    assert len(rows) == len({(r["user_id"], r["rule_id"]) for r in rows})
    return {(str(r["user_id"]), str(r["rule_id"]), r["crossed_at"], r["push"]) for r in rows}


@settings(max_examples=60, deadline=None)
@given(populations())
def test_a_dry_run_says_what_the_rules_say(database: Database, population: tuple[DemoData, Told]) -> None:
    data, told = population
    expected = {(str(d.user_id), str(d.rule_id)): (d.gate, d.crossed_at) for d in oracle.decide(data, NOW, told)}
    with loaded(database, data, told) as connection:
        rows = dry_run(connection, data)
    crossed = [datetime.fromisoformat(r["crossed_at"]) if r["crossed_at"] else None for r in rows]
    found = {(r["user_id"], r["rule_id"]): (r["gate"], at) for r, at in zip(rows, crossed, strict=True)}
    assert len(found) == len(rows)
    assert found == expected


@settings(max_examples=60, deadline=None)
@given(populations())
def test_an_evaluation_sends_exactly_what_the_dry_run_says(
    database: Database, population: tuple[DemoData, Told]
) -> None:
    data, told = population
    expected = {
        (str(d.user_id), str(d.rule_id), d.crossed_at, d.push)
        for d in oracle.decide(data, NOW, told)
        if d.gate == "would_send"
    }
    with loaded(database, data, told) as connection:
        rows = dry_run(connection, data)
        counts = evaluate(connection, data)
        sent = notified(connection)
    assert {key[:2] for key in sent} == {(r["user_id"], r["rule_id"]) for r in rows if r["gate"] == "would_send"}
    assert sent == expected
    assert counts == Counter("sent" if r["gate"] == "would_send" else r["gate"] for r in rows)


@settings(max_examples=30, deadline=None)
@given(populations())
def test_evaluating_twice_sends_nothing_more(database: Database, population: tuple[DemoData, Told]) -> None:
    data, told = population
    with loaded(database, data, told) as connection:
        first = evaluate(connection, data)
        sent = notified(connection)
        second = evaluate(connection, data)
        assert notified(connection) == sent
    assert second["sent"] == 0
    assert second["cooling_down"] == first["cooling_down"] + first["sent"]


@settings(max_examples=30, deadline=None)
@given(populations())
def test_an_explanation_is_the_dry_run_of_one_person(database: Database, population: tuple[DemoData, Told]) -> None:
    data, told = population
    with loaded(database, data, told) as connection:
        rows = dry_run(connection, data)
        for person in data.people:
            explained = call(connection, "explain_scenarios", person.organization_id, person.id, NOW)
            assert explained == [row for row in rows if row["user_id"] == str(person.id)]


@settings(max_examples=30, deadline=None)
@given(populations(), st.integers(1, 13))
def test_a_run_in_chunks_of_any_size_sends_what_one_evaluation_does(
    database: Database, population: tuple[DemoData, Told], size: int
) -> None:
    data, told = population
    with loaded(database, data, told) as connection:
        evaluate(connection, data)
        at_once = notified(connection)
    holder = data.organizations[0].id
    with loaded(database, data, told) as connection:
        run = call(connection, "start_run", "scenario-evaluation", holder, NOW)["run_id"]
        while not call(connection, "evaluate_chunk", run, holder, size)["done"]:
            pass
        report = call(connection, "run_report", run)
        assert notified(connection) == at_once
    assert report["people"] == len(data.people)


@settings(max_examples=30, deadline=None)
@given(populations())
def test_the_evaluator_alone_agrees_with_a_rule_of_the_same_threshold(
    database: Database, population: tuple[DemoData, Told]
) -> None:
    data, _ = population
    bare = replace(data, preferences=(), rules=tuple(replace(r, is_enabled=True) for r in data.rules))
    with loaded(database, bare, {}) as connection:
        for decision in oracle.decide(bare, NOW):
            rule = next(r for r in bare.rules if r.id == decision.rule_id)
            answer = call(connection, "evaluate_inactivity", decision.user_id, rule.threshold_days, NOW)
            assert answer["gate"] == decision.gate.replace("would_send", "matched")
            assert answer["matched"] == (decision.gate == "would_send")
            assert datetime.fromisoformat(answer["anchor_at"]) == decision.anchor_at


@settings(max_examples=30, deadline=None)
@given(populations(), st.lists(st.integers(0, 5), max_size=4))
def test_draining_marks_sends_what_evaluating_those_people_does(
    database: Database, population: tuple[DemoData, Told], picks: list[int]
) -> None:
    data, told = population
    chosen = {person.id for person in data.people} & {data.people[i].id for i in picks if i < len(data.people)}
    expected = {
        (str(d.user_id), str(d.rule_id))
        for d in oracle.decide(data, NOW, told)
        if d.gate == "would_send" and d.user_id in chosen
    }
    with loaded(database, data, told) as connection:
        connection.execute("delete from private.scenario_marks where not user_id = any (%s)", (list(chosen),))
        marked = {
            row["user_id"]
            for row in connection.execute("select distinct user_id from private.scenario_marks").fetchall()
        }
        call(connection, "drain_scenario_marks", 1000, NOW)
        sent = {key[:2] for key in notified(connection)}
    # Only who has activities was marked.
    assert sent == {key for key in expected if UUID(key[0]) in marked}
