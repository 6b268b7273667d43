"""FCM as the fault tests need it: it counts, and it can be out of order."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from tests.support.fcm_server import UNAVAILABLE, FcmServer
from tests.support.http_server import RESET_AT_ONCE, Asked, Reply, json_reply


class Phones(FcmServer):
    """FCM that counts by collapse key, each message with the time at which it was answered.

    While `is_down`, messages are refused or their connection is reset, in turns.
    """

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.keys_of: dict[str, set[str]] = defaultdict(set)
        self.is_down = False
        self._refused = 0
        super().__init__()

    def forget(self) -> None:
        """As if nothing had been sent yet."""
        self.taken.clear()
        self.keys_of.clear()

    def _token(self, request: Asked) -> Reply:  # noqa: ARG002 - FcmServer's
        # Not looked at: the service's clock is the one that everybody else's is stepped with, and ours is not.
        token = f"ya29.{time.monotonic_ns()}"
        self.valid_tokens.add(token)
        return json_reply(200, {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"})

    def _send(self, message: dict[str, Any]) -> Reply:
        if self.is_down:
            self._refused += 1
            return RESET_AT_ONCE if self._refused % 2 else UNAVAILABLE.reply
        reply = super()._send(message)
        key = message["android"]["collapse_key"]
        self.taken[key].append(time.monotonic())
        self.keys_of[message["token"]].add(key)
        # The bodies of ten thousand requests are not needed, and take room.
        self.requests.clear()
        return reply.but(delay=0.02)
