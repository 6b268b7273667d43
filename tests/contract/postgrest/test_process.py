"""The gateway as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from attend.stack.gateway.settings import DEFAULT_SECRET_KEY
from attend.stack.processes import free_port
from tests.support.gateway import wait_until_ready

if TYPE_CHECKING:
    from tests.support.database import Database

pytestmark = pytest.mark.embedded
COMMAND = [sys.executable, "-m", "attend.stack.gateway"]


def environment(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATTEND_GATEWAY_")}
    return {**clean, **settings}


def test_it_is_set_by_its_environment_and_ends_when_told(fixture_database: Database) -> None:
    port = free_port()
    settings = environment(
        ATTEND_GATEWAY_DB_URL=fixture_database.dsn("authenticator"),
        ATTEND_GATEWAY_SCHEMAS="api, reports",
        ATTEND_GATEWAY_PORT=str(port),
        ATTEND_GATEWAY_FUNCTIONS='{"gone": "http://127.0.0.1:1"}',
    )
    process = subprocess.Popen(COMMAND, env=settings)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        answer = httpx.get(f"{url}/rest/v1/many?limit=1", headers={"apikey": DEFAULT_SECRET_KEY})
        assert answer.json() == [{"n": 1, "label": "row 1"}]
        assert httpx.get(f"{url}/functions/v1/gone").status_code == 503
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        assert time.monotonic() - started < 3
    finally:
        process.kill()
        process.wait()


def test_a_missing_setting_is_named() -> None:
    ended = subprocess.run(COMMAND, check=False, env=environment(), capture_output=True, text=True, timeout=30)
    assert ended.returncode == 2
    assert "ATTEND_GATEWAY_DB_URL" in ended.stderr
