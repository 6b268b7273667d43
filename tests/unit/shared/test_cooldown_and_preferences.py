"""shared/cooldown.py and shared/preferences.py: what is asked. What is answered is SQL's, and tested there."""

from datetime import UTC, datetime
from uuid import UUID

from shared.cooldown import Cooldown
from shared.preferences import Preferences
from tests.support.api import ScriptedApi

ORGANIZATION, USER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def test_should_notify_asks_with_the_clock_it_was_given() -> None:
    api = ScriptedApi().on(
        "should_notify", {"allowed": False, "reason": "cooling_down", "until": "2026-03-02T00:00:00Z"}
    )
    advice = await Cooldown(api.supabase()).should_notify(USER, "inactivity", now=NOW)
    assert (advice.allowed, advice.reason, advice.until) == (False, "cooling_down", datetime(2026, 3, 2, tzinfo=UTC))
    assert api.called("should_notify") == [
        {"p_user_id": str(USER), "p_scenario": "inactivity", "p_now": NOW.isoformat()}
    ]


async def test_record_last_triggered_returns_what_stands() -> None:
    api = ScriptedApi().on("record_last_triggered", {"last_triggered_at": "2026-03-02T00:00:00+00:00"})
    assert (await Cooldown(api.supabase()).record_last_triggered(USER, "inactivity", at=NOW)).last_triggered_at > NOW


async def test_preferences_are_read_as_they_are_stored() -> None:
    stored = [{"scenario": "all", "channel": "push", "is_enabled": False}]
    api = ScriptedApi().on("notification_preferences", stored)
    (preference,) = await Preferences(api.supabase()).of(ORGANIZATION, USER)
    assert (preference.scenario, preference.channel, preference.is_enabled) == ("all", "push", False)
    asked = api.called("notification_preferences")[0]
    assert (asked["organization_id"], asked["user_id"]) == (f"eq.{ORGANIZATION}", f"eq.{USER}")
