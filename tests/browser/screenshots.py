"""`make screenshots`: pictures of the panel's page for docs/, of the school that `attend panel` makes."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from attend.bench import chromium
from attend.demo import school
from attend.panel_page import FUNCTION, let_in
from attend.stack import Stack
from tests.support.browser import PHONE, Watched

DOCS = Path(__file__).parents[2] / "docs" / "pictures"
MOST_BYTES = 250_000
_EMAIL, _PASSWORD = "manager@school.example", "a local password"
_DESKTOP = {"width": 1280, "height": 1180}
_SHOTS: dict[str, dict[str, Any]] = {
    "panel-light": {"viewport": _DESKTOP, "color_scheme": "light", "locale": "es-EC"},
    "panel-dark": {"viewport": _DESKTOP, "color_scheme": "dark", "locale": "en-GB"},
    "panel-phone": {"viewport": PHONE, "color_scheme": "light", "locale": "es-EC", "device_scale_factor": 2},
}


def main() -> int:
    """Takes the pictures; 1 where there is no browser, or where a picture is too large for a repository."""
    program = chromium.find()
    if program is None:
        sys.stderr.write(f"{chromium.INSTALL}\n")
        return 1
    DOCS.mkdir(exist_ok=True)
    with Stack(functions=(FUNCTION,), cron=False) as stack:
        _prepare(stack)
        with chromium.launched(program) as browser:
            sizes = [_take(browser, stack, name, options) for name, options in _SHOTS.items()]
    return int(max(sizes) > MOST_BYTES)


def _prepare(stack: Stack) -> None:
    organization = uuid4()
    with psycopg.connect(stack.db_url, autocommit=True) as connection:
        insert = "insert into public.organizations (id, name, time_zone) values (%s, %s, %s)"
        connection.execute(insert, (organization, school.NAME, school.ZONE))
        school.load(connection, organization, school.generate(7, datetime.now(UTC)))
        let_in(connection, organization, uuid4(), "Lucía Vera", _EMAIL, _PASSWORD)


def _take(browser: Any, stack: Stack, name: str, options: dict[str, Any]) -> int:
    # At rest: a picture of half an animation is of nothing.
    context = browser.new_context(timezone_id=school.ZONE, reduced_motion="reduce", **options)
    page = Watched(context.new_page(), f"{stack.functions_url}/{FUNCTION}", stack.api_url)
    page.sign_in(_EMAIL, _PASSWORD)
    page.page.evaluate("() => document.activeElement?.blur()")
    page.check()
    file = DOCS / f"{name}.png"
    page.page.screenshot(path=file)
    context.close()
    size = file.stat().st_size
    sys.stdout.write(f"{file.relative_to(DOCS.parents[1])}: {size:,} bytes\n")
    return size


if __name__ == "__main__":
    sys.exit(main())
