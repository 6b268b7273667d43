"""The keys of a local stack: those every `supabase start` has by default, and the names `supabase status` prints."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

import jwt

# Published defaults of the Supabase CLI; everybody's local stack has them, so they protect nothing.
PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"
JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
_EXPIRES = 1983812996


def legacy_key(role: str, jwt_secret: str = JWT_SECRET) -> str:
    """The deprecated JWT for `anon` or `service_role`."""
    claims = {"iss": "supabase-demo", "role": role, "exp": _EXPIRES}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")


@dataclass(frozen=True)
class Keys:
    """What clients authenticate with."""

    publishable: str = PUBLISHABLE_KEY
    secret: str = SECRET_KEY
    jwt_secret: str = JWT_SECRET

    @property
    def anon(self) -> str:
        """Legacy JWT of role anon."""
        return legacy_key("anon", self.jwt_secret)

    @property
    def service_role(self) -> str:
        """Legacy JWT of role service_role."""
        return legacy_key("service_role", self.jwt_secret)

    def user_token(self, auth_user_id: str, **claims: object) -> str:
        """A signed-in person's token, as the auth service would issue it."""
        payload = {"sub": auth_user_id, "role": "authenticated", "aud": "authenticated", "exp": _EXPIRES, **claims}
        return jwt.encode(payload, self.jwt_secret, algorithm="HS256")


def webhook_secret(directory: Path) -> str:
    """The signing secret of a stack, `whsec_<base64 of 32 bytes>`; made once, readable by its owner only."""
    file = directory / "webhook-secret"
    if not file.exists() or not file.read_text().strip():
        # Empty: a crash or a full disk came between making and writing it.
        file.touch(mode=0o600)
        file.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    return file.read_text().strip()


def status_values(api_url: str, db_url: str, keys: Keys) -> dict[str, str]:
    """What `supabase status -o env` prints, as far as the embedded stack has it."""
    return {
        "API_URL": api_url,
        "REST_URL": f"{api_url}/rest/v1",
        "FUNCTIONS_URL": f"{api_url}/functions/v1",
        "DB_URL": db_url,
        "PUBLISHABLE_KEY": keys.publishable,
        "SECRET_KEY": keys.secret,
        "JWT_SECRET": keys.jwt_secret,
        "ANON_KEY": keys.anon,
        "SERVICE_ROLE_KEY": keys.service_role,
    }
