"""Logins come and go as the auth service makes them: as `supabase_auth_admin`, who may use none of our schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.conftest import on_real_stack
from tests.support.database import Database

pytestmark = pytest.mark.skipif(on_real_stack(), reason="the auth service's password is not the tests' to know")


@pytest.fixture
def auth(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """The auth service's own connection."""
    with database.connect("supabase_auth_admin") as connection:
        yield connection


def invite(database: Database, email: str) -> dict[str, UUID]:
    """An organisation of one person, who has an activity and is invited."""
    organization = database.value("insert into public.organizations (name) values ('A') returning id")
    user = database.value(
        "insert into public.users (organization_id, full_name, role) values (%s, 'Guest', 'peer_mentor') returning id",
        (organization,),
    )
    database.execute(
        "insert into public.invitations (organization_id, user_id, email, expires_at)"
        " values (%s, %s, %s, now() + interval '1 day')",
        (organization, user, email),
    )
    database.execute(
        "insert into public.activities (organization_id, user_id, activity_type_id, occurred_at)"
        " values (%s, %s, 'home-visit', now())",
        (organization, user),
    )
    return {"organization_id": organization, "user_id": user}


def sign_up(auth: psycopg.Connection[Any], email: str, *, confirmed: bool = True) -> UUID:
    login = uuid4()
    auth.execute(
        "insert into auth.users (id, email, email_confirmed_at) values (%s, %s, case when %s then now() end)",
        (login, email, confirmed),
    )
    return login


def links(database: Database, login: UUID) -> list[dict[str, Any]]:
    return database.rows("select organization_id, user_id from public.user_logins where auth_user_id = %s", (login,))


def test_a_confirmed_sign_up_links_the_invited_person(database: Database, auth: psycopg.Connection[Any]) -> None:
    invited = invite(database, "linked@example.test")
    assert links(database, sign_up(auth, "linked@example.test")) == [invited]


def test_an_unconfirmed_sign_up_links_when_it_is_confirmed(database: Database, auth: psycopg.Connection[Any]) -> None:
    invited = invite(database, "later@example.test")
    login = sign_up(auth, "later@example.test", confirmed=False)
    assert links(database, login) == []
    auth.execute("update auth.users set email_confirmed_at = now() where id = %s", (login,))
    assert links(database, login) == [invited]


def test_a_login_without_an_invitation_is_a_stranger(database: Database, auth: psycopg.Connection[Any]) -> None:
    login = sign_up(auth, "stranger@example.test")
    assert links(database, login) == []
    with database.as_user(login) as connection:
        assert connection.execute("select * from public.organizations").fetchall() == []


def test_the_linked_person_sees_her_organisation_from_then_on(
    database: Database, auth: psycopg.Connection[Any]
) -> None:
    invited = invite(database, "sees@example.test")
    login = sign_up(auth, "sees@example.test")
    with database.as_user(login) as connection:
        rows = connection.execute("select organization_id, user_id from public.activities").fetchall()
    assert rows == [invited]


def test_erasing_a_login_keeps_the_person_and_the_figures(database: Database, auth: psycopg.Connection[Any]) -> None:
    invited = invite(database, "erased@example.test")
    login = sign_up(auth, "erased@example.test")
    auth.execute("delete from auth.users where id = %s", (login,))
    assert links(database, login) == []
    kept = "select count(*) from public.{} where organization_id = %(organization_id)s"
    assert database.value(kept.format("users"), invited) == 1
    assert database.value(kept.format("activities"), invited) == 1
    with database.as_user(login) as connection:
        assert connection.execute("select * from public.activities").fetchall() == []


def test_a_person_whose_login_was_erased_can_be_given_a_new_one(
    database: Database, auth: psycopg.Connection[Any]
) -> None:
    invited = invite(database, "again@example.test")
    login = sign_up(auth, "again@example.test")
    auth.execute("delete from auth.users where id = %s", (login,))
    database.execute(
        "insert into public.invitations (organization_id, user_id, email, expires_at)"
        " values (%(organization_id)s, %(user_id)s, 'again@example.test', now() + interval '1 day')",
        invited,
    )
    assert links(database, sign_up(auth, "again@example.test")) == [invited]


def test_the_auth_service_can_read_nothing_of_ours(auth: psycopg.Connection[Any]) -> None:
    for statement in ("select * from public.users", "select * from public.user_logins", "select * from private.runs"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            auth.execute(statement.encode())


def test_two_sign_ups_at_once_share_one_invitation_between_them(database: Database) -> None:
    invited = invite(database, "race@example.test")
    first, second = uuid4(), uuid4()
    insert = "insert into auth.users (id, email, email_confirmed_at, is_sso_user) values (%s, %s, now(), %s)"
    with (
        psycopg.connect(database.dsn("supabase_auth_admin")) as one,
        psycopg.connect(database.dsn("supabase_auth_admin")) as two,
    ):
        # A password login and one of a single sign-on may have the same address.
        one.execute(insert, (first, "race@example.test", False))
        two.execute(insert, (second, "race@example.test", True))
        two.commit()
        one.commit()
    assert links(database, first) == [invited]
    assert links(database, second) == []
