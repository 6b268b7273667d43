"""functions/push_notification_dispatcher/engine.py: every claim comes to its end, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from functions.push_notification_dispatcher import engine
from functions.push_notification_dispatcher.engine import DispatchPace, PushDispatcher
from functions.push_notification_dispatcher.payload import parse_event
from functions.push_notification_dispatcher.providers.protocol import Message, Provider, Result, Verdict
from functions.push_notification_dispatcher.sending import Providers
from functions.push_notification_dispatcher.store import OutboxStore, RetryPolicy
from shared import errors, supabase_client
from shared.errors import SettingMissing
from tests.support.api import ScriptedApi, problem

NOW = datetime(2026, 11, 21, tzinfo=UTC)
BELL = parse_event(b'{"type":"BELL","schema":"public","table":"notifications"}')
RECORDED = {"recorded": 1, "states": {"sent": 1}, "deactivated": 0, "lost": []}
NOTHING = {"claimed": 0, "messages": [], "held": {}, "more": False}


def message(push: int, device: int = 1, provider: str = "fcm") -> dict[str, Any]:
    return {
        "organization_id": str(UUID(int=1)),
        "outbox_id": str(UUID(int=push)),
        "lease": 3,
        "device_id": str(UUID(int=1000 * push + device)),
        "provider": provider,
        "token": f"token-{push}-{device}",
        "title": "Title",
        "body": "Body",
        "collapse_key": str(UUID(int=push)),
        "expires_at": "2026-11-22T00:00:00+00:00",
        "data": {"scenario": "inactivity"},
    }


def claim(*messages: dict[str, Any], more: bool = False, **held: int) -> dict[str, Any]:
    pushes = {m["outbox_id"] for m in messages}
    return {"claimed": len(pushes) + sum(held.values()), "messages": list(messages), "held": held, "more": more}


class Phones:
    """A provider in memory. `answer` says what becomes of each message, after whatever it awaits."""

    name = "fcm"

    def __init__(self, answer: Callable[[Message], Result | Awaitable[Result]] | None = None) -> None:
        self.sent: list[Message] = []
        self.batches: list[int] = []
        self.answer = answer or (lambda _: Result(Verdict.SENT, "m"))
        self.known: dict[str, Result] = {}

    async def send(self, messages: Sequence[Message]) -> Sequence[Result]:
        self.batches.append(len(messages))
        results: list[Result] = []
        for message in messages:
            self.sent.append(message)
            result = self.answer(message)
            results.append(result if isinstance(result, Result) else await result)
        return results

    async def receipts(self, provider_ids: Sequence[str]) -> Mapping[str, Result]:
        return {key: self.known[key] for key in provider_ids if key in self.known}

    async def close(self) -> None: ...


class Clock:
    def __init__(self, step: float = 0.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def dispatcher(
    api: ScriptedApi,
    phones: Phones | Callable[[], Provider],
    *,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    always: str | None = None,
    slice: int = 50,  # noqa: A002 - the setting's name
    budget: float = 50,
) -> PushDispatcher:
    pace = DispatchPace(
        budget, 100, slice, 60, monotonic=clock or Clock(), stopping=stopping, lanes=1, slices=1 if slice == 1 else 2
    )
    store = OutboxStore(api.supabase(), RetryPolicy(8, 30, 3600))
    factory = (lambda: phones) if isinstance(phones, Phones) else phones
    return PushDispatcher(store, Providers({"fcm": factory, "console": factory}, always=always), pace)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(engine, "_RECORD_AGAIN_SECONDS", 0.0)
    api = ScriptedApi().on("claim_receipts", {"receipts": [], "more": False}).on("record_outbox", RECORDED)
    api.on("declare_push_providers", {"new": []})
    return api.on("confirm_outbox", lambda params: {"going": [push["outbox_id"] for push in params["p_pushes"]]})


def outcomes(api: ScriptedApi) -> list[tuple[str, str, str | None]]:
    return [
        (row["outbox_id"][-4:], row["verdict"], row["reason"])
        for call in api.called("record_outbox")
        for row in call["p_outcomes"]
    ]


async def test_a_dispatcher_declares_its_push_services_once_and_before_it_claims(api: ScriptedApi) -> None:
    api.on("declare_push_providers", problem(503, "57P03", "starting"), {"new": ["fcm"]}).on("claim_outbox", NOTHING)
    work = dispatcher(api, Phones())
    await work.dispatch()
    await work.dispatch()
    assert api.called("declare_push_providers") == [{"p_names": ["fcm"]}] * 2


async def test_one_that_cannot_declare_them_claims_nothing_and_tries_again(api: ScriptedApi) -> None:
    api.on("declare_push_providers", problem(403, "42501", "no"), {"new": []}).on("claim_outbox", NOTHING)
    work = dispatcher(api, Phones())
    with pytest.raises(errors.DatabaseError):
        await work.dispatch()
    assert api.called("claim_outbox") == []
    assert (await work.dispatch()).claimed == 0


async def test_one_call_that_waits_claims_for_all_that_come_meanwhile(api: ScriptedApi) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def slowly(_: Message) -> Result:
        asked.set()
        await answered.wait()
        return Result(Verdict.SENT, "m")

    api.on("claim_outbox", claim(message(1)), claim(message(2)), NOTHING)
    work = dispatcher(api, Phones(slowly))
    first = asyncio.create_task(work.dispatch())
    await asked.wait()
    second = asyncio.create_task(work.dispatch())
    await asyncio.sleep(0.001)
    joined = [await work.dispatch() for _ in range(3)]
    assert [(outcome.claimed, outcome.more) for outcome in joined] == [(0, True)] * 3
    assert len(api.called("claim_outbox")) == 1
    answered.set()
    assert [outcome.claimed for outcome in await asyncio.gather(first, second)] == [1, 1]
    # Nobody waits any more: whoever comes works.
    assert (await work.dispatch()).claimed == 0
    assert len(api.called("claim_outbox")) == 3


async def test_what_is_claimed_is_sent_and_recorded_until_nothing_is_due(api: ScriptedApi) -> None:
    api.on("claim_outbox", claim(message(1), message(2), more=True, opted_out=3), claim(message(3)))
    phones = Phones()
    outcome = await dispatcher(api, phones).handle_database_event(BELL, now=NOW)
    assert [m.token for m in phones.sent] == ["token-1-1", "token-2-1", "token-3-1"]
    assert outcomes(api) == [("0001", "sent", None), ("0002", "sent", None), ("0003", "sent", None)]
    assert (outcome.claimed, outcome.held, outcome.states, outcome.more) == (6, {"opted_out": 3}, {"sent": 2}, False)
    holders = {call["p_holder"] for name in ("claim_outbox", "record_outbox") for call in api.called(name)}
    assert len(holders) == 1
    assert {call["p_now"] for call in api.called("claim_outbox")} == {NOW.isoformat()}


async def test_without_a_clock_the_databases_own_counts(api: ScriptedApi) -> None:
    api.on("claim_outbox", NOTHING)
    await dispatcher(api, Phones()).handle_database_event(BELL)
    assert "p_now" not in api.called("claim_outbox")[0]


async def test_the_devices_of_a_push_are_recorded_together_with_the_lease_they_were_claimed_by(
    api: ScriptedApi,
) -> None:
    api.on("claim_outbox", claim(message(1, 1), message(1, 2), message(2, 1)))
    await dispatcher(api, Phones(), slice=1).dispatch()
    calls = [[row["outbox_id"][-1] for row in call["p_outcomes"]] for call in api.called("record_outbox")]
    assert calls == [["1", "1"], ["2"]]
    assert {row["lease"] for call in api.called("record_outbox") for row in call["p_outcomes"]} == {3}


async def test_whatever_the_provider_says_is_recorded(api: ScriptedApi) -> None:
    api.on("claim_outbox", claim(*(message(n) for n in range(1, 5))))
    said = {
        "token-1-1": Result(Verdict.SENT, "m1", awaits_receipt=True),
        "token-2-1": Result(Verdict.RETRY, reason="HTTP 503", retry_after=7.0),
        "token-3-1": Result(Verdict.DEVICE_GONE, reason="UNREGISTERED"),
        "token-4-1": Result(Verdict.REFUSED, reason="too large"),
    }
    await dispatcher(api, Phones(lambda message: said[message.token])).dispatch()
    rows = api.called("record_outbox")[0]["p_outcomes"]
    assert [(r["verdict"], r["provider_id"], r["reason"], r["retry_after"], r["awaits_receipt"]) for r in rows] == [
        ("sent", "m1", None, None, True),
        ("retry", None, "HTTP 503", 7.0, False),
        ("device_gone", None, "UNREGISTERED", None, False),
        ("refused", None, "too large", None, False),
    ]
    assert {k: v for k, v in api.called("record_outbox")[0].items() if k not in ("p_holder", "p_outcomes")} == {
        "p_max_attempts": 8,
        "p_first_retry_seconds": 30,
        "p_longest_retry_seconds": 3600,
    }


async def test_a_provider_that_is_not_set_up_is_named_and_the_others_deliver(api: ScriptedApi) -> None:
    def missing() -> Provider:
        raise SettingMissing("ATTEND_PUSH_FCM_SERVICE_ACCOUNT")

    api.on("claim_outbox", claim(message(1), message(2, provider="expo"), message(3, provider="pigeon")))
    expo = Phones()
    pace = DispatchPace(50, 100, 50, 60, monotonic=Clock(), stopping=lambda: False)
    store = OutboxStore(api.supabase(), RetryPolicy(8, 30, 3600))
    await PushDispatcher(store, Providers({"fcm": missing, "expo": lambda: expo}), pace).dispatch()
    rows = {row["outbox_id"][-1]: row for row in api.called("record_outbox")[0]["p_outcomes"]}
    assert [rows[n]["verdict"] for n in "123"] == ["retry", "sent", "retry"]
    assert "ATTEND_PUSH_FCM_SERVICE_ACCOUNT" in rows["1"]["reason"]
    assert rows["3"]["reason"].startswith("unknown_provider")


@pytest.mark.parametrize("always", ["console", None])
async def test_in_development_everything_goes_to_one_provider(api: ScriptedApi, always: str | None) -> None:
    api.on("claim_outbox", claim(message(1), message(2, provider="expo")))
    phones = Phones()
    await dispatcher(api, phones, always=always).dispatch()
    assert len(phones.sent) == (2 if always else 1)


@pytest.mark.parametrize("fault", [RuntimeError("Kari's token"), "too few"])
async def test_a_provider_that_breaks_its_promise_costs_an_attempt_and_stops_nobody(
    api: ScriptedApi, fault: Exception | str
) -> None:
    class Broken(Phones):
        async def send(self, messages: Sequence[Message]) -> Sequence[Result]:  # noqa: ARG002 - a provider's
            if isinstance(fault, Exception):
                raise fault
            return []

    api.on("claim_outbox", claim(message(1), message(2)))
    await dispatcher(api, Broken()).dispatch()
    assert [verdict for _, verdict, _ in outcomes(api)] == ["retry", "retry"]
    assert all("Kari" not in (reason or "") for _, _, reason in outcomes(api))


async def test_the_budget_stops_claiming_and_never_what_is_claimed(api: ScriptedApi) -> None:
    api.on("claim_outbox", claim(message(1), more=True))
    outcome = await dispatcher(api, Phones(), clock=Clock(5)).dispatch()
    assert (outcome.stopped_by, outcome.more) == ("time_budget", True)
    assert len(api.called("claim_outbox")) == len(api.called("record_outbox")) > 1


@pytest.mark.parametrize(("budget", "waited"), [(0, 0.01), (50, 60)])
async def test_a_call_claims_once_however_small_its_budget_and_however_long_it_waited(
    api: ScriptedApi, budget: float, waited: float
) -> None:
    api.on("claim_outbox", claim(message(1), more=True))
    outcome = await dispatcher(api, Phones(), clock=Clock(waited), budget=budget).dispatch()
    assert len(api.called("claim_outbox")) == 1
    assert (outcome.stopped_by, outcome.more) == ("time_budget", True)


async def test_calls_of_one_instance_have_no_more_in_hand_together_than_one_has(api: ScriptedApi) -> None:
    """Bells come every second: if each call claimed for itself, everything would be claimed, and leases would end."""
    in_hand, most = 0, 0

    async def slow(_: Message) -> Result:
        await asyncio.sleep(0.01)
        return Result(Verdict.SENT, "m")

    def claiming(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        return claim(message(in_hand), more=False)

    def recording(_: dict[str, Any]) -> dict[str, Any]:
        nonlocal in_hand
        in_hand -= 1
        return RECORDED

    api.on("claim_outbox", claiming).on("record_outbox", recording)
    one = dispatcher(api, Phones(slow))
    await asyncio.gather(*(one.dispatch() for _ in range(20)))
    assert (most, in_hand, len(api.called("claim_outbox"))) == (1, 0, 20)


async def test_on_shutdown_what_is_with_the_provider_is_recorded_and_the_rest_given_back(api: ScriptedApi) -> None:
    stop = asyncio.Event()

    async def send(_: Message) -> Result:
        stop.set()
        await asyncio.sleep(0)
        return Result(Verdict.SENT, "m")

    api.on("claim_outbox", claim(*(message(n) for n in (1, 2, 3)), more=True)).on("give_back_outbox", {"given_back": 1})
    phones = Phones(send)
    outcome = await dispatcher(api, phones, stopping=stop.is_set, slice=1).dispatch()
    assert len(phones.sent) == 1
    assert outcomes(api) == [("0001", "sent", None)]
    given = [push["outbox_id"][-1] for call in api.called("give_back_outbox") for push in call["p_pushes"]]
    assert given == ["2", "3"]
    assert (outcome.stopped_by, outcome.given_back, len(api.called("claim_outbox"))) == ("shutdown", 2, 1)


async def test_once_told_to_stop_nothing_is_claimed(api: ScriptedApi) -> None:
    outcome = await dispatcher(api, Phones(), stopping=lambda: True).dispatch()
    assert (outcome.stopped_by, outcome.claimed) == ("shutdown", 0)
    assert api.called("claim_outbox") == []


async def test_what_waited_is_judged_once_more_before_it_is_sent(api: ScriptedApi) -> None:
    clock = Clock()

    def slow(_: Message) -> Result:
        clock.now += 1.5
        return Result(Verdict.SENT, "m")

    going = {"going": [str(UUID(int=3))], "held": {"opted_out": 1}}
    api.on("claim_outbox", claim(*(message(n) for n in (1, 2, 3)))).on(
        "confirm_outbox", {"going": [], "held": {"opted_out": 1}}, going
    )
    phones = Phones(slow)
    outcome = await dispatcher(api, phones, clock=clock, slice=1).dispatch()
    assert [m.token for m in phones.sent] == ["token-1-1", "token-3-1"]
    assert [call["p_pushes"][0]["outbox_id"][-1] for call in api.called("confirm_outbox")] == ["2", "3"]
    assert outcome.held == {"opted_out": 2}


async def test_outcomes_are_kept_until_the_database_is_back(api: ScriptedApi) -> None:
    down = [problem(503, "57P01")] * 20
    api.on("claim_outbox", claim(message(1))).on("record_outbox", *down, RECORDED)
    outcome = await dispatcher(api, Phones()).dispatch()
    assert outcome.states == {"sent": 1}


@pytest.mark.parametrize(
    "trouble",
    [problem(500, "57014"), problem(500, "40P01"), problem(500, "55P03"), httpx.ReadTimeout("slow")],
    ids=["time-out", "deadlock", "lock time-out", "no answer"],
)
async def test_nor_are_they_lost_to_what_stands_in_its_way(api: ScriptedApi, trouble: Any) -> None:
    api.on("claim_outbox", claim(message(1))).on("record_outbox", *[trouble] * 20, RECORDED)
    outcome = await dispatcher(api, Phones()).dispatch()
    assert outcome.states == {"sent": 1}


async def test_but_not_longer_than_they_are_its_own(api: ScriptedApi) -> None:
    api.on("claim_outbox", claim(message(1))).on("record_outbox", problem(503, "57P01"))
    with pytest.raises(errors.DatabaseUnavailable):
        await dispatcher(api, Phones(), clock=Clock(20)).dispatch()


async def test_one_that_fails_lets_the_others_come_to_their_end(api: ScriptedApi) -> None:
    failed = [problem(400, "22000"), RECORDED, RECORDED]
    api.on("claim_outbox", claim(*(message(n) for n in (1, 2, 3)))).on("record_outbox", *failed)
    with pytest.raises(errors.DatabaseError):
        await dispatcher(api, Phones(), slice=1).dispatch()
    assert len(api.called("record_outbox")) == 3


async def test_what_another_has_by_now_is_counted(api: ScriptedApi) -> None:
    api.on("claim_outbox", claim(message(1))).on(
        "record_outbox", {"recorded": 0, "states": {}, "lost": [str(UUID(int=1))]}
    )
    assert (await dispatcher(api, Phones()).dispatch()).lost == 1


async def test_a_claim_that_takes_too_long_is_halved(api: ScriptedApi) -> None:
    api.on("claim_outbox", problem(500, "57014"), problem(500, "57014"), NOTHING)
    await dispatcher(api, Phones()).dispatch()
    assert [call["p_limit"] for call in api.called("claim_outbox")] == [100, 50, 25]


async def test_a_lost_answer_is_asked_for_again(api: ScriptedApi) -> None:
    api.on("claim_outbox", httpx.ReadError("reset"), claim(message(1)))
    api.on("record_outbox", httpx.ReadError("reset"), RECORDED)
    assert (await dispatcher(api, Phones()).dispatch()).states == {"sent": 1}


async def test_receipts_are_asked_for_and_what_is_not_known_yet_is_said_so(api: ScriptedApi) -> None:
    def receipt(number: int, provider: str | None = "fcm") -> dict[str, Any]:
        ids = {"organization_id": UUID(int=1), "outbox_id": UUID(int=number), "device_id": UUID(int=number)}
        return {k: str(v) for k, v in ids.items()} | {"provider": provider, "provider_id": f"ticket {number}"}

    api.on("claim_outbox", NOTHING)
    api.on("claim_receipts", {"receipts": [receipt(1), receipt(2), receipt(3, None)], "more": False})
    api.on("record_receipts", {"recorded": 1, "states": {"skipped": 1}}, {"recorded": 0})
    phones = Phones()
    phones.known = {"ticket 1": Result(Verdict.DEVICE_GONE, reason="DeviceNotRegistered")}
    outcome = await dispatcher(api, phones).dispatch()
    rows = [row for call in api.called("record_receipts") for row in call["p_outcomes"]]
    assert [(row["provider_id"], row["verdict"], row["reason"]) for row in rows] == [
        ("ticket 1", "device_gone", "DeviceNotRegistered"),
        ("ticket 2", None, None),
        ("ticket 3", None, None),
    ]
    assert (outcome.receipts, outcome.states) == (1, {"skipped": 1})


async def test_what_concerns_no_notification_is_ignored(api: ScriptedApi) -> None:
    other = parse_event(b'{"type":"BELL","schema":"public","table":"users"}')
    outcome = await dispatcher(api, Phones()).handle_database_event(other)
    assert (outcome.outcome, outcome.reason, api.calls) == ("ignored", "unknown_table", [])
