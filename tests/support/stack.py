"""The stack tests talk to: the embedded one, or the addresses and keys of one that runs already."""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from attend.stack import Stack
from attend.stack.keys import Keys
from tests.support.database import exposes_new_tables


class GivenStack:
    """A real stack, by the names `supabase status -o env` prints. Its processes cannot be killed or configured."""

    def __init__(self) -> None:
        self.api_url = os.environ.get("API_URL", "http://127.0.0.1:54321")
        self.db_url = os.environ.get("DB_URL", "postgresql://postgres:postgres@127.0.0.1:54322/postgres")
        defaults = Keys()
        self.keys = Keys(
            os.environ.get("PUBLISHABLE_KEY", defaults.publishable),
            os.environ.get("SECRET_KEY", defaults.secret),
            os.environ.get("JWT_SECRET", defaults.jwt_secret),
        )

    def dsn(self, role: str = "postgres", dbname: str = "postgres") -> str:
        """Login as any role of the platform."""
        parts = urlsplit(self.db_url)
        address = f"{role}:{parts.password}@{parts.hostname}:{parts.port or 5432}"
        return urlunsplit(("postgresql", address, f"/{dbname}", parts.query, ""))


def embedded_stack(**options: object) -> Stack:
    """A temporary embedded stack in the suite's default-privilege mode, not started."""
    return Stack(expose_new_tables=exposes_new_tables(), **options)  # type: ignore[arg-type]
