"""How pg_cron behaves: which minutes it means, one run at a time, what it forgets, and what it records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from attend.stack.cron_scheduler import CronScheduler, CronSettings, interval_seconds, is_due
from attend.stack.processes import wait_until
from tests.contract.extensions.conftest import OwnServer

Connection = psycopg.Connection[Any]


@pytest.fixture(autouse=True)
def _no_jobs_left(url: str) -> Iterator[None]:
    yield
    with psycopg.connect(url, autocommit=True) as connection:  # a test may have crashed the server under another
        connection.execute("select cron.unschedule(j.jobid) from cron.job j where j.jobname like 'test-%'")


def runs(connection: Connection, name: str) -> list[dict[str, Any]]:
    """The recorded runs of a job, oldest first."""
    rows = connection.execute(
        "select to_jsonb(d) || jsonb_build_object('started', extract(epoch from d.start_time), "
        "'ended', extract(epoch from d.end_time)) from cron.job_run_details d "
        "join cron.job j on j.jobid = d.jobid where j.jobname = %s order by d.runid",
        (name,),
    ).fetchall()
    return [row[0] for row in rows]


def wait_for_run(connection: Connection, name: str, status: str, seconds: float = 8.0) -> dict[str, Any]:
    def matching() -> list[dict[str, Any]]:
        return [run for run in runs(connection, name) if run["status"] == status]

    assert wait_until(lambda: bool(matching()), seconds, 0.1), f"no run became {status}: {runs(connection, name)}"
    return matching()[0]


def schedule(connection: Connection, name: str, when: str, command: str) -> None:
    connection.execute("select cron.schedule(%s, %s, %s)", (name, when, command))


def test_a_job_runs_as_its_user_in_a_session_of_its_own(connection: Connection) -> None:
    connection.execute("create table if not exists public.cron_seen (name text, pid int); truncate public.cron_seen")
    schedule(connection, "test-user", "1 second", "insert into public.cron_seen select current_user, pg_backend_pid()")
    run = wait_for_run(connection, "test-user", "succeeded")
    assert (run["username"], run["database"], run["return_message"]) == ("postgres", "postgres", "INSERT 0 1")
    assert connection.execute("select name, pid from public.cron_seen limit 1").fetchone() == (
        "postgres",
        run["job_pid"],
    )
    connection.execute("drop table public.cron_seen")


def test_a_job_may_be_several_statements(connection: Connection) -> None:
    schedule(connection, "test-several", "1 second", "select 1; select 2 union select 3")
    assert wait_for_run(connection, "test-several", "succeeded")["return_message"] == "2 rows"


def test_an_error_is_recorded(connection: Connection) -> None:
    schedule(connection, "test-error", "1 second", "select 1/0")
    assert "division by zero" in wait_for_run(connection, "test-error", "failed")["return_message"]


def test_a_job_never_overlaps_itself(connection: Connection) -> None:
    schedule(connection, "test-overlap", "1 second", "select pg_sleep(1.6)")
    assert wait_until(lambda: sum(run["ended"] is not None for run in runs(connection, "test-overlap")) >= 2, 12.0, 0.1)
    done = [run for run in runs(connection, "test-overlap") if run["ended"] is not None]
    assert all(after["started"] >= before["ended"] for before, after in pairwise(done))


def test_an_inactive_job_does_not_run(connection: Connection) -> None:
    connection.execute("select cron.alter_job(cron.schedule('test-inactive', '1 second', 'select 1'), active := false)")
    time.sleep(2.5)
    assert runs(connection, "test-inactive") == []


def test_an_unscheduled_job_stops(connection: Connection) -> None:
    schedule(connection, "test-stop", "1 second", "select 1")
    wait_for_run(connection, "test-stop", "succeeded")
    jobid = connection.execute("select jobid from cron.job where jobname = 'test-stop'").fetchone()
    connection.execute("select cron.unschedule('test-stop')")
    time.sleep(1.2)
    count = "select count(*) from cron.job_run_details where jobid = %s"
    before = connection.execute(count, jobid).fetchone()
    time.sleep(2.2)
    assert connection.execute(count, jobid).fetchone() == before


@pytest.mark.embedded
def test_a_job_whose_user_cannot_log_in_is_recorded_as_failed(own_server: OwnServer, connection: Connection) -> None:
    connection.execute(
        "select cron.schedule_in_database('test-login', '1 second', 'select 1', current_database(), 'anon')"
    )
    query = "select distinct status, return_message from cron.job_run_details where username = 'anon'"
    with psycopg.connect(own_server.cluster.dsn("supabase_admin"), autocommit=True) as admin:
        assert wait_until(lambda: ("failed", "connection failed") in admin.execute(query).fetchall(), 6.0, 0.1)
        admin.execute("delete from cron.job where jobname = 'test-login'")


def test_postgres_reads_jobs_and_may_not_write_the_table(connection: Connection) -> None:
    schedule(connection, "test-rights", "0 0 1 1 *", "select 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("update cron.job set active = false where jobname = 'test-rights'")
    assert connection.execute("select schedule from cron.job where jobname = 'test-rights'").fetchone() == (
        "0 0 1 1 *",
    )


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_no_api_role_may_schedule(connection: Connection, role: str) -> None:
    connection.execute(f"set role {role}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select cron.schedule('test-refused', '* * * * *', 'select 1')")


def test_a_job_is_bound_by_the_two_minutes_of_the_platform(connection: Connection) -> None:
    connection.execute("create table if not exists public.cron_limit (value text); truncate public.cron_limit")
    schedule(
        connection,
        "test-limit",
        "1 second",
        "insert into public.cron_limit values (current_setting('statement_timeout'))",
    )
    wait_for_run(connection, "test-limit", "succeeded")
    assert connection.execute("select value from public.cron_limit limit 1").fetchone() == ("2min",)
    connection.execute("drop table public.cron_limit")


@pytest.mark.embedded
@pytest.mark.faults
def test_runs_in_flight_become_server_restarted(own_server: OwnServer) -> None:
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        schedule(connection, "test-in-flight", "1 second", "select pg_sleep(30)")
        wait_for_run(connection, "test-in-flight", "running")
    own_server.crash()
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        run = wait_for_run(connection, "test-in-flight", "failed")
        assert run["return_message"] == "server restarted"
        connection.execute("select cron.unschedule('test-in-flight')")


@pytest.mark.embedded
@pytest.mark.faults
def test_a_killed_scheduler_does_not_leave_a_run_for_the_next_one_to_overlap(own_server: OwnServer) -> None:
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        schedule(connection, "test-orphan", "1 second", "select pg_sleep(30)")
        pid = wait_for_run(connection, "test-orphan", "running")["job_pid"]
        own_server.stop_background(kill=True)
        own_server.start_background()
        assert wait_for_run(connection, "test-orphan", "failed")["return_message"] == "server restarted"
        alive = connection.execute("select count(*) from pg_stat_activity where pid = %s", (pid,)).fetchone()
        assert alive == (0,)
        connection.execute("select cron.unschedule('test-orphan')")
    own_server.stop_background()  # the last run sleeps on
    own_server.start_background()


@pytest.mark.embedded
@pytest.mark.faults
def test_ticks_missed_while_nobody_schedules_are_gone(own_server: OwnServer) -> None:
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        schedule(connection, "test-missed", "1 second", "select 1")
        wait_for_run(connection, "test-missed", "succeeded")
        own_server.stop_background()
        try:
            before = len(runs(connection, "test-missed"))
            time.sleep(4.0)
            assert len(runs(connection, "test-missed")) == before
        finally:
            own_server.start_background()
        assert wait_until(lambda: len(runs(connection, "test-missed")) > before, 8.0, 0.05)
        assert len(runs(connection, "test-missed")) <= before + 2


@pytest.mark.embedded
@pytest.mark.faults
def test_the_switch_forgets_ticks_while_it_is_on(own_server: OwnServer, connection: Connection) -> None:
    own_server.cron_off(True)
    try:
        schedule(connection, "test-switch", "1 second", "select 1")
        time.sleep(2.5)
        assert runs(connection, "test-switch") == []
    finally:
        own_server.cron_off(False)
    wait_for_run(connection, "test-switch", "succeeded")


class Clock:
    """A clock a test turns."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def test_minute_ticks_during_a_run_queue_up_and_ticks_of_a_jump_do_not(own_server: OwnServer) -> None:
    """The clock is turned, so that minutes need not be waited for; the rest is real."""
    own_server.cron_off(True)  # the background process leaves the job to this scheduler
    clock = Clock(datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC))
    scheduler = CronScheduler(CronSettings(own_server.cluster.dsn("supabase_admin"), clock=clock))
    try:
        with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
            schedule(connection, "test-queue", "* * * * *", "select pg_sleep(0.2)")
            started = await run_minutes(scheduler, clock, ["test-queue"], minutes=3)
            assert len(started) == 3
            clock.now += timedelta(hours=2)
            assert len(await run_minutes(scheduler, clock, ["test-queue"], minutes=0)) <= 3
    finally:
        own_server.cron_off(False)


