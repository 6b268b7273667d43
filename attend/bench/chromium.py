"""The system's Chromium, driven by Playwright: for whoever looks at the panel's page as a person does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

INSTALL = "no Chromium: install it (Debian, Ubuntu: apt-get install chromium) or name one in ATTEND_CHROMIUM"
# Every part of the page has come to an end, and the figures are there.
COMPLETE = """document.querySelectorAll("#figures li").length > 0
  && document.querySelectorAll("#panel canvas, #panel .empty").length > 0
  && !document.querySelector("#panel [aria-busy=true]")"""
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
# Root may not have a sandbox, and a container has too little shared memory for one.
_ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run")


def find() -> str | None:
    """The program; ATTEND_CHROMIUM names another. None: there is none."""
    given = os.environ.get("ATTEND_CHROMIUM")
    return next((path for name in ([given] if given else NAMES) if (path := shutil.which(name))), None)


@contextmanager
def launched(program: str) -> Iterator[Browser]:
    """A headless browser. It downloads nothing, neither itself nor anything of its maker's."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a package of the checks, not of the command line

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
