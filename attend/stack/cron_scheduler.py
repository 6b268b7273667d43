"""The scheduling half of pg_cron: runs the jobs of cron.job, each in a connection of its own, as the job's user.

Behaviour held to pg_cron 1.6.7: GMT; a job never overlaps itself; minute ticks that pass while it runs queue up and
follow at once, ticks of an 'N seconds' job do not; ticks that pass while nobody schedules are gone without a trace;
runs that were in flight when the scheduler went away become failed, 'server restarted'.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from cronsim import CronSim, CronSimError
from psycopg import conninfo
from psycopg.rows import dict_row

CHANNEL = "attend_cron_changed"
# Of the connections jobs run in.
JOB_NAME = "pg_cron"
_SECONDS = re.compile(r"^\s*([1-9]|[1-5][0-9])\s+seconds?\s*$", re.IGNORECASE)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_RESTARTED = """
update cron.job_run_details d set status = 'failed', return_message = 'server restarted', end_time = now()
where d.status in ('starting', 'connecting', 'sending', 'running')
"""
# A backend outlives a scheduler that was killed; its job must not run beside it again.
_END_ORPHANS = "select pg_terminate_backend(a.pid, 2000) from pg_stat_activity a where a.application_name = %s"
_STARTED = """
insert into cron.job_run_details (jobid, database, username, command, status, start_time)
values (%(jobid)s, %(database)s, %(username)s, %(command)s, 'starting', clock_timestamp()) returning runid
"""
_RUNNING = "update cron.job_run_details d set status = 'running', job_pid = %s where d.runid = %s"
_ENDED = """
update cron.job_run_details d set status = %s, return_message = %s, end_time = clock_timestamp() where d.runid = %s
"""


def interval_seconds(schedule: str) -> int | None:
    """Seconds of an 'N seconds' schedule (1 to 59), None for any other."""
    match = _SECONDS.match(schedule)
    return int(match[1]) if match else None


def is_due(schedule: str, minute: datetime) -> bool:
    """Whether a crontab schedule names this minute (UTC). `$` is the last day; a sixth field is not looked at."""
    fields = _NICKNAMES.get(schedule.strip().lower(), schedule).split()[:5]
    if len(fields) < 5 or fields[0].startswith("@"):
        return False
    # Vixie cron ignores a step after a single number, where cronsim reads "from there on".
    fields = [re.sub(r"(?<![\d*-])(\w+)/\d+", r"\1", text) for text in fields]
    fields[2] = "L" if fields[2] == "$" else fields[2]
    try:
        return next(CronSim(" ".join(fields), minute - timedelta(minutes=1))) == minute
    except (CronSimError, StopIteration):
        return False


@dataclass(frozen=True)
class CronSettings:
    """`dsn` logs in as the superuser; `is_off` is asked at every tick, and ticks that pass while true are forgotten."""

    dsn: str
    password: str = "postgres"
    is_off: Callable[[], bool] = lambda: False
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))


@dataclass
class _Task:
    """What the scheduler remembers of a job besides its row."""

    job: dict[str, Any]
    pending: int = 0
    running: asyncio.Task[None] | None = None
    last_start: datetime | None = None


class CronScheduler:
    """Schedules the jobs of one database until cancelled. A lost connection raises psycopg.OperationalError."""

    def __init__(self, settings: CronSettings) -> None:
        self.settings = settings
        self._tasks: dict[int, _Task] = {}
        self._stale = True
        self._last_minute: datetime | None = None

    async def run(self) -> None:
        """Looks once a second, as pg_cron does."""
        connect = psycopg.AsyncConnection.connect
        async with (
            await connect(self.settings.dsn, autocommit=True, application_name="pg_cron bell") as bell,
            await psycopg.AsyncConnection[dict[str, Any]].connect(
                self.settings.dsn, autocommit=True, application_name="pg_cron scheduler", row_factory=dict_row
            ) as connection,
            asyncio.TaskGroup() as group,
        ):
            await bell.execute(f"listen {CHANNEL}")
            await self._forget_runs_of_the_past(connection)
            self._last_minute = _minute(self.settings.clock())
            watching = group.create_task(self._watch(bell))
            try:
                while True:
                    await self._tick(connection, group)
                    now = self.settings.clock()
                    await asyncio.sleep(1.0 - now.microsecond / 1_000_000 + 0.001)
            finally:
                watching.cancel()
                for task in self._tasks.values():
                    if task.running:
                        task.running.cancel()

    async def _watch(self, bell: psycopg.AsyncConnection[Any]) -> None:
        async for _ in bell.notifies():
            self._stale = True

    async def _forget_runs_of_the_past(self, connection: psycopg.AsyncConnection[Any]) -> None:
        try:
            await connection.execute(_END_ORPHANS, (JOB_NAME,))
            await connection.execute(_RESTARTED)
            await self._reload(connection)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return
        for task in self._tasks.values():
            if task.job["schedule"].strip().lower() == "@reboot":
                task.pending = 1

    async def _reload(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._stale = False
        try:
            rows = await (await connection.execute("select j.* from cron.job j where j.active")).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            rows, self._stale = [], True
        jobs = {row["jobid"]: row for row in rows}
        for jobid, task in list(self._tasks.items()):
            if jobid in jobs:
                task.job = jobs.pop(jobid)
            elif task.running is None:
                del self._tasks[jobid]
            else:
                task.pending = 0
        self._tasks |= {jobid: _Task(job, last_start=self.settings.clock()) for jobid, job in jobs.items()}

    async def _tick(self, connection: psycopg.AsyncConnection[Any], group: asyncio.TaskGroup) -> None:
        if self._stale:
            await self._reload(connection)
        now = self.settings.clock()
        minute = _minute(now)
        minutes: list[datetime] = []
        # More than a few minutes at once is a clock that jumped or a machine that slept, not work to catch up on.
        while self._last_minute is not None and self._last_minute < minute and len(minutes) < 3:
            self._last_minute += timedelta(minutes=1)
            minutes.append(self._last_minute)
        self._last_minute = minute
        off = self.settings.is_off()
        for task in self._tasks.values():
            if not off:
                self._count_due(task, now, minutes)
            if off and task.running is None:
                task.pending = 0
            if task.pending and task.running is None:
                task.pending -= 1
                task.last_start = now
                task.running = group.create_task(self._run_job(task, dict(task.job)))

    def _count_due(self, task: _Task, now: datetime, minutes: list[datetime]) -> None:
        seconds = interval_seconds(task.job["schedule"])
        if seconds is None:
            task.pending += sum(is_due(task.job["schedule"], minute) for minute in minutes)
        elif task.running is None and task.last_start and now - task.last_start >= timedelta(seconds=seconds - 0.5):
            task.pending = 1

    async def _run_job(self, task: _Task, job: dict[str, Any]) -> None:
        try:
            async with await psycopg.AsyncConnection.connect(
                self.settings.dsn, autocommit=True, application_name="pg_cron log"
            ) as log:
                row = await (await log.execute(_STARTED, job)).fetchone()
                assert row is not None  # noqa: S101 - insert … returning gives a row
                status, message = await self._execute(job, log, row[0])
                await log.execute(_ENDED, (status, message, row[0]))
        except psycopg.Error:
            # The server went away under the run, or the extension was dropped; the next start tidies up.
            return
        finally:
            task.running = None

    async def _execute(self, job: dict[str, Any], log: psycopg.AsyncConnection[Any], runid: int) -> tuple[str, str]:
        dsn = conninfo.make_conninfo(
            self.settings.dsn, user=job["username"], password=self.settings.password, dbname=job["database"]
        )
        try:
            connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name=JOB_NAME)
        except psycopg.Error:
            return "failed", "connection failed"
        async with connection:
            await log.execute(_RUNNING, (connection.info.backend_pid, runid))
            try:
                # Bytes and no parameters: the simple protocol, so a job may be several statements.
                cursor = await connection.execute(job["command"].encode(), prepare=False)
            except psycopg.Error as error:
                return "failed", f"ERROR:  {error.diag.message_primary or error}\n"
            while cursor.nextset():
                pass
            if cursor.description is None:
                return "succeeded", cursor.statusmessage or ""
            return "succeeded", f"{cursor.rowcount} row{'' if cursor.rowcount == 1 else 's'}"


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
