"""On a phone, in the dark, by keyboard, with a screen reader; and what the page may not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Manager
from tests.support.browser import DESKTOP, PHONE, Watched

pytestmark = pytest.mark.embedded

type Look = Callable[..., Watched]

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "light"},
    "dark phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"},
}


@pytest.mark.parametrize("options", LOOKS.values(), ids=LOOKS)
def test_axe_finds_nothing_serious(look: Look, head: Manager, options: dict[str, Any]) -> None:
    page = look(**options).open()
    assert page.findings() == []
    page.enter(head.email, PASSWORD)
    page.wait_complete()
    for detail in page.page.locator("summary").all():
        detail.click()
    assert page.findings() == []
    page.page.click("#at-risk .name")
    expect(page.page.locator("#student")).to_be_visible()
    page.page.wait_for_function("() => !document.querySelector('dialog[aria-busy=true]')")
    assert page.findings("dialog") == []


def test_axe_notices_what_is_wrong(look: Look) -> None:
    """A check that never finds anything holds nothing."""
    page = look().open()
    page.page.evaluate("() => document.querySelector('label[for=email]').remove()")
    assert any("label" in found for found in page.findings())


def test_a_phone_shows_everything_without_scrolling_sideways(look: Look, head: Manager) -> None:
    page = look(**LOOKS["phone"]).open()
    assert page.overflow() == 0
    page.enter(head.email, PASSWORD)
    page.wait_complete()
    assert page.overflow() == 0
    # By width: a part that is wider than the window is cut off even where the page does not scroll.
    wider = (
        "() => [...document.querySelectorAll('main section, main button, main select')].filter((e) => e.offsetParent"
        " && !e.closest('.scroll, .tabs') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map((e) => e.id || e.textContent)"
    )
    assert page.page.evaluate(wider) == []
    page.page.locator("#at-risk .name").first.tap()
    box = page.page.locator("#student").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    page.page.fill("#note", "x" * 300)
    assert page.overflow() == 0


def test_what_is_touched_is_large_enough_for_a_thumb(look: Look, head: Manager) -> None:
    page = look(**LOOKS["phone"]).sign_in(head.email, PASSWORD)
    small = "() => [...document.querySelectorAll('main button, main select, header button, header select')]"
    small += ".filter((e) => e.offsetParent && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"
    assert page.page.evaluate(small) == []


def brightness(page: Page) -> float:
    return page.evaluate(
        "() => { const c = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);"
        " return (c[0] + c[1] + c[2]) / 3; }"
    )


def test_the_page_is_dark_where_the_system_is(look: Look, head: Manager) -> None:
    page = look(color_scheme="dark").sign_in(head.email, PASSWORD)
    assert brightness(page.page) < 60
    bar = "() => Chart.getChart(document.querySelector('#weekdays canvas')).data.datasets[0].backgroundColor[0]"
    dark = page.page.evaluate(bar)
    page.page.emulate_media(color_scheme="light")
    assert brightness(page.page) > 200
    assert page.page.evaluate(bar) != dark, "a canvas does not follow the style sheet by itself"


def test_a_manager_without_a_mouse_signs_in_writes_a_note_and_leaves(look: Look, manager: Manager) -> None:
    manager.school.student(1, full_name="Ana Paredes")
    manager.school.came(1, 9)
    page = look().open()
    keys = page.page.keyboard
    expect(page.page.locator("#email")).to_be_focused()
    keys.type(manager.email)
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    page.wait_complete()

    def reach(selector: str) -> None:
        for _ in range(60):
            if page.page.evaluate("(s) => document.activeElement?.matches(s)", selector):
                return
            keys.press("Tab")
        raise AssertionError(f"{selector} is not reached by the tab key")

    reach("#at-risk .name")
    outline = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert page.page.evaluate(outline) != "none", "what has the focus shows it"
    keys.press("Enter")
    expect(page.page.locator("#note")).to_be_focused()
    keys.type("Por teclado")
    reach("#save-note")
    keys.press("Enter")
    expect(page.page.locator("#notes")).to_contain_text("Por teclado")
    keys.press("Escape")
    expect(page.page.locator("#student")).to_be_hidden()
    reach("#sign-out")
    keys.press("Enter")
    expect(page.page.locator("#sign-in")).to_be_visible()


def test_the_first_stop_leads_past_the_head(look: Look, head: Manager) -> None:
    page = look().sign_in(head.email, PASSWORD)
    page.page.reload()
    page.wait_complete()
    page.page.keyboard.press("Tab")
    expect(page.page.locator("a.skip")).to_be_focused()
    expect(page.page.locator("a.skip")).to_be_in_viewport()
    page.page.keyboard.press("Enter")
    expect(page.page.locator("#main")).to_be_focused()


def test_the_page_comes_with_a_policy_that_allows_no_others_script(look: Look, head: Manager) -> None:
    page = look()
    answer = httpx.get(page.url)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == page.origin
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert not any("unsafe" in value or "*" in value for value in policy.values())
    page.sign_in(head.email, PASSWORD)


def test_the_policy_holds_in_the_browser(look: Look) -> None:
    page = look().open()
    page.page.evaluate(
        "() => { const img = new Image(); img.src = 'https://elsewhere.invalid/x.png';"
        " const script = document.createElement('script');"
        # Refused as it is made, or as it would run.
        " try { script.textContent = 'window.owned = 1'; document.body.append(script); } catch {} }"
    )
    page.page.wait_for_function("() => window.violations.length >= 2")
    assert page.page.evaluate("() => window.owned") is None
    blocked = {request.url: request.failure for request in page.requests if "elsewhere" in request.url}
    assert blocked == {"https://elsewhere.invalid/x.png": "csp"}
    # What was provoked is not the page's own doing.
    page.page.evaluate("() => { window.violations = []; }")
    page.complaints.clear()
    page.requests.clear()
