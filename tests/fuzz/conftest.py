"""Every function as a process, over a database in which there is work to do, and the gateway before them.

In `make test` few examples, and always the same: what is found by chance there would fail somebody else's change.
`make fuzz` makes many and new ones (ATTEND_FUZZ_EXAMPLES says how many); what it finds becomes an `@example`.
"""

from __future__ import annotations

import base64
import hmac
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.database import Database
from tests.support.every_function import PACKAGES, Subject
from tests.support.function import SHARED_SECRET, WEBHOOK_SECRET
from tests.support.gateway import running_gateway
from tests.support.people import World, empty
from tests.support.served import Process, api_of, starting

SHORT = 15
EXAMPLES = int(os.environ.get("ATTEND_FUZZ_EXAMPLES") or SHORT)
FUZZING = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == SHORT,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@dataclass
class Front:
    """The functions, each by its own address and below the gateway's; and what their work leaves behind."""

    url: str
    database: Database
    processes: dict[str, Process]
    secrets: tuple[str, ...]

    def state(self) -> list[Any]:
        """Everything that a function may write, but for what it notes of its own answers."""
        names = self.database.rows(
            "select c.oid::regclass::text as name from pg_class c where c.relkind = 'r' and c.relnamespace in"
            " ('public'::regnamespace, 'private'::regnamespace) order by 1"
        )
        return [
            (
                name["name"],
                self.database.value(
                    f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name['name']} t"
                ),
            )
            for name in names
        ]

    def said(self) -> str:
        """All that the processes wrote."""
        return "\n".join(process.log.read_text() for process in self.processes.values())


@pytest.fixture(scope="module")
def front(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with api_of(database) as api, ExitStack() as stack:
        processes: dict[str, Process] = {}
        for package in PACKAGES:
            start = stack.enter_context(starting(package, api, tmp_path_factory.mktemp(package)))
            processes[package] = start(ATTEND_HOOK_SHARED_SECRET=SHARED_SECRET)
        addresses = {Subject(package).name: process.url for package, process in processes.items()}
        with running_gateway(database.dsn("authenticator"), functions=addresses) as url:
            yield Front(url, database, processes, (api.key, WEBHOOK_SECRET, SHARED_SECRET))


@pytest.fixture
def world(front: Front) -> World:
    """An organisation with rows everywhere, and marks that wait."""
    empty(front.database)
    return World(front.database)


def proof(body: bytes, *, webhook_id: str | None = None, at: int | None = None) -> dict[str, str]:
    """The headers that prove a body, whatever bytes it is; `shared.webhooks.sign` signs text alone."""
    name, when = webhook_id or f"m_{uuid.uuid4().hex}", str(int(time.time()) if at is None else at)
    key = base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{name}.{when}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": name, "webhook-timestamp": when, "webhook-signature": signature}
