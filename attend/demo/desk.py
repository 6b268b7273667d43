"""The desk from which the demo works: what it asks of the running stack, through the API where people would use it.

Writes of people go through `/rest/v1` with their own token; the engine is asked with the secret key; the ledger, the
queue and the schedule are read where an operator would read them, in SQL.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import psycopg
from psycopg.rows import DictRow, dict_row
from pydantic import TypeAdapter

from attend.demo.model import DemoData, Organization, Person
from attend.demo.report import Refused, Told
from attend.outbox.answers import Push
from attend.outbox.store import OutboxStore, Which
from attend.stack import Stack
from functions.push_notification_dispatcher.engine import DispatchPace, PushDispatcher
from functions.push_notification_dispatcher.providers.protocol import Provider
from functions.push_notification_dispatcher.sending import Providers
from functions.push_notification_dispatcher.store import OutboxStore as DispatcherStore
from functions.push_notification_dispatcher.store import RetryPolicy
from functions.scenario_trigger_engine.engine import ScenarioTriggerEngine
from functions.scenario_trigger_engine.store import ScenarioStore
from shared import errors
from shared.events import Bell
from shared.runs import Pace, RunOutcome
from shared.settings import SupabaseSettings
from shared.supabase_client import Supabase

TICK_JOB = "attend-scenario-tick"
EVALUATION_JOB = "attend-scenario-evaluation"
_EVALUATION = "scenario-evaluation"
_ANY: TypeAdapter[Any] = TypeAdapter(Any)
_BELL = Bell(type="BELL", schema="public", table="activities")
_RING = """
select private.post_signed('statistics-recompute', jsonb_build_object(
  'type', 'BELL', 'schema', 'public', 'table', 'activities', 'bell_id', private.new_bell_id()))
"""
_NOTIFICATIONS = """
select n.id, n.organization_id, n.user_id, n.rule_id, n.scenario, n.subject, n.crossed_at, n.triggered_at, n.release_on,
  o.state::text as push
