"""Who sent this? Standard Webhooks signatures over the raw bytes, and the shared secret of hooks made in the dashboard.

The `standardwebhooks` package computes the signature; everything around it is ours, because the package raises
ValueError on malformed headers, reads the clock itself, has a fixed window, and knows one secret at a time. Here
everything malformed is one `NotVerified`, and the clock is an argument. Source: rules.md §6, platform.md "Keys".
"""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr
from standardwebhooks import Webhook

from shared.errors import NotVerified, SettingInvalid

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
SHARED_SECRET_HEADER = "x-attend-hook-secret"  # noqa: S105 - a header's name

REPLAY_WINDOW = timedelta(minutes=5)

# Without a dot: `id.timestamp.body` must have one reading only.
_ID = re.compile(r"[A-Za-z0-9_:\-]{1,128}")
_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,11}")
_SHORTEST_KEY = 16


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery whose signature fits: `id` is the sender's, the same for every repetition of one delivery."""

    id: str
    sent_at: datetime


def split_secrets(text: str) -> list[str]:
    """The secrets in a setting that may hold several, as they are written there."""
    return [secret for secret in re.split(r"[\s|]+", text) if secret]


def parse_secrets(variable: str, value: SecretStr) -> tuple[Webhook, ...]:
    """Read one or several signing secrets, separated by spaces or `|` (rotation: any of them verifies).

    Each is `whsec_<base64>`, with or without Supabase's `v1,` in front.

    Raises:
        SettingInvalid: none, not base64, or shorter than 16 bytes; names `variable`, repeats no secret.
    """
    texts = split_secrets(value.get_secret_value())
    if not texts:
        raise SettingInvalid(variable, "there is no secret in it")
    return tuple(_parse_secret(variable, text) for text in texts)


def _parse_secret(variable: str, text: str) -> Webhook:
    encoded = text.removeprefix("v1,").removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise SettingInvalid(variable, "a secret is whsec_ and base64") from None
    if len(key) < _SHORTEST_KEY:
        raise SettingInvalid(variable, f"a secret has at least {_SHORTEST_KEY} bytes")
    return Webhook(key)


class WebhookVerifier:
    """Verifies deliveries against any of several secrets. Stateless: replays are recognised by `Delivery.id`."""

    def __init__(self, secrets: Iterable[Webhook], *, window: timedelta = REPLAY_WINDOW) -> None:
        self._secrets = tuple(secrets)
        self._window = window

    def verify(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Delivery:
        """Return the delivery, if one of the signatures fits one of the secrets and its time is within the window.

        `body` is the raw bytes as they came; nothing is parsed before this. The window holds both ways: a time stamp
        of the future would otherwise be a delivery that never grows stale.

        Raises:
            NotVerified: for everything else, whatever is wrong.
        """
        delivery_id = headers.get(ID_HEADER, "")
        timestamp = headers.get(TIMESTAMP_HEADER, "")
        if not _ID.fullmatch(delivery_id):
            raise NotVerified("webhook-id missing or malformed")
        if not _TIMESTAMP.fullmatch(timestamp):
            raise NotVerified("webhook-timestamp missing or malformed")
        if not self._signature_fits(body, delivery_id, int(timestamp), headers.get(SIGNATURE_HEADER, "")):
            raise NotVerified("no signature fits")
        # After the signature, so that only a real sender learns from the log that its clock is wrong.
        if abs(now.timestamp() - int(timestamp)) > self._window.total_seconds():
            raise NotVerified("webhook-timestamp outside the window")
        return Delivery(delivery_id, datetime.fromtimestamp(int(timestamp), UTC))

    def _signature_fits(self, body: bytes, delivery_id: str, timestamp: int, header: str) -> bool:
        try:
            text = body.decode()
            sent_at = datetime.fromtimestamp(timestamp, UTC)
        except (ValueError, OverflowError, OSError):  # not UTF-8, so not JSON; or a year beyond 9999
            return False
        # Proxies may join repeated headers with ", "; the standard joins with a space.
        candidates = [c.encode(errors="replace") for c in re.split(r"\s+", header.replace(", ", " ")) if c]
        fits = False
        for secret in self._secrets:
            expected = secret.sign(delivery_id, sent_at, text).encode()
            for candidate in candidates:
                # Every pair is compared, in constant time: neither which secret nor which signature fits shows.
                fits |= hmac.compare_digest(expected, candidate)
        return fits


def sign(secret: Webhook, body: bytes, *, webhook_id: str, at: datetime) -> dict[str, str]:
    """Return the three headers that sign `body`: for senders in Python, and for tests."""
    timestamp = int(at.timestamp())
    return {
        ID_HEADER: webhook_id,
        TIMESTAMP_HEADER: str(timestamp),
        SIGNATURE_HEADER: secret.sign(webhook_id, datetime.fromtimestamp(timestamp, UTC), body.decode()),
    }


def verify_shared_secret(expected: SecretStr | None, given: str | None) -> None:
    """Check the header of a hook made in the dashboard, which cannot sign.

    Raises:
        NotVerified: no secret is configured, or the header differs. Compared in constant time.
    """
    if expected is None or not expected.get_secret_value():
        raise NotVerified("no shared secret is configured")
    wanted = expected.get_secret_value()
    # A header is bytes, and a server reads each as a character: as Postgres and curl send it, "ø" comes as two.
    as_utf_8 = wanted.encode().decode("latin-1")
    if not _equal(as_utf_8, given) | _equal(wanted, given):
        raise NotVerified("the shared secret differs")


def _equal(wanted: str, given: str | None) -> bool:
    return hmac.compare_digest(wanted.encode(), (given or "").encode(errors="surrogatepass"))
