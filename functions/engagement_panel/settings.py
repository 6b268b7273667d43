"""The settings of the engagement panel. No secret is among them: all that is here is told to every browser."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, TypeAdapter

from shared.errors import SettingMissing
from shared.settings import ProjectUrl, PublicKey, Settings

_CLAIMS = TypeAdapter(dict[str, Any])


def _publishable(value: str) -> str:
    """Refuse what must never be in a page: a secret key is one mistake in a form away from the right one."""
    role = _claims(value).get("role", "anon")
    # Anywhere in it: with a quote or a space from some file in front it is no key, and as secret.
    if "sb_secret_" in value or role != "anon":
        raise ValueError("this key is secret, and everybody who opens the page would have it")
    return value


def _claims(value: str) -> dict[str, Any]:
    """The claims of a key of the older kind (a JWT); none of one that is not."""
    payload = f"{value}..".split(".")[1]
    try:
        return _CLAIMS.validate_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError):
        return {}


PublishableKey = Annotated[PublicKey, AfterValidator(_publishable)]


class PanelSettings(Settings):
    """Where browsers find the project, and the key that everybody has; docs/deploy.md lists them for users."""

    supabase_url: ProjectUrl
    """As browsers reach it: the page is told."""

    supabase_publishable_key: PublishableKey | None = None
    supabase_anon_key: PublishableKey | None = None

    attend_log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def key(self) -> str:
        """The key to use; the newer kind wins.

        Raises:
            SettingMissing: neither is set.
        """
        key = self.supabase_publishable_key or self.supabase_anon_key
        if key is None:
            raise SettingMissing("SUPABASE_PUBLISHABLE_KEY", hint="SUPABASE_ANON_KEY is accepted in its place.")
        return key
