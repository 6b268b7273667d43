"""A question about now has one answer, whatever facts it is asked of; one about the past, the answer it had then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings

from tests.integration.scenarios.lives import Plan, living, plans
from tests.support.database import Database
from tests.support.scenarios import Gates, Scene, differences, named

FACTS = "select f.* from private.facts_{}(%s, null, null, null{}) f order by f.user_id"
# Of an activity that is changed or taken away, the past is not kept (private.facts_as_of).
REWRITING = ("edit", "delete")


def facts(scene: Scene, as_of: datetime | None) -> list[dict[str, object]]:
    if as_of is None:
        return scene.rows(FACTS.format("now", ""), scene.id)
    return scene.rows(FACTS.format("as_of", ", %s"), scene.id, as_of)


def totals(scene: Scene, year: int | None, as_of: datetime | None) -> list[dict[str, object]]:
    period, start = ("year", datetime(year, 1, 1, tzinfo=UTC)) if year else ("all_time", None)
    people = "array(select id from public.users)"
    now = f"private.totals_now(%s, {people}, %s, %s)"
    then = f"private.totals_as_of(%s, {people}, %s, %s, %s)"
    return scene.rows(
        f"select t.* from {then if as_of else now} t where t.sessions > 0 order by t.user_id",
        *(scene.id, period, start, *([as_of] if as_of else [])),
    )


@settings(max_examples=30, deadline=None)
@given(plans(1, 3))
def test_facts_of_now_are_the_facts_as_of_now(database: Database, plan: Plan) -> None:
    with living(database, plan) as life:
        scene = life.scene
        for _ in life.moments(plan):
            assert facts(scene, life.now) == facts(scene, None)
            for year in (None, 2024, 2025):
                assert totals(scene, year, life.now) == totals(scene, year, None)
            assert differences(scene.gates(life.now), scene.gates(life.now, life.now)) == []
            scene.decide(life.now)


@settings(max_examples=30, deadline=None)
@given(plans(2, 5, without=REWRITING))
def test_a_question_about_the_past_is_answered_as_it_was_then(database: Database, plan: Plan) -> None:
    asked: list[tuple[datetime, Gates]] = []
    with living(database, plan) as life:
        for _ in life.moments(plan):
            asked.append((life.now, life.scene.gates(life.now)))
            life.scene.decide(life.now)
        for then, answered in asked:
            assert differences(answered, life.scene.gates(then, then)) == []


def test_what_no_longer_holds_makes_room_in_a_day_for_an_explanation_too(database: Database) -> None:
    told = datetime(2025, 6, 3, 12, tzinfo=UTC)
    now = told + timedelta(hours=1)
    with Scene.set(database, "UTC", notification_daily_cap="1") as scene:
        person = scene.person("Kari", told - timedelta(days=400))
        for rule, scenario in (("quiet", "inactivity"), ("certificate", "certification_expiry")):
            scene.insert("public.scenario_rules", id=named(rule), type=scenario, name=rule, is_enabled=True)
        scene.run("update public.scenario_rule_versions set valid_from = %s", told - timedelta(days=300))
        scene.run(
            "update public.scenario_rules set effective_from = '-infinity', created_at = %s", told - timedelta(days=300)
        )
        scene.decide(told)
        # She is back, so that what she was told goes as soon as she is looked at.
        scene.activity("back", person, now - timedelta(minutes=5))
        scene.insert(
            "public.certificates",
            id=named("first aid"),
            user_id=person,
            name="First aid",
            expires_at=now + timedelta(days=10),
            created_at=now - timedelta(minutes=5),
        )
        answers = scene.call("public.explain_scenarios", scene.id, person, None, now)["answers"]
        assert sorted(answer["gate"] for answer in answers) == ["not_matched", "would_send"]
        assert sorted(gate for gate, *_ in scene.gates(now).values()) == ["not_matched", "would_send"]
