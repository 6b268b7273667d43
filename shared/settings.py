"""The base of every function's settings: explicit beats environment beats default, frozen, secrets are `SecretStr`.

Environment names are the field names in capitals, without aliases: with an alias, pydantic-settings lets the
environment win over an explicit argument given by field name.
"""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SettingInvalid, SettingMissing


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")) or any(c.isspace() for c in value):
        raise ValueError("an http or https URL is expected")
    return value.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_http_url)]


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
    supabase_secret_key: SecretStr | None = None
    supabase_service_role_key: SecretStr | None = None

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
