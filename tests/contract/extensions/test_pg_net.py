"""How pg_net behaves: what is sent, when, how often, and what is kept of it."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from attend.stack.processes import wait_until
from tests.contract.extensions.conftest import OwnServer
from tests.support.receiver import Receiver

Connection = psycopg.Connection[Any]


def response(connection: Connection, request_id: int, seconds: float = 6.0) -> dict[str, Any]:
    """The recorded outcome of a request."""
    query = "select to_jsonb(r) from net._http_response r where r.id = %s"

    def row() -> Any:
        return connection.execute(query, (request_id,)).fetchone()

    assert wait_until(lambda: row() is not None, seconds), f"no outcome was recorded for request {request_id}"
    return row()[0]


def post(connection: Connection, url: str | None, **arguments: Any) -> int:
    named = "".join(f", {name} := %({name})s" for name in arguments)
    statement = f"select net.http_post(%(url)s{named})"
    row = connection.execute(statement.encode(), {"url": url, **arguments}).fetchone()
    assert row is not None
    return row[0]


def test_a_request_is_sent_after_commit_only(idle: Connection, receiver: Receiver) -> None:
    with idle.transaction():
        post(idle, receiver.url("/after-commit"))
        time.sleep(0.4)
        assert receiver.paths() == []
    assert len(receiver.wait_for("/after-commit")) == 1


def test_a_request_of_a_rolled_back_transaction_is_never_sent(idle: Connection, receiver: Receiver) -> None:
    with idle.transaction(force_rollback=True):
        post(idle, receiver.url("/rolled-back"))
    post(idle, receiver.url("/witness"))
    receiver.wait_for("/witness")
    assert receiver.paths() == ["/witness"]


def test_an_idle_worker_sends_at_once(idle: Connection, receiver: Receiver) -> None:
    started = time.monotonic()
    post(idle, receiver.url("/at-once"))
    assert receiver.wait_for("/at-once")[0].at - started < 0.5


def test_a_request_right_after_a_batch_waits_for_the_pause(idle: Connection, receiver: Receiver) -> None:
    post(idle, receiver.url("/first"))
    first = receiver.wait_for("/first")[0].at
    time.sleep(0.1)
    post(idle, receiver.url("/second"))
    assert 0.9 <= receiver.wait_for("/second")[0].at - first <= 2.5


def test_a_batch_is_two_hundred_and_the_rest_follows_a_second_later(idle: Connection, receiver: Receiver) -> None:
    idle.execute("select count(net.http_post(%s)) from generate_series(1, 250)", (receiver.url("/many"),))
    times = sorted(request.at for request in receiver.wait_for("/many", 250, 15.0))
    assert times[200] - times[0] >= 1.0
    assert times[199] < times[200] - 0.5


def test_the_body_sent_is_the_text_of_the_jsonb(idle: Connection, receiver: Receiver) -> None:
    body = '{"b": 1,   "a": "å", "n": 1.50}'
    idle.execute("select net.http_post(%s, %s::jsonb)", (receiver.url("/body"), body))
    text = idle.execute("select %s::jsonb::text", (body,)).fetchone()
    assert text is not None
    assert receiver.wait_for("/body")[0].body == text[0].encode()


def test_headers_and_content_type_are_sent(idle: Connection, receiver: Receiver) -> None:
    idle.execute(
        "select net.http_post(%s, headers := %s::jsonb)", (receiver.url("/headers"), '{"webhook-id": "msg_1"}')
    )
    headers = {name.lower(): value for name, value in receiver.wait_for("/headers")[0].headers.items()}
    assert (headers["webhook-id"], headers["content-type"]) == ("msg_1", "application/json")


def test_get_and_delete_use_their_method_and_their_parameters(idle: Connection, receiver: Receiver) -> None:
    idle.execute(
        'select net.http_get(%(url)s, params := \'{"q": "a b"}\'), net.http_delete(%(url)s)',
        {"url": receiver.url("/methods")},
    )
    requests = {request.method: request.path for request in receiver.wait_for("/methods", 2)}
    assert requests == {"GET": "/methods?q=a%20b", "DELETE": "/methods"}


def test_an_answer_is_recorded_whatever_its_status(idle: Connection, receiver: Receiver) -> None:
    recorded = response(idle, post(idle, receiver.url("/status?status=503")))
    assert (recorded["status_code"], recorded["content_type"]) == (503, "application/json")
    assert recorded["content"] == '{"received": true}'
    assert recorded["error_msg"] is None
    assert recorded["headers"]["Content-Type"] == "application/json"


def test_a_server_error_is_not_tried_again(idle: Connection, receiver: Receiver) -> None:
    post(idle, receiver.url("/fails?status=500"))
    receiver.wait_for("/fails")
    time.sleep(2.5)
    assert len(receiver.to("/fails")) == 1


def test_a_time_out_is_recorded_as_one(idle: Connection, receiver: Receiver) -> None:
    recorded = response(idle, post(idle, receiver.url("/slow?sleep=2"), timeout_milliseconds=300))
    assert (recorded["status_code"], recorded["timed_out"]) == (None, True)
    assert "Timeout of 300 ms reached" in recorded["error_msg"]


def test_a_time_out_is_not_tried_again(idle: Connection, receiver: Receiver) -> None:
    response(idle, post(idle, receiver.url("/slow-once?sleep=1"), timeout_milliseconds=200))
    time.sleep(2.5)
    assert len(receiver.to("/slow-once")) == 1


def test_a_refused_connection_is_recorded_and_not_tried_again(idle: Connection, receiver: Receiver) -> None:
    url = receiver.url("/nobody")
    receiver.close()
    recorded = response(idle, post(idle, url))
    assert recorded["status_code"] is None
    assert recorded["error_msg"]
    queued = idle.execute("select count(*) from net.http_request_queue").fetchone()
    assert queued == (0,)


def test_one_slow_receiver_holds_up_the_next_batch(idle: Connection, receiver: Receiver) -> None:
    post(idle, receiver.url("/holds-up?sleep=2"))
    receiver.wait_for("/holds-up")
    started = time.monotonic()
    post(idle, receiver.url("/held-up"))
    assert receiver.wait_for("/held-up", seconds=8.0)[0].at - started >= 1.8


@pytest.mark.parametrize("address", [None, "", "nonsense", "http://"])
def test_a_missing_or_malformed_url_aborts_the_transaction_of_the_caller(idle: Connection, address: str | None) -> None:
    idle.execute("create temporary table written (n int)")
    with pytest.raises(psycopg.Error):
        idle.execute("with w as (insert into written values (1)) select net.http_post(%s)", (address,))
    assert idle.execute("select count(*) from written").fetchone() == (0,)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_every_api_role_may_queue_a_request(idle: Connection, receiver: Receiver, role: str) -> None:
    with idle.transaction():
        idle.execute(f"set local role {role}".encode())
        post(idle, receiver.url(f"/{role}"))
    assert receiver.wait_for(f"/{role}")


def test_the_tables_are_unlogged(connection: Connection) -> None:
    rows = connection.execute(
        "select relpersistence from pg_class where oid in ('net.http_request_queue'::regclass, "
        "'net._http_response'::regclass)"
    ).fetchall()
    assert rows == [("u",), ("u",)]


@pytest.mark.embedded
@pytest.mark.faults
def test_a_crash_of_the_server_loses_what_was_queued(own_server: OwnServer, receiver: Receiver) -> None:
    own_server.stop_background()
    try:
        with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
            post(connection, receiver.url("/lost"))
        own_server.crash()
    finally:
        own_server.start_background()
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        post(connection, receiver.url("/later"))
    receiver.wait_for("/later")
    assert receiver.paths() == ["/later"]


@pytest.mark.embedded
@pytest.mark.faults
def test_a_request_survives_a_clean_pause_of_the_worker(own_server: OwnServer, receiver: Receiver) -> None:
    own_server.stop_background()
    try:
        with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
            post(connection, receiver.url("/kept"))
    finally:
        own_server.start_background()
    assert len(receiver.wait_for("/kept")) == 1


@pytest.mark.embedded
@pytest.mark.faults
def test_a_worker_killed_while_sending_sends_nothing_twice(own_server: OwnServer, receiver: Receiver) -> None:
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        post(connection, receiver.url("/in-flight?sleep=2"))
        receiver.wait_for("/in-flight")
        own_server.stop_background(kill=True)
        own_server.start_background()
        post(connection, receiver.url("/after"))
    receiver.wait_for("/after")
    assert len(receiver.to("/in-flight")) == 1


@pytest.mark.embedded
@pytest.mark.faults
def test_the_switch_loses_everything_queued_and_nothing_after_it(
    own_server: OwnServer, idle: Connection, receiver: Receiver
) -> None:
    own_server.drop_bells(True)
    try:
        post(idle, receiver.url("/dropped"))
        empty = "select not exists (select from net.http_request_queue)"
        assert wait_until(lambda: idle.execute(empty).fetchone() == (True,), 5.0)
    finally:
        own_server.drop_bells(False)
    post(idle, receiver.url("/sent"))
    receiver.wait_for("/sent")
    assert receiver.paths() == ["/sent"]


@pytest.mark.embedded
@pytest.mark.faults
def test_the_worker_finds_the_server_again_after_a_crash(own_server: OwnServer, receiver: Receiver) -> None:
    own_server.crash()
    with psycopg.connect(own_server.cluster.dsn(), autocommit=True) as connection:
        connection.execute("select net.wait_until_running()")
        post(connection, receiver.url("/again"))
    assert len(receiver.wait_for("/again")) == 1
