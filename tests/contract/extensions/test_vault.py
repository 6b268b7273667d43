"""How Vault behaves: names are unique, secrets are not stored as they are, and who may do what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

Connection = psycopg.Connection[Any]


@pytest.fixture
def vault(connection: Connection) -> Iterator[Connection]:
    """A connection whose changes are rolled back."""
    with connection.transaction(force_rollback=True):
        yield connection


def create(connection: Connection, secret: str, name: str | None = None, description: str = "") -> Any:
    row = connection.execute("select vault.create_secret(%s, %s, %s)", (secret, name, description)).fetchone()
    assert row is not None
    return row[0]


def test_a_secret_reads_back_as_it_was_given(vault: Connection) -> None:
    identity = create(vault, "s3crét ✓", "test-one", "why it is here")
    row = vault.execute(
        "select name, description, decrypted_secret from vault.decrypted_secrets where id = %s", (identity,)
    ).fetchone()
    assert row == ("test-one", "why it is here", "s3crét ✓")


def test_a_secret_is_not_stored_as_it_is(vault: Connection) -> None:
    identity = create(vault, "plain to see", "test-hidden")
    row = vault.execute("select secret from vault.secrets where id = %s", (identity,)).fetchone()
    assert row is not None
    assert "plain" not in row[0]


def test_a_second_secret_of_one_name_is_refused(vault: Connection) -> None:
    create(vault, "one", "test-twice")
    with pytest.raises(psycopg.errors.UniqueViolation), vault.transaction():
        create(vault, "two", "test-twice")


def test_secrets_without_a_name_do_not_collide(vault: Connection) -> None:
    assert create(vault, "one") != create(vault, "one")


def test_an_update_changes_only_what_is_given(vault: Connection) -> None:
    identity = create(vault, "before", "test-update", "kept")
    vault.execute("select vault.update_secret(%s, %s)", (identity, "after"))
    row = vault.execute(
        "select name, description, decrypted_secret from vault.decrypted_secrets where id = %s", (identity,)
    ).fetchone()
    assert row == ("test-update", "kept", "after")


def test_postgres_deletes_secrets_and_writes_them_only_through_the_functions(vault: Connection) -> None:
    identity = create(vault, "x", "test-delete")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), vault.transaction():
        vault.execute("update vault.secrets set description = 'y' where id = %s", (identity,))
    assert vault.execute("delete from vault.secrets where id = %s", (identity,)).rowcount == 1


def test_service_role_manages_secrets(vault: Connection) -> None:
    vault.execute("set local role service_role")
    identity = create(vault, "x", "test-service")
    row = vault.execute("select decrypted_secret from vault.decrypted_secrets where id = %s", (identity,)).fetchone()
    assert row == ("x",)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "statement",
    ["select * from vault.secrets", "select * from vault.decrypted_secrets", "select vault.create_secret('x')"],
)
def test_no_other_api_role_reaches_the_vault(vault: Connection, role: str, statement: str) -> None:
    vault.execute(f"set local role {role}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege), vault.transaction():
        vault.execute(statement.encode())
