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


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:54321", "http://", "http://:80", "http://[::1", "http://[::1]:99999", "http://a.test:0"),
        *("http://a.test:99999", "http://a..b", f"http://{'a' * 64}.test", "http://ä..b", "http://a.test\\x"),
        *("http://a.test\n", "http://hunter2@a.test", "http://u:hunter2@a.test", "http://a.test?key=hunter2"),
        *("http://a.test#hunter2", "http://a.test/rest/v1", "http://a.test/rest/v1/"),
    ],
)
def test_an_address_that_no_client_takes_is_refused_by_name_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(**GIVEN | {"supabase_url": url})
    assert caught.value.variable == "SUPABASE_URL"
    assert "hunter2" not in str(caught.value.body())
    assert "Value error" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    ["http://[::1]:54321", "https://ref.supabase.co/", "https://bücher.test", "http://kong:8000", "https://a.b/c"],
)
def test_an_address_that_is_one_is_taken(url: str) -> None:
    assert SupabaseSettings.load(**GIVEN | {"supabase_url": url}).supabase_url == url.rstrip("/")


@pytest.mark.parametrize("variable", ["supabase_secret_key", "supabase_service_role_key"])
@pytest.mark.parametrize("key", ["hunter2\n", "hunter2 hunter2", "hünter2", "hunter2\x00", "\u200bhunter2"])
def test_a_key_that_no_header_can_have_is_refused_by_name_and_not_repeated(variable: str, key: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        SupabaseSettings.load(**{"supabase_url": GIVEN["supabase_url"], variable: key})
    assert caught.value.variable == variable.upper()
    assert "nter2" not in str(caught.value.body())


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
