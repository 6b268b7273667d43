"""A collapse key in the form that each push service takes, and the same one at every attempt."""

import base64
import hashlib
import re

# APNs: 64 bytes at most, in a header. Web Push (RFC 8030, 5.4): 32 characters of the URL-safe base64 alphabet.
_COLLAPSE_ID = re.compile(r"[\x21-\x7e]{1,64}")
_TOPIC = re.compile(r"[A-Za-z0-9_\-]{1,32}")


def collapse_id(key: str) -> str:
    """The key itself where APNs takes it, else 32 characters that stand for it."""
    return key if _COLLAPSE_ID.fullmatch(key) else _digest(key)


def topic(key: str) -> str:
    """The key itself where Web Push takes it, else 32 characters that stand for it."""
    return key if _TOPIC.fullmatch(key) else _digest(key)


def _digest(key: str) -> str:
    # 24 bytes are 32 characters without padding, and no two keys will ever share them.
    return base64.urlsafe_b64encode(hashlib.sha256(key.encode("utf-8", "replace")).digest()[:24]).decode()
