"""`attend statistics` against the real SQL, as a process: what is on which stream, and what Ctrl-C leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from attend.statistics import NOT_FINISHED
from tests.support.database import Database
from tests.support.served import ROOT, Api
from tests.support.team import Team

type Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(api: Api) -> Start:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SUPABASE_URL": api.url}

    def start(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "attend.cli", "statistics", *arguments],
            env=environment | {"SUPABASE_SECRET_KEY": api.key} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def run(start: Start) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str, **variables: str) -> tuple[int, str, str]:
        process = start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return run


type Run = Callable[..., tuple[int, str, str]]


def document(ran: tuple[int, str, str]) -> dict[str, Any]:
    assert ran[0] == 0, ran[2]
    return json.loads(ran[1])


def test_a_rebuild_makes_everything_right_and_tells_its_progress_on_stderr(run: Run, team: Team) -> None:
    team.mentors(5)
    team.forget_marks()
    status, out, err = run("rebuild", "--people", "2")
    assert (status, team.wrong()) == (0, [])
    assert out.startswith("The rebuild is finished: 5 people in 3 chunks.")
    assert "5 of 5 people" in err
    assert run("rebuild")[1].startswith("The rebuild is finished: 5 people in 1 chunk.")


def test_as_json_standard_output_is_one_document(run: Run, team: Team) -> None:
    people = team.mentors(3)
    assert document(run("rebuild", "--json"))["outcome"] == "finished"
    team.break_rows(people[0])
    report = document(run("reconcile", "--json"))["run"]
    assert report["kind"] == "statistics-reconcile"
    assert report["counts"] == {"statistics": {"people_with_drift": 1, "rows_repaired": 2}}
    assert team.drift() == {people[0]: 2}


def test_status_tells_what_waits_and_what_ran(run: Run, team: Team) -> None:
    team.mentors(4)
    before = document(run("status", "--json"))
    assert (before["marks"]["waiting"], before["marks"]["people"], before["runs"]) == (12, 4, [])
    assert before["oldest_work_at"]
    document(run("rebuild", "--json"))
    after = document(run("status", "--json"))
    assert (after["marks"]["waiting"], after["oldest_work_at"]) == (0, None)
    assert [(found["kind"], found["state"], found["people"]) for found in after["runs"]] == [
        ("statistics-rebuild", "finished", 4)
    ]
    assert {schedule["name"] for schedule in after["schedules"]} >= {"statistics-sweep", "statistics-reconcile"}
    status, out, _ = run("status")
    assert status == 0
    assert "statistics-rebuild: finished, 4 people" in out


def test_ctrl_c_pauses_and_the_same_command_goes_on(start: Start, run: Run, team: Team, database: Database) -> None:
    team.mentors(300)
    team.forget_marks()
    process = start("rebuild", "--people", "1", "--json")
    deadline = time.monotonic() + 60
    while team.totals() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == NOT_FINISHED, err
    assert (json.loads(out)["outcome"], json.loads(out)["stopped_by"]) == ("in_progress", "shutdown")
    assert 0 < team.totals() < 900
    status, _, err = run("rebuild")
    assert status == 0
    assert "continuing it" in err
    assert "300 of 300 people" in err
    assert team.totals() == 900
    assert database.value("select count(*) from private.runs") == 1


def test_while_another_works_it_says_so_and_exits_otherwise(run: Run, team: Team, database: Database) -> None:
    team.mentors(2)
    database.execute("select public.start_run('statistics-rebuild', gen_random_uuid())")
    status, out, _ = run("rebuild")
    assert (status, "Another process works on a rebuild" in out) == (NOT_FINISHED, True)


def test_a_wrong_key_an_address_that_does_not_answer_and_a_missing_key_are_said_in_a_sentence(run: Run) -> None:
    for variables, told in (
        ({"SUPABASE_SECRET_KEY": "sb_secret_wrong"}, "SUPABASE_SECRET_KEY"),
        ({"SUPABASE_SECRET_KEY": ""}, "Set SUPABASE_SECRET_KEY"),
        ({"SUPABASE_URL": "not a url"}, "SUPABASE_URL"),
    ):
        status, out, err = run("status", **variables)
        assert (status, out) == (1, "")
        assert told in err
        assert "Traceback" not in err
        assert "sb_secret_wrong" not in err
