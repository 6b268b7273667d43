"""What each provider needs, and how it says so."""

from pathlib import Path

import pytest

from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared.errors import SettingInvalid, SettingMissing
from tests.support.fcm_server import private_key, service_account

ACCOUNT = "ATTEND_PUSH_FCM_SERVICE_ACCOUNT"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ProviderSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_what_one_provider_lacks_does_not_keep_the_others_from_sending() -> None:
    settings = ProviderSettings.load()
    with pytest.raises(SettingMissing) as caught:
        PROVIDERS["fcm"](settings)
    assert caught.value.variable == ACCOUNT
    assert PROVIDERS["expo"](settings).name == "expo"
    assert PROVIDERS["console"](settings).name == "console"


def test_a_service_account_is_given_as_json_or_as_the_path_of_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key.json"
    file.write_text(service_account())
    for value in (service_account(), f"  {service_account()}\n", str(file)):
        monkeypatch.setenv(ACCOUNT, value)
        assert PROVIDERS["fcm"](ProviderSettings.load()).name == "fcm"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("/nowhere/key.json", "neither JSON nor the path of a file that can be read (FileNotFoundError)"),
        ("/", "neither JSON nor the path of a file that can be read (IsADirectoryError)"),
        ("\x00", "neither JSON nor the path of a file that can be read (ValueError)"),
        ("~nobody-of-this-name/key.json", "neither JSON nor the path of a file that can be read (RuntimeError)"),
        ("{", "it is not JSON"),
        ("{}", "type: Field required"),
        (service_account(type="authorized_user"), "type: Input should be 'service_account'"),
        (service_account(project_id=None), "project_id: Field required"),
        (service_account(project_id="../../other"), "project_id: String should match"),
        (service_account(client_email=7), "client_email: Input should be a valid string"),
        (service_account(private_key=None), "private_key: Field required"),
        (service_account(private_key="-----BEGIN PRIVATE KEY-----\nAAAA"), "private_key cannot be used"),
        (service_account(private_key=private_key()[:400]), "private_key cannot be used"),
        (service_account(token_uri="http://oauth2.example.org/token"), "credentials do not travel in the clear"),
        (service_account(token_uri="https://user:password@[::1"), "token_uri"),
    ],
)
def test_a_service_account_that_cannot_be_used_is_said_by_name_with_its_reason(value: str, said: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        PROVIDERS["fcm"](ProviderSettings.load(attend_push_fcm_service_account=value))
    assert caught.value.variable == ACCOUNT
    assert said in caught.value.message


@pytest.mark.parametrize("token", ["two words", "a\r\nx-injected: 1", "å"])
def test_an_access_token_that_could_not_be_a_header_is_refused(token: str) -> None:
    with pytest.raises(SettingInvalid) as caught:
        PROVIDERS["expo"](ProviderSettings.load(attend_push_expo_access_token=token))
    assert caught.value.variable == "ATTEND_PUSH_EXPO_ACCESS_TOKEN"
    assert token not in caught.value.message


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://fcm.example.org", True),
        ("http://127.0.0.1:9", True),
        ("http://localhost:9", True),
        ("http://[::1]:9", True),
        ("http://fcm.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost@example.org", False),
        ("https://", False),
        ("fcm.example.org", False),
    ],
)
@pytest.mark.parametrize("provider", ["fcm", "expo"])
def test_credentials_do_not_travel_in_the_clear(provider: str, url: str, accepted: bool) -> None:
    name = f"attend_push_{provider}_url"
    if accepted:
        assert getattr(ProviderSettings.load(**{name: url}), name) == url
        return
    with pytest.raises(SettingInvalid) as caught:
        ProviderSettings.load(**{name: url})
    assert caught.value.variable == name.upper()


def test_what_the_logs_must_not_show_is_told_as_whole_and_in_lines() -> None:
    settings = ProviderSettings.load(
        attend_push_fcm_service_account=service_account(), attend_push_expo_access_token="expo-token-012345"
    )
    values = settings.secret_values()
    assert service_account() in values
    assert "expo-token-012345" in values
    assert all(line in values for line in private_key().splitlines()[1:-2])
    assert private_key() not in repr(settings)
