"""The desk from which the demo works: what it asks of the running stack, through the API where people would use it.

Writes of people go through `/rest/v1` with their own token; the engine is asked with the secret key; the ledger, the
queue and the schedule are read where an operator would read them, in SQL.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import TypeAdapter

from attend.demo.model import DemoData, Organization, Person
from attend.demo.report import Told
from attend.stack import Stack
from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.store import ScenarioStore
from shared.runs import Pace, RunOutcome
from shared.settings import SupabaseSettings
from shared.supabase_client import Supabase

EVALUATION_JOB = "attend-scenario-evaluation"
_EVALUATION = "scenario-evaluation"
_ROWS = TypeAdapter(list[dict[str, Any]])
_NOTIFICATIONS = """
select n.organization_id, n.user_id, n.rule_id, n.triggered_at, o.id is not null as push,
  extract(epoch from n.triggered_at - (n.context ->> 'anchor_at')::timestamptz)::float / 86400 as days_quiet
from public.notifications n
left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id
where n.triggered_at >= %s
order by n.triggered_at, days_quiet desc, n.user_id, n.rule_id
"""


class StoryFailed(Exception):
    """Something that the demo says did not happen; the message says what."""


class Desk:
    """Connections to one stack, for the length of a story. Use as a context manager."""

    def __init__(self, stack: Stack, data: DemoData, patience: float = 20.0) -> None:
        """`patience`: seconds after which something that should have happened has not."""
        self.stack = stack
        self.data = data
        self.patience = patience
        self.people = {person.id: person for person in data.people}
        self._runner = asyncio.Runner()
        self.connection = psycopg.Connection[DictRow].connect(stack.db_url, autocommit=True, row_factory=dict_row)
        self._http = httpx.Client(base_url=stack.api_url, timeout=20)
        settings = SupabaseSettings.load(supabase_url=stack.api_url, supabase_secret_key=stack.keys.secret)
        self._supabase = Supabase(settings)
        # The same engine that the function serves, so that a clock can be handed to it.
        pace = Pace(time_budget=50, chunk_size=2000, lease_seconds=60, monotonic=time.monotonic, stopping=lambda: False)
        self._engine = ScenarioTriggerEngine(ScenarioStore(self._supabase), pace)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._supabase.aclose())
        self._runner.close()
        self._http.close()
        self.connection.close()

    def rows(self, query: LiteralString, *params: object) -> list[dict[str, Any]]:
        """Rows of a statement run as `postgres`."""
        return self.connection.execute(query, params).fetchall()

    def value(self, query: LiteralString, *params: object) -> Any:
        """The first column of the first row; None without a row."""
        rows = self.rows(query, *params)
        return next(iter(rows[0].values())) if rows else None

    def clock(self) -> datetime:
        """The database's own clock, which decides."""
        return self.value("select clock_timestamp()")

    def until[T](self, what: str, probe: Callable[[], T | None]) -> T:
        """Looks until `probe` returns something true. Raises StoryFailed when that takes too long."""
        deadline = time.monotonic() + self.patience
        while not (seen := probe()):
            if time.monotonic() > deadline:
                raise StoryFailed(f"{what} did not happen within {self.patience:g} s")
            time.sleep(0.005)
        return seen

    def until_marks_are_drained(self) -> None:
        """Waits until the hook has looked at everybody whose facts changed."""
        self.until(
            "the hook's work (no mark left in private.scenario_marks)",
            lambda: not self.value("select exists (select from private.scenario_marks)"),
        )

    def notifications(self, since: datetime) -> list[Told]:
        """Who was told, at `since` or later by the clock that decided."""
        return [
            Told(full_name=self.people[row["user_id"]].full_name, **row) for row in self.rows(_NOTIFICATIONS, since)
        ]

    def dry_run(self, at: datetime | None, organization: Organization) -> list[dict[str, Any]]:
        """Every person and rule of an organisation with its gate, through the API, page by page."""
        rows: list[dict[str, Any]] = []
        params = {"p_organization_id": organization.id, "p_now": at, "p_after_user": None}
        while page := self._runner.run(self._supabase.rpc("dry_run_scenarios", params, _ROWS)):
            rows += page
            params["p_after_user"] = page[-1]["user_id"]
        return rows

    def explain(self, person: Person, rule_id: UUID, at: datetime) -> dict[str, Any]:
        """One person's row of a rule: the gate and the values it compared."""
        params = {"p_organization_id": person.organization_id, "p_user_id": person.id, "p_now": at}
        rows = self._runner.run(self._supabase.rpc("explain_scenarios", params, _ROWS))
        return next(row for row in rows if row["rule_id"] == str(rule_id))

    def evaluate_at(self, at: datetime) -> RunOutcome:
        """A scheduled evaluation with `at` for its clock, by the engine in this process, through the API."""

        def attempt() -> RunOutcome | None:
            outcome = self._runner.run(self._engine.run_scheduled_evaluation(now=at))
            # A bell that cron rang a moment before it was switched off may still be answered.
            return None if outcome.outcome == "busy" else outcome

        return self.until("the end of another evaluation", attempt)

    def scheduled_run(self, after_run: int | None = None) -> dict[str, Any]:
        """Lets the cron job come every second until a run later than `after_run` is finished; returns its row."""
        query = "select r.* from private.runs r where r.kind = %s and r.id > %s and r.state = 'finished' order by r.id"
        self._reschedule("1 seconds")
        if after_run is not None:
            # The job only asks; how often there is a run, the schedule's row says.
            self._expect("1 second")
        self.stack.set_cron(True)
        try:
            return self.until(
                "the scheduled evaluation (a finished run in private.runs)",
                lambda: next(iter(self.rows(query, _EVALUATION, after_run or 0)), None),
            )
        finally:
            self.stack.set_cron(False)
            self._reschedule("* * * * *")
            self._expect("15 minutes")

    def _reschedule(self, schedule: str) -> None:
        alter = "select cron.alter_job(j.jobid, schedule := %s) from cron.job j where j.jobname = %s"
        self.connection.execute(alter, (schedule, EVALUATION_JOB))

    def _expect(self, interval: str) -> None:
        update = "update private.schedules s set expected_interval = %s::interval where s.name = %s"
        self.connection.execute(update, (interval, _EVALUATION))

    def sign_in(self, person: Person) -> str:
        """Invites a person who has no login yet and signs them in; returns the token their app would hold."""
        login = uuid4()
        email = f"{person.id}@example.org"
        with self.connection.transaction():
            self.connection.execute(
                "insert into public.invitations (organization_id, user_id, email, expires_at)"
                " values (%s, %s, %s, now() + interval '14 days')",
                (person.organization_id, person.id, email),
            )
            self.connection.execute(
                "insert into auth.users (id, aud, role, email, email_confirmed_at, created_at)"
                " values (%s, 'authenticated', 'authenticated', %s, now(), now())",
                (login, email),
            )
        if self.value("select l.user_id from public.user_logins l where l.auth_user_id = %s", login) != person.id:
            raise StoryFailed(f"the first sign-in of {person.full_name} was not linked to the person")
        return self.stack.keys.user_token(str(login))

    def write(self, token: str, method: str, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """A person's own write through the API; returns the rows. Raises StoryFailed when it is refused."""
        headers = {
            "apikey": self.stack.keys.publishable,
            "authorization": f"Bearer {token}",
            "prefer": "return=representation",
        }
        answer = self._http.request(method, f"/rest/v1/{path}", json=body, headers=headers)
        if not answer.is_success or not answer.json():
            raise StoryFailed(f"{method} /rest/v1/{path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def count[T](items: Iterable[T]) -> dict[T, int]:
    """How often each occurs, most frequent first."""
    counted: dict[T, int] = {}
    for item in items:
        counted[item] = counted.get(item, 0) + 1
    return dict(sorted(counted.items(), key=lambda pair: -pair[1]))
