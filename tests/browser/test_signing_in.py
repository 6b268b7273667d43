"""Who gets in, how long they stay, and what is left of them when they leave."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from attend.stack.keys import Keys
from tests.browser.conftest import PASSWORD, Manager, other_login
from tests.support.browser import Watched
from tests.support.database import Database
from tests.support.school import School

pytestmark = pytest.mark.embedded

type Look = Callable[..., Watched]


def kept(page: Watched) -> dict[str, Any]:
    return page.page.evaluate("() => JSON.parse(sessionStorage.getItem('attend-panel-session'))")


def keep(page: Watched, **changes: object) -> None:
    """Changes what the tab keeps of its session, and opens the page again."""
    script = "(s) => sessionStorage.setItem('attend-panel-session', JSON.stringify(s))"
    page.page.evaluate(script, {**kept(page), **changes})
    page.page.reload()


def asked(page: Watched, grant: str) -> int:
    return sum(f"grant_type={grant}" in request.url for request in page.requests)


def test_a_manager_signs_in_and_sees_the_school(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    expect(page.page.locator("#organization")).to_have_text(head.school.name)
    expect(page.page.locator("#greeting")).to_contain_text(head.name.split()[0])
    assert page.page.locator("#figures li").count() >= 5
    assert page.page.locator("canvas").count() == 3
    assert page.names("at-risk")
    assert "Embajador potencial" in page.page.locator("#high-engagement").inner_text()


def test_the_page_has_nothing_but_the_managers_own_token(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    rest = [request for request in page.requests if "/rest/v1/" in request.url]
    token = kept(page)["access_token"]
    assert {request.headers["authorization"] for request in rest} == {f"Bearer {token}"}
    assert {
        request.headers["apikey"]
        for request in page.requests
        if "/v1/functions" not in request.url and "apikey" in request.headers
    } == {Keys().publishable}
    assert Keys().secret not in page.page.content()
    assert page.page.context.cookies() == []


def test_a_wrong_password_is_said_and_nothing_is_shown(look: Look, head: Manager) -> None:
    page = look().open()
    page.refusals_expected = True
    page.enter(head.email, PASSWORD.upper())
    expect(page.page.locator("#sign-in-error")).to_have_text("El correo o la contraseña no son correctos.")
    expect(page.page.locator("#panel")).to_be_hidden()
    page.enter(head.email, PASSWORD)
    page.wait_complete()


def test_an_empty_form_asks_for_what_is_missing(look: Look) -> None:
    page = look().open()
    page.page.click("#sign-in-button")
    expect(page.page.locator("#sign-in-error")).to_have_text("Escribe el correo y la contraseña.")
    expect(page.page.locator("#email")).to_be_focused()
    assert asked(page, "password") == 0


@pytest.mark.parametrize("role", ["coordinator", "admin"])
def test_who_is_no_manager_is_told_so_and_sees_nothing(
    look: Look, page_database: Database, academy: School, role: str
) -> None:
    page = look().open()
    page.refusals_expected = True
    page.enter(other_login(page_database, academy, role), PASSWORD)
    expect(page.page.locator("#refused")).to_be_visible()
    expect(page.page.locator("#panel")).to_be_hidden()
    assert academy.name not in page.page.locator("body").inner_text()


def test_a_manager_of_another_organisation_sees_nothing_of_this_one(
    look: Look, manager: Manager, head: Manager
) -> None:
    manager.school.student(1, full_name="Sola Aquí")
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    assert page.names("at-risk") == ["Sola Aquí"]
    rest = [request.response() for request in page.requests if "/rest/v1/" in request.url]
    answers = "".join(answer.text() for answer in rest if answer is not None)
    theirs = head.school.database.rows(
        "select s.full_name from public.students s where s.organization_id = %s", (head.school.id,)
    )
    assert [row["full_name"] for row in theirs if row["full_name"] in answers] == []
    assert head.school.name not in answers


def test_signing_out_leaves_nothing_behind(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    name = page.names("high-engagement")[0]
    page.page.click("#sign-out")
    expect(page.page.locator("#sign-in")).to_be_visible()
    assert page.page.evaluate("() => sessionStorage.length") == 0
    assert name not in page.page.content()
    assert head.school.name not in page.page.content()
    page.page.reload()
    expect(page.page.locator("#sign-in")).to_be_visible()


def test_a_reload_stays_signed_in_and_another_tab_is_not(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    page.page.reload()
    page.wait_complete()
    assert asked(page, "password") == 1
    other = Watched(page.page.context.new_page(), page.url, page.origin).open()
    expect(other.page.locator("#sign-in")).to_be_visible()
    other.check()


def test_a_token_that_is_about_to_end_is_renewed_before_it_is_used(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    before = kept(page)
    keep(page, expires_at=int(time.time()) + 5)
    page.wait_complete()
    assert asked(page, "refresh_token") == 1, "many requests, one refresh"
    assert kept(page)["refresh_token"] != before["refresh_token"]


def test_a_token_that_lasts_a_minute_is_renewed_while_the_page_is_open(look: Look, head: Manager) -> None:
    def short(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "expires_at": int(time.time()) + 61})

    page = look()
    page.page.route("**/auth/v1/token?grant_type=password", short)
    page.sign_in(head.email, PASSWORD)
    page.page.wait_for_timeout(1500)
    page.page.click("#refresh")
    expect(page.status()).to_have_text("Actualizado.")
    assert asked(page, "refresh_token") == 1


def test_an_expired_token_that_the_server_refuses_is_renewed_once(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    page.refusals_expected = True
    expired = Keys().user_token(kept(page)["user"], exp=int(time.time()) - 3600)
    keep(page, access_token=expired)
    page.wait_complete()
    assert asked(page, "refresh_token") == 1


def test_a_session_that_has_ended_is_said_and_what_was_typed_stays(
    look: Look, manager: Manager, page_database: Database
) -> None:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    page.refusals_expected = True
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Hablé con su madre")
    page_database.execute(
        "delete from auth.sessions s using auth.users u where u.id = s.user_id and u.email = %s", (manager.email,)
    )
    keep(page, expires_at=int(time.time()))
    expect(page.page.locator("#sign-in-why")).to_contain_text("Tu sesión ha terminado")
    assert "Ana Paredes" not in page.page.locator("body").inner_text()
    page.enter(manager.email, PASSWORD)
    page.wait_complete()
    page.page.click("#at-risk .name")
    expect(page.page.locator("#note")).to_have_value("Hablé con su madre")


def test_a_manager_who_is_no_longer_active_is_refused_with_the_token_they_have(
    look: Look, manager: Manager, page_database: Database
) -> None:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    page = look().sign_in(manager.email, PASSWORD)
    page.refusals_expected = True
    page_database.execute(
        "update public.users set is_active = false where organization_id = %s and full_name = %s",
        (manager.school.id, manager.name),
    )
    page.page.click("#refresh")
    expect(page.page.locator("#refused")).to_be_visible()
    assert "Ana Paredes" not in page.page.content()


def test_an_auth_service_that_is_away_is_said(look: Look, head: Manager) -> None:
    page = look().open()
    page.refusals_expected = True
    page.page.route("**/auth/v1/token**", lambda route: route.abort())
    page.enter(head.email, PASSWORD)
    expect(page.page.locator("#sign-in-error")).to_have_text("No hay respuesta. Revisa la conexión y prueba otra vez.")
    page.page.unroute("**/auth/v1/token**")
    page.enter(head.email, PASSWORD)
    page.wait_complete()
