"""Ticks and marks, in any order, late, repeated or left out, tell what full evaluations at those moments would."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.scenarios.lives import PASSING, STARTS, Life, Moment, Plan, living, plans
from tests.support.database import Database
from tests.support.engine_world import DAY
from tests.support.scenarios import differences, effects

# whole: everything due is ticked, and all marks drained. marks: the bell rings, and no tick comes. again: both are
# repeated. tick: the marks are left for later. nothing: neither bell nor tick.
NOTICED = ("whole", "whole", "marks", "again", "tick", "nothing")


def notice(life: Life, how: str) -> list[UUID] | None:
    """What the engine does at a moment. Returns whom it looked at: None, everybody who might be due."""
    scene = life.scene
    if how == "nothing":
        return []
    if how in {"whole", "again", "tick"}:
        scene.tick(life.now)
    if how == "tick":
        return []
    # What a drain does first, here so that it can be seen whom it marks.
    scene.tick(life.now, changed_only=True)
    marked = scene.marked()
    scene.drain(life.now, limit=2 if how == "again" else 1000)
    if how == "again":
        scene.tick(life.now)
        scene.drain(life.now)
    return marked if how == "marks" else None


@settings(max_examples=40, deadline=None)
@given(plans(2, 6, NOTICED))
def test_ticks_and_marks_tell_what_full_evaluations_would(database: Database, plan: Plan) -> None:
    with living(database, plan) as life:
        scene = life.scene
        looked_at = [notice(life, moment.noticed) for moment in life.moments(plan)]
        ticked = effects(scene.world())
        scene.tick(life.now)
        scene.drain(life.now)
        found = scene.findings(scene.sweep(life.now))
        caught_up = effects(scene.world())
    with living(database, plan) as life:
        scene = life.scene
        for _, people in zip(life.moments(plan), looked_at, strict=True):
            if people != []:
                scene.decide(life.now, people)
        assert differences(effects(scene.world()), ticked) == []
        scene.decide(life.now)
        assert differences(effects(scene.world()), caught_up) == []
    assert found == [], "a full evaluation found somebody whom the ticks had missed"


@settings(max_examples=40, deadline=None)
@given(plans(1, 4), st.sampled_from(PASSING))
def test_what_the_next_tick_would_have_told_is_no_finding(database: Database, plan: Plan, later: timedelta) -> None:
    with living(database, plan) as life:
        for _ in life.moments(plan):
            notice(life, "whole")
        assert life.scene.findings(life.scene.sweep(life.now + later)) == []


def test_ticks_that_miss_people_are_found_out(database: Database) -> None:
    day = Moment(DAY, [("log", 0, 0, 0), ("certify", 0, 10, 1)], "whole")
    quiet_then_expiring = Plan(STARTS[0], "UTC", None, None, [(0, 0, 0)], [(0, 0, 1), (2, 0, 0)], [], [day])
    with living(database, quiet_then_expiring) as life:
        for moment in life.moments(quiet_then_expiring):
            notice(life, moment.noticed)
        life.scene.run(
            "create or replace function private.due_of_rule("
            "p_rule private.scenario_rule, p_from timestamptz, p_to timestamptz)"
            " returns uuid[] language sql as $$ select '{}'::uuid[] $$"
        )
        life.now += 2 * DAY
        notice(life, "whole")
        found = life.scene.findings(life.scene.sweep(life.now))
    assert sorted(row["scenario"] for row in found) == ["certification_expiry", "inactivity"]
