"""The engine's settings. See `shared.settings` for how they are read."""

import re
from functools import cached_property
from typing import Literal

from pydantic import Field, SecretStr
from standardwebhooks import Webhook

from shared.settings import SupabaseSettings
from shared.webhooks import parse_secrets


class EngineSettings(SupabaseSettings):
    """Every name is an environment variable in capitals; docs/deploy.md lists them for users."""

    attend_webhook_secret: SecretStr
    """`whsec_<base64>`; several, separated by spaces, while a secret is rotated."""

    attend_hook_shared_secret: SecretStr | None = Field(default=None, min_length=16)
    """Expected in `x-attend-hook-secret` of hooks made in the dashboard; without it they are refused."""

    attend_time_budget_seconds: float = Field(default=50.0, ge=0, le=3_000)
    """Long work stops after this, and the next tick goes on. Below the platform's own request time-out."""

    attend_chunk_size: int = Field(default=2_000, ge=1, le=50_000)
    """People in one transaction: locks are held, and other instances wait, for one chunk at most."""

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
        return [*values, *re.split(r"[\s|]+", self.attend_webhook_secret.get_secret_value())]
