"""The function as functions-framework really runs it: a gunicorn parent that imports, and a forked uvicorn worker."""

import asyncio
import json
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from attend.stack.gateway import GatewaySettings, create_app
from tests.support.database import Database
from tests.support.function import WEBHOOK_SECRET
from tests.support.gateway import serving, wait_until_ready
from tests.support.organisation import Organisation

BELL = b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}'
EVALUATION = b'{"type":"SCHEDULE","schedule":"scenario-evaluation","bell_id":"b"}'

type Start = Callable[..., Any]


async def somebody_told(organisation: Organisation) -> None:
    async with asyncio.timeout(30):
        while not organisation.notified():  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(0.02)


def told_once(organisation: Organisation, people: int) -> None:
    assert len(organisation.notified()) == len(set(organisation.notified())) == people


async def test_one_process_serves_three_hundred_bells_at_once(
    start_function: Start, organisation: Organisation
) -> None:
    organisation.settle()
    organisation.mentor(quiet_days=30)
    marks = organisation.marks()
    function = start_function().client()
    answers = await asyncio.gather(*(function.send(BELL) for _ in range(300)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["marks"] for answer in answers) == marks > 0
    told_once(organisation, 1)


async def test_a_bell_is_answered_while_a_run_works(start_function: Start, organisation: Organisation) -> None:
    organisation.mentors(1_500)
    organisation.settle()
    function = start_function(ATTEND_CHUNK_SIZE="2").client()
    run = asyncio.create_task(function.send(EVALUATION))
    await somebody_told(organisation)
    began = time.monotonic()
    assert (await function.send(BELL)).json()["outcome"] == "drained"
    assert time.monotonic() - began < 2
    assert not run.done()
    assert (await run).json()["outcome"] == "finished"
    told_once(organisation, 1_500)


async def test_a_caller_who_hangs_up_does_not_end_the_run(start_function: Start, organisation: Organisation) -> None:
    organisation.mentors(600)
    function = start_function(ATTEND_CHUNK_SIZE="2").client()
    with pytest.raises(httpx.ReadTimeout):
        await function.http.post("/", content=EVALUATION, headers=function.headers(EVALUATION), timeout=0.2)
    async with asyncio.timeout(60):
        while len(organisation.notified()) < 600:  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(0.05)
    told_once(organisation, 600)


async def test_on_sigterm_a_run_ends_its_chunk_gives_the_lease_back_and_answers(
    start_function: Start, organisation: Organisation, database: Database
) -> None:
    organisation.mentors(2_000)
    process = start_function(ATTEND_CHUNK_SIZE="1")
    function = process.client()
    run = asyncio.create_task(function.send(EVALUATION))
    await somebody_told(organisation)
    process.process.send_signal(signal.SIGTERM)
    answer = (await run).json()
    assert (answer["outcome"], answer["stopped_by"]) == ("in_progress", "shutdown")
    assert await asyncio.to_thread(process.process.wait, 15) == 0
    assert database.value("select state from private.runs") == "in_progress"
    assert 0 < len(organisation.notified()) < 2_000
    # The next instance goes on at once: the lease was given back.
    next_one = start_function().client()
    assert (await next_one.send(EVALUATION)).json()["outcome"] == "finished"
    told_once(organisation, 2_000)


@pytest.mark.faults
async def test_after_a_kill_in_the_middle_of_a_run_another_instance_ends_it(
    start_function: Start, organisation: Organisation, database: Database
) -> None:
    organisation.mentors(2_000)
    process = start_function(ATTEND_CHUNK_SIZE="1", ATTEND_LEASE_SECONDS="5")
    function = process.client()
    run = asyncio.create_task(function.send(EVALUATION))
    await somebody_told(organisation)
    process.signal_group(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await run
    next_one = start_function().client()
    answer = (await next_one.send(EVALUATION)).json()
    assert (answer["outcome"], answer["run"]["people"]) == ("in_progress", 1_999), "whom the dead had in hand waits"
    assert (await next_one.send(EVALUATION)).json() == {"outcome": "busy"}
    # What time does, without waiting for it.
    database.execute("update private.run_slices set lease_until = now()")
    assert (await next_one.send(EVALUATION)).json()["outcome"] == "finished"
    told_once(organisation, 2_000)


async def test_the_same_delivery_to_two_processes_is_answered_the_same(
    start_function: Start, organisation: Organisation
) -> None:
    organisation.settle()
    organisation.mentor(quiet_days=30)
    marks = organisation.marks()
    first, second = start_function().client(), start_function().client()
    one = (await first.send(BELL, webhook_id="m_same")).json()
    other = (await second.send(BELL, webhook_id="m_same")).json()
    assert one == other
    assert one["marks"] == marks > 0


async def test_without_a_database_it_is_503_and_comes_back_by_itself(
    start_function: Start, database: Database, organisation: Organisation
) -> None:
    settings = GatewaySettings(db_url=SecretStr(database.dsn("authenticator")), schemas=("public",))
    with serving(create_app(settings)) as url:
        wait_until_ready(url)
        function = start_function(SUPABASE_URL=url).client()
        assert (await function.send(BELL)).status_code == 200
    organisation.mentor(quiet_days=30)
    marks = organisation.marks()
    down = await function.send(BELL)
    assert (down.status_code, down.json()["code"]) == (503, "database_unavailable")
    assert int(down.headers["retry-after"]) >= 1
    assert (await function.http.get("/health")).status_code == 200
    with serving(create_app(settings), port=int(url.rsplit(":", 1)[1])):
        wait_until_ready(url)
        assert (await function.send(BELL)).json()["marks"] == marks > 0
    told_once(organisation, 1)


async def test_a_process_without_settings_starts_answers_health_and_names_what_is_missing(
    start_function: Start,
) -> None:
    function = start_function(ATTEND_WEBHOOK_SECRET="").client()
    assert (await function.http.get("/health")).status_code == 200
    answer = await function.http.post("/", content=BELL)
    assert (answer.status_code, answer.json()["code"]) == (500, "setting_missing")
    assert answer.json()["details"] == {"variable": "ATTEND_WEBHOOK_SECRET"}


async def test_its_log_is_json_and_holds_no_secret(start_function: Start, api: Any, organisation: Organisation) -> None:
    organisation.mentor(quiet_days=30, full_name="Kari Nordmann")
    process = start_function()
    function = process.client()
    headers = function.headers(BELL)
    await function.http.post("/", content=BELL, headers=headers)
    await function.http.post("/", content=BELL + b" ", headers=headers)
    text: str = process.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {"marks_drained", "request_refused"} <= {line["event"] for line in lines}
    for secret in (
        WEBHOOK_SECRET,
        WEBHOOK_SECRET.removeprefix("whsec_"),
        api.key,
        headers["webhook-signature"],
        "Kari",
    ):
        assert secret not in text
