"""Users, sessions and refresh tokens of the local identity: the tables of schema `auth` are named here alone.

Source of every rule: supabase/auth, `internal/models` and `internal/tokens`.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row

from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.pool import Connection, Pool

# Two tabs that refresh at once, or an answer that was lost on its way, are no theft.
REUSE_SECONDS = 10

type User = dict[str, Any]

# As the service looks for people, so that who signs in here would sign in there.
_BY_PASSWORD = """
select to_jsonb(u), u.banned_until > now(), u.encrypted_password = extensions.crypt($2, u.encrypted_password)
from auth.users u
where lower(u.email) = lower($1) and u.instance_id = '00000000-0000-0000-0000-000000000000'
  and u.aud = 'authenticated' and not u.is_sso_user and u.encrypted_password <> ''
"""
_BEGIN = """
with signed_in as (
  update auth.users set last_sign_in_at = now(), updated_at = now() where id = $1 returning *
), begun as (
  insert into auth.sessions (id, user_id, created_at, updated_at) select $2, u.id, now(), now() from signed_in u
)
select to_jsonb(u) from signed_in u
"""
_GRANT = """
insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, parent, session_id)
values ('00000000-0000-0000-0000-000000000000', $1, $2, false, now(), now(), $3, $4)
"""
# Whoever refreshes holds the session: of two at once, the second sees what the first has done.
_LOCK = """
update auth.sessions s set refreshed_at = now() at time zone 'utc', updated_at = now()
from auth.refresh_tokens r where r.token = $1 and r.session_id = s.id
"""
_BY_TOKEN = """
select to_jsonb(u), u.banned_until > now(), s.id, s.not_after < now(), r.revoked,
  r.updated_at + make_interval(secs => $2) > now(),
  (select a.token from auth.refresh_tokens a where a.session_id = s.id and not a.revoked and a.parent = r.token
    order by a.id desc limit 1)
from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id join auth.users u on u.id = s.user_id
where r.token = $1
"""
_BY_ID = "select to_jsonb(u), exists (select from auth.sessions s where s.id = $2) from auth.users u where u.id = $1"
_ENDED: dict[str, LiteralString] = {
    "local": "delete from auth.sessions where user_id = $1 and id = $2",
    "others": "delete from auth.sessions where user_id = $1 and id <> $2",
}


@dataclass(frozen=True)
class Granted:
    """A session, and the refresh token that continues it."""

    user: User
    session: UUID
    refresh_token: str


@dataclass(frozen=True)
class Refused:
    """Why there is no session: the service's code for it, and its words."""

    code: str
    message: str


_WRONG = Refused("invalid_credentials", "Invalid login credentials")


class StoreFailed(Exception):
    """The database cannot be asked, or has failed."""


class AuthStore:
    """Asks the database as `supabase_auth_admin`. Raises StoreFailed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sign_in(self, email: str, password: str) -> Granted | Refused:
        """Begins a session."""
        async with self._transaction() as connection:
            row = await _one(connection, _BY_PASSWORD, email, password)
            if row is None:
                return _WRONG
            user, banned, matches = row
            if banned:
                return Refused("user_banned", "User is banned")
            if not matches:
                return _WRONG
            if user["email_confirmed_at"] is None:
                return Refused("email_not_confirmed", "Email not confirmed")
            session = UUID(bytes=secrets.token_bytes(16), version=4)
            row = await _one(connection, _BEGIN, user["id"], session)
            return await _granted(connection, row[0] if row else user, session, None)

    async def refresh(self, token: str) -> Granted | Refused:
        """Continues a session with a new refresh token; one that was used before ends it, unless a moment ago."""
        async with self._transaction() as connection:
            await connection.execute(_LOCK, (token,))
            row = await _one(connection, _BY_TOKEN, token, REUSE_SECONDS)
            if row is None:
                return Refused("refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
            user, banned, session, over, revoked, just_now, successor = row
            if banned:
                return Refused("user_banned", "Invalid Refresh Token: User Banned")
            if over:
                return Refused("session_expired", "Invalid Refresh Token: Session Expired")
            if revoked and successor is not None:
                return Granted(user, session, successor)
            if revoked and not just_now:
                await connection.execute(
                    "update auth.refresh_tokens set revoked = true where session_id = $1", (session,)
                )
                return Refused("refresh_token_already_used", "Invalid Refresh Token: Already Used")
            revoke = (
                "update auth.refresh_tokens set revoked = true, updated_at = now() where token = $1 and not revoked"
            )
            await connection.execute(revoke, (token,))
            return await _granted(connection, user, session, token)

    async def find(self, user: UUID, session: UUID | None) -> tuple[User, bool] | None:
        """A person, and whether their session goes on."""
        async with self._transaction() as connection:
            row = await _one(connection, _BY_ID, user, session)
            return None if row is None else (row[0], row[1])

    async def sign_out(self, user: UUID, session: UUID | None, scope: str) -> None:
        """Ends sessions: this one (`local`), all but this one (`others`), or all (`global`, or without a session)."""
        async with self._transaction() as connection:
            if session is None or scope == "global":
                await connection.execute("delete from auth.sessions where user_id = $1", (user,))
            else:
                await connection.execute(_ENDED[scope], (user, session))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except (ApiError, psycopg.Error) as error:
            raise StoreFailed(str(error)) from error


async def _granted(connection: Connection, user: User, session: UUID, parent: str | None) -> Granted:
    token = secrets.token_urlsafe(16)
    await connection.execute(_GRANT, (token, user["id"], parent, session))
    return Granted(user, session, token)


async def _one(connection: Connection, query: LiteralString, *values: object) -> tuple[Any, ...] | None:
    async with connection.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchone()
