"""Two organisations and the API over them: a login for each role of ours, and what must never be seen of theirs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from attend.stack.keys import Keys
from tests.support.api_surface import Routine
from tests.support.database import Database
from tests.support.people import World

ROLES = ("peer_mentor", "coordinator", "servant", "manager", "admin")
ACTORS = ("anon", "stranger", *ROLES, "service_role")
UUID_PATTERN = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

# What gets a function past the checks of arguments that are no ids; anything else is made from the type.
ARGUMENTS: dict[str, Any] = {
    "p_scenario": "inactivity",
    "p_scenario_type": "inactivity",
    "p_subject": "x",
    "p_email": "somebody@new.test",
    "p_role": "peer_mentor",
    "p_period_type": "year",
    "p_activation": "all",
    "p_kind": "home_visit",
    "p_outcome": "reached",
    "p_status": "closed",
    "p_rehearse": False,
    "p_limit": 10,
    "p_threshold_days": 21,
    "p_lead_time_days": 30,
    "p_milestone_type": "sessions",
    "p_added": 0,
    "p_removed": 0,
    "p_tolerance": 1000,
    "p_rule": {"type": "inactivity", "name": "of another", "is_enabled": False},
}
ARGUMENTS_OF: dict[str, dict[str, Any]] = {"export_person": {"p_kind": "user"}, "erase_person": {"p_kind": "user"}}
BY_TYPE: dict[str, Any] = {
    "text": "x",
    "integer": 1,
    "bigint": 1,
    "boolean": False,
    "jsonb": {},
    "date": "2026-01-01",
    "timestamp with time zone": "2026-01-01T00:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


@dataclass
class Ground:
    """Two organisations, ours with a login for each role, and the API over them."""

    database: Database
    url: str
    keys: Keys
    ours: World
    theirs: World
    logins: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for role in ROLES:
            login = str(uuid4())
            user = self.database.value(
                "insert into public.users (organization_id, full_name, role) values (%s, %s, %s::public.user_role)"
                " returning id",
                (self.ours.organization, f"Our {role}", role),
            )
            self.database.execute("insert into auth.users (id) values (%s)", (login,))
            self.database.execute(
                "insert into public.user_logins (auth_user_id, organization_id, user_id) values (%s, %s, %s)",
                (login, self.ours.organization, user),
            )
            self.logins[role] = login
        self.logins["stranger"] = str(uuid4())
        self.database.execute("insert into auth.users (id) values (%s)", (self.logins["stranger"],))
        self.database.execute(
            "update public.organizations set name = 'Their very own name' where id = %s", (self.theirs.organization,)
        )
        self.secrets = self._secrets()

    def headers(self, actor: str) -> dict[str, str]:
        """What says who asks."""
        key = self.keys.secret if actor == "service_role" else self.keys.publishable
        headers = {"apikey": key}
        if actor in self.logins:
            headers["authorization"] = f"Bearer {self.keys.user_token(self.logins[actor])}"
        return headers

    def client(self, actor: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=self.headers(actor), timeout=60)

    def _tables(self) -> list[dict[str, Any]]:
        return self.database.rows(
            "select a.attrelid::regclass::text as name, a.attname as whose from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname in ('public', 'private') and a.attnum > 0"
            " and (a.attname = 'organization_id' or c.relname = 'organizations' and a.attname = 'id')"
        )

    def _rows_of(self, world: World) -> str:
        texts = [
            self.database.value(
                f"select coalesce(string_agg(t::text, '\n' order by t::text), '') from {table['name']} t"
                f" where t.{table['whose']} = %s",
                (world.organization,),
            )
            for table in self._tables()
        ]
        return "\n".join(texts)

    def _secrets(self) -> set[str]:
        """What stands in the rows of theirs alone: ids, names, notes, addresses."""
        theirs, ours = self._rows_of(self.theirs), self._rows_of(self.ours)
        named = {*self.theirs.names.values(), self.theirs.address, self.theirs.second_address, "Their very own name"}
        found = set(UUID_PATTERN.findall(theirs)) | {self.theirs.ids["student"]} | named
        assert len(found) > 80
        return {secret for secret in found if secret not in ours}

    def print(self) -> list[Any]:
        """Their rows, and every login: what must be as it was."""
        return [self._rows_of(self.theirs), self.database.rows("select id, email from auth.users order by id")]

    def leaked(self, sent: str, answer: httpx.Response) -> set[str]:
        """What of theirs an answer has that the question had not."""
        return {secret for secret in self.secrets if secret in answer.text and secret not in sent}


def arguments_of(routine: Routine) -> dict[str, Any]:
    """What gets a call past the checks of arguments that are no ids of theirs."""
    own = ARGUMENTS_OF.get(routine.name, {})
    named = {name: type_ for name, type_ in routine.arguments.items() if name in routine.required}
    return {name: ARGUMENTS.get(name, BY_TYPE.get(type_)) for name, type_ in named.items()} | own
