"""Requests that no honest sender makes, byte by byte, to a function that has work to do.

Each begins as one that the database could have sent and is spoilt in one way, or is not HTTP at all. None may be an
unforeseen error, none may tell a secret, and none that lost its proof may begin the work.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.conftest import FUZZING, Front, proof
from tests.support.every_function import Subject
from tests.support.function import SHARED_SECRET
from tests.support.people import World

pytestmark = pytest.mark.embedded

PACKAGE = "statistics_recompute"
BELL = Subject(PACKAGE).bell
LIMIT = 262_144


@dataclass(frozen=True)
class Request:
    """As it goes over the wire: `headers` as they stand, one after the other."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    method: bytes = b"POST"
    path: bytes = b"/"
    chunked: bool = False

    @property
    def raw(self) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (self.method, self.path), b"host: function.test", b"connection: close"]
        if self.chunked:
            lines.append(b"transfer-encoding: chunked")
            half = len(self.body) // 2
            pieces = [piece for piece in (self.body[:half], self.body[half:]) if piece]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        else:
            names = [name.lower() for name, _ in self.headers]
            lines += [] if b"content-length" in names else [b"content-length: %d" % len(self.body)]
            body = self.body
        lines += [b"%s: %s" % header for header in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def without(self, name: bytes) -> Request:
        return replace(self, headers=tuple(header for header in self.headers if header[0] != name))

    def having(self, name: bytes, *values: bytes) -> Request:
        """With this header in place of the one it has; several values are several headers."""
        return replace(self, headers=self.without(name).headers + tuple((name, value) for value in values))

    def value(self, name: bytes) -> bytes:
        return dict(self.headers)[name]


def honest(body: bytes = BELL, at: int | None = None) -> Request:
    """As the database sends it."""
    headers = {"content-type": "application/json", **proof(body, at=at)}
    return Request(body, tuple((name.encode(), value.encode()) for name, value in headers.items()))


@dataclass
class Answer:
    """What came back: no status where the connection was closed without a word."""

    status: int | None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Function:
    """The process, spoken to by socket."""

    def __init__(self, front: Front) -> None:
        self.front = front
        parts = urlsplit(front.processes[PACKAGE].url)
        self.address = (str(parts.hostname), int(parts.port or 0))

    def tell(self, raw: bytes, *, is_all: bool = False) -> Answer:
        """`is_all`: nothing more is coming, whatever was announced. (uvicorn answers nobody who says so.)"""
        with socket.create_connection(self.address, timeout=20) as connection:
            try:
                connection.sendall(raw)
                if is_all:
                    connection.shutdown(socket.SHUT_WR)
                told = b"".join(iter(lambda: connection.recv(65_536), b""))
            except (BrokenPipeError, ConnectionResetError):
                return Answer(None)
        head, _, body = told.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1]) if lines[0].startswith("HTTP/") else None
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return Answer(status, body, headers)

    @property
    def waiting(self) -> int:
        """Marks that nobody has worked off."""
        return self.front.database.value("select count(*) from private.statistics_marks")

    def noted(self) -> list[str]:
        return [row["id"] for row in self.front.database.rows("select id from private.webhook_deliveries order by id")]


@pytest.fixture
def function(front: Front, world: World) -> Iterator[Function]:
    function = Function(front)
    assert function.waiting > 0
    yield function
    assert "internal_error" not in front.said()
    assert not [secret for secret in front.secrets if secret in front.said()]
    # It has not been brought down, nor made deaf: the honest one is answered, and does the work.
    assert world.organization
    done = function.tell(honest().raw)
    assert (done.status, function.waiting) == (200, 0), done


def is_refusal(function: Function, answer: Answer) -> None:
    """No unforeseen error, no secret; what is ours says what to do."""
    assert answer.status is None or 400 <= answer.status < 500, answer
    assert not [secret for secret in function.front.secrets if secret.encode() in answer.body]
    if answer.headers.get("content-type") == "application/json":
        problem = json.loads(answer.body)
        assert set(problem) == {"code", "message", "details", "hint"}
        assert problem["message"]
        if answer.status == 401:
            assert "webhook-signature" in problem["hint"]