async def run_minutes(scheduler: CronScheduler, clock: Clock, names: list[str], minutes: int) -> list[Any]:
    """Ticks minute by minute without giving runs time to end, then lets all queued runs end."""
    async with (
        await psycopg.AsyncConnection[dict[str, Any]].connect(
            scheduler.settings.dsn, autocommit=True, row_factory=dict_row
        ) as connection,
        asyncio.TaskGroup() as group,
    ):
        await scheduler._reload(connection)
        scheduler._tasks = {k: task for k, task in scheduler._tasks.items() if task.job["jobname"] in names}
        if scheduler._last_minute is None:
            scheduler._last_minute = clock.now.replace(second=0)
        started: list[Any] = []
        for _ in range(max(minutes, 1)):
            clock.now += timedelta(minutes=1) if minutes else timedelta(0)
            await scheduler._tick(connection, group)
        for task in scheduler._tasks.values():
            while task.running or task.pending:
                if task.running and task.running not in started:
                    started.append(task.running)
                await asyncio.sleep(0.02)
                await scheduler._tick(connection, group)
    return started


@pytest.mark.parametrize(
    ("text", "moment", "expected"),
    [
        ("* * * * *", "2026-01-15T12:34", True),
        ("*/5 * * * *", "2026-01-15T12:35", True),
        ("*/5 * * * *", "2026-01-15T12:36", False),
        ("0 6 * * *", "2026-01-15T06:00", True),
        ("0 0 $ * *", "2026-02-28T00:00", True),
        ("0 0 $ * *", "2028-02-28T00:00", False),
        ("0 0 $ * *", "2028-02-29T00:00", True),
        ("@daily", "2026-01-15T00:00", True),
        ("@hourly", "2026-01-15T05:00", True),
        ("@reboot", "2026-01-15T05:00", False),
        ("0 0 13 * 5", "2026-02-06T00:00", True),  # day of month or day of week, as cron has it
        ("0 0 13 * 5", "2026-02-13T00:00", True),
        ("0 0 13 * 5", "2026-02-12T00:00", False),
        ("0 9 * * mon-fri", "2026-01-17T09:00", False),
        ("5/10 * * * *", "2026-01-15T12:15", False),  # a step after one number is ignored
        ("5/10 * * * *", "2026-01-15T12:05", True),
        ("*/5 * * * * *", "2026-01-15T12:35", True),  # the sixth field is not looked at
        ("30 seconds", "2026-01-15T12:35", False),
    ],
)
def test_a_schedule_means_the_minutes_cron_means(text: str, moment: str, expected: bool) -> None:
    assert is_due(text, datetime.fromisoformat(moment).replace(tzinfo=UTC)) is expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("1 second", 1), ("59 seconds", 59), (" 30  Seconds ", 30), ("60 seconds", None), ("x", None)]
)
def test_an_interval_is_between_one_and_fifty_nine_seconds(text: str, seconds: int | None) -> None:
    assert interval_seconds(text) == seconds
