"""A backup is restored: what is there again, what goes on, and what is too late to be told (docs/deploy.md)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from attend.stack import installation
from tests.support.database import Database
from tests.support.fcm_server import FcmServer
from tests.support.outbox import Outbox
from tests.support.people import World, empty
from tests.support.schemas import describe
from tests.support.served import api_of, starting

pytestmark = pytest.mark.embedded


@pytest.fixture
def fcm() -> Iterator[FcmServer]:
    server = FcmServer()
    yield server
    server.close()


def backed_up(database: Database, folder: Path) -> Path:
    """As docs/deploy.md has it, in a file."""
    file = folder / "backup"
    dump = [str(installation.program("pg_dump")), "--format=custom", f"--file={file}"]
    subprocess.run([*dump, database.dsn("supabase_admin")], check=True, timeout=120, capture_output=True)
    return file


def admin(database: Database) -> psycopg.Connection[Any]:
    return psycopg.connect(database.server.dsn("supabase_admin", "template1"), autocommit=True)


def drop(database: Database) -> None:
    with admin(database) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database.name)))


def restored(database: Database, backup: Path) -> Database:
    """In an empty database of the same server, whose roles are there."""
    other = Database(database.server, f"{database.name}_restored")
    drop(other)
    with admin(other) as connection:
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(other.name)))
    restore = [str(installation.program("pg_restore")), "--exit-on-error", f"--dbname={other.dsn('supabase_admin')}"]
    done = subprocess.run([*restore, str(backup)], check=False, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return other


@pytest.fixture
def again(database: Database, tmp_path: Path) -> Iterator[Database]:
    """Yesterday's database, with work in hand, as it comes back from its backup."""
    empty(database)
    World(database)
    outbox = Outbox(database)
    late, due = outbox.people(2)
    outbox.push(late)
    database.execute(
        "update private.outbox set created_at = created_at - i, release_at = release_at - i"
        " from (select interval '3 days') d (i) where organization_id = %s",
        (outbox.id,),
    )
    outbox.push(due)
    other = restored(database, backed_up(database, tmp_path))
    yield other
    other.close()
    drop(other)


async def test_all_of_it_is_there_again_and_the_work_in_hand_goes_on(
    database: Database, again: Database, fcm: FcmServer, tmp_path: Path
) -> None:
    there, here = (set(describe(one.server, one.name)) for one in (again, database))
    assert (there - here, here - there) == (set(), set())
    rows = "select count(*) from private.statistics_marks"
    assert again.value(rows) == database.value(rows) > 0
    # Calls are not kept: pg_net's tables are unlogged. The marks are, and so nothing is lost by it.
    assert again.value("select count(*) from net.http_request_queue") == 0
    settings = {"ATTEND_PUSH_FCM_SERVICE_ACCOUNT": fcm.account(), "ATTEND_PUSH_FCM_URL": fcm.url}
    with api_of(again) as api:
        for package, table in (
            ("statistics_recompute", "activities"),
            ("push_notification_dispatcher", "notifications"),
        ):
            folder = tmp_path / package
            folder.mkdir()
            with starting(package, api, folder) as start:
                function = start(**settings).client()
                body = b'{"type": "BELL", "schema": "public", "table": "%s", "bell_id": "b"}' % table.encode()
                answer = await function.send(body)
                assert answer.status_code == 200, answer.text
    assert again.value(rows) == 0
    states = again.rows(
        "select o.state::text, o.skipped_reason::text from private.outbox o"
        " where o.settled_at > now() - interval '2 minutes' and o.last_error is distinct from 'e' order by o.created_at"
    )
    assert [(row["state"], row["skipped_reason"]) for row in states] == [("skipped", "stale"), ("sent", None)]
    assert len(fcm.messages()) == 1


async def test_what_waited_can_be_settled_before_the_functions_run_again(
    again: Database, fcm: FcmServer, tmp_path: Path
) -> None:
    """By the statement that docs/deploy.md gives to whoever would rather miss a push than get it twice."""
    page = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text()
    (statement,) = re.findall(r"```sql\n(update private\.outbox .*?;)\n```", page, re.DOTALL)
    assert again.execute(statement).rowcount == 2
    settings = {"ATTEND_PUSH_FCM_SERVICE_ACCOUNT": fcm.account(), "ATTEND_PUSH_FCM_URL": fcm.url}
    with api_of(again) as api, starting("push_notification_dispatcher", api, tmp_path) as start:
        body = b'{"type": "BELL", "schema": "public", "table": "notifications", "bell_id": "b"}'
        answer = await start(**settings).client().send(body)
        assert answer.json()["claimed"] == 0
    assert fcm.messages() == []
