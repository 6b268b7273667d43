"""One organisation in one transaction: written row by row, asked, decided, and read back for the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg import sql

from tests.support.database import Database
from tests.support.engine_world import Activity, Answer, Certificate, Person, Rule, Told, World

NAMESPACE = UUID("6f1d5a0e-0000-4000-8000-000000000000")

type Gates = dict[tuple[UUID, str], tuple[Any, ...]]
"""By person and subject: gate, when it crossed, when the gate ends, when it is released, what it is told with."""


def named(name: str) -> UUID:
    """The same id for the same name, always: what follows from an id is the same in every run."""
    return uuid5(NAMESPACE, name)


@dataclass
class Scene:
    """An organisation whose clock is whatever the caller says it is."""

    connection: psycopg.Connection[Any]
    id: UUID = field(default_factory=lambda: named("organisation"))

    @classmethod
    @contextmanager
    def set(cls, database: Database, time_zone: str, **settings: str | None) -> Iterator[Scene]:
        """A transaction with an empty organisation in it; nothing of it stays. Settings are JSON."""
        with database.connect(autocommit=False) as connection:
            scene = cls(connection)
            since = datetime(2000, 1, 1, tzinfo=UTC)
            scene.insert("public.organizations", id=scene.id, name="Test", time_zone=time_zone, created_at=since)
            for key, value in settings.items():
                if value is not None:
                    scene.insert("public.org_settings_kv", key=key, value=value)
            try:
                yield scene
            finally:
                connection.rollback()

    def rows(self, query: str, *arguments: Any) -> list[dict[str, Any]]:
        return self.connection.execute(query.encode(), arguments).fetchall()

    def run(self, statement: str, *arguments: Any) -> int:
        return self.connection.execute(statement.encode(), arguments).rowcount

    def call(self, function: str, *arguments: Any) -> Any:
        places = ", ".join(["%s"] * len(arguments))
        return self.rows(f"select {function}({places}) as answer", *arguments)[0]["answer"]

    def insert(self, table: str, **columns: Any) -> None:
        if table != "public.organizations":
            columns["organization_id"] = self.id
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        places = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
        target = sql.SQL(".").join(map(sql.Identifier, table.split(".")))
        statement = sql.SQL("insert into {} ({}) values ({})").format(target, names, places)
        self.connection.execute(statement, list(columns.values()))

    def update(self, table: str, row: UUID, **columns: Any) -> None:
        changes = ", ".join(f"{name} = %s" for name in columns)
        self.run(
            f"update {table} set {changes} where organization_id = %s and id = %s", *columns.values(), self.id, row
        )

    def person(self, name: str, joined_at: datetime, **columns: Any) -> UUID:
        values = {"role": "peer_mentor", "created_at": joined_at, **columns}
        self.insert("public.users", id=named(name), full_name=name, joined_at=joined_at, **values)
        return named(name)

    def activity(self, name: str, user_id: UUID, at: datetime, contacts: Sequence[UUID] = (), **columns: Any) -> UUID:
        values = {"activity_type_id": "home-visit", "duration_minutes": 30, "recorded_at": at, **columns}
        self.insert("public.activities", id=named(name), user_id=user_id, occurred_at=at, **values)
        for contact in contacts:
            known = "insert into public.contacts (organization_id, id) values (%s, %s) on conflict do nothing"
            self.run(known, self.id, contact)
            self.insert("public.activity_contacts", activity_id=named(name), contact_id=contact)
        return named(name)

    def prefer(self, user_id: UUID, scenario: str, channel: str, is_enabled: bool) -> None:
        self.run(
            "insert into public.notification_preferences values (%s, %s, %s, %s, %s)"
            " on conflict (organization_id, user_id, scenario, channel) do update set is_enabled = excluded.is_enabled",
            *(self.id, user_id, scenario, channel, is_enabled),
        )

    def stamp(self, now: datetime) -> None:
        """Whatever this transaction has written down as done now, was done at `now`."""
        for column in _STAMPED:
            table, name = column.rsplit(".", 1)
            self.run(f"update {table} set {name} = %s where {name} = now()", now)

    def decide(self, now: datetime, user_ids: Sequence[UUID] | None = None) -> dict[str, dict[str, int]]:
        """Evaluates these people, or everybody, with all effects."""
        return self.call("private.decide", self.id, None, None, user_ids and list(user_ids), now)

    def sweep(self, now: datetime, chunk: int = 2) -> int:
        """The daily evaluation of everybody; the run."""
        run = self.call("public.start_run", "scenario-evaluation", self.id, now)["run_id"]
        while not self.call("public.evaluate_chunk", run, self.id, chunk)["done"]:
            pass
        return run

    def findings(self, run: int) -> list[dict[str, Any]]:
        """Whom a run told although the ticks did not know of them."""
        return self.rows("select user_id, scenario, subject from private.sweep_findings where run_id = %s", run)

    def tick(self, now: datetime, changed_only: bool = False) -> None:
        self.call("private.tick_scenarios", now, changed_only)

    def drain(self, now: datetime, limit: int = 1000) -> None:
        """Drains until no mark is left."""
        while self.call("public.drain_scenario_marks", limit, now)["more"]:
            pass

    def tick_and_drain(self, now: datetime) -> None:
        """Evaluates whoever is due or marked, with all effects."""
        self.tick(now)
        self.drain(now)

    def marked(self) -> list[UUID]:
        return [row["user_id"] for row in self.rows("select distinct user_id from private.scenario_marks")]

    def deliver(self, now: datetime) -> None:
        """What a dispatcher would have sent by now."""
        self.run(
            "update private.outbox set state = 'sent' where state in ('pending', 'deferred') and release_at <= %s", now
        )

    def gates(self, now: datetime, as_of: datetime | None = None) -> Gates:
        """The dry-run of everybody."""
        rows = self.rows(
            "select * from private.scenario_gates(%s, null, null, null, private.rules_of(%s, %s), %s, %s)",
            *(self.id, self.id, as_of, now, as_of),
        )
        found = {
            (r["user_id"], r["subject"]): (
                *(r["gate"], r["crossed_at"], r["eligible_again_at"], r["release_at"], r["detail"].get("told_with")),
            )
            for r in rows
        }
        assert len(found) == len(rows), "two answers about one subject"
        return found

    def world(self) -> World:
        """Everything the decisions follow from, as it stands."""
        organization = self.rows("select time_zone from public.organizations where id = %s", self.id)[0]
        settings = {r["key"]: r["value"] for r in self._own("public.org_settings_kv")}
        quiet = settings.get("quiet_hours")
        hashes = self.rows(
            "select u.id as user_id, r.id as rule_id, hashtextextended(u.id::text || r.id::text, 0) as hash"
            " from public.users u join public.scenario_rules r on r.organization_id = u.organization_id"
            " where u.organization_id = %s and r.activation = 'spread'",
            self.id,
        )
        hash_of = {(r["user_id"], r["rule_id"]): r["hash"] for r in hashes}
        activities = self.rows(
            "select a.*, coalesce((select array_agg(c.contact_id) from public.activity_contacts c"
            " where c.organization_id = a.organization_id and c.activity_id = a.id), '{}') as contacts"
            " from public.activities a where a.organization_id = %s and a.status = 'completed'",
            self.id,
        )
        certificates = self.rows(
            "select *, revoked_at is null and replaced_by is null as is_valid from public.certificates"
            " where organization_id = %s",
            self.id,
        )
        return World(
            time_zone=organization["time_zone"],
            daily_cap=settings.get("notification_daily_cap"),
            quiet=(time.fromisoformat(quiet["from"]), time.fromisoformat(quiet["to"])) if quiet else None,
            spread_hash=lambda user_id, rule_id: hash_of[user_id, rule_id],
            people=_objects(Person, self._own("public.users")),
            rules=_objects(Rule, self.rows(_RULES, self.id)),
            activities=_objects(Activity, [{**a, "contacts": frozenset(a["contacts"])} for a in activities]),
            certificates=_objects(Certificate, certificates),
            switched_off={
                (r["user_id"], r["scenario"], r["channel"])
                for r in self._own("public.notification_preferences")
                if not r["is_enabled"]
            },
            coordinators={(r["user_id"], r["coordinator_id"]) for r in self._own("public.user_coordinators")},
            told=_objects(Told, self.rows(_TOLD, self.id)),
            cooldowns={(r["user_id"], r["subject"]): r["last_triggered_at"] for r in self._own("private.cooldowns")},
            achievements={
                (r["user_id"], r["subject"]): (r["crossed_at"], r["outcome"]) for r in self._own("public.achievements")
            },
        )

    def _own(self, table: str) -> list[dict[str, Any]]:
        return self.rows(f"select * from {table} where organization_id = %s", self.id)


def gates_of(answers: list[Answer]) -> Gates:
    """The oracle's answers in the form of the database's."""
    return {(a.user_id, a.subject): (a.gate, a.crossed_at, a.ends_at, a.release_at, a.told_with) for a in answers}


def differences(expected: dict[Any, Any], found: dict[Any, Any]) -> list[str]:
    """Where two answers differ, in words."""
    return [
        f"{key}: {found.get(key)} instead of {expected.get(key)}"
        for key in {**expected, **found}
        if expected.get(key) != found.get(key)
    ]


def effects(world: World) -> dict[Any, Any]:
    """Whom an organisation has told what, and what it has recorded."""
    told = {
        ("told", t.user_id, t.subject, t.triggered_at): (t.crossed_at, t.release_on, t.push, t.is_retracted)
        for t in world.told
    }
    cooled = {("cooldown", *key): at for key, at in world.cooldowns.items()}
    return told | cooled | {("achievement", *key): value for key, value in world.achievements.items()}


_STAMPED = (
    "private.user_history.valid_to",
    "private.preference_history.valid_to",
    "private.certificate_history.valid_to",
    "public.scenario_rule_versions.valid_from",
    "public.scenario_rule_versions.valid_to",
    "public.notifications.retracted_at",
)
# Python has no -infinity.
_RULES = """
select r.id, r.type, r.is_enabled, r.version, r.priority, r.threshold_days, r.cooldown_days, r.max_reminders,
  r.metric, r.period, r.thresholds, r.max_age_days, r.lead_days, r.activation, r.spread_days, r.is_mandatory,
  r.informs_coordinators, nullif(r.effective_from, '-infinity') as effective_from
from public.scenario_rules r where r.organization_id = %s
"""
_TOLD = """
select n.*, (n.context ->> 'period_start')::timestamptz as period_start, o.state::text as push,
  coalesce(n.read_at, n.dismissed_at) is not null as is_read, n.retracted_at is not null as is_retracted
from public.notifications n
left join private.outbox o on o.organization_id = n.organization_id and o.notification_id = n.id
where n.organization_id = %s
"""


def _objects[T](kind: type[T], rows: list[dict[str, Any]]) -> list[T]:
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    return [kind(**{name: row[name] for name in names}) for row in rows]