def cut(text: bytes, at: int) -> bytes:
    return text[: at % max(len(text), 1)]


NAMES = st.sampled_from([b"webhook-id", b"webhook-timestamp", b"webhook-signature"])
VISIBLE = st.binary(max_size=90).map(lambda raw: bytes(33 + byte % 94 for byte in raw))


def twice(request: Request) -> Iterator[tuple[bytes, ...]]:
    """A header of which there may be one, and two are; of signatures there may be several."""
    for name in (b"webhook-id", b"webhook-timestamp"):
        value = request.value(name)
        yield name, value, value
        yield name, b"0" + value, value
        yield name, value, b"0" + value


@st.composite
def unproven(draw: st.DrawFn) -> Request:
    """An honest request that has lost its proof."""
    now = int(time.time())
    request = honest()
    name = draw(NAMES)
    value = request.value(name)
    ways = {
        "cut": lambda: request.having(name, cut(value, draw(st.integers(0, 200)))),
        "longer": lambda: request.having(name, value + draw(VISIBLE.filter(bool))),
        "other": lambda: request.having(name, draw(VISIBLE.filter(lambda other: other != value))),
        "gone": lambda: request.without(name),
        "twice": lambda: honest().having(*draw(st.sampled_from(list(twice(request))))),
        "late": lambda: honest(at=now - draw(st.integers(302, 10**9))),
        "early": lambda: honest(at=now + draw(st.integers(310, 10**9))),
        "another body": lambda: replace(request, body=draw(st.binary(max_size=300).filter(lambda b: b != BELL))),
        "a longer body": lambda: replace(request, body=BELL + draw(st.sampled_from([b" ", b"\n", b"\0", b"{}"]))),
        "a shorter body": lambda: replace(request, body=cut(BELL, draw(st.integers(0, 500)))),
        "not text": lambda: honest(BELL + draw(st.sampled_from([b"\xff", b"\xc3\x28", b"\xed\xa0\x80"]))),
        "the dashboard's secret": lambda: Request(
            BELL, ((b"content-type", b"application/json"), (b"x-attend-hook-secret", SHARED_SECRET.encode()))
        ),
        "a secret that is none": lambda: Request(BELL, ((b"x-attend-hook-secret", draw(VISIBLE)),)),
    }
    way = draw(st.sampled_from(sorted(ways)))
    return replace(ways[way](), chunked=draw(st.booleans()))


@FUZZING
@given(requests=st.lists(unproven(), min_size=1, max_size=10))
def spoil(function: Function, requests: list[Request]) -> None:
    for request in requests:
        answer = function.tell(request.raw)
        is_refusal(function, answer)
        assert answer.status == 401, (request, answer)
    assert function.waiting


def test_a_request_that_lost_its_proof_is_the_same_401_and_begins_nothing(function: Function) -> None:
    before = function.noted()
    spoil(function)
    assert function.noted() == before


