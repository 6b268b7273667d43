"""The base of every function's settings: explicit beats environment beats default, frozen, secrets are `SecretStr`.

Environment names are the field names in capitals, without aliases: with an alias, pydantic-settings lets the
environment win over an explicit argument given by field name.
"""

import re
from functools import cached_property
from typing import Annotated, Literal, Self

import httpx
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from standardwebhooks import Webhook

from shared.errors import SettingInvalid, SettingMissing
from shared.http import LONGEST_BODY
from shared.webhooks import parse_secrets, split_secrets


def _http_url(value: str) -> str:
    # What is let through here and refused by a client later is a traceback there, without the variable's name.
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL:
        url = httpx.URL()
    labels = url.raw_host.removesuffix(b".").split(b".")
    if (
        url.scheme not in {"http", "https"}
        or not all(0 < len(label) < 64 for label in labels)
        or not (url.port is None or 0 < url.port < 65_536)
        or any(c.isspace() or c == "\\" for c in value)
    ):
        raise ValueError("an http or https URL is expected")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("a URL without a password, a query or a fragment is expected")
    return value.rstrip("/")


def _base_url(value: str) -> str:
    if value.endswith("/rest/v1"):
        raise ValueError("the project's base URL is expected, without /rest/v1")
    return value


def _header_value[Value: (str, SecretStr)](key: Value) -> Value:
    # A line's end that came with it from a file, most of all: no header can have it, and no answer would say why.
    if not re.fullmatch(r"[\x21-\x7e]+", key.get_secret_value() if isinstance(key, SecretStr) else key):
        raise ValueError("a key has neither blanks nor line breaks, and ASCII characters alone")
    return key


def _stripped(value: object) -> object:
    # No header keeps the blanks and line breaks around a value, so with them it would never be equal.
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return (text.strip() or None) if isinstance(text, str) else value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
ProjectUrl = Annotated[HttpUrl, AfterValidator(_base_url)]
ApiKey = Annotated[SecretStr, AfterValidator(_header_value)]
PublicKey = Annotated[str, AfterValidator(_header_value)]


class Settings(BaseSettings):
    """Base class. Use `load()`, which names the variable that is missing or unusable and repeats no value."""

    # An empty variable counts as missing: containers and CI set names without values.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    @classmethod
    def load(cls, **explicit: object) -> Self:
        """Read the settings.

        Raises:
            SettingMissing: a required variable has no value.
            SettingInvalid: a value does not fit; the value itself is not repeated, it may be a secret.
        """
        try:
            return cls.model_validate(explicit)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            variable = str(first["loc"][0]).upper() if first["loc"] else cls.__name__
            if first["type"] == "missing":
                raise SettingMissing(variable) from None
            raise SettingInvalid(variable, first["msg"].removeprefix("Value error, ")) from None


class SupabaseSettings(Settings):
    """Where the project is, and how to speak to it.

    SUPABASE_URL is the project's base URL (without /rest/v1). The key is SUPABASE_SECRET_KEY (`sb_secret_…`) or, on
    projects that still have the older ones, SUPABASE_SERVICE_ROLE_KEY (a JWT).
    """

    supabase_url: ProjectUrl
    supabase_secret_key: ApiKey | None = None
    supabase_service_role_key: ApiKey | None = None

    attend_max_concurrent_rpcs: int = Field(default=4, ge=1, le=64)
    """Concurrent calls of one instance: PostgREST's pool is shared with the app, whose people wait for it."""

    attend_rpc_timeout_seconds: float = Field(default=60.0, gt=0, le=600)
    """How long one answer may take. Longer than any statement time-out on the way, so that the database says why."""

    @property
    def key(self) -> SecretStr:
        """The key to use; the newer kind wins.

        Raises:
            SettingMissing: neither is set.
        """
        key = self.supabase_secret_key or self.supabase_service_role_key
        if key is None:
            raise SettingMissing("SUPABASE_SECRET_KEY", hint="SUPABASE_SERVICE_ROLE_KEY is accepted in its place.")
        return key

    @property
    def token(self) -> SecretStr | None:
        """Access token of the person on whose behalf is asked; none: the key speaks for itself."""
        return None


class FunctionSettings(SupabaseSettings):
    """What every function is set by. Names are environment variables in capitals; docs/deploy.md lists them."""

    attend_webhook_secret: SecretStr
    """`whsec_<base64>`; several, separated by spaces, while a secret is rotated."""

    attend_hook_shared_secret: Annotated[
        Annotated[SecretStr, Field(min_length=16)] | None, BeforeValidator(_stripped)
    ] = None
    """Expected in `x-attend-hook-secret` of hooks made in the dashboard; without it they are refused."""

    attend_time_budget_seconds: float = Field(default=50.0, ge=0, le=3_000)
    """Long work stops after this, and the next tick goes on. Below the platform's own request time-out."""

    attend_lease_seconds: int = Field(default=60, ge=5, le=3_600)
    """How long a run whose holder died waits for the next one. Longer than a chunk may take."""

    attend_max_body_bytes: int = Field(default=262_144, ge=1_024, le=LONGEST_BODY)
    attend_log_level: Literal["debug", "info", "warning", "error"] = "info"

    @cached_property
    def webhook_secrets(self) -> tuple[Webhook, ...]:
        """The signing secrets, ready to verify.

        Raises:
            SettingInvalid: ATTEND_WEBHOOK_SECRET is not `whsec_<base64>`.
        """
        return parse_secrets("ATTEND_WEBHOOK_SECRET", self.attend_webhook_secret)

    def secret_values(self) -> list[str]:
        """Return every secret as text, for the log's redaction and nothing else."""
        optional = (self.supabase_secret_key, self.supabase_service_role_key, self.attend_hook_shared_secret)
        values = [secret.get_secret_value() for secret in optional if secret is not None]
        return [*values, *split_secrets(self.attend_webhook_secret.get_secret_value())]
