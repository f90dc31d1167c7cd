"""What takes long says that it works, in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest
from browser import visitor
from control import Up
from playwright.sync_api import expect


def hold(held: list[Any]) -> Callable[[Any], None]:
    """Return what keeps a request back, for Playwright, which takes no method of a list."""

    def keep(route: Any) -> None:
        held.append(route)

    return keep


@pytest.mark.parametrize("path", ["/lines/claims/try", "/lines/claims/predictions"])
def test_a_form_that_takes_long_says_so_until_the_answer_is_there(path: str, browser: Any, up: Up):
    """Nobody presses the button again, nor takes the old answer for the new one."""
    with visitor(browser, up) as looks:
        page, held = looks.page, list[Any]()
        page.goto(path)
        button = page.locator("main form button").first
        says = button.inner_text()
        page.route(f"**{path}?*", hold(held))
        button.click()
        expect(button).to_have_text("Working…")
        expect(button).to_be_disabled()
        expect(page.locator("main[aria-busy=true].stale")).to_have_count(1)
        held[0].continue_()
        expect(page.locator("main form button").first).to_have_text(says, timeout=60_000)
        expect(page.locator("main form button").first).to_be_enabled()
        expect(page.locator("[aria-busy], .stale")).to_have_count(0)


def test_a_file_that_takes_long_says_so_and_is_then_there(browser: Any, up: Up):
    with visitor(browser, up) as looks:
        page, held = looks.page, list[Any]()
        page.goto("/lines/claims/versions/1")
        link = page.get_by_role("link", name="Data as CSV").first
        page.route("**data=0.csv", hold(held))
        with page.expect_download() as download:
            link.click()
            expect(page.locator("a[aria-busy]")).to_have_text("Working…")
            held[0].continue_()
        assert "version-0.csv" == download.value.suggested_filename
        expect(page.locator("a[aria-busy]")).to_have_count(0)


def test_the_link_that_saves_a_page_follows_what_is_shown(browser: Any, up: Up):
    with visitor(browser, up) as looks:
        page = looks.page
        page.goto("/lines/claims")
        page.get_by_role("link", name="Predictions", exact=True).first.click()
        page.get_by_role("textbox", name="at least").fill("0.5")
        page.get_by_role("button", name="Find answers").click()
        page.wait_for_url("**least=0.5*")
        link = page.get_by_role("link", name="Save this page as one file")
        assert "least=0.5" in (link.get_attribute("href") or "")
        assert (link.get_attribute("href") or "").endswith("save=1")
