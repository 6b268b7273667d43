"""FCM's HTTP v1 API and Google's token endpoint on this machine, behaving as their documentation says.

Every answer names the page it is from and the day that page was read. What the pages do not show (the order of details,
other wording) is not relied on by any test.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.http_server import Asked, HttpServer, Reply, json_reply

PROJECT = "attend-test"
CLIENT_EMAIL = f"push@{PROJECT}.iam.gserviceaccount.com"
SEND = f"/v1/projects/{PROJECT}/messages:send"
TOKEN = "/token"
AUDIENCE = "https://oauth2.googleapis.com/token"

_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"


@dataclass(frozen=True)
class Documented:
    """An answer, the page that documents it, and when that was read."""

    page: str
    read: str
    reply: Reply


def _error(page: str, http: int, status: str, message: str, *details: dict[str, Any], **headers: str) -> Documented:
    error = {"code": http, "message": message, "status": status, "details": list(details)}
    return Documented(page, "2026-11-21", json_reply(http, {"error": error}, **headers))


_CODES = "https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode"
_EXAMPLES = "https://firebase.google.com/docs/cloud-messaging/error-codes"
_SCALE = "https://firebase.google.com/docs/cloud-messaging/scale-fcm"
_TOKENS = "https://developers.google.com/identity/protocols/oauth2/service-account"


def _code(name: str) -> dict[str, Any]:
    return {"@type": _FCM_ERROR, "errorCode": name}


def _field(name: str, said: str) -> dict[str, Any]:
    return {"@type": _BAD_REQUEST, "fieldViolations": [{"field": name, "description": said}]}


# The first two are the page's own examples, word for word.
INVALID_VALUE = _error(
    _EXAMPLES,
    400,
    "INVALID_ARGUMENT",
    "Invalid value at 'message.data[0].value' (TYPE_STRING), 12",
    _field("message.data[0].value", "Invalid value at 'message.data[0].value' (TYPE_STRING), 12"),
)
INVALID_TOKEN = _error(
    _EXAMPLES,
    400,
    "INVALID_ARGUMENT",
    "The registration token is not a valid FCM registration token",
    _code("INVALID_ARGUMENT"),
)
INVALID_TOKEN_BY_FIELD = _error(
    _CODES,
    400,
    "INVALID_ARGUMENT",
    "Request contains an invalid argument.",
    _code("INVALID_ARGUMENT"),
    _field("message.token", "Invalid registration token"),
)
TOO_BIG = _error(_CODES, 400, "INVALID_ARGUMENT", "Message too big", _code("INVALID_ARGUMENT"))
UNREGISTERED = _error(_CODES, 404, "NOT_FOUND", "Requested entity was not found.", _code("UNREGISTERED"))
SENDER_ID_MISMATCH = _error(_CODES, 403, "PERMISSION_DENIED", "SenderId mismatch", _code("SENDER_ID_MISMATCH"))
QUOTA_EXCEEDED = _error(
    _CODES,
    429,
    "RESOURCE_EXHAUSTED",
    "Quota exceeded for quota metric 'Requests'",
    _code("QUOTA_EXCEEDED"),
    {"@type": _QUOTA_FAILURE, "violations": [{"subject": "project:attend-test", "description": "per minute"}]},
)
THROTTLED = _error(_SCALE, 429, "RESOURCE_EXHAUSTED", "Too many requests", retry_after="17")
UNAVAILABLE = _error(_CODES, 503, "UNAVAILABLE", "The service is currently unavailable.", _code("UNAVAILABLE"))
INTERNAL = _error(_CODES, 500, "INTERNAL", "Internal error encountered.", _code("INTERNAL"))
THIRD_PARTY_AUTH_ERROR = _error(
    _CODES, 401, "UNAUTHENTICATED", "Auth error from APNS or Web Push Service", _code("THIRD_PARTY_AUTH_ERROR")
)
UNAUTHENTICATED = _error(
    _EXAMPLES, 401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token."
)
PERMISSION_DENIED = _error(
    _EXAMPLES, 403, "PERMISSION_DENIED", "Permission 'cloudmessaging.messages.create' denied on resource."
)
INVALID_SIGNATURE = Documented(
    _TOKENS,
    "2026-11-21",
    json_reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}),
)
DISABLED_CLIENT = Documented(
    _TOKENS,
    "2026-11-21",
    json_reply(401, {"error": "disabled_client", "error_description": "The OAuth client was disabled."}),
)


@cache
def private_key() -> str:
    """A key for the whole test run: to make one takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    format_ = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, format_, serialization.NoEncryption()).decode()


