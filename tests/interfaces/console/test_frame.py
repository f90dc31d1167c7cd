"""Pages that take long: a browser gets a frame first, which loads the page into itself; everybody else gets the page."""

import re

import browser as browsers
import pytest
from playwright.sync_api import expect

from linewright.interfaces.console.table import routes

NAVIGATION, VISIT = {"sec-fetch-mode": "navigate"}, {"x-fragment": "page"}
PATIENCE_MS = 60_000
"""A part is worked out in a process of its own, which takes long on a busy machine."""
CARD = "/lines/claims/versions/1/card"


@pytest.mark.parametrize("headers", [NAVIGATION, VISIT], ids=["browser", "script"])
def test_a_page_that_takes_long_has_a_frame(get, headers):
    """Nobody looks at a blank page while a card is put together."""
    frame, whole, program = get(CARD, headers=headers), get(f"{CARD}?whole=1", headers=headers), get(CARD)

    assert 200 == frame.status
    assert [CARD] == re.findall(r'data-load="([^"]+)" data-whole', frame.html)
    assert "Card of claims@1" in frame.text
    assert "<script>alert(2)</script>" not in frame.text
    for page in (whole, program):
        assert "data-whole" not in page.html
        assert "<script>alert(2)</script>" in page.text


def test_a_frame_leads_to_the_whole_page_without_the_script(get):
    """A browser without scripts loads the page anew, and waits for it as it always did."""
    frame = get(CARD, headers=NAVIGATION)

    assert f'<noscript><meta http-equiv="refresh" content="0;url={CARD}?whole=1"></noscript>' in frame.html
    assert f"{CARD}?whole=1" in frame.links


def test_values_of_an_address_are_escaped_in_the_frame(get):
    """What stands behind the ? was written by whoever made the link."""
    frame = get("/lines/claims/value/what-if?currency=%22%3E%3Cscript%3E", headers=NAVIGATION)

    assert "data-whole" in frame.html
    frame.assert_harmless()


def test_a_page_that_is_at_hand_has_no_frame(get):
    """It would only be one request more."""
    frame = get("/lines/claims", headers=NAVIGATION)

    assert "data-whole" not in frame.html


def test_a_form_that_was_filled_in_stays_in_sight(get):
    """The script shows the answer once it is there; what was written is not taken away meanwhile."""
    shown = get("/lines/claims/value/what-if?true_positive=5", headers=VISIT)

    assert "data-whole" not in shown.html


@pytest.mark.parametrize("path", [CARD, "/lines/claims/quarantine"])
def test_who_may_not_see_a_page_sees_no_frame_of_it(get, path):
    """The frame would say that something is there."""
    refused = get(path, role="viewer", lines=("other",), headers=NAVIGATION)

    assert 403 == refused.status
    assert "data-whole" not in refused.html


def test_what_was_just_done_is_said_at_once(get):
    """A note is shown once: the frame must not take it from the page."""
    shown = get(f"{CARD}?note=gone", headers=NAVIGATION)

    assert "data-whole" not in shown.html


def test_each_page_that_takes_long_rests_on_what_runs_in_a_process_of_its_own():
    """What is at hand is asked for by `read`; a frame for it would only make it slower."""
    some = {"line": "claims", "version": "1", "id": "a", "digest": "b", "before": "c", "after": "d"}
    apart = {
        route.name for route in routes() if route.page.apart({**dict.fromkeys(route.page.query, ""), **some})
    }

    assert {"account", "card", "labels", "quarantine", "what-if"} <= apart


def test_the_page_takes_the_place_of_its_frame(browser, up):
    """Also after a click, and the address and the heading are those of the page."""
    with browsers.visitor(browser, up) as watched:
        page = watched.page
        page.goto(CARD)
        expect(page.get_by_role("heading", name="Card of claims@1")).to_be_visible()
        expect(page.locator(".statements").first).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("[data-load], [aria-busy]")).to_have_count(0)
        page.goto("/lines/claims/datasets")
        page.locator("a[href$='/rows']").click()
        page.wait_for_url("**/rows")
        expect(page.locator("[data-whole]")).to_have_count(0, timeout=PATIENCE_MS)
        expect(page.locator("tbody tr").first).to_be_visible()

        expect(page.locator("h1")).to_have_count(1)


def test_the_page_comes_without_the_script(browser, up):
    """Everything can be read where scripts are switched off."""
    with browsers.visitor(browser, up, java_script_enabled=False) as watched:
        watched.page.goto(CARD)
        watched.page.wait_for_url(f"**{CARD}?whole=1")

        watched.page.locator(".statements").first.wait_for()
