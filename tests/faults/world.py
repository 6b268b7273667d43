"""What every fault test stands in: people of every kind, the set one undisturbed run would tell, and who was told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
from pydantic import SecretStr

from attend.stack import Stack, installation, services
from attend.stack.processes import free_port, wait_until
from shared.webhooks import parse_secrets, sign

ENGINE = "scenario-trigger-engine"
RUN = {"type": "SCHEDULE", "schedule": "scenario-evaluation"}
BELL = {"type": "BELL", "schema": "public", "table": "activities"}
LEASE_SECONDS = 5

type Told = set[tuple[UUID, str]]

# One in two is due. The others show each gate, so that "exactly the set" also means "nobody else".
_PEOPLE = """
insert into public.users (organization_id, id, full_name, role, joined_at, is_active, away_from, away_until)
select (%(organizations)s::uuid[])[1 + n %% cardinality(%(organizations)s::uuid[])], gen_random_uuid(), 'Person ' || n,
  (case when n %% 20 = 1 then 'coordinator' else 'peer_mentor' end)::public.user_role,
  now() - interval '2 years', n %% 20 <> 3,
  case when n %% 20 = 5 then now() - interval '30 days' end, case when n %% 20 = 5 then now() + interval '30 days' end
from generate_series(1, %(people)s) n
"""
_ACTIVITIES = """
insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)
select u.organization_id, u.id, 'home-visit', now() - make_interval(hours => 24 *
  case when substr(u.full_name, 8)::integer %% 20 in (7, 9, 11, 13) then 5 else 40 end)
from public.users u
"""
# Computed long ago: nobody's marks wait.
_STATISTICS = """
insert into public.activity_statistics (organization_id, user_id, period_type, total_activities, last_activity_date)
select a.organization_id, a.user_id, 'all_time', count(*), max(a.occurred_at)
from public.activities a
group by a.organization_id, a.user_id
"""
_OPT_OUTS = """
insert into public.notification_preferences (organization_id, user_id, scenario, is_enabled)
select u.organization_id, u.id, 'inactivity', false from public.users u where substr(u.full_name, 8)::integer %% 20 = 15
"""
_COOLING = """
insert into private.cooldowns (organization_id, user_id, scenario, subject, last_triggered_at, cooldown_days)
select u.organization_id, u.id, 'inactivity', r.id::text, now() - interval '3 days', 14
from public.users u join public.scenario_rules r on r.organization_id = u.organization_id
where substr(u.full_name, 8)::integer %% 20 = 17
"""
_ANALYZED = (
    "public.users",
    "public.activities",
    "public.activity_statistics",
    "public.notification_preferences",
    "private.cooldowns",
)
_CLEAR = """
truncate public.organizations, public.notifications, private.outbox, private.cooldowns, private.scenario_marks,
  private.statistics_marks, private.care_marks, private.runs, private.case_runs, private.webhook_deliveries,
  private.rings, net.http_request_queue, net._http_response cascade
