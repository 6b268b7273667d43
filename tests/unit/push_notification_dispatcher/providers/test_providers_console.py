"""The provider for development, and what every provider is called by."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.protocol import Message, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared import logs
from tests.support.fcm_server import service_account

TOKEN = "fcm-token-that-nobody-may-read:APA91bH"


@pytest.fixture(autouse=True)
def _logging() -> None:
    logs.configure("info")


def message(number: int = 1) -> Message:
    return Message(
        device_id=UUID(int=number),
        token=TOKEN,
        title="Somebody waits",
        body="Kari has not been seen for three weeks.",
        collapse_key=f"outbox-{number}",
        expires_at=datetime(2026, 11, 22, 8, tzinfo=UTC),
        data={"notification_id": "n1"},
    )


async def test_the_console_writes_one_line_a_push_without_the_token(capsys: pytest.CaptureFixture[str]) -> None:
    console = PROVIDERS["console"](ProviderSettings.load())
    results = await console.send([message(1), message(2)])
    written = capsys.readouterr().err
    first, second = map(json.loads, written.splitlines())
    assert TOKEN not in written
    assert first["event"] == "push_shown"
    assert first["shown"] == "Somebody waits: Kari has not been seen for three weeks."
    assert (first["device_id"], second["device_id"]) == (str(UUID(int=1)), str(UUID(int=2)))
    assert (first["collapses"], first["expires_at"]) == ("outbox-1", "2026-11-22T08:00:00+00:00")
    assert [result.verdict for result in results] == [Verdict.SENT, Verdict.SENT]
    assert [result.provider_id for result in results] == [first["provider_id"], second["provider_id"]]
    assert first["provider_id"] != second["provider_id"]


async def test_the_console_has_no_receipts() -> None:
    console = PROVIDERS["console"](ProviderSettings.load())
    assert await console.receipts(["console-1"]) == {}
    await console.close()


@pytest.mark.parametrize("name", sorted(PROVIDERS))
async def test_a_provider_answers_to_the_name_it_is_listed_under(name: str) -> None:
    account = {"attend_push_fcm_service_account": service_account()} if name == "fcm" else {}
    provider = PROVIDERS[name](ProviderSettings.load(**account))
    assert provider.name == name
    assert await provider.send([]) == []
    await provider.close()
    await provider.close()
