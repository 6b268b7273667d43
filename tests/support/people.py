"""Two organisations in which every table has rows of somebody who will ask: a user, a member and a contact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from random import randrange
from typing import Any
from uuid import UUID, uuid4

import psycopg

from tests.support.database import Database

# The three who ask, and what alone would say who they are.
NAMES = {"user": "Kari Nordmann", "member": "Mina O'Shea-Åsen", "contact": "Cato Lie", "student": "Siri Skole"}
ADDRESS, SECOND_ADDRESS, TELEPHONE, SECRET = (
    "kari@home.test",
    "k.nordmann@work.test",
    "4791234567",
    "token-of-kari-0123456789",
)
DEVICE_TOKEN = "device-of-kari:" + "A" * 120
WORLD = Path(__file__).with_suffix(".sql").read_text()
IDS = """
organization user admin mentor login admin_login contact other_contact activity proxied rule certificate member
other_member family other_family group class case other_case notification push device
"""


def new_ids() -> dict[str, str]:
    return {name: str(uuid4()) for name in IDS.split()} | {"student": str(randrange(10**6, 10**9))}


# What does not go with an organisation.
WITHOUT_REFERENCE = (
    *("private.scenario_marks", "private.statistics_marks", "private.care_marks"),
    *("private.statistics_drift", "private.sweep_findings"),
)


@dataclass
class World:
    """An organisation with rows of everybody in every table. `ids` by name, each a text."""

    database: Database
    names: dict[str, str] = field(default_factory=lambda: dict(NAMES))
    address: str = ADDRESS
    second_address: str = SECOND_ADDRESS
    telephone: str = TELEPHONE
    secret: str = SECRET
    device_token: str = DEVICE_TOKEN
    ids: dict[str, str] = field(default_factory=new_ids)

    def __post_init__(self) -> None:
        values: dict[str, Any] = self.ids | {"student": int(self.ids["student"])}
        values |= {f"{kind}_name": name for kind, name in self.names.items()}
        values |= {
            "address": self.address,
            "second_address": self.second_address,
            "telephone": self.telephone,
            "secret": self.secret,
            "device_token": self.device_token,
        }
        with self.database.connect() as connection:
            psycopg.ClientCursor(connection).execute(WORLD.encode(), values)
        self.recount()

    def recount(self) -> None:
        """Every statistics row of the organisation as its activities have it."""
        self.database.execute(
            "select private.recompute_statistics(%s, array_agg(u.id), array_agg(null::date), now())"
            " from public.users u where u.organization_id = %s",
            (self.organization, self.organization),
        )

    @property
    def organization(self) -> UUID:
        return UUID(self.ids["organization"])

    def _found_by(self) -> tuple[str, ...]:
        return self.address, self.second_address, self.telephone, self.secret, self.device_token

    def secrets_of(self, kind: str) -> list[str]:
        """What must be nowhere once that person is erased."""
        return [
            self.names[kind],
            *(self._found_by() if kind == "user" else ()),
        ]

    def erase(self, kind: str, *, rehearse: bool = False) -> dict[str, Any]:
        return self.database.value(
            "select public.erase_person(%s, %s, %s, %s)", (self.organization, kind, self.ids[kind], rehearse)
        )

    def export(self, kind: str) -> dict[str, Any]:
        return self.database.value("select public.export_person(%s, %s, %s)", (self.organization, kind, self.ids[kind]))


def empty(database: Database) -> None:
    """Nobody is there any more."""
    for table in ("public.organizations", "auth.users", *WITHOUT_REFERENCE):
        database.execute(f"delete from {table}")


def neighbours_of(world: World) -> World:
    """Another organisation, with other people in the same places."""
    return World(
        world.database,
        names={"user": "Kari Hansen", "member": "Mona Moe", "contact": "Carl Carlsen", "student": "Siri Seim"},
        address="kari@neighbours.test",
        second_address="hansen@neighbours.test",
        telephone="4790000000",
        secret="token-of-another",
        device_token="another-device-of-somebody-elses:" + "B" * 100,
    )