def service_account(**changes: Any) -> str:
    """A service account's key file, as the console of Google gives it; None takes a field away."""
    key = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": private_key(),
        "client_email": CLIENT_EMAIL,
        "client_id": "100000000000000000000",
        "auth_uri": "https://accounts.google.com/o/oauth2/auth",
        "token_uri": "https://oauth2.googleapis.com/token",
        "universe_domain": "googleapis.com",
    }
    return json.dumps({name: value for name, value in (key | changes).items() if value is not None})


class FcmServer(HttpServer):
    """Takes messages with a token that it gave. `devices`: what one device's messages are answered. `next`: what comes
    before anything else, once each."""

    def __init__(self) -> None:
        self.devices: dict[str, Reply] = {}
        self.next: deque[Reply] = deque()
        self.next_token: deque[Reply] = deque()
        self.valid_tokens: set[str] = set()
        self.lifetime = 3599
        self.token_delay = 0.0
        super().__init__(self._choose)

    def account(self, **changes: Any) -> str:
        """The key of an account that this server knows."""
        return service_account(**{"token_uri": self.url + TOKEN, **changes})

    def messages(self) -> list[dict[str, Any]]:
        """What was asked to be sent, in order of arrival."""
        return [request.json()["message"] for request in self.to(SEND)]

    def _choose(self, request: Asked) -> Reply:
        if request.path == TOKEN:
            return self.next_token.popleft() if self.next_token else self._token(request)
        if request.path != SEND:
            return Reply(404, b"<html>Not found</html>", {"content-type": "text/html"})
        if self.next:
            return self.next.popleft()
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid_tokens:
            return UNAUTHENTICATED.reply
        return self._send(request.json()["message"])

    def _token(self, request: Asked) -> Reply:
        form = parse_qs(request.body.decode())
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        key = serialization.load_pem_private_key(private_key().encode(), None).public_key()
        try:
            # "When making an access token request this value is always" that address.
            claims = jwt.decode(form["assertion"][0], key, ["RS256"], audience=AUDIENCE)  # type: ignore[arg-type]
        except jwt.InvalidSignatureError:
            return INVALID_SIGNATURE.reply
        assert claims["iss"] == CLIENT_EMAIL
        assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
        assert claims["exp"] - claims["iat"] <= 3600
        token = f"ya29.access-token-{len(self.to(TOKEN))}-{time.monotonic_ns()}"
        self.valid_tokens.add(token)
        given = {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}
        return json_reply(200, given).but(delay=self.token_delay)

    def _send(self, message: dict[str, Any]) -> Reply:
        # https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages, read 2026-11-21
        ttl = re.fullmatch(r"(\d+)(?:\.\d{1,9})?s", message["android"]["ttl"])
        assert ttl
        assert int(ttl[1]) <= 2_419_200
        assert set(message) <= {"token", "notification", "data", "android", "apns", "webpush", "fcm_options"}
        assert all(isinstance(value, str) for value in message["data"].values())
        if message["token"] in self.devices:
            return self.devices[message["token"]]
        if len(json.dumps([message["notification"], message["data"]])) > 4096:
            return TOO_BIG.reply
        return json_reply(200, {"name": f"projects/{PROJECT}/messages/0:{len(self.requests)}%31bd1c96"})