from public.notifications n
left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id
order by n.triggered_at, n.crossed_at, n.user_id, n.subject
"""
_MARKED = """
select exists (select from private.scenario_marks)
  or exists (select from private.rule_clocks c where c.evaluated_until = '-infinity')
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

    def until_all_is_looked_at(self) -> None:
        """Waits until the hooks have looked at everybody whose facts changed, and whom a new rule concerns."""
        self.until("the hook's work (no mark left, no rule that is new)", lambda: not self.value(_MARKED))

    def until_statistics_are_computed(self) -> None:
        """Waits for the other function. No decision needs it: whose figures are stale is looked up in activities."""
        marked = "select exists (select from private.statistics_marks)"
        self.until("the statistics' work (no mark left)", lambda: not self.value(marked))

    def notifications(self) -> list[Told]:
        """Everything anybody was told so far, in the order of the clock that decided."""
        return [Told(full_name=self.people[row["user_id"]].full_name, **row) for row in self.rows(_NOTIFICATIONS)]

    def call(self, name: str, **params: object) -> Any:
        """An RPC with the secret key. Raises shared.errors.DatabaseError."""
        return self._runner.run(self._supabase.rpc(name, params, _ANY, repeatable=False))

    def refusal(self, name: str, **params: object) -> Refused:
        """What an RPC says that must be refused. Raises StoryFailed when it is not."""
        try:
            self.call(name, **params)
        except errors.Refused as error:
            return Refused(code=error.code, details=dict(error.details))  # type: ignore[call-overload]  # JSON of ours
        raise StoryFailed(f"{name} accepted what it must refuse")

    def dry_run(self, at: datetime, organization: Organization) -> list[dict[str, Any]]:
        """Every person, rule and subject of an organisation with its gate, through the API, page by page."""
        rows: list[dict[str, Any]] = []
        after = None
        while page := self.call("dry_run_scenarios", p_organization_id=organization.id, p_at=at, p_after_user=after):
            rows += page
            after = page[-1]["user_id"]
        return rows

    def explain(self, person: Person, scenario: str, at: datetime) -> dict[str, Any]:
        """Why a person is told something of a scenario, or is not."""
        params = {"p_organization_id": person.organization_id, "p_user_id": person.id}
        return self.call("explain_scenarios", **params, p_scenario=scenario, p_at=at)

    @contextmanager
    def without_bells(self) -> Iterator[None]:
        """Every bell rung meanwhile is lost, as in a crash right after the commit."""
        self.stack.drop_bells(True)
        try:
            yield
            empty = "select not exists (select from net.http_request_queue)"
            self.until("the loss of the bells", lambda: self.value(empty))
        finally:
            self.stack.drop_bells(False)

    @contextmanager
    def cron(self, job: str) -> Iterator[None]:
        """Lets this one cron job come every second."""
        schedule = "select cron.alter_job(j.jobid, schedule := %s) from cron.job j where j.jobname = %s"
        switch = "select cron.alter_job(j.jobid, active := %s) from cron.job j where j.jobname <> %s"
        self.rows(schedule, "1 seconds", job)
        self.rows(switch, False, job)
        self.stack.set_cron(True)
        try:
            yield
        finally:
            self.stack.set_cron(False)
            self.rows(schedule, "* * * * *", job)
            self.rows(switch, True, job)

    def scheduled_run(self) -> dict[str, Any]:
        """Lets cron ring for the daily evaluation until it is finished; returns its row of the run ledger."""
        query = "select r.* from private.runs r where r.kind = %s and r.state = 'finished' order by r.id desc limit 1"
        with self.cron(EVALUATION_JOB):
            what = "the daily evaluation (a finished run in private.runs)"
            return self.until(what, lambda: next(iter(self.rows(query, _EVALUATION)), None))

    def tick_at(self, at: datetime) -> int:
        """A tick with `at` for its clock, and what the function does then; returns how many people were due."""
        with self.without_bells():
            due: dict[str, int] = self.value("select private.tick_scenarios(%s)", at)
        # The bell would have the served function look with the clock of today: here it is rung by hand.
        self._runner.run(self._engine.handle_database_event(_BELL, now=at))
        return due["people"]

    def ring_by_hand(self) -> None:
        """What a lost bell would have done."""
        self._runner.run(self._engine.handle_database_event(_BELL))
        self.rows(_RING)

    def dispatch(self, phones: Provider, at: datetime | None) -> None:
        """Everything that is due goes to `phones`, by the dispatcher in this process, with `at` for its clock."""
        pace = DispatchPace(50, 200, 50, 60, monotonic=time.monotonic, stopping=lambda: False)
        # As its own provider it gets everything, whatever service the devices are registered with.
        providers = Providers({phones.name: lambda: phones}, always=phones.name)
        dispatcher = PushDispatcher(DispatcherStore(self._supabase, RetryPolicy(8, 30, 3600)), providers, pace)
        self._runner.run(dispatcher.dispatch(now=at))

    def pushes(self, organization: Organization) -> list[Push]:
        """What `attend outbox list` shows of an organisation, newest first."""

        async def ask() -> list[Push]:
            store = OutboxStore(self._supabase)
            return [push async for page in store.pushes(Which(organization.id), None) for push in page]

        return self._runner.run(ask())

    def local(self, at: datetime) -> str:
        """An instant on the wall clock of the demo's organisation."""
        zone = self.data.organization.time_zone
        return self.value("select to_char(%s::timestamptz at time zone %s, 'FMDay DD Mon HH24:MI')", at, zone)

    def evaluate_at(self, at: datetime) -> RunOutcome:
        """The daily evaluation with `at` for its clock, by the engine in this process, through the API."""

        def attempt() -> RunOutcome | None:
            outcome = self._runner.run(self._engine.run_scheduled_evaluation(now=at))
            # A bell that cron rang a moment before it was switched off may still be answered.
            return None if outcome.outcome == "busy" else outcome

        return self.until("the end of another evaluation", attempt)

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

    def write(self, token: str, method: str, path: str, body: object) -> list[dict[str, Any]]:
        """A person's own write through the API; returns the rows. Raises StoryFailed when it is refused."""
        answer = self.request(token, method, path, body)
        if not answer.is_success or not answer.json():
            raise StoryFailed(f"{method} /rest/v1/{path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def read(self, token: str, path: str) -> list[dict[str, Any]]:
        """What a person reads through the API. Raises StoryFailed when it is refused."""
        answer = self.request(token, "GET", path)
        if not answer.is_success:
            raise StoryFailed(f"GET /rest/v1/{path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer.json()

    def request(self, token: str, method: str, path: str, body: object = None) -> httpx.Response:
        """A person's own request to the API, whatever comes of it."""
        headers = {
            "apikey": self.stack.keys.publishable,
            "authorization": f"Bearer {token}",
            "prefer": "return=representation",
        }
        return self._http.request(method, f"/rest/v1/{path}", json=body, headers=headers)


def count[T](items: Iterable[T]) -> dict[T, int]:
    """How often each occurs, most frequent first."""
    counted: dict[T, int] = {}
    for item in items:
        counted[item] = counted.get(item, 0) + 1
    return dict(sorted(counted.items(), key=lambda pair: -pair[1]))
