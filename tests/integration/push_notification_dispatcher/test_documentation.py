"""docs/delivery.md: its example runs as it stands, and its words are those of the schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from postgrest.exceptions import APIError

from attend.stack.keys import Keys
from functions.push_notification_dispatcher.engine import PushDispatcher
from tests.support.database import Database
from tests.support.outbox import Outbox
from tests.support.served import ROOT, Api

PLACEHOLDERS = (
    "select distinct '{' || unnest(private.template_placeholders(s, f)) || '}' as word"
    " from unnest(private.scenario_types()) s, unnest(private.template_forms(s)) f"
)
TEXT = (ROOT / "docs" / "delivery.md").read_text()


@pytest.fixture(scope="module")
def example() -> SimpleNamespace:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return SimpleNamespace(**names)


@pytest.fixture
def sign_in(
    example: SimpleNamespace, api: Api, database: Database, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> Callable[[UUID], Any]:
    keys = Keys()
    monkeypatch.setenv("SUPABASE_URL", api.url)
    monkeypatch.setenv("SUPABASE_PUBLISHABLE_KEY", keys.publishable)

    def sign_in(person: UUID) -> Any:
        login = uuid4()
        database.execute("insert into auth.users (id) values (%s)", (login,))
        database.execute("insert into public.user_logins values (%s, %s, %s)", (login, outbox.id, person))
        return example.connect(keys.user_token(str(login)))

    return sign_in


# The token of a real project is its auth service's to make.
@pytest.mark.embedded
async def test_a_person_registers_a_phone_is_told_and_reads_it(
    example: SimpleNamespace,
    sign_in: Callable[[UUID], Any],
    outbox: Outbox,
    make_dispatcher: Callable[..., PushDispatcher],
) -> None:
    (person,) = outbox.people(1, devices=0)
    client = sign_in(person)
    token = "a-token-that-FCM-gave:0001"
    device = example.register(client, "fcm", "android", token)
    assert example.register(client, "fcm", "android", token) == device
    example.speak(client, str(person), "es")
    (push,) = outbox.push(person, days=21)
    assert (await make_dispatcher().dispatch()).states == {"sent": 1}
    (told,) = example.my_list(client)
    assert (told["state"], told["title"]) == ("unread", "Te echamos de menos")
    assert told["body"] == outbox.row(push)["body"]
    example.mark(client, told["id"], "read_at", "2026-11-21T12:00:00Z")
    assert example.my_list(client)[0]["state"] == "read"
    example.mark(client, told["id"], "dismissed_at", "2026-11-21T12:00:00Z")
    assert example.my_list(client) == []
    example.sign_out(client, token)
    outbox.push(person)
    assert (await make_dispatcher().dispatch()).held == {"no_device": 1}


@pytest.mark.embedded
def test_a_malformed_token_is_refused_with_what_is_expected(
    example: SimpleNamespace, sign_in: Callable[[UUID], Any], outbox: Outbox
) -> None:
    (person,) = outbox.people(1, devices=0)
    client = sign_in(person)
    for provider, token in (("fcm", "not a token"), ("expo", "a-token-that-FCM-gave:0001"), ("fcm", "")):
        with pytest.raises(APIError) as refused:
            example.register(client, provider, "ios", token)
        assert refused.value.message == "malformed_token"
        assert '"expected"' in str(refused.value.details)


@pytest.mark.embedded
def test_an_unknown_placeholder_is_refused_with_those_that_are_known(
    sign_in: Callable[[UUID], Any], outbox: Outbox, database: Database
) -> None:
    (admin,) = outbox.people(1, devices=0)
    database.execute("update public.users set role = 'admin' where id = %s", (admin,))
    client = sign_in(admin)
    row = {
        "organization_id": str(outbox.id),
        "scenario": "milestone",
        "language": "en",
        "title": "Hi",
        "body": "{nmae}",
    }
    with pytest.raises(APIError) as refused:
        client.table("notification_templates").insert(row).execute()
    assert refused.value.message == "unknown_placeholder"
    assert '"first_name"' in str(refused.value.details)
    client.table("notification_templates").insert(row | {"body": "{name}: {threshold}"}).execute()


def test_the_template_in_the_text_is_one(database: Database, outbox: Outbox) -> None:
    (statement,) = re.findall(r"```sql\n(insert into public.notification_templates.*?)```", TEXT, re.DOTALL)
    database.execute(statement.replace("…", str(outbox.id)))


@pytest.mark.parametrize(
    "query",
    [
        "select unnest(enum_range(null::public.outbox_state))::text as word",
        "select unnest('{retracted,read,opted_out,person_inactive,stale,condition_gone,no_device}'::text[]) as word",
        "select unnest(private.scenario_types()) as word",
        "select distinct unnest(private.template_forms(s)) as word from unnest(private.scenario_types()) s",
        PLACEHOLDERS,
    ],
)
def test_every_word_of_the_schema_is_explained(database: Database, query: str) -> None:
    words = [row["word"] for row in database.rows(query)]
    assert words
    assert [word for word in words if f"`{word}`" not in TEXT] == []


def test_the_script_for_realtime_adds_the_list_once_and_says_how_to_take_it_back(database: Database) -> None:
    script = (ROOT / "supabase/snippets/notifications_in_realtime.sql").read_text()
    published = (
        "select count(*) from pg_publication_tables where pubname = 'supabase_realtime' and tablename = 'notifications'"
    )
    assert database.value(published) == 0
    for _ in range(2):
        database.execute(script)
        assert database.value(published) == 1
    (undo,) = re.findall(r"-- To take it back: (.*)", script)
    database.execute(undo)
    assert database.value(published) == 0
