"""shared/settings.py."""

import pytest
from pydantic import SecretStr, ValidationError

from shared.errors import SettingInvalid, SettingMissing
from shared.settings import SupabaseSettings

GIVEN = {"supabase_url": "http://127.0.0.1:54321", "supabase_secret_key": "sb_secret_x"}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY", "ATTEND_MAX_CONCURRENT_RPCS"):
        monkeypatch.delenv(name, raising=False)


def test_explicit_beats_environment_beats_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SupabaseSettings.load(**GIVEN).attend_max_concurrent_rpcs == 4
    monkeypatch.setenv("ATTEND_MAX_CONCURRENT_RPCS", "7")
    assert SupabaseSettings.load(**GIVEN).attend_max_concurrent_rpcs == 7
    assert SupabaseSettings.load(**GIVEN, attend_max_concurrent_rpcs=9).attend_max_concurrent_rpcs == 9


def test_a_missing_value_is_named_as_its_variable() -> None:
    with pytest.raises(SettingMissing) as caught:
        SupabaseSettings.load()
    assert caught.value.variable == "SUPABASE_URL"
    assert caught.value.code == "setting_missing"
    assert caught.value.http_status == 500


def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "")
    with pytest.raises(SettingMissing):
        SupabaseSettings.load()


def test_an_unusable_value_is_named_but_not_repeated() -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(supabase_url="postgresql://postgres:hunter2hunter2@db")
    assert caught.value.variable == "SUPABASE_URL"
    assert "hunter2" not in str(caught.value.body())


def test_a_number_out_of_range_is_named() -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(**GIVEN, attend_max_concurrent_rpcs=0)
    assert caught.value.variable == "ATTEND_MAX_CONCURRENT_RPCS"


def test_either_key_will_do_and_the_newer_wins() -> None:
    url = GIVEN["supabase_url"]
    assert SupabaseSettings.load(supabase_url=url, supabase_service_role_key="old").key.get_secret_value() == "old"
    both = SupabaseSettings.load(supabase_url=url, supabase_service_role_key="old", supabase_secret_key="new")
    assert both.key.get_secret_value() == "new"


def test_without_any_key_the_newer_one_is_asked_for() -> None:
    with pytest.raises(SettingMissing) as caught:
        _ = SupabaseSettings.load(supabase_url=GIVEN["supabase_url"]).key
    assert caught.value.variable == "SUPABASE_SECRET_KEY"


def test_settings_are_frozen() -> None:
    settings = SupabaseSettings.load(**GIVEN)
    with pytest.raises(ValidationError):
        settings.supabase_secret_key = SecretStr("other")


def test_a_secret_does_not_show_when_printed() -> None:
    assert "sb_secret_x" not in repr(SupabaseSettings.load(**GIVEN))


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https://",
        "https://abc:xyz",
        "http://[::1",
        "https://exa\x00mple.co",
        "https://x.co?x=1",
        "https://x#y",
    ],
)
def test_an_address_that_no_client_could_use_is_named(url: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(supabase_url=url, supabase_secret_key="k")
    assert caught.value.variable == "SUPABASE_URL"


@pytest.mark.parametrize("variable", ["SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"])
def test_a_key_from_a_file_is_taken_without_its_line_break(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, " sb_secret_x\r\n")
    assert SupabaseSettings.load(supabase_url=GIVEN["supabase_url"]).key.get_secret_value() == "sb_secret_x"
    monkeypatch.setenv(variable, " \n")
    with pytest.raises(SettingMissing):
        _ = SupabaseSettings.load(supabase_url=GIVEN["supabase_url"]).key


@pytest.mark.parametrize("key", ["sb_secret_hunter2\nx", "sb_secret_hunter2 x", "sb_secret_hunter2\u00e5"])
def test_a_key_that_no_header_can_hold_is_named_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(supabase_url=GIVEN["supabase_url"], supabase_secret_key=key)
    assert caught.value.variable == "SUPABASE_SECRET_KEY"
    assert "hunter2" not in str(caught.value.body())
