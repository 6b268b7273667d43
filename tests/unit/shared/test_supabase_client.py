"""shared/supabase_client.py, with the network scripted: what the real one cannot be made to answer at will."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel, TypeAdapter

from shared import errors, supabase_client
from shared.supabase_client import Page
from tests.support.api import SECRET_KEY, ScriptedApi, problem

USER = UUID(int=7)


class Answer(BaseModel):
    value: int


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 0.0)


@pytest.fixture
def api() -> ScriptedApi:
    return ScriptedApi()


async def test_an_answer_is_validated_into_the_model(api: ScriptedApi) -> None:
    answer = await api.on("f", {"value": 3, "later_versions": "add keys"}).supabase().rpc("f", {}, Answer)
    assert answer == Answer(value=3)


async def test_none_is_left_out_so_that_the_databases_default_applies(api: ScriptedApi) -> None:
    await api.on("f", {"value": 1}).supabase().rpc("f", {"p_now": None, "p_user_id": USER}, Answer)
    assert api.called("f") == [{"p_user_id": str(USER)}]


async def test_ids_and_times_are_written_as_text_at_any_depth(api: ScriptedApi) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    await api.on("f", {"value": 1}).supabase().rpc("f", {"p": {"at": at, "ids": [USER], "n": None}}, Answer)
    assert api.called("f") == [{"p": {"at": at.isoformat(), "ids": [str(USER)], "n": None}}]


async def test_a_time_without_a_zone_is_a_programming_error(api: ScriptedApi) -> None:
    with pytest.raises(TypeError):
        await api.supabase().rpc("f", {"p_now": datetime(2026, 1, 2)}, Answer)  # noqa: DTZ001 - the point


async def test_a_json_null_is_an_answer_like_any_other(api: ScriptedApi) -> None:
    assert await api.on("f", None).supabase().rpc("f", {}, TypeAdapter[Answer | None](Answer | None)) is None


async def test_the_key_goes_in_apikey(api: ScriptedApi) -> None:
    await api.on("f", {"value": 1}).supabase().rpc("f", {}, Answer)
    assert api.requests[0].headers["apikey"] == SECRET_KEY
    assert str(api.requests[0].url) == "http://api.test/rest/v1/rpc/f"


@pytest.mark.parametrize("answer", [{"value": "many"}, [], "x", None, {"other": 1}])
async def test_an_answer_of_another_shape_is_its_own_error_and_quotes_nothing(api: ScriptedApi, answer: object) -> None:
    api.on("f", httpx.Response(200, json=answer))
    with pytest.raises(errors.UnexpectedAnswer) as caught:
        await api.supabase().rpc("f", {}, Answer)
    assert "many" not in str(caught.value.body())


@pytest.mark.parametrize("body", ["<html>Ein Gerät dazwischen</html>".encode("latin-1"), b"<html></html>", b""])
async def test_a_page_of_somebody_in_between_is_the_same_error(api: ScriptedApi, body: bytes) -> None:
    api.on("f", httpx.Response(200, content=body))
    with pytest.raises(errors.UnexpectedAnswer):
        await api.supabase().rpc("f", {}, Answer)


@pytest.mark.parametrize(
    "passing",
    [
        problem(503, "57P01"),
        problem(503, "08006"),
        problem(503, "53300"),
        problem(504, "PGRST003"),
        problem(503, None),
        problem(500, "40001"),
        problem(500, "40P01"),
        httpx.Response(502, text="bad gateway"),
        httpx.ConnectError("refused"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("closed"),
    ],
    ids=str,
)
async def test_what_passes_is_repeated(api: ScriptedApi, passing: httpx.Response | Exception) -> None:
    api.on("f", passing, passing, {"value": 5})
    assert await api.supabase().rpc("f", {}, Answer) == Answer(value=5)
    assert len(api.called("f")) == 3


@pytest.mark.parametrize(
    ("lasting", "kind"),
    [
        (problem(500, "57014"), errors.DatabaseTimeout),
        (problem(403, "42501"), errors.DatabaseRefused),
        (problem(404, "PGRST202"), errors.DatabaseOutdated),
        (problem(400, "PT400", "unknown_scenario"), errors.Refused),
        (problem(409, "PT409", "lease_lost"), errors.LeaseLost),
        (problem(400, "22P02"), errors.DatabaseError),
        (httpx.Response(301, headers={"location": "http://elsewhere.test"}), errors.DatabaseError),
        (httpx.ReadTimeout("slow"), errors.DatabaseTimeout),
    ],
    ids=str,
)
async def test_what_lasts_is_not_repeated(
    api: ScriptedApi, lasting: httpx.Response | Exception, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await api.on("f", lasting).supabase().rpc("f", {}, Answer)
    assert len(api.called("f")) == 1


@pytest.mark.parametrize("ambiguous", [problem(503, "57P01"), httpx.ReadError("reset"), problem(503, None)], ids=str)
async def test_a_call_that_may_have_run_is_not_repeated_when_it_must_not_happen_twice(
    api: ScriptedApi, ambiguous: httpx.Response | Exception
) -> None:
    with pytest.raises(errors.DatabaseUnavailable) as caught:
        await api.on("f", ambiguous).supabase().rpc("f", {}, Answer, repeatable=False)
    assert caught.value.may_have_run
    assert len(api.called("f")) == 1


@pytest.mark.parametrize(
    "certain", [problem(504, "PGRST003"), problem(500, "40001"), httpx.ConnectError("refused")], ids=str
)
async def test_a_call_that_certainly_did_nothing_is_repeated_even_then(
    api: ScriptedApi, certain: httpx.Response | Exception
) -> None:
    api.on("f", certain, {"value": 1})
    await api.supabase().rpc("f", {}, Answer, repeatable=False)
    assert len(api.called("f")) == 2


async def test_repeating_ends_with_the_last_error(api: ScriptedApi) -> None:
    with pytest.raises(errors.DatabaseUnavailable) as caught:
        await api.on("f", httpx.ConnectError("refused")).supabase().rpc("f", {}, Answer)
    assert caught.value.http_status == 503
    assert len(api.called("f")) == 8


async def test_no_more_than_four_calls_are_under_way_at_once(api: ScriptedApi) -> None:
    under_way, most = 0, 0

    async def slow(_: object) -> dict[str, int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return {"value": 1}

    supabase = api.on("f", slow).supabase()
    await asyncio.gather(*(supabase.rpc("f", {}, Answer) for _ in range(20)))
    assert most == 4


async def test_a_call_that_waits_to_be_repeated_holds_no_slot(
    api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supabase_client, "_FIRST_WAIT_SECONDS", 60.0)
    api.on("down", httpx.ConnectError("refused")).on("up", {"value": 1})
    supabase = api.supabase(attend_max_concurrent_rpcs=1)
    waiting = asyncio.create_task(supabase.rpc("down", {}, Answer))
    await asyncio.sleep(0.05)
    assert api.called("down")
    assert await asyncio.wait_for(supabase.rpc("up", {}, Answer), 1) == Answer(value=1)
    waiting.cancel()


async def test_a_page_is_read_in_the_order_of_its_key_behind_where_the_last_one_ended(api: ScriptedApi) -> None:
    supabase = api.on("t", []).supabase()
    for page in (Page("id", 20), Page("id", 20, USER)):
        await supabase.select("t", "value", {"name": "x"}, TypeAdapter(list[Answer]), page=page)
    first, second = (dict(request.url.params) for request in api.requests)
    assert first == {"select": "value", "name": "eq.x", "order": "id.asc", "limit": "20"}
    assert second == first | {"id": f"gt.{USER}"}


async def test_rows_are_counted_that_equal_the_filters(api: ScriptedApi) -> None:
    api.on("t", httpx.Response(206, headers={"content-range": "0-0/7"}))
    assert await api.supabase().count("t", {"name": "x"}) == 7
    assert api.requests[0].url.params["name"] == "eq.x"


async def test_rows_are_read_by_equality(api: ScriptedApi) -> None:
    rows = await api.on("t", [{"value": 1}]).supabase().select("t", "value", {"id": USER}, TypeAdapter(list[Answer]))
    assert rows == [Answer(value=1)]
    assert api.called("t") == [{"select": "value", "id": f"eq.{USER}"}]


async def test_after_closing_the_next_call_opens_again(api: ScriptedApi) -> None:
    supabase = api.on("f", {"value": 1}).supabase()
    await supabase.rpc("f", {}, Answer)
    await supabase.aclose()
    assert await supabase.rpc("f", {}, Answer) == Answer(value=1)
