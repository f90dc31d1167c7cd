"""A real browser that looks at the console: Debian's Chromium, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from control import Up

from linewright.capabilities.members.operations.console import console_link
from linewright.line.factory import Factory
from linewright.serve.access.sign_in import begin_session

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""It speaks to nobody but us, and runs as root where tests do."""
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a browser; skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Watched:
    """A page of a browser, and what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on("console", lambda told: told.type == "error" and self.troubles.append(told.text))
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.dialogs: list[str] = []
        page.on("dialog", self._accept)
        self.requests: list[str] = []
        page.on("request", lambda asked: self.requests.append(asked.url))

    def _accept(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept()


@contextmanager
def visitor(browser: Any, up: Up, member: str | None = None, **options: Any) -> Iterator[Watched]:
    """Give a page of somebody who is signed in at a factory that is up: a member, or the owner.

    Everything that a page asks for stays on this machine, and no script or style of it is refused by its policy.
    """
    context = browser.new_context(base_url=address(up), locale="en-GB", timezone_id="UTC", **options)
    context.set_default_timeout(30_000)
    watched = Watched(context.new_page())
    if member is None:
        with Factory.open(up.root) as factory:
            watched.page.goto(console_link(factory, address(up)))
        watched.page.get_by_role("button", name="Open").click()
        watched.page.get_by_role("button", name="Sign out").wait_for()
    else:
        cookie = {"name": "linewright", "value": session(up.root, member), "url": address(up)}
        context.add_cookies([{**cookie, "sameSite": "Strict", "httpOnly": True}])
        watched.page.goto("/")
    try:
        yield watched
    finally:
        context.close()
    assert not watched.troubles, watched.troubles
    elsewhere = [url for url in watched.requests if not url.startswith((address(up), "data:"))]
    assert not elsewhere, elsewhere


def expect(locator: Any) -> Any:
    """Return what waits for a part of a page to be as it is asserted."""
    from playwright.sync_api import expect

    return expect(locator)


def address(up: Up) -> str:
    """Return the address of the console."""
    return f"http://127.0.0.1:{up.control}"


def session(root: Path, member: str) -> str:
    """Sign a member without a password in, and return the secret of the cookie."""
    with Factory.open(root) as factory:
        return begin_session(factory.state, member, factory.now()).code
