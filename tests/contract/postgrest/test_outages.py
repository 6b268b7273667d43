"""What clients meet while the database is away, busy, or back again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from attend.stack.cluster import Cluster
from attend.stack.gateway import GatewaySettings
from attend.stack.gateway.settings import DEFAULT_SECRET_KEY
from attend.stack.processes import free_port
from tests.support.database import PRISTINE, Database, clone_database, drop_database, start_cluster
from tests.support.gateway import running_gateway, wait_until_ready

pytestmark = pytest.mark.embedded
KEY = {"apikey": DEFAULT_SECRET_KEY}


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    cluster = start_cluster("outages")
    yield cluster
    cluster.remove()


@pytest.fixture
def napping(cluster: Cluster) -> Iterator[Database]:
    database = clone_database(cluster, PRISTINE, "napping")
    database.execute(
        "create function public.nap(seconds float) returns void language plpgsql "
        "as 'begin perform pg_sleep(seconds); end'"
    )
    yield database
    drop_database(database)


def call(url: str, name: str = "nap", **arguments: float) -> httpx.Response:
    return httpx.post(f"{url}/rest/v1/rpc/{name}", json=arguments, headers=KEY, timeout=30)


def test_a_database_that_restarts_costs_each_pooled_connection_one_request(own_cluster: Cluster) -> None:
    database = clone_database(own_cluster, PRISTINE, "restarted")
    database.execute("create function public.one() returns int language sql as 'select 1'")
    database.close()
    with running_gateway(database.dsn("authenticator")) as url:
        assert call(url, "one").json() == 1
        port = own_cluster.port
        own_cluster.kill()
        away = call(url, "one")
        assert (away.status_code, away.headers["retry-after"]) == (503, "0")
        assert away.json()["code"] in {"PGRST000", "PGRST001"}
        away = call(url, "one")
        assert (away.status_code, away.json()["code"]) == (503, "PGRST000")
        own_cluster.requested_port = port
        own_cluster.start()
        answers = [call(url, "one") for _ in range(3)]
        assert [answer.status_code for answer in answers][-1] == 200


def test_a_connection_broken_by_the_server_is_a_503_once(napping: Database) -> None:
    with running_gateway(napping.dsn("authenticator"), pool_size=1) as url:
        assert call(url, seconds=0).status_code == 204
        napping.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'attend-gateway' "
            "and datname = current_database() and query !~ 'listen|pg_class|pg_proc'"
        )
        assert [call(url, seconds=0).status_code for _ in range(2)] == [503, 204]


def test_a_gateway_without_a_database_answers_and_becomes_ready_later(own_cluster: Cluster) -> None:
    own_cluster.stop()
    port = free_port()
    with running_gateway(f"postgresql://authenticator:postgres@127.0.0.1:{port}/postgres", wait=False) as url:
        time.sleep(0.3)
        answer = httpx.get(f"{url}/_ready")
        assert (answer.status_code, answer.json()["code"]) == (503, "PGRST002")
        assert (call(url).status_code, call(url).headers["retry-after"]) == (503, "0")
        own_cluster.requested_port = port
        own_cluster.start()
        wait_until_ready(url)
        assert call(url).status_code == 404


def test_a_request_that_finds_no_free_connection_is_given_up(napping: Database) -> None:
    with running_gateway(napping.dsn("authenticator"), pool_size=1, pool_acquire_seconds=0.3) as url:
        busy = threading.Thread(target=call, args=(url,), kwargs={"seconds": 1.5})
        busy.start()
        time.sleep(0.3)
        started = time.monotonic()
        answer = call(url, seconds=0)
        assert (answer.status_code, answer.json()["code"]) == (504, "PGRST003")
        assert 0.2 < time.monotonic() - started < 1
        busy.join()
        assert call(url, seconds=0).status_code == 204


def test_requests_wait_ten_seconds_for_a_connection() -> None:
    assert GatewaySettings.model_validate({"db_url": "x"}).pool_acquire_seconds == 10


def test_errors_of_the_connection_say_nothing_of_its_password() -> None:
    url_of_nobody = f"postgresql://authenticator:hunter2@127.0.0.1:{free_port()}/postgres"
    with running_gateway(url_of_nobody, wait=False) as url:
        assert "hunter2" not in call(url).text + repr(GatewaySettings.model_validate({"db_url": url_of_nobody}))
