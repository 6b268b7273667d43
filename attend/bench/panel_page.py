"""Table `panel`, its page: how long a manager waits for the first view of a whole school, in a real browser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx

from attend.bench import chromium, panel
from attend.bench.measure import Figure, Size, alternating, require, say
from attend.bench.stack import Whole
from attend.panel_page import FUNCTION, let_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_OWED_MS = 1_500.0
_EMAIL, _PASSWORD = "manager@bench.example", "a local password"
# What the page itself keeps, so that it opens as for whoever signed in before.
_KEPT = "sessionStorage.setItem('attend-panel-session', {});"
# The page's own clock, which began with the navigation.
_WHEN_COMPLETE = f"() => {chromium.COMPLETE} && performance.now()"
_SAID = """() => [...document.querySelectorAll("[role=alert]")].map((e) => e.textContent).join(" ")"""


def figures(place: Whole, size: Size) -> Iterator[Figure]:
    """Yields the lines; none on a machine without a browser, which is said."""
    program = chromium.find()
    if program is None or find_spec("playwright") is None:
        say(f"panel: the page is not measured: {chromium.INSTALL if program is None else 'no playwright'}")
        return
    say(f"panel: loading {size.students:,} students with {size.checkins:,} check-ins to look at")
    panel.load(place.admin, 1, 1, size.students, size.checkins)
    school = UUID(hashlib.md5(b"school 1", usedforsecurity=False).hexdigest())
    with place.connect() as connection:
        let_in(connection, school, uuid4(), "Manager", _EMAIL, _PASSWORD)
    say("panel: the page")
    active = place.value("select count(*) from public.students where is_active")
    with chromium.launched(program) as browser:
        first, again = alternating(
            max(size.rounds, 5),
            partial(_opened, browser, place, active),
            partial(_opened, browser, place, active, reloaded=True),
        )
    what = f"the page's first view, {size.students:,} students"
    yield Figure(panel.TABLE, f"{what}, nothing cached, of the 1.5 s owed", size.name, first, _OWED_MS, 1.0)
    yield Figure(panel.TABLE, f"{what}, its files cached, of the 1.5 s owed", size.name, again, _OWED_MS, 1.0)


def _opened(browser: Browser, place: Whole, active: int, *, reloaded: bool = False) -> float:
    """Milliseconds from the navigation to the last part of the view, in a browser that was never there (or was)."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    try:
        context.add_init_script(_KEPT.format(json.dumps(json.dumps(_session(place)))))
        page = context.new_page()
        page.goto(f"{place.stack.functions_url}/{FUNCTION}")
        spent = _complete(page)
        if reloaded:
            page.reload()
            spent = _complete(page)
        shown = page.locator("#figures li").first.inner_text()
        require(f"{active:,}" in shown, f"the page tells {shown!r} of {active:,} active students")
        require(not page.evaluate(_SAID).strip(), "the page has something to complain of")
        return spent
    finally:
        context.close()


def _complete(page: Page) -> float:
    return float(page.wait_for_function(_WHEN_COMPLETE, timeout=60_000).json_value())


def _session(place: Whole) -> dict[str, object]:
    stack = place.stack
    answer = httpx.post(
        f"{stack.api_url}/auth/v1/token?grant_type=password",
        json={"email": _EMAIL, "password": _PASSWORD},
        headers={"apikey": stack.keys.publishable},
        timeout=30,
    )
    session = answer.raise_for_status().json()
    return {**session, "user": session["user"]["id"]}
