"""Puts secrets into Vault through its two functions; a second secret of one name is an error there (23505)."""

from __future__ import annotations

from typing import Any

import psycopg

FUNCTIONS_URL = "attend_functions_url"
WEBHOOK_SECRET = "attend_webhook_secret"
_DESCRIPTIONS = {
    FUNCTIONS_URL: "Base URL of Attend's functions, as the database reaches them",
    WEBHOOK_SECRET: "Signs what the database sends to Attend's functions (Standard Webhooks)",
}


def upsert(connection: psycopg.Connection[Any], name: str, value: str) -> bool:
    """Creates or updates the secret `name`; True when that changed anything. `connection` is `postgres`."""
    row = connection.execute("select id, decrypted_secret from vault.decrypted_secrets where name = %s", (name,))
    found = row.fetchone()
    if found is None:
        connection.execute("select vault.create_secret(%s, %s, %s)", (value, name, _DESCRIPTIONS.get(name, "")))
        return True
    identity, current = tuple(found.values()) if isinstance(found, dict) else found
    if current == value:
        return False
    connection.execute("select vault.update_secret(%s, %s)", (identity, value))
    return True
