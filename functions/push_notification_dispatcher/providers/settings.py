"""The settings of the push providers. Each provider says which it cannot do without, when it is first needed.

So a project that has Expo devices alone sets nothing for FCM, and a service account that is broken stops nobody else's
messages.
"""

import re
from typing import Annotated

import httpx
from pydantic import AfterValidator, Field, SecretStr

from shared.settings import HttpUrl, Settings

_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})


def credentials_may_go_to(url: str) -> bool:
    """Whether the address is https, or on this machine (a stand-in of the provider)."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return bool(parts.host) and (parts.scheme == "https" or parts.host in _THIS_MACHINE)


def _guarded(url: str) -> str:
    if not credentials_may_go_to(url):
        raise ValueError("an https URL is expected: credentials do not travel in the clear")
    return url


ProviderUrl = Annotated[HttpUrl, AfterValidator(_guarded)]


class ProviderSettings(Settings):
    """What providers are set by. Names are environment variables in capitals; docs/push-providers.md lists them."""

    attend_push_fcm_service_account: SecretStr | None = None
    """The service account's JSON key, or the path of a file that holds it. Needed for FCM."""

    attend_push_fcm_url: ProviderUrl = "https://fcm.googleapis.com"

    attend_push_expo_access_token: SecretStr | None = None
    """Needed for projects with "enhanced security for push notifications" only."""

    attend_push_expo_url: ProviderUrl = "https://exp.host"

    attend_push_expo_per_second: int = Field(default=600, ge=1, le=100_000)
    """Messages a second that one instance sends. Expo takes 600 of a project: divide it by the instances you run."""

    attend_push_connections: int = Field(default=50, ge=1, le=1_000)
    """Requests under way at once, for each provider of one instance."""

    attend_push_timeout_seconds: float = Field(default=10.0, gt=0, le=120)
    """How long one answer may take, from connecting to its last byte. Well below the lease of a claim."""

    attend_push_max_answer_bytes: int = Field(default=1_048_576, ge=1_024, le=16_777_216)
    """Of a longer answer the rest is not read, and it counts as none."""

    def secret_values(self) -> list[str]:
        """Return every secret as text, for the log's redaction and nothing else."""
        given = (self.attend_push_fcm_service_account, self.attend_push_expo_access_token)
        values = [secret.get_secret_value() for secret in given if secret is not None]
        # A line of a PEM by itself is a secret, too, and a JSON text holds its line ends as two characters.
        return [*values, *(line for value in values for line in re.split(r"\s|\\n|\"", value) if len(line) >= 40)]