"""


class World:
    """A stack with people in it. Its own connection is made again when the server was killed."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._own: psycopg.Connection[Any] | None = None

    def connect(self, role: str = "postgres", *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """A connection of the caller's."""
        return psycopg.connect(self.stack.dsn(role), autocommit=autocommit)

    def rows(self, query: str, *params: object) -> list[Any]:
        """All rows; waits for a server that is being started again."""
        for _ in range(400):
            try:
                if self._own is None or self._own.closed:
                    self._own = self.connect(installation.SUPERUSER)
                cursor = self._own.execute(query.encode(), params or None)
                return cursor.fetchall() if cursor.description else []
            except psycopg.errors.DeadlockDetected:
                # Clearing met a function that still drains. The connection lives, and keeps its settings.
                threading.Event().wait(0.05)
            except psycopg.OperationalError:
                self._own = None
                threading.Event().wait(0.05)
        raise AssertionError("the database did not come back")

    def value(self, query: str, *params: object) -> Any:
        """The first column of the first row."""
        return self.rows(query, *params)[0][0]

    def populate(self, people: int, organizations: int = 3) -> Told:
        """Replaces everybody, without a mark or a bell, and returns the set that one undisturbed run would tell."""
        self.clear()
        self.rows("set session_replication_role = replica")
        ids = [uuid.uuid4() for _ in range(organizations)]
        self.rows("insert into public.organizations (id, name) select unnest(%s::uuid[]), 'Organisation'", ids)
        self.rows(
            "insert into public.activity_types (organization_id, id, label, category) "
            "select id, 'home-visit', 'Home visit', 'home_visit' from public.organizations"
        )
        self.rows(
            "insert into public.scenario_rules (organization_id, type, name, is_enabled) "
            "select id, 'inactivity', 'quiet', true from public.organizations"
        )
        for statement in (_PEOPLE, _ACTIVITIES, _STATISTICS, _OPT_OUTS, _COOLING):
            assert self._own is not None
            self._own.execute(statement, {"people": people, "organizations": ids})
        self.rows("set session_replication_role = origin")
        for table in _ANALYZED:
            self.rows(f"analyze {table}")
        expected = self.would_tell()
        assert 0.4 * people < len(expected) < 0.7 * people
        return expected

    def clear(self) -> None:
        """Nobody is there, nothing waits, and nothing has run or rung yet."""
        self.rows("set session_replication_role = replica")
        self.rows(_CLEAR)
        self.rows("update private.bells set last_rung_at = '-infinity', rung_again_at = '-infinity'")
        self.rows("update private.schedules set last_started_at = null, last_rung_at = null, last_succeeded_at = null")
        self.rows("set session_replication_role = origin")

    def would_tell(self) -> Told:
        """The set of (person, subject) that a run told now would tell, by the dry run."""
        would: Told = set()
        for (organization_id,) in self.rows("select id from public.organizations"):
            after = None
            while page := self.value("select public.dry_run_scenarios(%s, now(), %s, 1000)", organization_id, after):
                would |= {(UUID(r["user_id"]), r["subject"]) for r in page if r["gate"] == "would_send"}
                after = page[-1]["user_id"]
        return would

    def told(self) -> list[tuple[UUID, str]]:
        """Everybody told, as often as they were told."""
        return self.rows("select user_id, subject from public.notifications")

    def assert_told(self, expected: Told) -> None:
        """Exactly these, each once, and each with its outbox row."""
        told = self.told()
        assert set(told) == expected, f"missed {len(expected - set(told))}, too many {len(set(told) - expected)}"
        assert len(told) == len(expected), "somebody was told twice"
        assert self.value("select count(*) from private.outbox") == len(expected)

    def mark_everybody(self) -> None:
        """Marks everybody as changed, as a correction of all activities does, without ringing."""
        self.rows(
            "insert into private.scenario_marks (organization_id, user_id, rings) "
            "select organization_id, id, false from public.users"
        )

    def marks(self) -> int:
        """How many marks wait."""
        return self.value("select count(*) from private.scenario_marks")

    def touch(self, user_id: UUID, connection: psycopg.Connection[Any] | None = None) -> None:
        """Writes an old activity of a person: changes nothing about who is due, marks the person and rings."""
        with contextlib.ExitStack() as stack:
            connection = connection or stack.enter_context(self.connect())
            connection.execute(
                "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at) "
                "select u.organization_id, u.id, 'home-visit', now() - interval '60 days' "
                "from public.users u where u.id = %s",
                (user_id,),
            )

    def tick(self, schedule: str = "scenario-evaluation") -> None:
        """What cron does each minute, with the interval passed: the call goes through pg_net, gateway and signature."""
        self.rows("update private.schedules set last_started_at = null, last_rung_at = null")
        self.minute(schedule)

    def minute(self, schedule: str) -> None:
        """What cron does each minute, whatever was done before: its own command."""
        self.rows(self.value("select command from cron.job where jobname = %s", f"attend-{schedule}"))

    def queued(self) -> int:
        """How many calls of the engine are not yet on their way."""
        return self.value("select count(*) from net.http_request_queue where url like %s", f"%/{ENGINE}")

    def rung(self) -> int:
        """How often writers have rung the engine."""
        return self.value("select rung from private.bells where function_name = %s", ENGINE)

    def run(self) -> dict[str, Any]:
        """The latest run of the ledger; {} before the first."""
        found = self.rows("select to_jsonb(r) from private.runs r order by r.id desc limit 1")
        return found[0][0] if found else {}

    def wait_for_run(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 20) -> dict[str, Any]:
        """Waits until the latest run satisfies `condition`, and returns it."""
        assert wait_until(lambda: condition(self.run()), seconds, 0.01), self.run()
        return self.run()

    def finished(self, seconds: float = 30) -> dict[str, Any]:
        """Waits for the end of the latest run."""
        return self.wait_for_run(lambda run: run.get("state") == "finished", seconds)

    def delivery(self, event: dict[str, Any], *, at: datetime | None = None) -> Delivery:
        """A signed call, ready to be posted, as often as wanted."""
        bell_id = f"bell_{uuid.uuid4().hex}"
        body = json.dumps(event | {"bell_id": bell_id}).encode()
        (secret,) = parse_secrets("the stack's secret", SecretStr(self.stack.webhook_secret))
        headers = sign(secret, body, webhook_id=bell_id, at=at or datetime.now(UTC))
        return Delivery(f"{self.stack.functions_url}/{ENGINE}", body, {"content-type": "application/json", **headers})

    @contextlib.contextmanager
    def instance(self, tmp_path: Path, **settings: object) -> Iterator[Instance]:
        """One more process of the engine beside the stack's own, with settings of its own."""
        environment = {
            "SUPABASE_URL": self.stack.api_url,
            "SUPABASE_SECRET_KEY": self.stack.keys.secret,
            "ATTEND_WEBHOOK_SECRET": self.stack.webhook_secret,
        } | {name.upper(): str(value) for name, value in settings.items()}
        main = services.function_folders(Path(__file__).parents[2])[ENGINE]
        service = services.function(ENGINE, main, free_port(), tmp_path / f"{uuid.uuid4().hex}.log", environment)
        service.start()
        try:
            service.wait_ready(20)
            yield Instance(service)
        finally:
            service.end_group()

    def close(self) -> None:
        """Closes the own connection."""
        if self._own is not None:
            self._own.close()


class Delivery:
    """A signed call: the same bytes and headers however often it is posted."""

    def __init__(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        self.url, self.body, self.headers = url, body, headers

    def post(self, url: str | None = None) -> httpx.Response:
        """Posts it, through the gateway unless another address is given."""
        return httpx.post(url or self.url, content=self.body, headers=self.headers, timeout=300)


class Instance:
    """A functions-framework process of a test."""

    def __init__(self, service: services.Service) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{service.port}/"

    def kill(self) -> None:
        """SIGKILL for the server and its worker."""
        self.service.end_group(signal.SIGKILL)

    def log(self) -> str:
        """What it wrote."""
        return self.service.log.read_text(errors="replace")


def minutes_ago(number: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=number)


def together[T](*works: Callable[[], T]) -> list[T]:
    """Runs them at the same moment in threads; the first error of any is raised."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)
    errors: list[BaseException] = []

    def work(index: int) -> None:
        try:
            barrier.wait()
            results[index] = works[index]()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    return results


def pause_process(pid: int) -> None:
    """SIGSTOP: the process holds what it has, and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
