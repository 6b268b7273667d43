"""A database that is slow, one that is away, a network that breaks: everything is said, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from playwright.sync_api import expect

from attend.stack import Stack
from tests.browser.conftest import PASSWORD, Manager
from tests.support.browser import Watched
from tests.support.database import Database
from tests.support.gateway import wait_until_ready

pytestmark = pytest.mark.embedded

type Look = Callable[..., Watched]


@contextmanager
def nobody_reads(database: Database, table: str) -> Iterator[None]:
    """Whoever asks for the table waits, as behind a migration."""
    with database.connect(autocommit=False) as connection:
        connection.execute(f"lock table {table} in access exclusive mode".encode())
        yield


@pytest.fixture
def broken_pools(page_stack: Stack) -> Iterator[None]:
    """Every connection of the API that an outage broke costs one request: the next test shall have none of them."""
    yield
    page_stack.wait_restarted("gateway", page_stack.kill("gateway"))
    wait_until_ready(page_stack.api_url)


@contextmanager
def away(stack: Stack) -> Iterator[None]:
    """The database takes no connection, and has ended those of the API."""
    with psycopg.connect(stack.dsn("supabase_admin", "template1"), autocommit=True) as admin:
        admin.execute("alter database postgres with allow_connections false")
        try:
            admin.execute(
                "select pg_terminate_backend(a.pid) from pg_stat_activity a where a.application_name = 'attend-gateway'"
            )
            yield
        finally:
            admin.execute("alter database postgres with allow_connections true")


@pytest.fixture
def small(manager: Manager) -> Manager:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    return manager


def test_a_slow_database_is_waited_for_and_that_is_said(look: Look, small: Manager, page_database: Database) -> None:
    page = look().open()
    page.page.clock.install()
    with nobody_reads(page_database, "public.students"):
        page.enter(small.email, PASSWORD)
        expect(page.page.locator("#at-risk [data-state]")).to_have_text("Cargando…")
        expect(page.page.locator("#at-risk")).to_have_attribute("aria-busy", "true")
        page.page.clock.fast_forward(9_000)
        expect(page.page.locator("#at-risk [data-state]")).to_contain_text("Tarda más de lo normal")
    page.wait_complete()
    assert page.names("at-risk") == ["Ana Paredes"]
    expect(page.page.locator("#at-risk [data-state]")).to_be_empty()


def test_a_database_that_gives_up_is_said_with_what_to_do(look: Look, small: Manager, page_database: Database) -> None:
    page = look().open()
    page.refusals_expected = True
    with nobody_reads(page_database, "public.students"):
        page.enter(small.email, PASSWORD)
        problem = page.page.locator("#at-risk [role=alert]")
        expect(problem).to_contain_text("La base de datos ha tardado demasiado.", timeout=15_000)
    problem.get_by_role("button").click()
    expect(page.page.locator("#at-risk .name")).to_have_text("Ana Paredes")


@pytest.mark.usefixtures("broken_pools")
def test_a_database_that_is_away_is_said_and_the_next_attempt_succeeds(
    look: Look, small: Manager, page_stack: Stack
) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.refusals_expected = True
    with away(page_stack):
        page.page.click("#refresh")
        problem = page.page.locator("#at-risk [role=alert]")
        expect(problem).to_contain_text("La base de datos no responde.")
        assert "Ana Paredes" not in page.page.locator("#at-risk").inner_text(), "what is not known is not shown"
        for part in ("key-figures", "dual-risk", "high-engagement", "reactivated", "weekdays"):
            expect(page.page.locator(f"#{part} [role=alert]")).to_be_visible()
    deadline = time.monotonic() + 20
    while page.page.locator("#at-risk .name").count() == 0 and time.monotonic() < deadline:
        # A connection of the pool that the outage broke is found out one request at a time.
        if problem.is_visible():
            problem.get_by_role("button").click()
        page.page.wait_for_timeout(300)
    assert page.names("at-risk") == ["Ana Paredes"]


def test_a_note_that_could_not_be_saved_is_still_there(look: Look, small: Manager) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.refusals_expected = True
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Hablé con su madre")
    page.page.route("**/rest/v1/student_notes**", lambda route: route.abort())
    page.page.click("#save-note")
    expect(page.page.locator("#note-error")).to_contain_text("No se ha guardado: la base de datos no responde.")
    expect(page.page.locator("#note")).to_have_value("Hablé con su madre")
    page.page.unroute("**/rest/v1/student_notes**")
    page.page.click("#save-note")
    expect(page.page.locator("#notes li")).to_have_count(1)


def test_a_note_whose_answer_was_lost_is_there_once(look: Look, small: Manager) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.refusals_expected = True
    lost: list[int] = []

    def lose(route: object) -> None:
        if len(lost) < 2:
            lost.append(route.fetch().status)  # type: ignore[attr-defined]
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.page.click("#at-risk .name")
    page.page.fill("#note", "Una sola vez")
    page.page.route("**/rest/v1/student_notes**", lose)
    page.page.click("#save-note")
    expect(page.page.locator("#note-error")).to_contain_text("No se ha guardado")
    page.page.click("#save-note")
    expect(page.page.locator("#notes li")).to_have_count(1)
    assert lost[0] == 201
    count = "select count(*) from public.student_notes where organization_id = %s"
    assert small.school.database.value(count, (small.school.id,)) == 1


def test_a_project_without_the_panel_says_what_is_missing(look: Look, small: Manager) -> None:
    page = look().open()
    page.refusals_expected = True
    page.page.route(
        "**/rest/v1/**",
        lambda route: route.fulfill(status=406, json={"code": "PGRST106", "message": "", "hint": "", "details": ""}),
    )
    page.enter(small.email, PASSWORD)
    expect(page.page.locator("#panel")).to_contain_text("Este proyecto no tiene el panel instalado.")
