"""What happens while an answer is on its way: somebody leaves, goes on typing, chooses another level."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import APIResponse, Route, expect

from tests.browser.conftest import PASSWORD, Manager
from tests.support.browser import Watched
from tests.support.school import School

pytestmark = pytest.mark.embedded

type Look = Callable[..., Watched]

AUTH = "**/auth/v1/"
NOTES = "**/rest/v1/student_notes**"
KEPT = "() => sessionStorage.getItem('attend-panel-session')"


@dataclass
class Held:
    """Answers that the server has given, and that the page does not have yet."""

    page: Watched
    pattern: str
    _answers: list[tuple[Route, APIResponse]] = field(default_factory=list[tuple[Route, APIResponse]])
    _is_full: bool = False

    def __post_init__(self) -> None:
        self.page.page.route(self.pattern, self._take)

    def _take(self, route: Route) -> None:
        if self._is_full:
            route.continue_()
        else:
            self._answers.append((route, route.fetch()))

    def wait(self) -> None:
        """Until there is one. Whatever is asked from then on is answered at once."""
        deadline = time.monotonic() + 10
        while not self._answers:
            assert time.monotonic() < deadline, self.pattern
            self.page.page.wait_for_timeout(50)
        self.page.page.wait_for_timeout(200)
        self._is_full = True

    def release(self) -> None:
        """They arrive."""
        for route, answer in self._answers:
            route.fulfill(response=answer)
        self.page.page.wait_for_timeout(300)


@pytest.fixture
def small(manager: Manager) -> Manager:
    manager.school.student(1, full_name="Ana Paredes", level="A1")
    manager.school.student(2, full_name="Bruno Salas", level="B1")
    manager.school.came(1, 20)
    manager.school.came(2, 16)
    manager.school.learns(1, "stuck")
    return manager


# ---------------------------------------------------------------------------------------------- somebody leaves


@pytest.mark.parametrize("view", ["panel_reader", "panel_figures", "engagement_student_activity_v", "panel_followups"])
def test_an_answer_to_somebody_who_has_signed_out_is_shown_to_nobody(look: Look, small: Manager, view: str) -> None:
    small.school.setting("panel_time_zone", "Europe/Madrid")
    page = look().sign_in(small.email, PASSWORD)
    held = Held(page, f"**/rest/v1/{view}?**")
    page.page.click("#refresh")
    held.wait()
    page.page.click("#sign-out")
    expect(page.page.locator("#sign-in")).to_be_visible()
    held.release()
    for known in ("Ana Paredes", small.school.name, small.name, "A1"):
        assert known not in page.page.locator("body").inner_html(), known


def test_a_refusal_of_who_has_left_is_not_said_to_who_came(look: Look, manager: Manager) -> None:
    page = look().sign_in(manager.email, PASSWORD)
    page.refusals_expected = True
    manager.school.database.execute(
        "update public.users set is_active = false where organization_id = %s and full_name = %s",
        (manager.school.id, manager.name),
    )
    colleague = Manager(manager.school, name="Óscar Ñauta")
    held = Held(page, "**/rest/v1/panel_reader?**")
    page.page.click("#refresh")
    held.wait()
    expect(page.page.locator("#refused")).to_be_visible()
    page.page.click("#refused-sign-out")
    page.enter(colleague.email, PASSWORD)
    page.wait_complete()
    held.release()
    expect(page.page.locator("#panel")).to_be_visible()
    expect(page.page.locator("#greeting")).to_contain_text("Óscar Ñauta")


def test_signing_out_lasts_though_the_token_is_being_renewed(look: Look, small: Manager) -> None:
    def short(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "expires_at": int(time.time()) + 61})

    page = look()
    page.page.route(f"{AUTH}token?grant_type=password", short)
    page.sign_in(small.email, PASSWORD)
    held = Held(page, f"{AUTH}token?grant_type=refresh_token")
    page.page.wait_for_timeout(1500)
    page.page.click("#refresh")
    held.wait()
    page.page.click("#sign-out")
    expect(page.page.locator("#sign-in")).to_be_visible()
    held.release()
    assert page.page.evaluate(KEPT) is None
    page.page.reload()
    expect(page.page.locator("#sign-in")).to_be_visible()


def test_signing_out_waits_for_nobody(look: Look, small: Manager) -> None:
    page = look().sign_in(small.email, PASSWORD)
    held = Held(page, f"{AUTH}logout?**")
    page.page.click("#sign-out")
    expect(page.page.locator("#sign-in")).to_be_visible(timeout=3000)
    held.release()


# ---------------------------------------------------------------------------------------------- notes


def test_what_is_typed_while_a_note_is_saved_stays(look: Look, small: Manager) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.page.click("#tab-14")
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Hablé con su madre.")
    held = Held(page, NOTES)
    page.page.click("#save-note")
    held.wait()
    page.page.fill("#note", "Hablé con su madre. Vuelve el lunes.")
    held.release()
    expect(page.page.locator("#notes li")).to_have_count(1)
    expect(page.page.locator("#note")).to_have_value("Hablé con su madre. Vuelve el lunes.")
    page.page.keyboard.press("Escape")
    page.page.click("#at-risk .name")
    expect(page.page.locator("#note")).to_have_value("Hablé con su madre. Vuelve el lunes.")


def test_a_note_that_was_saved_goes_from_the_field_though_the_student_was_opened_anew(
    look: Look, small: Manager
) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.page.click("#tab-14")
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Hablé con su madre.")
    held = Held(page, NOTES)
    page.page.click("#save-note")
    held.wait()
    page.page.keyboard.press("Escape")
    # The same student in another list.
    page.page.click("#dual-risk .name")
    held.release()
    expect(page.page.locator("#notes li")).to_have_count(1)
    expect(page.page.locator("#note")).to_have_value("")


@pytest.mark.parametrize("again", ["closed", "reloaded"])
def test_a_note_whose_answer_was_lost_is_there_once_though_the_student_was_opened_anew(
    look: Look, small: Manager, again: str
) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.refusals_expected = True

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.page.click("#tab-14")
    page.page.click("#at-risk .name")
    page.page.fill("#note", "Una sola vez")
    page.page.route(NOTES, lose)
    page.page.click("#save-note")
    expect(page.page.locator("#note-error")).to_contain_text("No se ha guardado")
    page.page.unroute(NOTES)
    if again == "closed":
        page.page.keyboard.press("Escape")
    else:
        page.page.reload()
        page.wait_complete()
        page.page.click("#tab-14")
    page.page.click("#at-risk .name")
    expect(page.page.locator("#note")).to_have_value("Una sola vez")
    page.page.click("#save-note")
    expect(page.status()).to_have_text("Nota guardada.")
    assert small.school.database.rows(
        "select n.body from public.student_notes n where n.organization_id = %s", (small.school.id,)
    ) == [{"body": "Una sola vez"}]


# ---------------------------------------------------------------------------------------------- levels and zones


def test_a_figure_of_another_level_is_not_shown_as_this_ones(look: Look, small: Manager) -> None:
    page = look().sign_in(small.email, PASSWORD)
    page.refusals_expected = True
    figure = page.page.locator("[data-figure=dual-risk] strong")
    expect(figure).to_have_text("1")
    page.page.route("**/rest/v1/engagement_dual_risk_students_v?**", lambda route: route.abort())
    page.page.select_option("#level", label="B1")
    expect(figure).to_have_text("—")
    expect(page.page.locator("#dual-risk [role=alert]")).to_be_visible()
    expect(figure).to_have_text("—")
    page.page.unroute("**/rest/v1/engagement_dual_risk_students_v?**")
    page.page.select_option("#level", label="A1")
    expect(figure).to_have_text("1")
    page.page.route("**/rest/v1/engagement_dual_risk_students_v?**", lambda route: route.abort())
    page.page.click("#refresh")
    expect(figure).to_have_text("—")


def contacted(school: School, at: datetime) -> None:
    school.database.execute(
        "insert into public.student_notes (organization_id, student_id, kind, created_at)"
        " values (%s, 1, 'contacted', %s)",
        (school.id, at),
    )


def test_days_are_the_schools_though_its_zone_is_told_last(look: Look, small: Manager) -> None:
    # Nineteen hours apart: half-way between the hours that it is here and there, it was yesterday in one of them alone.
    zones = [ZoneInfo("America/Guayaquil"), ZoneInfo("Pacific/Kiritimati")]
    now = datetime.now(UTC)
    hours = [now.astimezone(zone).hour for zone in zones]
    contacted(small.school, now - timedelta(hours=sum(hours) / 2))
    small.school.setting("panel_time_zone", zones[1].key)
    page = look()
    held = Held(page, "**/rest/v1/panel_reader?**")
    page.open().enter(small.email, PASSWORD)
    page.page.click("#tab-14")
    expect(page.page.locator("#at-risk tbody .chip.good")).to_have_count(1)
    held.wait()
    held.release()
    page.wait_complete()
    expect(page.page.locator("#at-risk tbody .chip.good")).to_have_text(
        "Contacto ayer" if hours[1] < hours[0] else "Contacto hoy"
    )


def test_a_zone_that_the_browser_does_not_know_is_no_obstacle(look: Look, small: Manager) -> None:
    contacted(small.school, datetime.now(UTC))
    page = look()

    def tell(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=[{**answer.json()[0], "time_zone": "America/Nueva_Ciudad"}])

    page.page.route("**/rest/v1/panel_reader?**", tell)
    page.sign_in(small.email, PASSWORD)
    expect(page.page.locator("#as-of")).to_contain_text("hora de UTC")
    page.page.click("#tab-14")
    expect(page.page.locator("#at-risk tbody .chip.good")).to_have_text("Contacto hoy")
