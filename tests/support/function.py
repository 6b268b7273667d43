"""A client of a served function that signs what it sends."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from shared.webhooks import parse_secrets, sign

WEBHOOK_SECRET = "whsec_dGhpcyBpcyBhIHNlY3JldCBvZiAzMiBieXRlcyE="
SHARED_SECRET = "a shared secret of the dashboard"


def is_error(response: httpx.Response, status: int, code: str) -> None:
    """Assert that it is an error of ours, in the one shape that all of them have."""
    assert response.status_code == status, response.text
    assert set(response.json()) == {"code", "message", "details", "hint"}
    assert response.json()["code"] == code
    assert response.headers["content-type"] == "application/json"


@dataclass
class Function:
    """Sends events to a function over HTTP."""

    http: httpx.AsyncClient
    secret: str = WEBHOOK_SECRET

    def headers(self, body: bytes, *, webhook_id: str | None = None, late: timedelta = timedelta()) -> dict[str, str]:
        (secret,) = parse_secrets("the test's secret", SecretStr(self.secret))
        signature = sign(secret, body, webhook_id=webhook_id or f"m_{uuid.uuid4().hex}", at=datetime.now(UTC) - late)
        return {"content-type": "application/json", **signature}

    async def send(self, body: bytes, **options: Any) -> httpx.Response:
        """POST a signed event."""
        return await self.http.post("/", content=body, headers=self.headers(body, **options))
