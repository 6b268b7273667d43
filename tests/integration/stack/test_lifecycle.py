"""Starting, stopping, crashing: nothing that happens to a stack stops the next start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from attend.stack import Stack, StackError, state
from attend.stack.processes import end_process, free_port, is_alive, wait_until
from tests.integration.stack.conftest import Attend
from tests.support.database import exposes_new_tables

pytestmark = [pytest.mark.embedded]


def running(project: Path) -> state.StackState:
    return state.running(project / ".attend")


def add_note(current: state.StackState, text: str) -> None:
    with psycopg.connect(current.db_url, autocommit=True) as connection:
        connection.execute("insert into public.notes (text) values (%s)", (text,))


def notes(current: state.StackState) -> list[str]:
    with psycopg.connect(current.db_url, autocommit=True) as connection:
        return [row[0] for row in connection.execute("select text from public.notes order by id")]


def pids(current: state.StackState) -> list[int]:
    return [current.supervisor.pid, *(process.pid for process in current.processes.values())]


def test_up_answers_and_down_leaves_no_process_behind(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0")
    current = running(project)
    answer = httpx.get(f"{current.api_url}/rest/v1/notes", headers={"apikey": _secret_key(attend)})
    assert (answer.status_code, answer.json()) == (200, [])
    attend("down")
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids(current)), 5.0)


def test_data_outlives_down_and_a_reset_deletes_it(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0")
    add_note(running(project), "kept")
    attend("down")
    attend("up", "--port", "0")
    assert notes(running(project)) == ["kept"]
    attend("reset", "--yes")
    assert notes(running(project)) == []


def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_works(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0")
    before = running(project)
    add_note(before, "committed")
    os.kill(before.supervisor.pid, signal.SIGKILL)
    if sys.platform == "linux":
        assert wait_until(lambda: not any(is_alive(pid) for pid in pids(before)), 10.0)
    attend("up", "--port", "0")
    assert notes(running(project)) == ["committed"]


def test_everything_killed_at_once_does_not_stop_the_next_start(project: Path, attend: Attend) -> None:
    port = str(_free_pair())
    attend("up", "--port", port)
    before = running(project)
    add_note(before, "committed")
    for pid in pids(before):
        end_process(pid)
    attend("up", "--port", port)
    assert notes(running(project)) == ["committed"]


def test_a_lock_file_that_names_another_program_is_recognised_as_stale(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0")
    data = Path(str(running(project).options["cluster"])) / "data"
    attend("down")
    lock = data / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{data}\n1700000000\n54322\n\n127.0.0.1\n\n")
    os.chown(lock, data.stat().st_uid, data.stat().st_gid)
    attend("up", "--port", "0")
    assert notes(running(project)) == []


@pytest.mark.parametrize("name", ["postgres", "gateway", "background"])
def test_a_killed_process_is_started_again(project: Path, name: str) -> None:
    with Stack(project / ".attend", functions=[], project=project, expose_new_tables=exposes_new_tables()) as stack:
        old = stack.kill(name)
        assert stack.wait_restarted(name, old) != old
        url = f"{stack.api_url}/rest/v1/notes"

        def answers() -> bool:
            try:
                return httpx.get(url, headers={"apikey": stack.keys.secret}).status_code == 200
            except httpx.TransportError:
                return False

        assert wait_until(answers, 10.0, 0.1)


def test_a_stack_ends_with_the_process_that_started_it(project: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path; from attend.stack import Stack; "
        f"s = Stack(Path({str(project / '.attend')!r}), functions=[], project=Path({str(project)!r})).start(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    left = state.read(project / ".attend")
    assert left is not None
    assert wait_until(lambda: not is_alive(left.supervisor.pid), 15.0)


def test_ctrl_c_stops_a_stack_in_the_foreground(project: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "attend.cli", "up", "--port", "0", "--foreground"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    directory = project / ".attend"
    assert wait_until(lambda: (current := state.read(directory)) is not None and current.ready, 30.0, 0.05)
    before = running(project)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids(before)), 5.0)


def test_a_second_start_says_that_one_runs(attend: Attend) -> None:
    attend("up", "--port", "0")
    again = attend("up", "--port", "0", check=False)
    assert again.returncode == 1
    assert "running already" in again.stderr
    assert "attend down" in again.stderr


def test_a_second_supervisor_is_refused_by_the_lock(project: Path) -> None:
    options = {"functions": [], "project": project, "expose_new_tables": exposes_new_tables()}
    with Stack(project / ".attend", **options), pytest.raises(StackError, match="running already"):
        Stack(project / ".attend", **options).start()


def test_a_taken_port_is_named_with_the_way_out(attend: Attend) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = attend("up", "--port", port, check=False)
    assert refused.returncode == 1
    assert port in refused.stderr
    assert "--port 0" in refused.stderr


def test_a_refused_migration_names_file_and_statement_and_leaves_nothing_running(project: Path, attend: Attend) -> None:
    wrong = project / "supabase" / "migrations" / "20260102000000_wrong.sql"
    wrong.write_text("create table public.fine (id int);\nselect * from public.missing;\n")
    refused = attend("up", "--port", "0", check=False)
    assert refused.returncode == 1
    assert "20260102000000_wrong.sql, statement 1" in refused.stderr
    wrong.unlink()
    attend("up", "--port", "0")
    assert notes(running(project)) == []


def test_the_mode_of_the_data_cannot_be_changed_by_starting_again(attend: Attend) -> None:
    attend("up", "--port", "0")
    attend("down")
    refused = attend("up", "--port", "0", "--no-expose-new-tables", check=False)
    assert refused.returncode == 1
    assert "attend reset" in refused.stderr


def test_status_prints_the_names_of_the_supabase_command_line(attend: Attend) -> None:
    attend("up", "--port", "0")
    names = set(re.findall(r'^([A-Z_]+)="', attend("status", "-o", "env").stdout, re.MULTILINE))
    assert {
        "API_URL",
        "DB_URL",
        "PUBLISHABLE_KEY",
        "SECRET_KEY",
        "ANON_KEY",
        "SERVICE_ROLE_KEY",
        "JWT_SECRET",
    } <= names
    assert set(json.loads(attend("status", "-o", "json").stdout)) == names


def test_status_parts_the_longest_name_from_what_follows(project: Path, attend: Attend) -> None:
    attend("up", "--port", "0")
    current = running(project)
    current.processes["push-notification-dispatcher"] = current.supervisor
    current.write(project / ".attend")
    lines = attend("status").stdout.splitlines()
    assert f"push-notification-dispatcher  process {current.supervisor.pid}" in lines
    assert len({len(line) - len(line.split("  ", 1)[1].lstrip()) for line in lines}) == 1


def test_psql_and_logs_reach_the_running_stack(attend: Attend) -> None:
    attend("up", "--port", "0")
    assert attend("psql", "-Atc", "select current_user").stdout.strip() == "postgres"
    assert {"postgres", "gateway", "background", "supervisor"} <= set(attend("logs").stdout.split())
    assert "ready to accept connections" in attend("logs", "postgres").stdout


def test_commands_without_a_stack_or_a_project_say_what_to_do(tmp_path: Path, attend: Attend) -> None:
    assert "attend up" in attend("status", check=False).stderr
    assert "attend up" in attend("down", check=False).stderr
    assert "--project" in attend("up", "--project", str(tmp_path), check=False).stderr


def _secret_key(attend: Attend) -> str:
    return json.loads(attend("status", "-o", "json").stdout)["SECRET_KEY"]


def _free_pair() -> int:
    """A port whose successor is free, too."""
    for _ in range(50):
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports in a row")
