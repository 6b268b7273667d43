"""An HTTP receiver that remembers what reached it, for tests of whoever sends."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from attend.stack.processes import wait_until


@dataclass(frozen=True)
class Received:
    """One request. `at` is a monotonic time in seconds."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)


class Receiver:
    """Listens on a free port. The query chooses the answer: `?status=500`, `?sleep=2` (seconds before it).

    `ahead_seconds` is how far its clock is wrong, as its Date header tells; `content` is what it answers, as JSON.
    """

    def __init__(self, ahead_seconds: float = 0.0, content: object = None) -> None:
        self.requests: list[Received] = []
        # Beside a database in a container, the receiver must listen where that container can reach it.
        in_container = os.environ.get("ATTEND_STACK") == "supabase"
        default = "host.docker.internal" if in_container else "127.0.0.1"
        self._host = os.environ.get("ATTEND_CONFORMANCE_RECEIVER_HOST", default)
        bind = "127.0.0.1" if self._host == "127.0.0.1" else "0.0.0.0"
        self._server = _Server((bind, 0), _handler(self.requests, ahead_seconds, content))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/") -> str:
        """An address of this receiver as the database reaches it."""
        return f"http://{self._host}:{self._server.server_port}{path}"

    def paths(self) -> list[str]:
        """Paths without queries, in order of arrival."""
        return [urlsplit(request.path).path for request in self.requests]

    def to(self, path: str) -> list[Received]:
        """The requests to one path."""
        return [request for request in list(self.requests) if urlsplit(request.path).path == path]

    def wait_for(self, path: str, count: int = 1, seconds: float = 5.0) -> list[Received]:
        """Waits for `count` requests to `path` and returns them; fails with what came instead."""
        assert wait_until(lambda: len(self.to(path)) >= count, seconds), (
            f"{len(self.to(path))} of {count} requests reached {path}; all: {self.paths()[-20:]}"
        )
        return self.to(path)

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024


def _handler(requests: list[Received], ahead_seconds: float, answer: object) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((time.time() if timestamp is None else timestamp) + ahead_seconds)

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            requests.append(Received(self.command, self.path, dict(self.headers.items()), body))
            query = parse_qs(urlsplit(self.path).query)
            time.sleep(float(query.get("sleep", ["0"])[0]))
            content = json.dumps({"received": True} if answer is None else answer).encode()
            try:
                self.send_response(int(query.get("status", ["200"])[0]))
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except BrokenPipeError:
                pass  # the sender's time-out is over

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - names the base class calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Quiet: pytest shows what a test asserts."""

    return Handler
