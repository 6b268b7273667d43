"""A whole stack whose cron stands still, so that each test brings about one trouble and no other; and passing time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from attend.stack import Stack, vault
from attend.stack.processes import wait_until
from tests.support.command import Attend, runner
from tests.support.database import Database, GivenServer, empty
from tests.support.stack import embedded_stack

CARE = "pastoral-cases"

_JOB = "select jobid, schedule, command from cron.job where jobname = %s"


@dataclass
class Installation:
    """An installation that is well, and what may happen to it."""

    stack: Stack
    database: Database

    def get_well(self) -> None:
        """As if everything had just run: nothing waits, nothing was found, every secret is there."""
        empty(self.database)
        self.database.execute("delete from net.http_request_queue")
        self.database.execute(
            "update private.schedules set last_rung_at = null, last_started_at = now(), last_succeeded_at = now(),"
            " last_result = null"
        )
        connection = self.database.connect()
        vault.upsert(connection, vault.FUNCTIONS_URL, self.stack.functions_url)
        vault.upsert(connection, vault.WEBHOOK_SECRET, self.stack.webhook_secret)
        connection.close()

    def minutes_pass(self, minutes: float) -> None:
        """Everything that is stored is older by so much, as if nothing had happened meanwhile."""
        aged = {
            "private.schedules": "last_rung_at last_started_at last_succeeded_at added_at",
            "private.rings": "rung_at",
            "private.runs": "started_at updated_at",
            "private.run_slices": "lease_until",
            "private.webhook_deliveries": "received_at",
            **dict.fromkeys(("private.scenario_marks", "private.statistics_marks", "private.care_marks"), "marked_at"),
        }
        for table, columns in aged.items():
            changes = ", ".join(f"{column} = {column} - make_interval(secs => %(s)s)" for column in columns.split())
            self.database.execute(f"update {table} set {changes} where true", {"s": minutes * 60})

    def mark(self) -> None:
        """Somebody's case may have to change."""
        self.database.execute(
            "insert into private.care_marks (organization_id, person_id, rings)"
            " values (gen_random_uuid(), gen_random_uuid(), false)"
        )

    def run_job(self, name: str) -> None:
        """What cron would do now."""
        job = self.database.rows(_JOB, (f"attend-{name}",))[0]
        self.database.execute(job["command"])

    def forget_job(self, name: str) -> dict[str, Any]:
        """The job is gone; what `schedule` makes again."""
        job = self.database.rows(_JOB, (f"attend-{name}",))[0]
        self.database.execute("select cron.unschedule(%s)", (f"attend-{name}",))
        return {"name": f"attend-{name}", "schedule": job["schedule"], "command": job["command"]}

    def schedule_job(self, job: dict[str, Any]) -> None:
        self.database.execute("select cron.schedule(%(name)s, %(schedule)s, %(command)s)", job)

    def call(self, function: str, payload: str) -> str:
        """A signed call, as triggers and cron make them; its id."""
        return self.database.value(
            "select private.post_signed(%s, %s::jsonb || jsonb_build_object('bell_id', private.new_bell_id()))",
            (function, payload),
        )

    def ring(self, function: str = CARE) -> str:
        return self.call(function, '{"type": "BELL", "schema": "public", "table": "people"}')

    def is_handled(self, bell_id: str, seconds: float = 30.0) -> bool:
        """Whether the function has answered this call within the time."""
        query = "select exists (select from private.webhook_deliveries where id = %s)"
        return wait_until(lambda: self.database.value(query, (bell_id,)), seconds, 0.05)

    def is_sent(self, seconds: float = 15.0) -> bool:
        """Whether pg_net's queue is empty within the time."""
        return wait_until(lambda: self.database.value("select count(*) from net.http_request_queue") == 0, seconds)

    def freeze(self, process: str) -> None:
        """It is there and does nothing, as on a machine that hangs."""
        os.killpg(self.stack.pid(process), signal.SIGSTOP)

    def thaw(self, process: str) -> None:
        os.killpg(self.stack.pid(process), signal.SIGCONT)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with embedded_stack(cron=False) as stack:
        yield stack


@pytest.fixture
def installation(stack: Stack) -> Iterator[Installation]:
    database = Database(GivenServer(stack.db_url), "postgres")
    installation = Installation(stack, database)
    installation.get_well()
    yield installation
    database.close()


@pytest.fixture
def attend(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Attend:
    return runner(stack.api_url, stack.keys.secret, monkeypatch, capsys)
