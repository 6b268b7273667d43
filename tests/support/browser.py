"""A real Chromium that looks at the panel's page, and keeps an eye on what it does there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request

from attend.bench import chromium
from tests.support.missing import skip_or_fail

ROOT = Path(__file__).parents[2]
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
_AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
# Chromium's own word on every answer that is no success; the page's errors are others.
_ANSWERED = "Failed to load resource"
_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`));
"""


def executable() -> str:
    """The system's Chromium."""
    return chromium.find() or skip_or_fail(chromium.INSTALL)


@dataclass
class Watched:
    """A page of its own, everything it asked for, and everything it complained of."""

    page: Page
    url: str
    origin: str
    requests: list[Request] = field(default_factory=list[Request])
    complaints: list[str] = field(default_factory=list[str])
    refusals_expected: bool = False
    """Whether the test has the server refuse something, of which Chromium itself tells the console."""

    def __post_init__(self) -> None:
        self.page.add_init_script(_VIOLATIONS)
        self.page.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108 - no function of C may listen
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("console", lambda said: self._hear(said.type, said.text, said.location["url"]))

    def _hear(self, kind: str, text: str, where: str) -> None:
        if kind in {"error", "warning"} and not (self.refusals_expected and text.startswith(_ANSWERED)):
            self.complaints.append(f"{kind}: {text} ({where})")

    def check(self) -> None:
        """Holds of every page at the end of every test: no complaint, no violation, nothing asked of anybody else."""
        assert self.complaints == []
        violations = [] if self.page.is_closed() else self.page.evaluate("() => window.violations ?? []")
        assert violations == []
        assert self.strangers() == []

    def strangers(self) -> list[str]:
        """What was asked of any other origin than the project's."""
        own = (f"{self.origin}/", "data:", "blob:")
        return [request.url for request in self.requests if not request.url.startswith(own)]

    # --- what a manager does ---

    def open(self) -> Watched:
        self.page.goto(self.url)
        return self

    def enter(self, email: str, password: str) -> None:
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.click("#sign-in-button")

    def sign_in(self, email: str, password: str) -> Watched:
        """Opens the page, signs in and waits for the first view to be whole."""
        self.open().enter(email, password)
        self.wait_complete()
        return self

    def wait_complete(self, seconds: float = 20) -> None:
        """Waits until every part of the page has come to an end, and the figures are there."""
        self.page.wait_for_function(f"() => {chromium.COMPLETE}", timeout=seconds * 1000)

    def names(self, part: str) -> list[str]:
        """The students of a list, from above."""
        return self.page.locator(f"#{part} [data-table] tbody .name").all_inner_texts()

    def column(self, part: str, number: int) -> list[str]:
        """The cells of a column, from above, also where there is no room for it; 0 is the name."""
        return self.page.locator(f"#{part} [data-table] tbody tr > :nth-child({number + 1})").all_text_contents()

    def status(self) -> Locator:
        """What is said in passing."""
        return self.page.locator(".toast", has_text=re.compile(r"\S"))

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def findings(self, within: str = "document") -> list[str]:
        """What axe finds serious or critical, in words."""
        if not self.page.evaluate("() => 'axe' in window"):
            # Evaluated, not inserted: the page's own policy forbids scripts of others, and must go on doing so.
            self.page.evaluate(_AXE.read_text())
        target = within if within == "document" else f"document.querySelector({within!r})"
        results: dict[str, Any] = self.page.evaluate(f"() => axe.run({target}, {{resultTypes: ['violations']}})")
        return [
            f"{found['impact']} {found['id']}: {found['help']}: {node['html'][:160]} {node['failureSummary'][:200]}"
            for found in results["violations"]
            if found["impact"] in {"serious", "critical"}
            for node in found["nodes"]
        ]
