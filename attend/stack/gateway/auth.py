"""`/auth/v1`: a local identity, which answers as Supabase Auth does for signing in by password.

`POST /token?grant_type=password`, `POST /token?grant_type=refresh_token`, `GET /user`, `POST /logout?scope=…`; the rest
of the service is 501. Only the embedded stack has it: a real project has the real service. Source of status, code and
words: supabase/auth, `internal/api`; the clients' contract is supabase-py, which the tests use.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from attend.stack.gateway.auth_store import AuthStore, Granted, StoreFailed, User
from attend.stack.gateway.errors import ApiError, left_out
from attend.stack.gateway.keys import Authenticator
from attend.stack.gateway.pool import Pool
from attend.stack.gateway.settings import GatewaySettings

_VERSION_HEADER = "X-Supabase-Api-Version"
_VERSION = "2024-01-01"
_SCOPES = ("global", "local", "others")
_ALGORITHM = "HS256"
# Which of a person's columns are told when they have a value; the others always are.
_TOLD_WHEN_SET = (
    *("email_confirmed_at", "invited_at", "phone_confirmed_at", "confirmed_at", "last_sign_in_at", "banned_until"),
)

_log = logging.getLogger(__name__)


class AuthError(Exception):
    """An answer of the service that is no success."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def answer(self, version: str) -> Response:
        """In the shape that a client of that API version reads."""
        headers = {"x-sb-error-code": self.code}
        if version >= _VERSION:
            headers[_VERSION_HEADER] = _VERSION
            return JSONResponse({"code": self.code, "message": self.message}, self.status, headers)
        body = {"code": self.status, "error_code": self.code, "msg": self.message}
        return JSONResponse(body, self.status, headers)


