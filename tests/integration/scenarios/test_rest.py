"""A full evaluation leaves out whom it can do nothing for: it comes to what looking at each of them comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings

from tests.integration.scenarios.lives import Life, Plan, living, plans
from tests.support.database import Database
from tests.support.engine_oracle import UNMATCHED
from tests.support.engine_world import DAY
from tests.support.scenarios import Scene, differences, effects, named

HELD = "select user_id, subject, gate, rule_version, crossed_at, decided_at, look_again_at from private.held_decisions"


@settings(max_examples=60, deadline=None)
@given(plans(2, 6))
def test_everybody_at_once_is_everybody_one_by_one(database: Database, plan: Plan) -> None:
    def outcome(life: Life, at_once: bool) -> list[Any]:
        outcomes: list[Any] = []
        for _ in life.moments(plan):
            # Nobody whose row is stale, or of whom something waits, is at rest.
            life.scene.call("public.drain_statistics_marks", 1000, life.now)
            counts = life.scene.decide(life.now, None if at_once else life.people)
            life.scene.deliver(life.now)
            matched = {
                (scenario, gate): n
                for scenario, gates in counts.items()
                for gate, n in gates.items()
                if gate not in UNMATCHED
            }
            held = {(row["user_id"], row["subject"]): row for row in life.scene.rows(HELD)}
            outcomes.append((matched, held, effects(life.scene.world())))
        return outcomes

    with living(database, plan) as life:
        one_by_one = outcome(life, False)
    with living(database, plan) as life:
        at_once = outcome(life, True)
    for (counted, held, told), (counted_there, held_there, told_there) in zip(one_by_one, at_once, strict=True):
        assert counted == counted_there
        assert differences(held, held_there) == []
        assert differences(told, told_there) == []


START = datetime(2024, 3, 1, 12, tzinfo=UTC)
NOW = START + 12 * DAY


@contextmanager
def everybody_told(database: Database, **rule: Any) -> Iterator[Scene]:
    """Two people who were active on the first day: told on the tenth, and opted out; it is the twelfth."""
    with Scene.set(database, "UTC") as scene:
        told, muted = (scene.person(name, START - DAY) for name in ("told", "muted"))
        scene.prefer(muted, "inactivity", "all", False)
        columns = {"threshold_days": 7, "cooldown_days": 7, "type": "inactivity", "is_enabled": True, **rule}
        scene.insert("public.scenario_rules", id=named("rule"), name="rule", **columns)
        for user_id in (told, muted):
            scene.activity(f"of {user_id}", user_id, START)
        scene.call("public.drain_statistics_marks", 1000, NOW)
        scene.decide(NOW - 2 * DAY)
        scene.deliver(NOW)
        yield scene


def at_rest(scene: Scene, now: datetime = NOW) -> Counter[str]:
    """How many are counted together, by gate."""
    rows = scene.rows(
        "select gate, (context ->> 'people')::integer as people"
        " from private.sweep_matches(%s, null, null, private.rules_of(%s, null), %s) where user_id is null",
        *(scene.id, scene.id, now),
    )
    return Counter({row["gate"]: row["people"] for row in rows})


def test_whoever_cools_down_or_has_opted_out_is_at_rest(database: Database) -> None:
    with everybody_told(database) as scene:
        assert at_rest(scene) == {"cooling_down": 1, "opted_out": 1}
        assert scene.decide(NOW) == {"inactivity": {"cooling_down": 1, "opted_out": 1}}


@pytest.mark.parametrize("cooldown_over", [False, True])
def test_rest_ends_with_the_cooldown(database: Database, cooldown_over: bool) -> None:
    ends = NOW - 2 * DAY + 7 * DAY
    with everybody_told(database) as scene:
        assert at_rest(scene, ends - (0 if cooldown_over else 1) * DAY / 86_400_000_000)["cooling_down"] == (
            not cooldown_over
        )


AWAY = "update public.users set away_from = {now} - interval '1 hour'{until} where id = {told}"
WAKES = {
    "a waiting push": "update private.outbox set state = 'pending' where user_id = {told}",
    "an activity that is not counted yet": (
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at, recorded_at)"
        " select organization_id, id, 'home-visit', {now}, {now} from public.users where id = {told}"
    ),
    "an absence": AWAY.format(now="{now}", told="{told}", until=""),
    "an absence that is over": AWAY.format(now="{now}", told="{told}", until=", away_until = {now}"),
    "leaving": "update public.users set is_active = false where id = {told}",
    "another role": "update public.users set role = 'coordinator' where id = {told}",
    "having been reactivated": "update public.users set reactivated_at = {now} - interval '6 days' where id = {told}",
    "having joined later": "update public.users set joined_at = {now} - interval '6 days' where id = {told}",
    "opting out": "insert into public.notification_preferences select organization_id, id, 'all', 'all', false"
    " from public.users where id = {told}",
    "quarantine": "insert into private.quarantine select organization_id, id, 'x', 'x'"
    " from public.users where id = {told}",
    "enough reminders": "update public.scenario_rules set max_reminders = 1",
    "a shorter cooldown": "update public.scenario_rules set cooldown_days = 2",
    "a cooldown that somebody else took": "update private.cooldowns set told_in_spell = null",
    "a spell that begins earlier": "update public.activity_statistics set last_activity_date = last_activity_date"
    " - interval '1 day' where user_id = {told} and period_type = 'all_time'",
}


@pytest.mark.parametrize("change", WAKES)
def test_whoever_cools_down_is_woken_by(database: Database, change: str) -> None:
    with everybody_told(database) as scene:
        scene.run(WAKES[change].format(told=f"'{named('told')}'", now=f"'{NOW}'::timestamptz"))
        assert at_rest(scene)["cooling_down"] == 0


MUTED_WAKES = {
    "opting in": "update public.notification_preferences set is_enabled = true",
    "a mandatory rule": "update public.scenario_rules set is_mandatory = true",
    "a new version of the rule": "update public.scenario_rules set priority = 7",
    "having joined after the last activity": (
        "update public.users set joined_at = '2024-03-02 12:00+00' where id = {muted}"
    ),
    "nothing written down": "delete from private.held_decisions",
    "having been told": (
        "insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)"
        " select organization_id, id, 'inactivity', '{rule}', {now}, 14 from public.users where id = {muted}"
    ),
}


@pytest.mark.parametrize("change", MUTED_WAKES)
def test_whoever_has_opted_out_is_woken_by(database: Database, change: str) -> None:
    with everybody_told(database) as scene:
        wakes = MUTED_WAKES[change]
        scene.run(wakes.format(muted=f"'{named('muted')}'", rule=named("rule"), now=f"'{NOW}'::timestamptz"))
        assert at_rest(scene)["opted_out"] == 0


@pytest.mark.parametrize(("activation", "effective_from", "rests"), [
    ("skip", START + 7 * DAY, True),
    ("skip", START + 7 * DAY + DAY / 24, False),
    ("spread", START + 8 * DAY, False),
])  # fmt: skip
def test_a_crossing_before_the_rule_took_effect_is_looked_at(
    database: Database, activation: str, effective_from: datetime, rests: bool
) -> None:
    spread = {"spread_days": 10} if activation == "spread" else {}
    with everybody_told(database, activation=activation, effective_from=effective_from, **spread) as scene:
        assert bool(at_rest(scene)) == rests


def test_how_often_somebody_was_told_is_counted_by_spell(database: Database) -> None:
    def counted(scene: Scene) -> tuple[Any, ...]:
        row = scene.rows("select spell_from, told_in_spell from private.cooldowns")[0]
        return row["spell_from"], row["told_in_spell"]

    with everybody_told(database, max_reminders=9) as scene:
        assert counted(scene) == (START, 1)
        scene.decide(NOW + 7 * DAY)
        assert counted(scene) == (START, 2)
        scene.activity("back", named("told"), NOW + 8 * DAY)
        scene.decide(NOW + 15 * DAY)
        assert counted(scene) == (NOW + 8 * DAY, 1)
        scene.run("delete from public.activities where id = %s", named("back"))
        scene.decide(NOW + 22 * DAY)
        assert counted(scene) == (START, None)
