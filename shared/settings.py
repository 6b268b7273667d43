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
from shared.webhooks import parse_secrets, split_secrets

_WORD = re.compile(r"[\x21-\x7e]+")


def _http_url(value: str) -> str:
    # Whatever is taken here and fails in a client later would be an error that names no variable.
    try:
        parts = httpx.URL(value)
    except httpx.InvalidURL:
        raise ValueError("an http or https URL is expected") from None
    if not value.startswith(("http://", "https://")) or not parts.host or any(c.isspace() for c in value):
        raise ValueError("an http or https URL is expected")
    if "?" in value or "#" in value:
        raise ValueError("paths are put behind it, so it has no query")
    return value.rstrip("/")


def _stripped(value: object) -> object:
    # A file that a secret is kept in ends with a line break, and a header cannot hold one; blank is as good as empty.
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return (text.strip() or None) if isinstance(text, str) else value


def _one_word[Value: SecretStr | str | None](value: Value) -> Value:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if text is not None and not _WORD.fullmatch(text):
        raise ValueError("a key is one word of printable ASCII")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
ApiKey = Annotated[SecretStr | None, BeforeValidator(_stripped), AfterValidator(_one_word)]
PublicKey = Annotated[str | None, BeforeValidator(_stripped), AfterValidator(_one_word)]


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
            raise SettingInvalid(variable, first["msg"]) from None


class SupabaseSettings(Settings):
    """Where the project is, and how to speak to it.

    SUPABASE_URL is the project's base URL (without /rest/v1). The key is SUPABASE_SECRET_KEY (`sb_secret_…`) or, on
    projects that still have the older ones, SUPABASE_SERVICE_ROLE_KEY (a JWT).
    """

    supabase_url: HttpUrl
    supabase_secret_key: ApiKey = None
    supabase_service_role_key: ApiKey = None

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

    attend_max_body_bytes: int = Field(default=262_144, ge=1_024, le=16_777_216)
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
