"""People with phones, and pushes that wait for them, made as senders outside make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from tests.support.database import Database


@dataclass
class Outbox:
    """An organisation whose people are told things. Times are the database's own."""

    database: Database
    time_zone: str = "UTC"
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        self.database.execute(
            "insert into public.organizations (id, name, time_zone) values (%s, 'Norra', %s)", (self.id, self.time_zone)
        )

    def setting(self, key: str, value: object) -> None:
        self.database.execute(
            "insert into public.org_settings_kv values (%s, %s, %s)"
            " on conflict (organization_id, key) do update set value = excluded.value",
            (self.id, key, Jsonb(value)),
        )

    def people(self, count: int, devices: int = 1, provider: str = "fcm") -> list[UUID]:
        """So many people, each with so many devices; tokens are <person>-<device number>."""
        people = self.database.rows(
            "insert into public.users (organization_id, full_name, role, joined_at)"
            " select %s, 'Person ' || n, 'peer_mentor', now() - interval '90 days' from generate_series(1, %s) n"
            " returning id",
            (self.id, count),
        )
        self.database.execute(
            "insert into public.devices (organization_id, user_id, provider, platform, token)"
            " select u.organization_id, u.id, %(provider)s, 'android', case %(provider)s"
            "   when 'expo' then format('ExponentPushToken[%%s-%%s]', u.id, n) else u.id || '-' || n end"
            " from public.users u, generate_series(1, %(devices)s) n where u.id = any (%(ids)s)",
            {"provider": provider, "devices": devices, "ids": [p["id"] for p in people]},
        )
        return [person["id"] for person in people]

    def push(self, *people: UUID, scenario: str = "inactivity", **context: object) -> list[UUID]:
        """Tell them something, a push each; returns the ids of the pushes in the order of the people."""
        context = context or {"days": 21}
        self.database.execute(
            "select public.enqueue_notification(p, %s, %s, gen_random_uuid()::text) from unnest(%s::uuid[]) p",
            (scenario, Jsonb(context), list(people)),
        )
        found = self.database.rows(
            "select distinct on (o.user_id) o.user_id, o.id from private.outbox o"
            " where o.organization_id = %s and o.user_id = any (%s) order by o.user_id, o.created_at desc",
            (self.id, list(people)),
        )
        ids = {row["user_id"]: row["id"] for row in found}
        return [ids[person] for person in people if person in ids]

    def states(self) -> dict[str, int]:
        """How many pushes are in which state; skipped ones with their reason."""
        rows = self.database.rows(
            "select concat_ws(' ', o.state, o.skipped_reason) as state, count(*) as n from private.outbox o"
            " where o.organization_id = %s group by 1",
            (self.id,),
        )
        return {row["state"]: row["n"] for row in rows}

    def row(self, push: UUID) -> dict[str, Any]:
        """One push, whole, as an operator sees it."""
        return self.database.value("select public.show_outbox(%s)", (push,))

    def hurry(self, seconds: int = 86_000) -> None:
        """Let so much time pass for whatever waits: leases end, retries are due."""
        self.database.execute(
            "update private.outbox o set next_attempt_at = o.next_attempt_at - make_interval(secs => %s)"
            " where o.organization_id = %s and o.state in ('claimed', 'failed', 'deferred', 'pending')",
            (seconds, self.id),
        )

    def remove(self) -> None:
        """Erase the organisation, and with it everything of this test."""
        self.database.execute("delete from public.organizations where id = %s", (self.id,))
