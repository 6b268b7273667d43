"""Logging in to a database whose address somebody typed, without repeating what may be its password."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from attend.stack.errors import StackError

_AS = "As postgresql://postgres:…@host:5432/postgres, with special characters of the password encoded (@ is %40)."


def log_in(url: str, *, autocommit: bool, application_name: str) -> psycopg.Connection[Any]:
    """A connection. Raises StackError where there is none to be had.

    A password with an @ or a / that is not encoded would be read as a host or a database, and an error about those
    would tell it: such an address is none.
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        parts = None
    if parts is None or any("@" in str(parts.get(part, "")) for part in ("host", "port", "dbname")):
        raise StackError("The address of the database cannot be read.", _AS)
    try:
        return psycopg.connect(url, autocommit=autocommit, connect_timeout=10, application_name=application_name)
    except psycopg.OperationalError as error:
        said = (str(error).strip().splitlines() or ["no word of it"])[0]
        hint = "Check --db-url, and that the project runs."
        raise StackError(f"The database does not answer: {said}", hint) from None
    except psycopg.Error:
        # What is said of an option may repeat its value.
        raise StackError("The address of the database cannot be read.", _AS) from None
