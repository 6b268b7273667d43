"""Expo's push service on this machine, behaving as its documentation says.

https://docs.expo.dev/push-notifications/sending-notifications/, read 2026-11-21, is the page of everything here: its
examples word for word, its limits (100 messages, 1,000 receipts, one project a request), its codes.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import uuid4

from tests.support.fcm_server import Documented
from tests.support.http_server import Asked, HttpServer, Reply, json_reply

PAGE = "https://docs.expo.dev/push-notifications/sending-notifications/"
READ = "2026-11-21"
SEND = "/--/api/v2/push/send"
RECEIPTS = "/--/api/v2/push/getReceipts"


def error_ticket(code: str, message: str, **details: str) -> dict[str, Any]:
    """A ticket or receipt of a message that failed."""
    return {"status": "error", "message": message, "details": {"error": code, **details}}


def not_registered(token: str) -> dict[str, Any]:
    """The page's example of a ticket's error."""
    return error_ticket("DeviceNotRegistered", f'"{token}" is not a registered push notification recipient')


def request_error(status: int, code: str, message: str, details: object = None, **headers: str) -> Documented:
    """A request that failed whole: "the HTTP status code will be 4xx or 5xx and the errors field will be an array"."""
    problem = {"code": code, "message": message} | ({} if details is None else {"details": details})
    return Documented(PAGE, READ, json_reply(status, {"errors": [problem]}, **headers))


TOO_MANY_REQUESTS = request_error(429, "TOO_MANY_REQUESTS", "The request limit of 600 a second is exceeded.")
TOO_MANY_NOTIFICATIONS = request_error(400, "PUSH_TOO_MANY_NOTIFICATIONS", "More than 100 push notifications.")
TOO_MANY_RECEIPTS = request_error(400, "PUSH_TOO_MANY_RECEIPTS", "More than 1000 push receipts.")
UNAUTHORIZED = request_error(401, "UNAUTHORIZED", "Insufficient permissions to send push notifications.")
INTERNAL = request_error(500, "INTERNAL_SERVER_ERROR", "An unknown error occurred.")


def malformed(place: int) -> Documented:
    """ "If your push notification payload is malformed, you may get an HTTP 400 response explaining the issue"."""
    return request_error(400, "VALIDATION_ERROR", f'"[{place}].title" must be a string.')


class ExpoServer(HttpServer):
    """`tickets` and `receipts` hold what is answered for a token or a ticket; `projects`, whose a token is;
    `malformed`, the titles that make a request malformed; `next`, what comes before anything else, once each."""

    def __init__(self, access_token: str | None = None) -> None:
        self.access_token = access_token
        self.tickets: dict[str, Any] = {}
        self.receipts: dict[str, Any] = {}
        self.projects: dict[str, str] = {}
        self.malformed: set[str] = set()
        self.next: deque[Reply] = deque()
        self.taken: list[dict[str, Any]] = []
        super().__init__(self._choose)

    def _choose(self, request: Asked) -> Reply:
        assert request.headers["accept"] == "application/json"
        assert request.headers["content-type"] == "application/json"
        if self.next:
            return self.next.popleft()
        if self.access_token and request.headers.get("authorization") != f"Bearer {self.access_token}":
            return UNAUTHORIZED.reply
        return self._send(request.json()) if request.path == SEND else self._receipts(request.json()["ids"])

    def _send(self, messages: list[dict[str, Any]]) -> Reply:
        if len(messages) > 100:
            return TOO_MANY_NOTIFICATIONS.reply
        for place, message in enumerate(messages):
            if message["title"] in self.malformed:
                return malformed(place).reply
        projects: dict[str, list[str]] = {}
        for message in messages:
            projects.setdefault(self.projects.get(message["to"], "@attend/app"), []).append(message["to"])
        if len(projects) > 1:
            text = "All push notification messages in the same request must be for the same project."
            return request_error(400, "PUSH_TOO_MANY_EXPERIENCE_IDS", text, projects).reply
        self.taken += messages
        ok = [{"status": "ok", "id": str(uuid4())} for _ in messages]
        pairs = zip(messages, ok, strict=True)
        return json_reply(200, {"data": [self.tickets.get(message["to"], ticket) for message, ticket in pairs]})

    def _receipts(self, ids: list[str]) -> Reply:
        if len(ids) > 1000:
            return TOO_MANY_RECEIPTS.reply
        return json_reply(200, {"data": {ticket: self.receipts[ticket] for ticket in ids if ticket in self.receipts}})
