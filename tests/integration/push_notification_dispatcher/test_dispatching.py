"""From the outbox to the phone: real SQL, real providers, push services that behave and misbehave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from functions.push_notification_dispatcher.engine import PushDispatcher
from functions.push_notification_dispatcher.providers import PROVIDERS
from functions.push_notification_dispatcher.providers.protocol import Message, Result, Verdict
from functions.push_notification_dispatcher.providers.settings import ProviderSettings
from shared import logs
from tests.support import expo_server, fcm_server
from tests.support.database import Database
from tests.support.expo_server import ExpoServer
from tests.support.fcm_server import FcmServer
from tests.support.http_server import HTML, NOT_HTTP, RUBBISH, Reply
from tests.support.outbox import Outbox

type Make = Callable[..., PushDispatcher]

OK = Reply(200, b'{"name": "projects/attend-test/messages/1"}', {"content-type": "application/json"})
REDIRECT = Reply(302, b"", {"location": "https://elsewhere.example/"})


def tokens(fcm: FcmServer) -> list[str]:
    return [message["token"] for message in fcm.messages()]


def first_in_flight(fcm: FcmServer, then: Callable[[], object], token: str) -> None:
    """When the message to `token` has reached the push service, `then` happens before it is answered."""

    choose = fcm._send

    def answer(message: dict[str, Any]) -> Reply:
        reply = choose(message)
        if message["token"] == token:
            then()
            return reply.but(delay=1.2)
        return reply

    fcm._send = answer


async def test_a_push_reaches_every_phone_in_the_persons_words(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    (person,) = outbox.people(1, devices=2)
    database.execute("update public.users set full_name = 'Kari Nordmann', language = 'nb' where id = %s", (person,))
    (push,) = outbox.push(person, days=35)
    outcome = await make_dispatcher().dispatch()
    assert (outcome.claimed, outcome.states, outcome.held) == (1, {"sent": 1}, None)
    assert sorted(tokens(fcm)) == [f"{person}-1", f"{person}-2"]
    for message in fcm.messages():
        assert message["notification"]["title"] == "Vi savner deg"
        assert message["notification"]["body"].startswith("Det er 35 dager siden forrige aktivitet, Kari.")
        assert message["android"]["collapse_key"] == str(push)
    shown = outbox.row(push)
    assert (shown["state"], shown["attempts"], len(shown["devices"])) == ("sent", 1, 2)
    assert {device["provider_id"].partition("/messages/")[0] for device in shown["devices"]} == {"projects/attend-test"}
    assert (await make_dispatcher().dispatch()).claimed == 0


async def test_each_device_by_its_own_provider(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, expo: ExpoServer
) -> None:
    people = [*outbox.people(2), *outbox.people(3, provider="expo")]
    outbox.push(*people)
    assert (await make_dispatcher().dispatch()).states == {"sent": 5}
    assert (len(fcm.messages()), len(expo.taken)) == (2, 3)


class Pigeons:
    """A push service of somebody's own, whole."""

    name = "pigeon"

    flown: ClassVar[list[str]] = []

    def __init__(self, _settings: ProviderSettings) -> None: ...

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        self.flown.extend(message.token for message in messages)
        return [Result(Verdict.SENT, f"ring-{message.device_id}") for message in messages]

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:  # noqa: ARG002 - none has any
        return {}

    async def close(self) -> None: ...


async def test_a_push_service_is_added_by_one_class_and_one_line(
    outbox: Outbox, make_dispatcher: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast("dict[str, object]", PROVIDERS), "pigeon", Pigeons)
    with pytest.raises(psycopg.Error, match="unknown_provider"):
        outbox.people(1, provider="pigeon")
    try:
        await make_dispatcher().dispatch()
        (person,) = outbox.people(1, provider="pigeon")
        outbox.push(person)
        assert (await make_dispatcher().dispatch()).states == {"sent": 1}
        assert Pigeons.flown == [f"{person}-1"]
    finally:
        database.execute("delete from public.devices where provider = 'pigeon'")
        database.execute("delete from private.push_providers where name = 'pigeon'")


# --- Between the decision and the phone --------------------------------------------------------------------------


