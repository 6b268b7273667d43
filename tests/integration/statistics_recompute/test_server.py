"""The function as functions-framework really runs it: processes that are killed, told to stop, and doubled."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.database import Database
from tests.support.team import Team

BELL = b'{"type":"BELL","schema":"public","table":"activities","bell_id":"b"}'
REBUILD = b'{"type":"SCHEDULE","schedule":"statistics-rebuild","bell_id":"b"}'
RECONCILE = b'{"type":"SCHEDULE","schedule":"statistics-reconcile","bell_id":"b"}'

type Start = Callable[..., Any]


async def soon(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(0.02)


async def test_a_bell_to_a_served_process_makes_statistics_right(start_function: Start, team: Team) -> None:
    mentor = team.mentor()
    team.activity(mentor)
    answer = (await start_function().client().send(BELL)).json()
    assert (answer["outcome"], answer["marks"], answer["more"]) == ("drained", 1, False)
    assert (team.total(mentor), team.wrong()) == (1, [])


async def test_two_processes_rung_at_once_share_the_marks(start_function: Start, team: Team) -> None:
    team.mentors(60)
    first, second = (start_function(ATTEND_DRAIN_MARKS="10").client() for _ in range(2))
    answers = await asyncio.gather(*(function.send(BELL) for function in (first, second, first, second)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(answer.json()["marks"] for answer in answers) == 180
    assert (team.marks(), team.wrong()) == (0, [])


async def test_two_processes_asked_to_rebuild_share_one_run(
    start_function: Start, team: Team, database: Database
) -> None:
    team.mentors(300)
    team.forget_marks()
    first, second = (start_function(ATTEND_REBUILD_PEOPLE="10").client() for _ in range(2))
    answers = await asyncio.gather(first.send(REBUILD), second.send(REBUILD))
    assert {answer.json()["outcome"] for answer in answers} <= {"finished", "in_progress"}
    # A second run only if the first was over before the other process asked.
    runs = database.rows("select distinct people, state from private.runs")
    assert runs == [{"people": 300, "state": "finished"}]
    assert team.totals() == 900


async def test_without_time_each_call_does_one_chunk_and_says_that_more_waits(
    start_function: Start, team: Team
) -> None:
    team.mentors(10)
    function = start_function(ATTEND_TIME_BUDGET_SECONDS="0", ATTEND_DRAIN_MARKS="20").client()
    first, second = [(await function.send(BELL)).json() for _ in range(2)]
    assert (first["marks"], first["more"], first["stopped_by"]) == (20, True, "time_budget")
    assert (second["marks"], second["more"]) == (10, False)
    assert team.wrong() == []


@pytest.mark.faults
async def test_after_a_kill_in_the_middle_of_a_rebuild_another_process_ends_it(
    start_function: Start, team: Team, database: Database
) -> None:
    team.mentors(400)
    team.forget_marks()
    process = start_function(ATTEND_REBUILD_PEOPLE="1", ATTEND_LEASE_SECONDS="5")
    run = asyncio.create_task(process.client().send(REBUILD))
    await soon(lambda: team.totals() > 0)
    process.signal_group(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await run
    done_before = team.totals()
    assert 0 < done_before < 1_200
    next_one = start_function(ATTEND_REBUILD_PEOPLE="50").client()
    answer = (await next_one.send(REBUILD)).json()
    assert (answer["outcome"], answer["run"]["people"]) == ("in_progress", 399), "whom the dead had in hand waits"
    assert (await next_one.send(REBUILD)).json() == {"outcome": "busy"}
    # What time does, without waiting for it.
    database.execute("update private.run_slices set lease_until = now()")
    answer = (await next_one.send(REBUILD)).json()
    assert (answer["outcome"], answer["run"]["people"]) == ("finished", 400)
    assert team.totals() == 1_200
    assert database.value("select count(*) from private.runs") == 1


@pytest.mark.faults
async def test_a_kill_in_the_middle_of_a_drain_loses_no_mark(start_function: Start, team: Team) -> None:
    team.mentors(400)
    process = start_function(ATTEND_DRAIN_MARKS="2")
    drain = asyncio.create_task(process.client().send(BELL))
    await soon(lambda: team.totals() > 0)
    process.signal_group(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await drain
    # The kill leaves at most the transaction under way, which ends or is undone by itself.
    assert team.marks() > 0
    assert (await start_function().client().send(BELL)).json()["outcome"] == "drained"
    await soon(lambda: team.marks() == 0)
    assert team.totals() == 1_200


async def test_on_sigterm_a_rebuild_ends_its_chunk_and_gives_the_lease_back(
    start_function: Start, team: Team, database: Database
) -> None:
    team.mentors(400)
    team.forget_marks()
    process = start_function(ATTEND_REBUILD_PEOPLE="1")
    run = asyncio.create_task(process.client().send(REBUILD))
    await soon(lambda: team.totals() > 0)
    process.process.send_signal(signal.SIGTERM)
    answer = (await run).json()
    assert (answer["outcome"], answer["stopped_by"]) == ("in_progress", "shutdown")
    assert database.value("select state from private.runs") == "in_progress"
    assert (await start_function().client().send(REBUILD)).json()["outcome"] == "finished"
    assert team.totals() == 1_200


async def test_a_reconcile_over_http_reports_the_drift_it_repaired(start_function: Start, team: Team) -> None:
    people = team.mentors(5)
    function = start_function().client()
    await function.send(BELL)
    team.break_rows(people[0])
    answer = (await function.send(RECONCILE)).json()
    assert answer["run"]["counts"] == {"statistics": {"people_with_drift": 1, "rows_repaired": 2}}
    assert (team.drift(), team.wrong()) == ({people[0]: 2}, [])
