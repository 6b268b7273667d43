"""Logins for the local identity, made as the auth service makes them when it is asked by an administrator."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import psycopg
import psycopg.rows

# Complete: the real service cannot read a row whose tokens are null, and looks for nobody of another instance.
_CREATE = """
insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
  created_at, updated_at, confirmation_token, recovery_token, email_change_token_new, email_change
) values (
  '00000000-0000-0000-0000-000000000000', %(id)s, 'authenticated', 'authenticated', lower(%(email)s),
  extensions.crypt(%(password)s, extensions.gen_salt('bf', 10)), now(),
  '{"provider": "email", "providers": ["email"]}', '{}', now(), now(), '', '', '', ''
)
on conflict (email) where is_sso_user = false do update
  set encrypted_password = excluded.encrypted_password, updated_at = now()
returning id
"""


def create(connection: psycopg.Connection[Any], email: str, password: str) -> UUID:
    """Somebody who may sign in; one who is there already gets this password. `connection` is of `postgres`."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        row = cursor.execute(_CREATE, {"id": uuid4(), "email": email, "password": password}).fetchone()
    if row is None:
        raise LookupError(f"auth.users gave no row for {email}")
    return row[0]