async def test_who_opts_out_after_the_decision_is_not_told(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    people = outbox.people(3)
    outbox.push(*people)
    for person, channel in zip(people, ("all", "push"), strict=False):
        database.execute(
            "insert into public.notification_preferences values (%s, %s, 'inactivity', %s, false)",
            (outbox.id, person, channel),
        )
    assert (await make_dispatcher().dispatch()).claimed == 1
    assert tokens(fcm) == [f"{people[2]}-1"]
    assert outbox.states() == {"sent": 1, "retracted": 2}


async def test_who_opts_out_between_claim_and_send_is_not_told(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    first, second, third = outbox.people(3)
    for person in (first, second, third):
        outbox.push(person)

    def opt_out() -> None:
        with database.connect() as connection:
            states = connection.execute("select distinct state::text from private.outbox").fetchall()
            assert [row["state"] for row in states] == ["claimed"]
            connection.execute(
                "insert into public.notification_preferences values (%s, %s, 'inactivity', 'push', false)",
                (outbox.id, second),
            )

    first_in_flight(fcm, opt_out, f"{first}-1")
    outcome = await make_dispatcher(part=1, slices=1).dispatch()
    assert tokens(fcm) == [f"{first}-1", f"{third}-1"]
    assert (outcome.held, outbox.states()) == ({"opted_out": 1}, {"sent": 2, "skipped opted_out": 1})


async def test_who_becomes_active_between_claim_and_send_is_not_reminded(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    people = outbox.people(2)
    database.execute(
        "insert into public.scenario_rules (organization_id, type, name, is_enabled)"
        " values (%s, 'inactivity', 'quiet', true)",
        (outbox.id,),
    )
    database.execute(
        "insert into public.activity_types (organization_id, id, label, category)"
        " values (%s, 'other', 'Other', 'other') on conflict do nothing",
        (outbox.id,),
    )
    for person in people:
        database.execute("select public.evaluate_people(%s, %s)", (outbox.id, [person]))
    first, second = people

    def act() -> None:
        with database.connect() as connection:
            connection.execute(
                "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
                " values (%s, %s, 'other', now() - interval '1 minute')",
                (outbox.id, second),
            )

    first_in_flight(fcm, act, f"{first}-1")
    await make_dispatcher(part=1, slices=1).dispatch()
    assert tokens(fcm) == [f"{first}-1"]
    assert outbox.states() == {"sent": 1, "skipped condition_gone": 1}
    # And the list in the app forgets it.
    left = database.rows(
        "select user_id from public.notifications where organization_id = %s and retracted_at is null", (outbox.id,)
    )
    assert [row["user_id"] for row in left] == [first]


async def test_a_day_that_is_full_between_claim_and_send_is_full(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    (person,) = outbox.people(1)
    for _ in range(3):
        outbox.push(person)

    def lower() -> None:
        with database.connect() as connection:
            connection.execute(
                "insert into public.org_settings_kv values (%s, 'notification_daily_cap', '2')", (outbox.id,)
            )

    count = Counter[str]()
    choose = fcm._send

    def answer(message: dict[str, Any]) -> Reply:
        count["sent"] += 1
        if count["sent"] == 1:
            lower()
        return choose(message).but(delay=1.2)

    fcm._send = answer
    await make_dispatcher(part=1, slices=1).dispatch()
    assert len(tokens(fcm)) == 2
    assert outbox.states() == {"sent": 2, "deferred": 1}
    tomorrow = database.value(
        "select next_attempt_at from private.outbox where organization_id = %s and state = 'deferred'", (outbox.id,)
    )
    assert tomorrow == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


async def test_in_quiet_hours_nothing_is_sent_and_at_their_end_everything(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    now = datetime.now(UTC)
    zones = {"Asia/Tokyo": 9, "UTC": 0, "America/Guayaquil": -5}
    people = dict(zip(zones, outbox.people(3), strict=True))
    for zone, person in people.items():
        database.execute("update public.users set time_zone = %s where id = %s", (zone, person))
    outbox.push(*people.values())
    local = now + timedelta(hours=9)
    quiet = {"from": f"{(local - timedelta(hours=1)):%H:%M}", "to": f"{(local + timedelta(hours=2)):%H:%M}"}
    outbox.setting("quiet_hours", quiet)
    await make_dispatcher().dispatch()
    # In Guayaquil that is 14 hours away, in UTC nine.
    assert sorted(tokens(fcm)) == sorted(f"{people[zone]}-1" for zone in ("UTC", "America/Guayaquil"))
    assert outbox.states() == {"sent": 2, "deferred": 1}
    await make_dispatcher().dispatch(now=now + timedelta(hours=1, minutes=58))
    assert len(tokens(fcm)) == 2
    await make_dispatcher().dispatch(now=now + timedelta(hours=2))
    assert tokens(fcm)[2:] == [f"{people['Asia/Tokyo']}-1"]


async def test_a_person_who_is_just_being_decided_about_is_told_in_the_same_call(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    outbox.setting("notification_daily_cap", 5)
    now = datetime.now(UTC)
    locked, free = outbox.people(2)
    outbox.push(locked, free)
    # Planned for yesterday: to send it today is to count it today, under the person's lock.
    database.execute(
        "update public.notifications set release_on = %s where organization_id = %s", (now - timedelta(1), outbox.id)
    )
    with database.connect() as connection, connection.transaction():
        connection.execute("select from public.users where id = %s for update", (locked,))
        dispatching = asyncio.create_task(make_dispatcher().dispatch())
        for _ in range(50):
            await asyncio.sleep(0.1)
            if tokens(fcm):
                break
        assert tokens(fcm) == [f"{free}-1"]
    outcome = await dispatching
    assert tokens(fcm) == [f"{free}-1", f"{locked}-1"]
    assert (outbox.states(), outcome.states) == ({"sent": 2}, {"sent": 2})
    assert (outcome.held or {}).keys() == {"busy"}


async def test_what_was_read_in_the_app_meanwhile_is_not_pushed(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    first, second, third = outbox.people(3)
    for person in (first, second, third):
        outbox.push(person)

    def read() -> None:
        with database.connect() as connection:
            connection.execute("update public.notifications set read_at = now() where user_id = %s", (second,))

    first_in_flight(fcm, read, f"{first}-1")
    outcome = await make_dispatcher(part=1, slices=1).dispatch()
    assert tokens(fcm) == [f"{first}-1", f"{third}-1"]
    assert (outcome.held, outbox.states()) == ({"read": 1}, {"sent": 2, "skipped read": 1})


# --- Side by side, and after one another -------------------------------------------------------------------------


async def test_twenty_dispatchers_at_once_send_each_message_once(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer
) -> None:
    people = outbox.people(400)
    outbox.push(*people)
    outcomes = await asyncio.gather(*(make_dispatcher(batch=20, part=10).dispatch() for _ in range(20)))
    assert Counter(tokens(fcm)) == Counter({f"{person}-1": 1 for person in people})
    assert outbox.states() == {"sent": 400}
    assert sum(outcome.claimed or 0 for outcome in outcomes) == 400
    assert sum(bool(outcome.claimed) for outcome in outcomes) > 5


async def test_what_a_dead_dispatcher_had_goes_to_the_next_and_the_dead_one_records_nothing(
    outbox: Outbox, make_dispatcher: Make, database: Database
) -> None:
    (push,) = outbox.push(*outbox.people(1))
    holder = uuid4()
    claim = database.value("select public.claim_outbox(%s)", (holder,))
    assert (await make_dispatcher().dispatch()).claimed == 0
    outbox.hurry(61)
    assert (await make_dispatcher().dispatch()).states == {"sent": 1}
    late = [message | {"verdict": "refused", "reason": "late"} for message in claim["messages"]]
    answer = database.value("select public.record_outbox(%s, %s)", (holder, Jsonb(late)))
    assert (answer["lost"], answer["recorded"]) == ([str(push)], 0)
    shown = outbox.row(push)
    assert (shown["state"], [event["event"] for event in shown["history"]]) == ("sent", ["lease_lost"])


async def test_a_retry_goes_where_nothing_arrived_under_the_same_key(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    (person,) = outbox.people(1, devices=3)
    (push,) = outbox.push(person)
    fcm.devices = {
        f"{person}-2": fcm_server.UNAVAILABLE.reply.but(headers={"retry-after": "120"}),
        f"{person}-3": fcm_server.UNREGISTERED.reply,
    }
    await make_dispatcher().dispatch()
    shown = outbox.row(push)
    assert shown["state"] == "failed"
    waits = datetime.fromisoformat(shown["next_attempt_at"]) - datetime.now(UTC)
    assert timedelta(seconds=110) < waits <= timedelta(seconds=121)
    assert (await make_dispatcher().dispatch()).claimed == 0
    fcm.devices.clear()
    before = len(fcm.messages())
    await make_dispatcher().dispatch(now=datetime.now(UTC) + timedelta(seconds=125))
    (again,) = fcm.messages()[before:]
    assert (again["token"], again["android"]["collapse_key"]) == (f"{person}-2", str(push))
    assert outbox.states() == {"sent": 1}
    gone = database.rows("select token, deactivated_reason from public.devices where not is_active")
    assert [(row["token"], "UNREGISTERED" in row["deactivated_reason"]) for row in gone] == [(f"{person}-3", True)]


async def test_dead_letters_are_replayed_once(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, database: Database
) -> None:
    people = outbox.people(3)
    outbox.push(*people)
    fcm.devices = {f"{person}-1": fcm_server.INTERNAL.reply for person in people[:2]}
    for _ in range(3):
        await make_dispatcher(max_attempts=3).dispatch()
        outbox.hurry()
    assert outbox.states() == {"sent": 1, "dead": 2}
    assert len(tokens(fcm)) == 7
    fcm.devices.clear()
    replay = "select public.replay_outbox(%s, p_error => 'internal')"
    assert database.value(replay, (outbox.id,))["replayed"] == 2
    assert database.value(replay, (outbox.id,))["replayed"] == 0
    await make_dispatcher().dispatch()
    assert database.value(replay, (outbox.id,))["replayed"] == 0
    assert (await make_dispatcher().dispatch()).claimed == 0
    assert outbox.states() == {"sent": 3}
    assert len(tokens(fcm)) == 9


# --- Bad input ---------------------------------------------------------------------------------------------------


async def test_whatever_a_push_service_does_is_recorded_with_its_reason_and_the_rest_is_delivered(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTEND_PUSH_TIMEOUT_SECONDS", "0.4")
    faults: dict[str, tuple[Reply, str, str]] = {
        "html": (HTML, "failed", "not in this provider's form"),
        "nonsense": (RUBBISH, "failed", "not in this provider's form"),
        "no http": (NOT_HTTP, "failed", "no answer"),
        "reset": (OK.but(reset_after=5), "failed", "no answer"),
        "hang": (OK.but(delay=3.0), "failed", "no whole answer within 0.4 s"),
        "redirect": (REDIRECT, "failed", "a redirect"),
        "too many": (fcm_server.THROTTLED.reply, "failed", "HTTP 429"),
        "too big": (fcm_server.TOO_BIG.reply, "dead", "Message too big"),
        "gone": (fcm_server.UNREGISTERED.reply, "skipped", "UNREGISTERED"),
        "bad token": (fcm_server.INVALID_TOKEN.reply, "skipped", "INVALID_ARGUMENT"),
    }
    people = outbox.people(len(faults) + 5)
    unlucky = dict(zip(faults, people, strict=False))
    fcm.devices = {f"{person}-1": faults[name][0] for name, person in unlucky.items()}
    pushes = dict(zip(faults, outbox.push(*people), strict=False))
    await make_dispatcher().dispatch()
    for name, (_, state, reason) in faults.items():
        shown = outbox.row(pushes[name])
        assert (shown["state"], reason in shown["last_error"]) == (state, True), (name, shown["last_error"])
        assert str(unlucky[name]) not in shown["last_error"]
    assert outbox.states()["sent"] == 5


async def test_without_a_service_account_expo_still_delivers(
    outbox: Outbox, make_dispatcher: Make, expo: ExpoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatch_settings = make_dispatcher
    monkeypatch.delenv("ATTEND_PUSH_FCM_SERVICE_ACCOUNT")
    pushes = outbox.push(*outbox.people(1), *outbox.people(1, provider="expo"))
    await dispatch_settings().dispatch()
    first, second = (outbox.row(push) for push in pushes)
    assert (first["state"], second["state"], len(expo.taken)) == ("failed", "sent", 1)
    assert "ATTEND_PUSH_FCM_SERVICE_ACCOUNT" in first["last_error"]


@pytest.mark.parametrize("account", ["{", '{"type": "service_account"}', "/no/such/file.json"])
async def test_a_service_account_that_is_no_good_is_said_so(
    outbox: Outbox, make_dispatcher: Make, monkeypatch: pytest.MonkeyPatch, account: str
) -> None:
    monkeypatch.setenv("ATTEND_PUSH_FCM_SERVICE_ACCOUNT", account)
    (push,) = outbox.push(*outbox.people(1))
    await make_dispatcher().dispatch()
    shown = outbox.row(push)
    assert (shown["state"], shown["last_error"].split(":")[0]) == ("failed", "setting_invalid")


async def test_an_expired_key_is_the_providers_word_and_waits_to_be_put_right(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer
) -> None:
    (push,) = outbox.push(*outbox.people(1))
    fcm.next_token.extend([fcm_server.INVALID_SIGNATURE.reply] * 3)
    await make_dispatcher().dispatch()
    assert "invalid_grant" in outbox.row(push)["last_error"]
    fcm.next_token.clear()
    outbox.hurry()
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 1}


async def test_a_text_that_cannot_be_said_is_put_aside_and_the_rest_is_delivered(
    outbox: Outbox, make_dispatcher: Make, database: Database
) -> None:
    people = outbox.people(3)
    database.execute(
        "insert into public.notification_templates (organization_id, scenario, language, title, body)"
        " values (%s, 'milestone', 'en', 'Well done', 'Since {value}: {threshold}')",
        (outbox.id,),
    )
    outbox.push(people[0])
    (bad,) = outbox.push(people[1], scenario="milestone", threshold=50)
    outbox.push(people[2], scenario="milestone", threshold=50, value=51)
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 2, "dead": 1}
    assert outbox.row(bad)["last_error"] == "missing_value: value"
    # Put right, it is sent.
    database.execute("update public.notification_templates set body = '{threshold}'")
    assert database.value("select public.retry_outbox(%s)", (bad,))["outcome"] == "queued"
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 3}


# --- Receipts ----------------------------------------------------------------------------------------------------


async def test_receipts_say_what_tickets_could_not(
    outbox: Outbox, make_dispatcher: Make, expo: ExpoServer, database: Database
) -> None:
    people = outbox.people(4, provider="expo")
    gone, late, fine, unknown = outbox.push(*people)
    await make_dispatcher().dispatch()
    assert outbox.states() == {"sent": 4}

    def ticket(push: UUID) -> str:
        return outbox.row(push)["devices"][0]["provider_id"]

    expo.receipts = {
        ticket(gone): expo_server.error_ticket("DeviceNotRegistered", "not registered"),
        ticket(late): expo_server.error_ticket("MessageRateExceeded", "too many"),
        ticket(fine): {"status": "ok"},
    }
    assert (await make_dispatcher().dispatch()).receipts is None
    soon = datetime.now(UTC) + timedelta(minutes=16)
    outcome = await make_dispatcher().dispatch(now=soon)
    assert outcome.receipts == 3
    assert outbox.states() == {"sent": 2, "skipped no_device": 1, "failed": 1}
    assert database.value("select count(*) from public.devices where not is_active") == 1
    assert outbox.row(unknown)["devices"][0]["receipt_due_at"] is not None
    assert outbox.row(fine)["devices"][0]["receipt_due_at"] is None
    # The one that was not delivered is sent again.
    before = len(expo.taken)
    await make_dispatcher().dispatch(now=soon + timedelta(minutes=2))
    assert [message["to"] for message in expo.taken[before:]] == [f"ExponentPushToken[{people[1]}-1]"]


async def test_pushes_are_shown_and_not_sent_in_development(
    outbox: Outbox, make_dispatcher: Make, fcm: FcmServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whatever ran before may have left the log at "error".
    logs.configure("info")
    outbox.push(*outbox.people(1))
    await make_dispatcher(always="console").dispatch()
    assert (outbox.states(), fcm.messages()) == ({"sent": 1}, [])
    said = capsys.readouterr()
    assert "We miss you" in said.out + said.err
