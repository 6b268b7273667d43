"""The schema cache follows DDL within about half a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from tests.contract.postgrest.conftest import Api


def test_ddl_is_seen_within_a_second(api: Api) -> None:
    with psycopg.connect(api.db_url, autocommit=True) as connection:
        connection.execute("create function api.brand_new() returns int language sql as 'select 7'")
        try:
            connection.execute("grant execute on function api.brand_new() to service_role")
            assert eventually(lambda: api.request("POST", "/rpc/brand_new", json={}).status_code == 200)
        finally:
            connection.execute("drop function api.brand_new()")
    assert eventually(lambda: api.request("POST", "/rpc/brand_new", json={}).status_code == 404)


def test_a_changed_result_type_is_seen_by_statements_already_prepared(api: Api) -> None:
    with psycopg.connect(api.db_url, autocommit=True) as connection:
        connection.execute("create table api.growing (id int primary key); grant all on api.growing to service_role")
        connection.execute("insert into api.growing values (1)")
        try:
            assert eventually(lambda: api.request("GET", "/growing").status_code == 200)
            for _ in range(20):
                assert api.request("GET", "/growing").json() == [{"id": 1}]
            connection.execute("alter table api.growing add column note text default 'n'")
            assert eventually(lambda: api.request("GET", "/growing").json() == [{"id": 1, "note": "n"}])
        finally:
            connection.execute("drop table api.growing")


def eventually(check: Any, seconds: float = 1.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.02)
    return False
