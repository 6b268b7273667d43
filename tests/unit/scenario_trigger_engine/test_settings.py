"""functions/scenario_trigger_engine/settings.py."""

import pytest

from functions.scenario_trigger_engine.settings import EngineSettings
from shared.errors import SettingInvalid
from tests.support.api import SECRET_KEY
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET

GIVEN = {
    "supabase_url": "http://api.test",
    "supabase_secret_key": SECRET_KEY,
    "attend_webhook_secret": WEBHOOK_SECRET,
    "attend_hook_shared_secret": SHARED_SECRET,
}


def test_the_defaults_fit_together() -> None:
    settings = EngineSettings.load(**GIVEN)
    # A holder must be able to end a chunk, and one answer, before its lease ends or the platform loses patience.
    assert settings.attend_time_budget_seconds < settings.attend_lease_seconds
    assert settings.attend_rpc_timeout_seconds <= settings.attend_lease_seconds


def test_several_secrets_are_accepted_while_one_is_rotated() -> None:
    settings = EngineSettings.load(**GIVEN | {"attend_webhook_secret": f"{WEBHOOK_SECRET} {WEBHOOK_SECRET}"})
    assert len(settings.webhook_secrets) == 2


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("attend_hook_shared_secret", "short"),
        ("attend_time_budget_seconds", "-1"),
        ("attend_time_budget_seconds", "soon"),
        ("attend_chunk_size", "0"),
        ("attend_lease_seconds", "1"),
        ("attend_max_body_bytes", "1"),
        ("attend_log_level", "loud"),
    ],
)
def test_an_unusable_value_is_named_and_not_repeated(variable: str, value: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        EngineSettings.load(**GIVEN | {variable: value})
    assert caught.value.variable == variable.upper()


def test_every_secret_is_told_to_the_log() -> None:
    given = GIVEN | {"attend_webhook_secret": f"{WEBHOOK_SECRET}|{WEBHOOK_SECRET}x"}
    secrets = EngineSettings.load(**given).secret_values()
    assert set(secrets) == {SECRET_KEY, SHARED_SECRET, WEBHOOK_SECRET, f"{WEBHOOK_SECRET}x"}


def test_no_secret_shows_when_printed() -> None:
    shown = repr(EngineSettings.load(**GIVEN))
    for secret in (SECRET_KEY, SHARED_SECRET, WEBHOOK_SECRET):
        assert secret not in shown
