"""Who asks: API keys and tokens to a role and its claims.

Rules (platform contract, "Keys" and item 9 of "PostgREST 16"): `sb_…` keys are no JWTs and travel in `apikey`;
an `Authorization` that begins `Bearer sb_` is dropped; without a Bearer the request is anonymous; times carry
30 s of skew; a key id nobody knows and a fractional `exp` are 401.
"""

import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jwt

from attend.stack.gateway.errors import ApiError
from attend.stack.gateway.settings import GatewaySettings

SKEW_SECONDS = 30
_ALGORITHMS = ["HS256", "HS384", "HS512"]
# `supabase start` puts the legacy keys in the place of the new ones, so that SQL sees these claims.
_KEY_CLAIMS = {"iss": "supabase-demo", "exp": 1983812996}


@dataclass(frozen=True)
class Identity:
    """The database role of a request, and its claims as JSON text for `request.jwt.claims`."""

    role: str
    claims: str

    @property
    def anonymous(self) -> bool:
        return self.role == "anon"


def _identity(claims: Mapping[str, Any]) -> Identity:
    given = claims.get("role", "anon")
    role = given if isinstance(given, str) else json.dumps(given)
    return Identity(role, json.dumps({**claims, "role": role}, separators=(",", ":"), ensure_ascii=False))


NOBODY = _identity({})


class Authenticator:
    """Maps the headers of a request to an Identity; raises ApiError 401."""

    def __init__(self, settings: GatewaySettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._keys = {
            settings.publishable_key.get_secret_value(): _identity({**_KEY_CLAIMS, "role": "anon"}),
            settings.secret_key.get_secret_value(): _identity({**_KEY_CLAIMS, "role": "service_role"}),
        }
        secret = settings.jwt_secret.get_secret_value()
        # Verifying a signature is the only costly part and does not depend on the time.
        self._verified = lru_cache(maxsize=256)(lambda token: verify_signature(token, secret))

    def identify(self, headers: Mapping[str, str]) -> Identity:
        """`headers` has lower-case names."""
        by_key = self._by_key(headers.get("apikey"))
        authorization = headers.get("authorization", "")
        if authorization[:10].lower() != "bearer sb_":
            scheme, _, token = authorization.partition(" ")
            if scheme.lower() == "bearer":
                return self._by_token(token.strip())
            if authorization:
                return NOBODY
        return by_key or NOBODY

    def _by_key(self, key: str | None) -> Identity | None:
        if key is None or not key.startswith("sb_"):
            return None
        for known, identity in self._keys.items():
            if hmac.compare_digest(known.encode(), key.encode()):
                return identity
        # As the hosted gateway; `supabase start` would go on as anon and hide a mistyped key.
        raise ApiError(401, "invalid_api_key", "Invalid API key", hint="Check the publishable or secret key.")

    def _by_token(self, token: str) -> Identity:
        claims = self._verified(token)
        check_times(claims, self._clock())
        return _identity(claims)


def verify_signature(token: str, secret: str) -> dict[str, Any]:
    """The claims of a JWT signed with `secret`; ApiError 401 PGRST301 (PGRST303 when they are no object)."""
    parts = token.count(".") + 1
    if not token:
        raise _refused("PGRST301", "Empty JWT is sent in Authorization header")
    if parts != 3:
        raise _refused("PGRST301", f"Expected 3 parts in JWT; got {parts}")
    no_key = _refused("PGRST301", "No suitable key or wrong key type", "None of the keys was able to decode the JWT")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError as error:
        raise _refused("PGRST301", "JWT cryptographic operation failed") from error
    if header.get("kid") is not None or header.get("alg") not in _ALGORITHMS:
        raise no_key
    try:
        payload = jwt.api_jws.decode(token, secret, algorithms=_ALGORITHMS)
    except jwt.InvalidTokenError as error:
        raise no_key from error
    try:
        claims = json.loads(payload)
    except ValueError as error:
        raise _refused("PGRST303", "Parsing claims failed") from error
    if not isinstance(claims, dict):
        raise _refused("PGRST303", "Parsing claims failed")
    return claims


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """`exp`, `nbf`, `iat` against `now` (seconds since the epoch); ApiError 401 PGRST303."""
    for name in ("exp", "nbf", "iat"):
        value = claims.get(name)
        if value is not None and (isinstance(value, bool) or not _is_whole(value)):
            raise _refused("PGRST303", f"The JWT '{name}' claim must be a number")
    if claims.get("exp") is not None and int(now) - SKEW_SECONDS > claims["exp"]:
        raise _refused("PGRST303", "JWT expired")
    if claims.get("nbf") is not None and int(now) + SKEW_SECONDS < claims["nbf"]:
        raise _refused("PGRST303", "JWT not yet valid")
    if claims.get("iat") is not None and int(now) + SKEW_SECONDS < claims["iat"]:
        raise _refused("PGRST303", "JWT issued at future")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _refused(code: str, message: str, details: str | None = None) -> ApiError:
    challenge = f'Bearer error="invalid_token", error_description="{message}"'
    return ApiError(401, code, message, details, headers={"WWW-Authenticate": challenge})
