"""Where the path outside the database is measured: the whole stack, real processes, signed calls."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from pydantic import SecretStr

from attend.bench import population
from attend.bench.measure import say
from attend.stack import Stack, installation
from shared.webhooks import parse_secrets, sign

ENGINE = "scenario-trigger-engine"
BELL = {"type": "BELL", "schema": "public", "table": "activities"}
RUN = {"type": "SCHEDULE", "schedule": "scenario-evaluation"}


class Whole:
    """A running stack with a superuser's connection to its database, and signed calls to its engine."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.admin = self.connect(installation.SUPERUSER)
        self.url = f"{stack.functions_url}/{ENGINE}"
        (self._secret,) = parse_secrets("the stack's secret", SecretStr(stack.webhook_secret))

    def connect(self, role: str = "postgres") -> psycopg.Connection[Any]:
        """A new autocommit connection."""
        connection = psycopg.connect(self.stack.dsn(role), autocommit=True)
        connection.execute("set statement_timeout = 0")
        return connection

    def load(self, people: int) -> int:
        """Fills the database anew; returns how many are due."""
        population.load(self.admin, people)
        return population.due(self.admin)

    def value(self, query: str, *params: object) -> Any:
        """The first column of the first row, as superuser."""
        return population.first(self.admin, query, *params)

    def signed(self, event: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a call that is accepted once."""
        bell_id = f"bell_{uuid.uuid4().hex}"
        body = json.dumps(event | {"bell_id": bell_id}).encode()
        headers = sign(self._secret, body, webhook_id=bell_id, at=datetime.now(UTC))
        return body, {"content-type": "application/json", **headers}

    def call(self, event: dict[str, str], client: httpx.Client | None = None) -> dict[str, Any]:
        """Calls the engine through the gateway, as pg_net does, and waits for the answer."""
        body, headers = self.signed(event)
        post = client.post if client else httpx.post
        answer = post(self.url, content=body, headers=headers, timeout=600)
        answer.raise_for_status()
        return answer.json()

    def megabytes(self, function: str = ENGINE) -> float:
        """Resident memory of a function's worker; the server's own process, which only forks, does not count."""
        server = self.stack.pid(function)
        return max(resident_megabytes(pid) for pid in _children(server) or [server])


@contextmanager
def whole(*, cron: bool = False) -> Iterator[Whole]:
    """A whole stack with cron off, unless it is wanted, gone afterwards."""
    say("starting a stack")
    # The time budget is the platform's business, not the engine's speed: a slow machine must still finish its run.
    # And what a killed process had in hand is taken over within the run that is measured.
    environment = {"ATTEND_TIME_BUDGET_SECONDS": "600", "ATTEND_LEASE_SECONDS": "5"}
    with Stack(cron=cron, environment=environment) as stack:
        place = Whole(stack)
        try:
            yield place
        finally:
            place.admin.close()


def _children(pid: int) -> list[int]:
    """Of all threads of a process, where the kernel tells."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in listed for child in children.read_text().split()]


def resident_megabytes(pid: int | str = "self") -> float:
    """Resident memory of a process; without one, of this."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def wait_for(condition: Any, seconds: float, pause: float = 0.005) -> bool:
    """Polls `condition` for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
