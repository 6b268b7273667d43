"""The function as functions-framework really runs it: processes that share marks, are doubled, and are killed."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.congregation import Congregation
from tests.support.database import Database

BELL = b'{"type":"BELL","schema":"public","table":"people","bell_id":"b"}'
NIGHT = b'{"type":"SCHEDULE","schedule":"pastoral-cases","bell_id":"b"}'

type Start = Callable[..., Any]


def absent(church: Congregation, number: int) -> list[UUID]:
    """People of a family of the servant's, three times absent."""
    family = church.family(church.servant)
    people = [church.person(family) for _ in range(number)]
    for day in (0, 7, 14):
        church.database.execute(
            "insert into public.attendance_records (organization_id, person_id, service_id, service_date, status)"
            " select %s, p, %s, %s, 'absent' from unnest(%s::uuid[]) p",
            (church.id, church.service(day), church.day(day), people),
        )
    return people


def number_of_cases(church: Congregation) -> int:
    return church.database.value("select count(*) from public.pastoral_cases where organization_id = %s", (church.id,))


async def test_a_bell_to_a_served_process_makes_a_case_and_tells_the_servant(
    start_function: Start, church: Congregation
) -> None:
    (person,) = absent(church, 1)
    answer = (await start_function().client().send(BELL)).json()
    assert (answer["outcome"], answer["marks"], answer["more"]) == ("drained", 1, False)
    assert answer["counts"] == {"cases": {"open": 1}, "pastoral_case": {"sent": 1}}
    assert church.cases(person)[0]["assigned_servant_id"] == church.servant
    assert church.told(church.servant) == ["opened"]


async def test_processes_rung_at_once_share_the_marks(start_function: Start, church: Congregation) -> None:
    people = absent(church, 60)
    first, second = (start_function(ATTEND_CARE_MARKS="10").client() for _ in range(2))
    events = (BELL, NIGHT, BELL, NIGHT)
    answers = await asyncio.gather(
        *(function.send(event) for function, event in zip((first, second) * 2, events, strict=True))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert [len(church.cases(person)) for person in people] == [1] * 60
    assert church.told() == ["opened"] * 60


async def test_the_night_finds_what_no_mark_announced(
    start_function: Start, church: Congregation, database: Database
) -> None:
    absent(church, 3)
    database.execute("truncate private.care_marks")
    answer = (await start_function().client().send(NIGHT)).json()
    assert (answer["outcome"], answer["organizations"]) == ("finished", 1)
    assert answer["counts"] == {"cases": {"open": 3}, "pastoral_case": {"sent": 3}}
    assert database.value("select organizations from private.case_runs") == 1


async def test_without_time_a_call_does_one_part_and_the_next_goes_on(
    start_function: Start, church: Congregation, database: Database
) -> None:
    others = [Congregation(database) for _ in range(2)]
    absent(church, 2)
    function = start_function(ATTEND_TIME_BUDGET_SECONDS="0", ATTEND_CARE_ORGANIZATIONS="2").client()
    answers = [(await function.send(NIGHT)).json() for _ in range(2)]
    assert [answer["outcome"] for answer in answers] == ["in_progress", "finished"]
    assert answers[0]["stopped_by"] == "time_budget"
    assert database.value("select organizations from private.case_runs") == 3
    assert number_of_cases(church) == 2
    database.execute("delete from public.organizations where id = any (%s)", ([other.id for other in others],))


@pytest.mark.faults
async def test_a_kill_in_the_middle_of_a_drain_loses_no_mark(start_function: Start, church: Congregation) -> None:
    people = absent(church, 400)
    process = start_function(ATTEND_CARE_MARKS="2")
    drain = asyncio.create_task(process.client().send(BELL))
    async with asyncio.timeout(60):
        while number_of_cases(church) == 0:  # noqa: ASYNC110 - the event is another process's
            await asyncio.sleep(0.02)
    process.signal_group(signal.SIGKILL)
    with pytest.raises(httpx.TransportError):
        await drain
    assert number_of_cases(church) < len(people)
    assert (await start_function().client().send(BELL)).json()["outcome"] == "drained"
    assert number_of_cases(church) == len(people)
    assert church.told() == ["opened"] * len(people)
