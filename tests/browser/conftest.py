"""The panel's page in a real browser, over a stack of its own: schools, managers, and pages that are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from attend.bench import chromium
from attend.demo import school as demo
from attend.panel_page import FUNCTION, let_in
from attend.stack import Stack, logins
from tests.support import browser as browsers
from tests.support.browser import Watched
from tests.support.database import Database
from tests.support.school import School
from tests.support.stack import embedded_stack

PASSWORD = "a local password"


@dataclass
class Manager:
    """Somebody who may sign in, and the school they are of."""

    school: School
    name: str = "Lucía Vera"
    email: str = field(default_factory=lambda: f"{uuid4().hex[:12]}@example.org")

    def __post_init__(self) -> None:
        with self.school.database.connect() as connection:
            let_in(connection, self.school.id, uuid4(), self.name, self.email, PASSWORD)


@pytest.fixture(scope="session")
def page_stack() -> Iterator[Stack]:
    """The stack with the function that serves the page, one for the folder."""
    # Asked here, so that a machine without a browser does not start a stack for nothing.
    browsers.executable()
    with embedded_stack(functions=(FUNCTION,), cron=False) as stack:
        yield stack


@pytest.fixture(scope="session")
def page_database(page_stack: Stack) -> Iterator[Database]:
    database = Database(page_stack, "postgres")
    yield database
    database.close()


# Of a module and not of the session: while it lives its event loop is this thread's, and others' tests have theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium.launched(browsers.executable()) as browser:
        yield browser


@pytest.fixture
def school(page_database: Database) -> Iterator[School]:
    """A school without students."""
    school = School(page_database, name=f"Escuela {uuid4().hex[:6]}")
    yield school
    school.remove()


@pytest.fixture
def manager(school: School) -> Manager:
    return Manager(school)


@pytest.fixture(scope="session")
def academy(page_database: Database) -> Iterator[School]:
    """A school as `attend panel` makes it, for tests that only look."""
    school = School(page_database, name=demo.NAME)
    with page_database.connect() as connection:
        demo.load(connection, school.id, demo.generate(7, datetime.now(UTC)))
    yield school
    school.remove()


@pytest.fixture(scope="session")
def head(academy: School) -> Manager:
    """The academy's manager."""
    return Manager(academy)


@pytest.fixture
def look(browser: Browser, page_stack: Stack) -> Iterator[Callable[..., Watched]]:
    """Opens pages, each in a session of its own; what must hold of every page is held at the end."""
    opened: list[Watched] = []

    def look(**options: Any) -> Watched:
        given = {"viewport": browsers.DESKTOP, "locale": "es-EC", "timezone_id": "America/Guayaquil", **options}
        context = browser.new_context(accept_downloads=True, **given)
        context.set_default_timeout(10_000)
        url = f"{page_stack.functions_url}/{FUNCTION}"
        opened.append(Watched(context.new_page(), url, page_stack.api_url))
        return opened[-1]

    try:
        yield look
        for page in opened:
            page.check()
    finally:
        for page in opened:
            page.page.context.close()


def other_login(database: Database, school: School, role: str) -> str:
    """The address of somebody of the school who is no manager."""
    email = f"{uuid4().hex[:12]}@example.org"
    user = uuid4()
    with database.connect() as connection:
        login = logins.create(connection, email, PASSWORD)
    database.execute(
        "insert into public.users (organization_id, id, full_name, role) values (%s, %s, 'Otra Persona', %s)",
        (school.id, user, role),
    )
    database.execute("insert into public.user_logins values (%s, %s, %s)", (login, school.id, user))
    return email
