"""shared/deliveries.py."""

import asyncio
from typing import Any

import pytest

from shared import errors, supabase_client
from shared.deliveries import Deliveries
from tests.support.api import ScriptedApi, problem


class Work:
    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer, self.times = answer, 0

    async def __call__(self) -> dict[str, Any]:
        self.times += 1
        await asyncio.sleep(0.005)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> ScriptedApi:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)
    api = ScriptedApi().on("find_webhook_delivery", None)
    return api.on("record_webhook_delivery", lambda params: params["p_answer"])


async def test_a_new_delivery_is_worked_and_remembered(api: ScriptedApi) -> None:
    assert await Deliveries(api.supabase()).once("panel", "m1", Work({"outcome": "drained"})) == {"outcome": "drained"}
    assert api.called("record_webhook_delivery") == [
        {"p_id": "m1", "p_function_name": "panel", "p_answer": {"outcome": "drained"}}
    ]


async def test_a_known_delivery_gets_the_same_answer_and_no_work(api: ScriptedApi) -> None:
    work = Work({"outcome": "new"})
    deliveries = Deliveries(api.on("find_webhook_delivery", {"outcome": "old"}).supabase())
    assert await deliveries.once("panel", "m1", work) == {"outcome": "old"}
    assert work.times == 0


async def test_two_at_once_share_one_work(api: ScriptedApi) -> None:
    work, deliveries = Work({"outcome": "x"}), Deliveries(api.supabase())
    answers = await asyncio.gather(*(deliveries.once("panel", "m1", work) for _ in range(5)))
    assert work.times == 1
    assert answers == [{"outcome": "x"}] * 5


async def test_one_id_is_worked_by_each_function_it_is_sent_to(api: ScriptedApi) -> None:
    deliveries = Deliveries(api.supabase())
    works = {name: Work({"outcome": name}) for name in ("statistics-recompute", "pastoral-cases")}
    answers = await asyncio.gather(*(deliveries.once(name, "m1", work) for name, work in works.items()))
    assert answers == [{"outcome": name} for name in works]
    assert [work.times for work in works.values()] == [1, 1]
    assert {asked["p_function_name"] for asked in api.called("find_webhook_delivery")} == set(works)


async def test_one_caller_hanging_up_does_not_end_the_work_of_another(api: ScriptedApi) -> None:
    work, deliveries = Work({"outcome": "x"}), Deliveries(api.supabase())
    first, second = (asyncio.create_task(deliveries.once("panel", "m1", work)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {"outcome": "x"}


async def test_another_instances_answer_wins_if_it_was_first(api: ScriptedApi) -> None:
    api.on("record_webhook_delivery", {"outcome": "theirs"})
    assert await Deliveries(api.supabase()).once("panel", "m1", Work({"outcome": "ours"})) == {"outcome": "theirs"}


async def test_an_error_is_not_remembered(api: ScriptedApi) -> None:
    deliveries = Deliveries(api.supabase())
    with pytest.raises(errors.DatabaseUnavailable):
        await deliveries.once("panel", "m1", Work(errors.DatabaseUnavailable()))
    assert not api.called("record_webhook_delivery")
    assert await deliveries.once("panel", "m1", Work({"outcome": "x"})) == {"outcome": "x"}


async def test_with_the_memory_unreadable_nothing_is_done(api: ScriptedApi) -> None:
    work = Work({"outcome": "x"})
    with pytest.raises(errors.DatabaseRefused):
        await Deliveries(api.on("find_webhook_delivery", problem(403, "42501")).supabase()).once("panel", "m1", work)
    assert work.times == 0


async def test_with_the_memory_unwritable_the_true_answer_is_given(api: ScriptedApi) -> None:
    api.on("record_webhook_delivery", problem(403, "42501"))
    assert await Deliveries(api.supabase()).once("panel", "m1", Work({"outcome": "x"})) == {"outcome": "x"}
