"""What people do in the console, in a real browser."""

import re
from typing import Any

import pytest
from browser import address, visitor
from control import Up

from linewright.line.factory import Factory
from linewright.operations.people.invitations import member_invite


def test_the_owner_gets_in_once_by_the_link(browser: Any, up: Up):
    """No password is anywhere, and the link of a shell's history is of no use."""
    with visitor(browser, up) as looks:
        page = looks.page
        assert "/" == page.url.removeprefix(address(up))
        assert page.get_by_text("(unverified)").is_visible()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/sign-in")
        page.goto("/lines/claims")
        assert "/sign-in?next=%2Flines%2Fclaims" == page.url.removeprefix(address(up))


def test_a_member_chooses_a_password_and_comes_to_the_page_that_they_wanted(browser: Any, up: Up):
    with Factory.open(up.root) as factory:
        invited = member_invite(factory, "cid")
    context = browser.new_context(base_url=address(up))
    page = context.new_page()
    page.goto(invited.page)
    page.get_by_label("Password, at least").fill("a long password of cid's")
    page.get_by_label("The same again").fill("a long password of cid's")
    page.get_by_role("button", name="Choose").click()
    page.wait_for_url("**/sign-in")
    page.goto("/lines/claims")
    page.get_by_label("Name").fill("cid")
    page.get_by_label("Password").fill("a long password of cid's")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/lines/claims")
    assert page.get_by_role("heading", level=1, name="claims").is_visible()
    assert page.get_by_text("cid", exact=True).is_visible()
    context.close()


def test_a_proposal_is_approved_by_a_second_person(browser: Any, up: Up):
    """Whose change it is finds no button for it; the comment of who approves stands in the record."""
    with visitor(browser, up, "ada") as looks:
        looks.page.goto("/proposals")
        looks.page.get_by_role("link", name="Promotion claims@2").click()
        looks.page.get_by_role("button", name="Withdraw").wait_for()
        assert 0 == looks.page.get_by_role("button", name="Approve").count()
    with visitor(browser, up, "bob") as looks:
        page = looks.page
        page.get_by_role("definition").get_by_role("link", name="1").first.click()
        page.get_by_role("link", name="Promotion claims@2").click()
        page.get_by_label("Comment").first.fill("the threshold is right")
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("paragraph").get_by_text("approved", exact=True).wait_for()
        page.goto("/lines/claims")
        page.get_by_role("link", name="claims@2").first.wait_for()
    proposals = up.get("/api/v1/proposals?all=true").json()["proposals"]
    assert [("bob", "the threshold is right")] == [
        (vote["member"], vote["comment"]) for vote in proposals[0]["approved"]
    ]


@pytest.mark.parametrize("member", ["vic", "una"])
def test_a_viewer_finds_no_button_that_is_not_hers(member: str, browser: Any, up: Up):
    """What is shown is what may be done: signing out, searching, commenting."""
    allowed = {"Sign out", "Comment"}
    with visitor(browser, up, member) as looks:
        for path in ["/", "/alerts", "/proposals", "/lines/claims"]:
            looks.page.goto(path)
            names = {each.inner_text() for each in looks.page.get_by_role("button").all()}
            assert names <= allowed, path
        assert 0 == looks.page.get_by_role("link", name="People and tokens").count()
        assert 403 == looks.page.request.get("/people", headers={"accept": "text/html"}).status


def test_a_comment_that_names_a_member_waits_for_them(browser: Any, up: Up):
    with visitor(browser, up, "vic") as looks:
        page = looks.page
        page.goto("/lines/claims")
        page.get_by_label("Say something").fill("@bob is <b>this</b> right?")
        page.get_by_role("button", name="Comment").click()
        page.get_by_text("@bob is <b>this</b> right?").first.wait_for()
    with visitor(browser, up, "bob") as looks:
        assert looks.page.get_by_text("@bob is <b>this</b> right?").is_visible()


def test_pages_can_be_read_and_used_without_scripts(browser: Any, up: Up):
    with visitor(browser, up, "vic", java_script_enabled=False) as looks:
        page = looks.page
        page.get_by_role("link", name="claims", exact=True).click()
        page.get_by_label("Say something").fill("without scripts")
        page.get_by_role("button", name="Comment").click()
        assert page.get_by_text("without scripts").first.is_visible()
        page.get_by_role("searchbox").fill("cla")
        page.keyboard.press("Enter")
        page.wait_for_url("**/?q=cla")
        assert page.get_by_role("link", name="claims", exact=True).is_visible()


def test_the_keyboard_goes_where_it_says(browser: Any, up: Up):
    with visitor(browser, up, "vic") as looks:
        page = looks.page
        page.keyboard.press("g")
        page.keyboard.press("p")
        page.wait_for_url("**/proposals")
        page.keyboard.press("/")
        page.keyboard.type("claims")
        page.keyboard.press("Enter")
        page.wait_for_url("**/?q=claims")
        page.go_back()
        page.get_by_role("heading", level=1, name="Proposals").wait_for()


def test_a_page_is_saved_as_one_file(browser: Any, up: Up):
    """It needs neither us nor a network: its style is in it."""
    with visitor(browser, up, "vic") as looks:
        saved = looks.page.request.get("/lines/claims?save=1")
        assert "attachment; filename*=UTF-8''line-claims.html" == saved.headers["content-disposition"]
        text = saved.text()
        assert "<style>" in text
        assert not re.search(r'(src|href)="/static', text)
