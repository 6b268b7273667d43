"""Settings of the gateway, read from `ATTEND_GATEWAY_*` by its own process or given by the caller."""

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEFAULT_JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"
DEFAULT_PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
DEFAULT_SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"


class GatewaySettings(BaseSettings):
    """What the gateway needs to know. Defaults are those of `supabase start`.

    `db_url` logs in as `authenticator`, `auth_db_url` as `supabase_auth_admin` (None: `/auth/v1` is 501).
    `access_token_seconds` is how long an access token lasts. `functions` maps a function's name to the base URL of its
    process (in the environment: a JSON object). Times are in seconds.
    """

    model_config = SettingsConfigDict(env_prefix="ATTEND_GATEWAY_", frozen=True)

    db_url: SecretStr
    auth_db_url: SecretStr | None = None
    access_token_seconds: int = Field(default=3600, ge=1)
    schemas: Annotated[tuple[str, ...], NoDecode] = ("public", "graphql_public", "mgmt")
    extra_search_path: Annotated[tuple[str, ...], NoDecode] = ("public", "extensions")
    max_rows: int | None = Field(default=1000, ge=1)
    jwt_secret: SecretStr = SecretStr(DEFAULT_JWT_SECRET)
    publishable_key: SecretStr = SecretStr(DEFAULT_PUBLISHABLE_KEY)
    secret_key: SecretStr = SecretStr(DEFAULT_SECRET_KEY)
    functions: dict[str, str] = Field(default_factory=dict[str, str])
    host: str = "127.0.0.1"
    port: int = 54321
    pool_size: int = Field(default=10, ge=1)
    pool_acquire_seconds: float = 10.0
    function_seconds: float = 150.0

    @field_validator("schemas", "extra_search_path", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value