@FUZZING
@given(
    header=st.sampled_from(
        [
            (b"content-type", b"text/plain"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-type", b"multipart/form-data; boundary=x"),
            (b"content-type", b"application/json/x"),
            (b"content-type", b"\xff\xfe"),
            (b"content-encoding", b"gzip"),
            (b"content-encoding", b"br, identity"),
        ]
    ),
    is_chunked=st.booleans(),
)
def mislabel(function: Function, header: tuple[bytes, bytes], is_chunked: bool) -> None:
    answer = function.tell(replace(honest().having(*header), chunked=is_chunked).raw)
    is_refusal(function, answer)
    assert answer.status == 415
    assert function.waiting


def test_a_signed_body_that_is_announced_as_something_else_is_not_looked_at(function: Function) -> None:
    mislabel(function)


DEEP = 100_000
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(10**400), 1e308]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@FUZZING
@given(document=JSON)
@example(document={"type": "BELL", "schema": "public", "table": "\0"})
@example(document={"type": "BELL", "schema": "public", "table": "a" * 64})
@example(document={"type": "INSERT", "schema": "public", "table": "x", "record": {"n": float("nan")}})
@example(document={"type": ["BELL"]})
@example(document={"type": "DELETE", "schema": "public", "table": "activities", "old_record": {"": {"": None}}})
def say(function: Function, document: object) -> None:
    raw = json.dumps(document).encode()
    answer = function.tell(honest(raw).raw)
    assert answer.status in {200, 400}, (raw, answer)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * DEEP,
        b'{"type":"INSERT","schema":"public","table":"activities","record":' + b'{"a":' * 30_000 + b"1" + b"}" * 30_001,
        b'{"type":"BELL","schema":"public","table":"activities","bell_id":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        b'{"type":"BELL",' * 5_000,
        b'{"type":"BELL","type":"INSERT"}',
        b'{"type":"BELL","schema":"public","table":"\\ud800"}',
        b'{"type":"BELL","schema":"public","table":"\\u0000"}',
        b"\xef\xbb\xbf" + BELL,
        b'{"n":' + b"9" * 50_000 + b"}",
        b"null",
        b'"' + b"\\" * 999 + b'"',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_a_signed_body_of_an_evil_shape_is_400_or_concerns_nothing(function: Function, body: bytes) -> None:
    answer = function.tell(honest(body).raw)
    assert answer.status in {200, 400}, answer
    assert answer.status == 400 or json.loads(answer.body)["outcome"] == "ignored"
    assert function.waiting


def test_any_signed_document_is_understood_or_400(function: Function) -> None:
    say(function)


def test_a_body_beyond_the_limit_is_refused_unread(function: Function) -> None:
    for is_chunked in (False, True):
        large = honest(b" " * (LIMIT + 1) + BELL)
        answer = function.tell(replace(large, chunked=is_chunked).raw)
        # The rest may be cut off: whoever still sends hears of it as a reset.
        assert answer.status in {413, None}, answer
    assert function.waiting
    at_the_limit = honest(BELL + b" " * (LIMIT - len(BELL)))
    assert function.tell(at_the_limit.raw).status == 200


def test_a_bell_in_pieces_is_a_bell(function: Function) -> None:
    assert function.tell(replace(honest(), chunked=True).raw).status == 200
    assert function.waiting == 0


@pytest.mark.parametrize(("seconds", "status"), [(-299, 200), (-302, 401), (298, 200), (303, 401)])
def test_the_window_is_five_minutes_each_way_to_the_second(function: Function, seconds: int, status: int) -> None:
    assert function.tell(honest(at=int(time.time()) + seconds).raw).status == status


@pytest.mark.parametrize("name", [b"webhook-id", b"webhook-timestamp"])
def test_of_two_headers_none_is_believed(function: Function, name: bytes) -> None:
    """A proxy may read the other one: what it let through, logged or counted would not be what was signed."""
    request = honest()
    value = request.value(name)
    for values in ((value, b"1" + value), (b"1" + value, value)):
        answer = function.tell(request.having(name, *values).raw)
        assert answer.status == 401, (values, answer)
    assert function.waiting


def test_of_two_signatures_one_is_enough(function: Function) -> None:
    """Several are allowed, while a secret is rotated; in one header or in two."""
    request = honest()
    right = request.value(b"webhook-signature")
    assert function.tell(request.having(b"webhook-signature", b"v1,AAAA", right).raw).status == 200
    again = honest()
    both = b"v1,AAAA " + again.value(b"webhook-signature")
    assert function.tell(again.having(b"webhook-signature", both).raw).status == 200


RAW = [
    b"",
    b"\r\n\r\n",
    b"GET\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{}",
    b"POST /%00/../../etc/passwd HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\n" + b"x-many: y\r\n" * 5_000 + b"\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\nwebhook-id: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    b"POST / HTTP/9.9\r\nhost: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: raw[:40].decode("latin-1"))
def test_what_is_hardly_http_is_refused_or_hung_up_on(function: Function, raw: bytes) -> None:
    is_refusal(function, function.tell(raw, is_all=True))
    assert function.waiting


def test_two_lengths_do_not_smuggle_a_second_request(function: Function) -> None:
    """Whatever a proxy before us reads as a body must not be read as a request here."""
    hidden = honest().raw
    outer = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" % (
        len(hidden) + 5
    )
    answer = function.tell(outer + hidden, is_all=True)
    assert answer.status is None or 400 <= answer.status < 500
    assert b'"outcome"' not in answer.body
    assert function.waiting
