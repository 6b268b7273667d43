"""attend/login.py: an address that is none is said to be none, and not what it may have of a password."""

import pytest

from attend.login import log_in
from attend.stack.errors import StackError


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "host=a.test password=hunter2 bogus=1",
        "postgresql://postgres:hun ter2@a.test:x/d",
        "postgresql://postgres:x@hunter2@127.0.0.1:1/postgres",
        "postgresql://postgres:1/hunter2@127.0.0.1:1/d",
        "postgresql://postgres:1,2/hunter2@127.0.0.1:1/d",
        "postgresql://postgres:%hunter2@127.0.0.1:1/postgres",
    ],
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(StackError) as caught:
        log_in(url, autocommit=True, application_name="test")
    assert "hunter2" not in str(caught.value)
    assert caught.value.message == "The address of the database cannot be read."
    assert "%40" in caught.value.hint


def test_a_database_that_is_not_there_is_said_not_to_answer() -> None:
    with pytest.raises(StackError, match="does not answer") as caught:
        log_in("postgresql://postgres:hunter2@127.0.0.1:1/postgres", autocommit=True, application_name="test")
    assert "hunter2" not in str(caught.value)
