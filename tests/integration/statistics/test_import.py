"""Imports: many rows in one `copy` work, ring about one bell, and are drained bit by bit while others write."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.conftest import on_real_stack
from tests.integration.statistics.conftest import NOW, Programme
from tests.support.database import Database
from tests.support.statistics import drain

PEOPLE = 500
MIB = 1 << 20


@pytest.fixture
def rung(database: Database) -> None:
    """Bells that are queued and go nowhere."""
    database.execute("delete from vault.secrets where name in ('attend_functions_url', 'attend_webhook_secret')")
    for name, value in (
        ("attend_functions_url", "http://127.0.0.1:9/functions/v1"),
        ("attend_webhook_secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ):
        database.execute("select vault.create_secret(%s, %s)", (value, name))
    database.execute("delete from net.http_request_queue")
    database.execute("update private.bells set last_rung_at = '-infinity', rung = 0")


def copy_in(programme: Programme, people: list[UUID], rows: int) -> None:
    with programme.database.connect() as connection:
        connection.execute("set statement_timeout = 0")
        with connection.cursor().copy(
            "copy public.activities (organization_id, id, user_id, activity_type_id, occurred_at, duration_minutes)"
            " from stdin"
        ) as copy:
            for n in range(rows):
                at = NOW - timedelta(days=n // len(people) % 400, minutes=5)
                copy.write_row((programme.id, uuid4(), people[n % len(people)], "home-visit", at, 30))


def memory(pid: int) -> int:
    """Bytes a server process has of its own: resident, without what it shares."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(280)
@pytest.mark.usefixtures("programme", "rung")
@pytest.mark.parametrize(
    "rows", [20_000, pytest.param(100_000, marks=pytest.mark.slow), pytest.param(1_000_000, marks=pytest.mark.slow)]
)
def test_an_import_rings_once_and_drains_in_bounded_memory_while_others_write(programme: Programme, rows: int) -> None:
    people = [programme.person() for _ in range(PEOPLE)]
    bystander = programme.person()
    copy_in(programme, people, rows)
    calls = programme.database.value(
        "select count(*) from net.http_request_queue where url like '%%/statistics-recompute'"
    )
    assert calls == 1
    assert programme.marks() == min(rows, PEOPLE * 400)

    stop = threading.Event()
    waits: list[float] = []

    def write() -> None:
        with programme.database.connect() as connection:
            while not stop.is_set():
                began = time.monotonic()
                programme.activity(bystander, NOW - timedelta(minutes=1), connection=connection)
                waits.append(time.monotonic() - began)
                time.sleep(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    sizes: list[int] = []
    try:
        with programme.database.connect("service_role") as connection:
            connection.execute("set statement_timeout = '60s'")
            while drain(connection, 2_000)["more"]:
                if not on_real_stack() and Path("/proc/self/statm").exists():
                    sizes.append(memory(connection.info.backend_pid))
    finally:
        stop.set()
        writer.join(30)
    programme.drain()
    assert programme.marks() == 0
    if len(sizes) > 3:
        assert max(sizes) - sizes[len(sizes) // 10] < 40 * MIB, f"it grew from {sizes[0]:,} to {max(sizes):,} bytes"
    assert waits
    assert sorted(waits)[int(len(waits) * 0.9)] < 1.0, "a single write waited for the import to be drained"
    counted = programme.database.value(
        "select sum(total_activities) from public.activity_statistics"
        " where organization_id = %s and period_type = 'all_time'",
        (programme.id,),
    )
    assert counted == rows + len(waits)
    assert programme.row(bystander)["total_activities"] == len(waits)
    # Or the organisation would be deleted with each of them, one by one.
    programme.database.execute("truncate public.activities cascade")


def test_an_import_of_known_rows_again_marks_only_what_it_changes(programme: Programme, mentor: UUID) -> None:
    activity = programme.activity(mentor)
    programme.drain()
    programme.database.execute(
        "insert into public.activities (organization_id, id, user_id, activity_type_id, occurred_at)"
        " values (%s, %s, %s, 'other', now()) on conflict (organization_id, id) do nothing",
        (programme.id, activity, mentor),
    )
    assert programme.marks() == 0
