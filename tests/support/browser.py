"""A real Chromium, and what its pages must never do: break their policy, throw, or fail an accessibility rule."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from api.pages.bundle import FOLDER, PAGE
from tests.support.images import CHECKOUT

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = CHECKOUT / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
SCREENSHOTS = CHECKOUT / "dashboard" / "generated" / "screenshots"
"""Pictures of every page, for people to look at; git ignores the folder."""
WATCH_POLICY = """
window.policyViolations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.policyViolations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`);
});
"""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
Scheme = Literal["light", "dark"]
PATIENCE_MS = 60_000  # on a busy machine; nothing waits longer than it must
WIDE, PHONE = (1440, 900), (390, 844)
SIZES = {"wide": WIDE, "phone": PHONE}


def require_pages() -> None:
    """Returns where the pages are built; else the test is skipped."""
    if not (FOLDER / PAGE).is_file() or not AXE.is_file():
        pytest.skip("tests/browser: the pages are not built; run `make dashboard`")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, else Playwright's own; the test is skipped where there is none, or no pages are built."""
    require_pages()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        found = next((path for name in NAMES if (path := shutil.which(name))), playwright.chromium.executable_path)
        if not Path(found).is_file():
            pytest.skip("tests/browser: no Chromium here; run `make chromium`, or install it")
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@dataclass(kw_only=True)
class Seat:
    """Somebody before a browser, who sees whether a page does what it must not."""

    context: BrowserContext
    page: Page
    url: str
    errors: list[str] = field(default_factory=list[str])
    """What the page's script has thrown."""
    messages: list[str] = field(default_factory=list[str])
    """What Chromium has complained of."""

    def open(self, path: str) -> Page:
        """The page at that path."""
        self.page.goto(self.url + path)
        return self.page

    def log_in(self, token: str) -> None:
        """Gives the token to the page."""
        self.open("/")
        self.page.get_by_label("Your token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("heading", name="Runs").wait_for()

    def violations(self) -> list[str]:
        """Each time that the page's policy had to hold something back."""
        told: list[str] = self.page.evaluate("window.policyViolations")
        return told + [message for message in self.messages if "Content Security Policy" in message]

    def inaccessible(self) -> list[str]:
        """Each accessibility rule that the page breaks, with the elements that do."""
        self.page.evaluate(AXE.read_text("utf-8"))  # past the policy, as only a debugger can
        found: dict[str, Any] = self.page.evaluate("(rules) => axe.run(document, {runOnly: rules})", RULES)
        return [
            f"{broken['id']}: {[node['html'][:150] for node in broken['nodes'][:3]]}" for broken in found["violations"]
        ]

    def require_clean(self) -> None:
        """Returns where the page has done nothing that it must not."""
        too_wide: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert too_wide <= 0, f"the page is {too_wide} px wider than the window"
        for found in (self.violations(), self.errors, self.inaccessible()):
            assert not found, "\n".join(found)

    def picture(self, name: str, *, full: bool = True) -> None:
        """Keeps a picture of the page as it is."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=full)


def look(desk: Seat, name: str) -> None:
    """Keeps a picture of the page, which has to be clean."""
    desk.picture(name)
    desk.require_clean()


@contextlib.contextmanager
def seat(browser: Browser, url: str, *, scheme: Scheme = "light", size: tuple[int, int] = WIDE) -> Iterator[Seat]:
    """A new browser window, without cookies."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")  # pyright: ignore[reportArgumentType]
    context.add_init_script(WATCH_POLICY)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    made = Seat(context=context, page=page, url=url)
    page.on("pageerror", lambda error: made.errors.append(str(error)))
    page.on("console", lambda message: made.messages.append(message.text))
    page.on("dialog", lambda dialog: made.errors.append(f"a script asked: {dialog.message}"))
    yield made
    context.close()
