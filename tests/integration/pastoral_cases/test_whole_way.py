"""The whole way: attendance is taken, the bell or cron rings, and the shepherd's list shows it."""

import time
from collections.abc import Callable

import httpx
import pytest

from attend.stack import Stack
from tests.support.congregation import Congregation
from tests.support.database import Database, GivenServer

# On a real project the functions run where `attend serve` puts them, not where this test could start them.
pytestmark = pytest.mark.embedded


@pytest.fixture
def church(stack: Stack) -> Congregation:
    return Congregation(Database(GivenServer(stack.db_url), "postgres"))


def soon(condition: Callable[[], bool], seconds: float = 20) -> float:
    """Wait; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "not within the time"
        time.sleep(0.02)
    return time.monotonic() - began


def test_three_missed_services_are_a_case_on_the_shepherds_list_within_seconds(
    stack: Stack, church: Congregation
) -> None:
    """And a visit, a return, and a correction: what a congregation sees of all this, through the API alone."""
    person = church.person(church.family(church.servant))
    token = stack.keys.user_token(str(church.login(church.servant)))
    headers = {"apikey": stack.keys.publishable, "authorization": f"Bearer {token}"}

    def read(path: str) -> list[dict]:
        answer = httpx.get(f"{stack.api_url}/rest/v1/{path}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def call(name: str, **arguments: str) -> httpx.Response:
        return httpx.post(f"{stack.api_url}/rest/v1/rpc/{name}", json=arguments, headers=headers)

    for day in (0, 7, 14):
        taken = {
            "organization_id": str(church.id),
            "person_id": str(person),
            "service_id": str(church.service(day)),
            "service_date": church.day(day).isoformat(),
            "status": "absent",
        }
        answer = httpx.post(f"{stack.api_url}/rest/v1/attendance_records", json=taken, headers=headers)
        assert answer.status_code == 201, answer.text
    assert soon(lambda: len(read("pastoral_cases")) == 1) < 5
    (case,) = read("pastoral_cases?select=id,status,priority,notes")
    soon(lambda: [told["scenario"] for told in read("notifications")] == ["pastoral_case"])
    visit = call("log_contact", p_case_id=case["id"], p_kind="home_visit", p_outcome="reached")
    assert (visit.status_code, visit.json()["kind"]) == (200, "home_visit")
    church.record(person, 21, "present")
    soon(lambda: read("pastoral_cases")[0]["status"] == "returned")
    church.correct(person, 7, "present")
    soon(lambda: read("pastoral_cases")[0]["status"] == "withdrawn")
    assert read("pastoral_cases")[0]["withdrawn_reason"] == "attendance_corrected"


def test_what_dropped_bells_announced_is_found_by_crons_sweep(stack: Stack, church: Congregation) -> None:
    stack.set_cron(False)
    stack.drop_bells(True)
    person = church.person(church.family(church.servant))
    try:
        church.records(person, "aaa")
        soon(lambda: church.database.value("select count(*) from net.http_request_queue") == 0)
        assert church.cases(person) == []
    finally:
        stack.drop_bells(False)
    church.database.execute(church.database.value("select command from cron.job where jobname = 'attend-care-sweep'"))
    soon(lambda: len(church.cases(person)) == 1)
    stack.set_cron(True)


def test_the_nightly_tick_reaches_the_function_and_is_in_the_ledger(stack: Stack, church: Congregation) -> None:
    stack.drop_bells(True)
    person = church.person(church.family(church.servant))
    church.records(person, "aaa")
    soon(lambda: church.database.value("select count(*) from net.http_request_queue") == 0)
    stack.drop_bells(False)
    church.database.execute("update private.schedules set last_started_at = null where name = 'pastoral-cases'")
    church.database.execute("select private.tick_cases()")
    soon(lambda: church.database.value("select count(*) from private.case_runs where finished_at is not null") > 0)
    assert len(church.cases(person)) == 1


def test_the_scores_refresh_as_cron_runs_it_commits_its_start_and_says_how_it_ended(
    church: Congregation,
) -> None:
    command = church.database.value("select command from cron.job where jobname = 'attend-engagement-scores'")
    church.person()
    church.database.execute(command)
    done = church.database.rows("select * from private.schedules where name = 'engagement-scores'")[0]
    assert done["last_started_at"] < done["last_succeeded_at"]
    assert done["last_result"]["people"] >= 1
