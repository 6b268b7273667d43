"""What is decided is what rules.md says, what the dry-run said and what an explanation says: whoever the people are."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.scenarios.lives import Life, Plan, living, plans
from tests.support import engine_oracle
from tests.support.database import Database
from tests.support.engine_oracle import FIRES, UNMATCHED
from tests.support.engine_world import Rule
from tests.support.scenarios import differences, effects, gates_of

HELD = frozenset({"before_effective", "crossing_too_old", "enough_reminders", "opted_out", "capped"})


@settings(max_examples=45, deadline=None)
@given(plans(1, 4))
def test_every_gate_and_every_effect_is_what_the_rules_say(database: Database, plan: Plan) -> None:
    with living(database, plan) as life:
        for _ in life.moments(plan):
            world = life.scene.world()
            expected = gates_of(engine_oracle.decide(world, life.now))
            assert differences(expected, life.scene.gates(life.now)) == []
            life.scene.decide(life.now)
            assert differences(effects(world), effects(life.scene.world())) == []


@settings(max_examples=25, deadline=None)
@given(plans(1, 3))
def test_whoever_the_dry_run_names_is_told_and_nobody_else_and_only_once(database: Database, plan: Plan) -> None:
    with living(database, plan) as life:
        for _ in life.moments(plan):
            foreseen = {key for key, answer in life.scene.gates(life.now).items() if answer[0] in FIRES}
            for _again in range(2):
                life.scene.decide(life.now)
                told = [t for t in life.scene.world().told if t.triggered_at == life.now and t.release_on]
                assert Counter((t.user_id, t.subject) for t in told) == Counter(foreseen)


@settings(max_examples=25, deadline=None)
@given(plans(1, 3), st.integers(1, 4))
def test_a_run_in_chunks_of_any_size_does_what_one_evaluation_does(database: Database, plan: Plan, size: int) -> None:
    def outcome(life: Life, is_run: bool) -> dict[Any, Any]:
        for _ in life.moments(plan):
            foreseen = [(key, answer[0]) for key, answer in life.scene.gates(life.now).items()]
            if not is_run:
                life.scene.decide(life.now)
                continue
            counts = life.scene.call("public.run_report", life.scene.sweep(life.now, size))["counts"]
            gates = Counter(gate.replace("would_send", "sent") for _, gate in foreseen if gate not in UNMATCHED)
            counted = Counter[str]()
            for of_a_scenario in counts.values():
                counted.update(
                    {gate: n for gate, n in of_a_scenario.items() if gate not in {*UNMATCHED, "missed_by_ticks"}}
                )
            assert counted == gates
        return effects(life.scene.world())

    with living(database, plan) as life:
        at_once = outcome(life, False)
    with living(database, plan) as life:
        assert differences(at_once, outcome(life, True)) == []


@settings(max_examples=25, deadline=None)
@given(plans(1, 3))
def test_an_explanation_agrees_with_the_decision_for_everybody(database: Database, plan: Plan) -> None:
    # These lives are longer ago than histories are kept, beyond which nothing is explained.
    database.execute("update private.retention set keep_for = null")

    def explain(life: Life, scenario: str | None = None) -> dict[str, Any]:
        explained = "public.explain_scenarios"
        return {str(p): life.scene.call(explained, life.scene.id, p, scenario, life.now) for p in life.people}

    with living(database, plan) as life:
        for _ in life.moments(plan):
            foreseen = {
                (str(user), subject): answer[0] for (user, subject), answer in life.scene.gates(life.now).items()
            }
            before = explain(life)
            answers = {(p, a["subject"]): a["gate"] for p, e in before.items() for a in e["answers"]}
            assert differences(foreseen, answers) == []
            for scenario in ("inactivity", "milestone", "certification_expiry"):
                for user_id, whole in explain(life, scenario).items():
                    assert whole["answers"] == [a for a in before[user_id]["answers"] if a["scenario"] == scenario]
            life.scene.decide(life.now)
            after = explain(life)
            assert answers == {(p, a["subject"]): a["gate"] for p, e in after.items() for a in e["answers"]}
            told = {
                (p, t["subject"])
                for p, e in after.items()
                for t in e["told"]
                if datetime.fromisoformat(t["triggered_at"]) == life.now
            }
            assert told == {key for key, gate in answers.items() if gate in FIRES}
            held = {(p, h["subject"]): h["gate"] for p, e in after.items() for h in e["held"]}
            assert {key: gate for key, gate in answers.items() if gate in HELD}.items() <= held.items()


@settings(max_examples=25, deadline=None)
@given(plans(1, 2))
def test_an_evaluator_alone_agrees_with_a_rule_of_the_same_numbers(database: Database, plan: Plan) -> None:
    with living(database, plan) as life:
        for _ in life.moments(plan):
            world = life.scene.world()
            for rule in world.rules:
                alone = replace(
                    rule, is_enabled=True, activation="all", thresholds=[2], lead_days=[2], max_reminders=100
                )
                bare = replace(world, rules=[alone], told=[], achievements={})
                for person in world.people:
                    answers = [a for a in engine_oracle.dry_run(bare, life.now) if a.user_id == person.id]
                    matched = any(
                        a.gate not in UNMATCHED
                        for a in answers
                        if a.period_start is None or a.period_start.year == life.now.year
                    )
                    answer = _ask(life, alone, person.id)
                    assert answer["matched"] == matched, answer
                    assert (answer["gate"] == "matched") == matched


def _ask(life: Life, rule: Rule, user_id: object) -> dict[str, Any]:
    if rule.type == "inactivity":
        return life.scene.call("public.evaluate_inactivity", user_id, rule.threshold_days, life.now)
    if rule.type == "milestone":
        return life.scene.call("public.evaluate_milestone", user_id, rule.metric, 2, rule.period, life.now)
    return life.scene.call("public.evaluate_certification_expiry", user_id, 2, life.now)