class AuthApi:
    """The service over `settings.auth_db_url`, which logs in as `supabase_auth_admin`."""

    def __init__(self, settings: GatewaySettings, pool: Pool) -> None:
        self._store = AuthStore(pool)
        self._keys = Authenticator(settings)
        self._secret = settings.jwt_secret.get_secret_value()
        self._seconds = settings.access_token_seconds

    async def answer(self, request: Request) -> Response:
        """Any request below `/auth/v1`."""
        version = request.headers.get(_VERSION_HEADER, "")
        try:
            self._check_key(request.headers)
            return await self._dispatch(request)
        except AuthError as error:
            return error.answer(version)
        except StoreFailed as error:
            _log.warning("auth: %s", error)
            return AuthError(500, "unexpected_failure", "Database error querying schema").answer(version)

    async def _dispatch(self, request: Request) -> Response:
        path = request.path_params["path"].strip("/")
        if (request.method, path) == ("POST", "token"):
            return await self._token(request)
        if (request.method, path) == ("GET", "user"):
            user, _, _ = await self._person(request)
            return JSONResponse(_told(user))
        if (request.method, path) == ("POST", "logout"):
            return await self._logout(request)
        raise left_out(f"{request.method} /auth/v1/{path}")

    def _check_key(self, headers: Mapping[str, str]) -> None:
        key = headers.get("apikey")
        if key is None:
            hint = "No `apikey` request header or url param was found."
            raise ApiError(401, "no_api_key", "No API key found in request", hint=hint)
        self._keys.identify({"apikey": key} if key.startswith("sb_") else {"authorization": f"Bearer {key}"})

    async def _token(self, request: Request) -> Response:
        grant = request.query_params.get("grant_type")
        if grant not in {"password", "refresh_token"}:
            raise AuthError(400, "invalid_credentials", "unsupported_grant_type")
        body = await _body(request)
        if grant == "refresh_token":
            if not _text(body, "refresh_token"):
                told = {"error": "invalid_request", "error_description": "refresh_token required"}
                return JSONResponse(told, HTTPStatus.BAD_REQUEST)
            outcome = await self._store.refresh(_text(body, "refresh_token"))
        elif _text(body, "email"):
            outcome = await self._store.sign_in(_text(body, "email"), _text(body, "password"))
        elif _text(body, "phone"):
            raise left_out("signing in by phone")
        else:
            raise AuthError(400, "validation_failed", "missing email or phone")
        if not isinstance(outcome, Granted):
            raise AuthError(400, outcome.code, outcome.message)
        return JSONResponse(self._session(outcome, f"{request.base_url}auth/v1"))

    def _session(self, granted: Granted, issuer: str) -> dict[str, Any]:
        now = int(time.time())
        expires_at = now + self._seconds
        user = granted.user
        claims = {
            "iss": issuer,
            "sub": user["id"],
            "aud": user["aud"],
            "exp": expires_at,
            "iat": now,
            "email": user["email"] or "",
            "phone": user["phone"] or "",
            "app_metadata": user["raw_app_meta_data"] or {},
            "user_metadata": user["raw_user_meta_data"] or {},
            "role": user["role"],
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": str(granted.session),
            "is_anonymous": user["is_anonymous"],
        }
        return {
            "access_token": jwt.encode(claims, self._secret, algorithm=_ALGORITHM),
            "token_type": "bearer",
            "expires_in": self._seconds,
            "expires_at": expires_at,
            "refresh_token": granted.refresh_token,
            "user": _told(user),
        }

    async def _logout(self, request: Request) -> Response:
        scope = request.query_params.get("scope") or "global"
        _, user, session = await self._person(request)
        if scope not in _SCOPES:
            raise AuthError(400, "validation_failed", f'Unsupported logout scope "{scope}"')
        await self._store.sign_out(user, session, scope)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _person(self, request: Request) -> tuple[User, UUID, UUID | None]:
        """Whose token it is, and of which session."""
        claims = self._claims(request.headers.get("authorization", ""))
        try:
            user, session = UUID(claims["sub"]), claims.get("session_id")
            session = UUID(session) if session else None
        except (ValueError, TypeError, AttributeError):
            raise AuthError(403, "bad_jwt", "invalid claim: sub and session_id claims must be UUIDs") from None
        found = await self._store.find(user, session)
        if found is None:
            raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
        if session is not None and not found[1]:
            raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return found[0], user, session

    def _claims(self, authorization: str) -> dict[str, Any]:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise AuthError(401, "no_authorization", "This endpoint requires a Bearer token")
        try:
            # No leeway: the API is more patient with a token that has just expired than the service that issued it.
            claims = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options={"verify_aud": False})
        except jwt.InvalidTokenError as error:
            told = f"invalid JWT: unable to parse or verify signature, {error}"
            raise AuthError(403, "bad_jwt", told) from error
        if not claims.get("sub"):
            raise AuthError(403, "bad_jwt", "invalid claim: missing sub claim")
        return claims


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise AuthError(400, "bad_json", f"Could not parse request body as JSON: {error}") from error
    if not isinstance(body, dict):
        raise AuthError(400, "bad_json", "Could not parse request body as JSON: it is no object")
    return body


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name, "")
    # Postgres has no such character in a text, and nobody's address or password has.
    if not isinstance(value, str) or "\0" in value:
        raise AuthError(400, "bad_json", f"Could not parse request body as JSON: {name} is no text")
    return value


def _told(user: User) -> dict[str, Any]:
    """What the service tells of a person: never the password's hash, nor a token."""
    return {
        "id": user["id"],
        "aud": user["aud"],
        "role": user["role"],
        "email": user["email"] or "",
        "phone": user["phone"] or "",
        **{name: user[name] for name in _TOLD_WHEN_SET if user[name] is not None},
        "app_metadata": user["raw_app_meta_data"] or {},
        "user_metadata": user["raw_user_meta_data"] or {},
        "identities": [],
        "created_at": user["created_at"],
        "updated_at": user["updated_at"],
        "is_anonymous": user["is_anonymous"],
    }
