"""The bell as a receiver and a writer meet it: verified with the reference library, silent about secrets, harmless."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import IsolationLevel
from standardwebhooks import Webhook

from tests.support.database import Database

# Reads pg_net's queue, which a worker that runs empties first.
pytestmark = pytest.mark.embedded

# Every bell, and the marks it announces: one change of an activity rings both.
BELLS = {
    "statistics-recompute": "private.statistics_marks",
    "scenario-trigger-engine": "private.scenario_marks",
}
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
URL = "http://127.0.0.1:9/functions/v1"


def set_vault(database: Database, *, url: str | None = URL, secret: str | None = SECRET) -> None:
    database.execute("delete from vault.secrets where name in ('attend_functions_url', 'attend_webhook_secret')")
    for name, value in (("attend_functions_url", url), ("attend_webhook_secret", secret)):
        if value is not None:
            database.execute("select vault.create_secret(%s, %s)", (value, name))


@pytest.fixture
def mentor(database: Database) -> dict[str, UUID]:
    """Somebody to write activities of; a bell nobody rang, and nothing queued."""
    organization = database.value("insert into public.organizations (name) values ('A') returning id")
    user = database.value(
        "insert into public.users (organization_id, full_name, role) values (%s, 'M', 'peer_mentor') returning id",
        (organization,),
    )
    database.execute("delete from net.http_request_queue")
    for marks_of_bell in BELLS.values():
        database.execute(f"delete from {marks_of_bell}")
    database.execute("update private.bells set last_rung_at = '-infinity', rung = 0")
    set_vault(database)
    return {"organization_id": organization, "user_id": user}


def write(connection: psycopg.Connection[Any], mentor: dict[str, UUID]) -> None:
    connection.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
        " values (%(organization_id)s, %(user_id)s, 'other', now())",
        mentor,
    )


def writer(database: Database, level: IsolationLevel | None = None) -> psycopg.Connection[Any]:
    connection = database.connect(autocommit=False)
    connection.isolation_level = level
    return connection


@pytest.fixture(params=list(BELLS))
def bell(request: pytest.FixtureRequest) -> str:
    """The function whose bell is looked at."""
    return request.param


def queued(database: Database, bell: str) -> list[dict[str, Any]]:
    return database.rows(
        "select url, headers, body from net.http_request_queue where url like %s order by id", (f"%/{bell}",)
    )


def marks(database: Database, mentor: dict[str, UUID], bell: str) -> int:
    return database.value(f"select count(*) from {BELLS[bell]} where user_id = %(user_id)s", mentor)


def test_the_reference_library_verifies_what_is_sent(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        write(connection, mentor)
    (call,) = queued(database, bell)
    payload = Webhook(SECRET).verify(bytes(call["body"]), call["headers"])
    assert payload == json.loads(bytes(call["body"]))
    assert payload["type"] == "BELL"


def test_a_changed_byte_does_not_verify(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        write(connection, mentor)
    (call,) = queued(database, bell)
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(bytes(call["body"]) + b" ", call["headers"])


def test_a_secret_with_and_without_its_prefix_signs_alike(
    database: Database, mentor: dict[str, UUID], bell: str
) -> None:
    set_vault(database, secret=SECRET.removeprefix("whsec_"))
    with writer(database) as connection:
        write(connection, mentor)
    (call,) = queued(database, bell)
    assert Webhook(SECRET).verify(bytes(call["body"]), call["headers"])


def test_a_transaction_rings_once_and_at_its_commit(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        for _ in range(5):
            write(connection, mentor)
        rung = connection.execute("select count(*) as n from net.http_request_queue").fetchone()
        assert rung == {"n": 0}
    assert len(queued(database, bell)) == 1
    assert marks(database, mentor, bell) == 5


def test_the_next_transaction_of_a_session_rings_again(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    """A pooled connection serves many writers: that one has rung must not silence the next."""
    with writer(database) as connection:
        for _ in range(2):
            write(connection, mentor)
            connection.commit()
            database.execute("update private.bells set last_rung_at = '-infinity'")
    assert len(queued(database, bell)) == 2


def test_a_rollback_rings_for_nobody(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        write(connection, mentor)
        connection.rollback()
    assert queued(database, bell) == []
    assert marks(database, mentor, bell) == 0


def test_writers_that_come_at_once_ring_once_between_them(
    database: Database, mentor: dict[str, UUID], bell: str
) -> None:
    for _ in range(10):
        with writer(database) as connection:
            write(connection, mentor)
    assert len(queued(database, bell)) == 1
    assert marks(database, mentor, bell) == 10


def test_a_long_transaction_that_has_marked_silences_nobody(
    database: Database, mentor: dict[str, UUID], bell: str
) -> None:
    with writer(database) as long_one:
        write(long_one, mentor)
        with writer(database) as short_one:
            write(short_one, mentor)
        assert len(queued(database, bell)) == 1


def test_a_writer_never_waits_for_another_one_s_bell(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    said: list[str | None] = []
    with writer(database) as holder, writer(database) as other:
        holder.execute("select from private.bells for update")
        other.add_notice_handler(lambda notice: said.append(notice.message_primary))
        other.execute("set local lock_timeout = '200ms'")
        write(other, mentor)
        other.commit()
    assert said == []
    assert queued(database, bell) == []
    assert marks(database, mentor, bell) == 1


def test_of_two_drains_that_end_at_once_one_rings_again(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        write(connection, mentor)
    ring_again = "select private.ring_again(%s, 'public', 'activities') as rang"
    with writer(database) as first, writer(database) as second:
        second.execute("set local lock_timeout = '2s'")
        assert [c.execute(ring_again, (bell,)).fetchone() for c in (first, second)] == [{"rang": True}, {"rang": False}]
    assert len(queued(database, bell)) == 2


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_writer_at_a_stricter_isolation_level_is_not_failed_by_the_bell(
    database: Database, mentor: dict[str, UUID], bell: str, level: IsolationLevel
) -> None:
    with writer(database, level) as strict:
        # Its snapshot is older than the ring of the other.
        strict.execute("select 1")
        with writer(database) as other:
            write(other, mentor)
        database.execute("update private.bells set last_rung_at = '-infinity'")
        write(strict, mentor)
    assert marks(database, mentor, bell) == 2


def test_serializable_writers_side_by_side_both_commit(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with (
        writer(database, IsolationLevel.SERIALIZABLE) as one,
        writer(database, IsolationLevel.SERIALIZABLE) as two,
    ):
        write(one, mentor)
        write(two, mentor)
        one.commit()
        two.commit()
    assert marks(database, mentor, bell) == 2


@pytest.mark.parametrize(
    ("url", "secret", "warning"),
    [
        (None, SECRET, "the Vault secret attend_functions_url is missing"),
        ("", SECRET, "the Vault secret attend_functions_url is missing"),
        (URL, None, "the Vault secret attend_webhook_secret is missing"),
        (URL, "", "the Vault secret attend_webhook_secret is missing"),
        ("not a url", SECRET, "was not rung"),
        ("http://127.0.0.1:99999999", SECRET, "was not rung"),
        (URL, "whsec_***this-is-no-base64***", "was not rung"),
    ],
)
def test_a_bell_that_cannot_be_rung_warns_and_fails_nobody(
    database: Database, mentor: dict[str, UUID], bell: str, url: str | None, secret: str | None, warning: str
) -> None:
    set_vault(database, url=url, secret=secret)
    notices: list[str] = []
    with writer(database) as connection:
        connection.execute("set client_min_messages = warning")
        connection.add_notice_handler(
            lambda d: notices.append(
                f"{d.severity}: {d.message_primary} {d.message_detail} {d.message_hint} {d.context}"
            )
        )
        write(connection, mentor)
    assert marks(database, mentor, bell) == 1
    assert queued(database, bell) == []
    (said,) = (notice for notice in notices if bell in notice)
    assert len(notices) == len(BELLS)
    assert said.startswith("WARNING")
    assert warning in said
    assert "docs/runbook.md" in said
    for hidden in (SECRET, secret):
        assert not hidden or hidden.removeprefix("whsec_") not in said


def test_somebody_without_any_right_to_vault_or_bells_rings(
    database: Database, mentor: dict[str, UUID], bell: str
) -> None:
    login = database.value("insert into auth.users (id) values (gen_random_uuid()) returning id")
    database.execute(
        "insert into public.user_logins values (%(login)s, %(organization_id)s, %(user_id)s)",
        {"login": login, **mentor},
    )
    with database.as_user(login) as connection:
        write(connection, mentor)
    assert len(queued(database, bell)) == 1


def test_every_organisation_s_writer_rings_the_one_bell(database: Database, mentor: dict[str, UUID], bell: str) -> None:
    with writer(database) as connection:
        write(connection, mentor)
        other = connection.execute("insert into public.organizations (name) values ('B') returning id").fetchone()
        assert other is not None
        user = connection.execute(
            "insert into public.users (organization_id, full_name, role) values (%s, 'N', 'peer_mentor') returning id",
            (other["id"],),
        ).fetchone()
        assert user is not None
        write(connection, {"organization_id": other["id"], "user_id": user["id"]})
    assert len(queued(database, bell)) == 1
    assert database.value("select rung from private.bells where function_name = %s", (bell,)) == 1
