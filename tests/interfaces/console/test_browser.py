"""What people do in the console, in a real browser."""

import random
import re
import time
from typing import Any

import httpx
import pytest
from browser import address, expect, visitor
from control import Up, bearer

from linewright.capabilities.members.operations.invitations import member_invite
from linewright.line.factory import Factory


def _parts() -> str:
    """Make a table: what is large breaks, though not always, for what always tells the label is left out as a leak."""
    chance = random.Random(5)
    rows = [(f"p{n:03}", round(chance.gauss(0, 1), 3), chance.choice("ab")) for n in range(300)]
    broken = ["yes" if size + chance.gauss(0, 0.5) > 0.5 else "no" for _, size, _ in rows]
    lines = (",".join(map(str, (*row, label))) for row, label in zip(rows, broken, strict=True))
    return "\n".join(["part,size,kind,broken", *lines, ""])


def test_the_owner_gets_in_once_by_the_link(browser: Any, up: Up):
    """No password is anywhere, and the link of a shell's history is of no use."""
    with visitor(browser, up) as looks:
        page = looks.page
        assert "/" == page.url.removeprefix(address(up))
        page.get_by_text("(unverified)").wait_for()
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
    page.get_by_text("your name here is cid").wait_for()
    page.get_by_role("link", name="Open the console").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(invited.page)
    page.get_by_text("unknown, used or expired").wait_for()
    expect(page.get_by_label("Password")).to_have_count(0)
    page.goto("/lines/claims")
    page.get_by_label("Name").fill("cid")
    page.get_by_label("Password").fill("a long password of cid's")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/lines/claims")
    page.get_by_role("heading", level=1, name="claims").wait_for()
    page.get_by_text("cid", exact=True).wait_for()
    context.close()


def test_a_proposal_is_approved_by_a_second_person(browser: Any, up: Up):
    """Whose change it is finds no button for it; the comment of who approves stands in the record."""
    with visitor(browser, up, "ada") as looks:
        looks.page.goto("/proposals")
        looks.page.get_by_role("link", name="Promotion claims@2").click()
        looks.page.get_by_role("button", name="Withdraw").wait_for()
        expect(looks.page.get_by_role("button", name="Approve")).to_have_count(0)
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


def test_a_line_is_halted_on_the_release_page(browser: Any, up: Up):
    """What is asked first is asked in the page: a browser may show no question of its own, and then nothing would happen."""
    with visitor(browser, up, "bob") as looks:
        page = looks.page
        page.goto("/lines/claims/release")
        page.get_by_label("Reason").last.fill("a test")
        page.get_by_role("button", name="Halt").click()
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Halt").wait_for()
        page.get_by_label("Reason").last.press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Halt").click()
        page.get_by_text("its endpoint answers nobody").wait_for()
        page.get_by_label("Reason").last.fill("the test is over")
        page.get_by_role("button", name="Let it answer again").click()
        page.get_by_role("dialog").get_by_role("button", name="Let it answer again").click()
        page.get_by_text("claims answers again").wait_for()
        page.get_by_text("freed again").wait_for()
        assert [] == looks.dialogs


@pytest.mark.parametrize("member", ["vic", "una"])
def test_a_viewer_finds_no_button_that_is_not_hers(member: str, browser: Any, up: Up):
    """What is shown is what may be done, on each page that her navigation or a line leads to: signing out, commenting, searching."""
    with visitor(browser, up, member) as looks:
        page = looks.page
        page.goto("/lines/claims")
        links = page.locator(".top nav a, .tabs a").all()
        for path in {link.get_attribute("href") for link in links} | {"/lines/claims/versions/1"}:
            assert 200 == page.goto(path).status
            assert {"Sign out", "Comment", "Find", "Show", "Work it out", "Compare", "Save"} >= {
                each.inner_text() for each in page.get_by_role("button").all()
            }, path
            forms = page.locator("form[method=post]").all()
            assert {"/sign-out", "/do/comment", "/do/save-view", "/do/delete-view", "/do/inbox-read"} >= {
                each.get_attribute("action") for each in forms
            }, path
        expect(page.get_by_role("link", name="People and tokens")).to_have_count(0)
        assert 403 == page.request.get("/people", headers={"accept": "text/html"}).status


def test_a_table_becomes_a_served_model_in_the_page(browser: Any, up: Up):
    """A scientist sends a file, reads what is written of it, changes one choice, runs it, and tries a row; then programs get answers."""
    with visitor(browser, up, "eve") as looks:
        page = looks.page
        page.get_by_role("link", name="New line").click()
        file = {"name": "parts.csv", "mimeType": "text/csv", "buffer": _parts().encode()}
        page.get_by_label("A file of CSV").set_input_files(file)
        page.get_by_label("Name of the line").fill("parts")
        page.get_by_label("Column to predict").fill("broken")
        page.get_by_role("button", name="Look at the table").click()
        page.get_by_role("heading", name="The line file is written").wait_for()
        text = page.locator("#text")
        text.fill(text.input_value().replace("budget: normal", "folds: 2\n  budget: {trials: 1}"))
        page.get_by_label("Why").fill("a first look")
        page.get_by_role("button", name="Propose this text").click()
        page.get_by_role("status").get_by_text("parts").first.wait_for()
        page.get_by_role("button", name="Run by the file in force").click()
        deadline = time.monotonic() + 180
        while ["done"] != [one["state"] for one in up.get("/api/v1/runs?line=parts").json()["runs"]]:
            assert time.monotonic() < deadline, page.locator("main").inner_text()
            time.sleep(0.2)
        page.goto("/runs?line=parts")
        page.get_by_text("promoted", exact=True).first.wait_for()
        page.goto("/lines/parts/release")
        page.get_by_text("answers", exact=True).wait_for()
        page.get_by_role("link", name="Try it").click()
        page.get_by_label("size").fill("2")
        page.get_by_role("button", name="Answer this row").click()
        page.get_by_role("heading", name="broken: yes").wait_for()
    asked = {"inputs": [{"size": 9, "kind": "a"}]}
    answer = httpx.get(f"http://127.0.0.1:{up.port}/v2/models/parts/ready", headers=bearer(up.root))
    assert 200 == answer.status_code, (answer.text, asked)


def test_an_analyst_moves_a_slider_and_proposes_the_amount(browser: Any, up: Up):
    """Threshold, confusion and money move with it; the page tells what now is beside what would be."""
    with visitor(browser, up, "ana") as looks:
        page = looks.page
        page.goto("/lines/claims")
        page.get_by_role("link", name="Value", exact=True).click()
        slider = page.get_by_role("slider", name="One false alarm")
        slider.wait_for()
        worth = page.locator("#worth .figures")
        before = worth.inner_text()
        slider.fill("-40")
        expect(page.get_by_label("One false alarm", exact=False).first).to_have_value("-40")
        expect(worth).not_to_have_text(re.compile(re.escape(" ".join(before.split()))))
        page.get_by_role("cell").or_(page.locator("svg")).first.wait_for()
        page.get_by_text("What would change in the line file").click()
        page.get_by_text("false_positive: -40").first.wait_for()
        page.get_by_label("Why").fill("reviews got dearer")
        page.get_by_role("button", name="Propose these amounts").click()
        page.get_by_role("link", name="reviews got dearer").wait_for()
    waiting = up.get("/api/v1/proposals?line=claims").json()["proposals"]
    assert ["reviews got dearer"] == [each["because"] for each in waiting if each["kind"] == "line-change"]


def test_a_risk_officer_goes_from_a_sentence_of_the_card_to_the_row_of_data(browser: Any, up: Up):
    """By links alone: version, card, evaluation, split, test rows, and what was answered about one of them."""
    with visitor(browser, up, "bob") as looks:
        page = looks.page
        page.goto("/lines/claims/versions/1")
        card = page.locator(".part, section").filter(has=page.get_by_role("heading", name="Model card"))
        sentence = card.get_by_role("paragraph").filter(has_text="roc_auc").first
        sentence.wait_for()
        sentence.get_by_role("link").first.click()
        page.get_by_role("link", name="The split, with its rows").click()
        page.get_by_role("link", name="The test rows").click()
        page.get_by_text("shown: test").wait_for()
        key = page.get_by_role("table").get_by_role("link").first
        claim = key.inner_text()
        assert re.fullmatch(r"C\d{3}", claim)
        key.click()
        page.get_by_role("heading", level=1, name="Predictions").wait_for()
        expect(page.get_by_label("Key of the row")).to_have_value(claim)


def test_an_engineer_takes_a_canary_back(browser: Any, up: Up):
    """It is asked for once more, with a reason, which stands in the record; the champion answers all rows again."""
    with visitor(browser, up, "eve") as looks:
        page = looks.page
        page.get_by_role("link", name="trial", exact=True).click()
        page.get_by_role("link", name="Release", exact=True).click()
        on_trial = (
            page.locator("section")
            .filter(has_text="Both arms")
            .or_(page.get_by_role("region", name="Both arms of the trial"))
        )
        on_trial.first.wait_for()
        page.get_by_placeholder("Reason").last.fill("customers complain")
        page.get_by_role("button", name="Take it back").click()
        asked = page.get_by_role("dialog")
        asked.get_by_text("Take the candidate back?").wait_for()
        asked.get_by_role("button", name="Take it back").click()
        page.get_by_role("cell", name="customers complain").wait_for()
        expect(page.get_by_role("button", name="Take it back")).to_have_count(0)
    now = up.get("/api/v1/status?line=trial").json()["lines"][0]
    assert ("trial@1", None) == (now["champion"], now["canary"])


def test_a_comment_that_names_a_member_waits_for_them(browser: Any, up: Up):
    with visitor(browser, up, "vic") as looks:
        page = looks.page
        page.goto("/lines/claims")
        page.get_by_label("Say something").fill("@bob is <b>this</b> right?")
        page.get_by_role("button", name="Comment").click()
        page.get_by_text("@bob is <b>this</b> right?").first.wait_for()
    with visitor(browser, up, "bob") as looks:
        looks.page.get_by_text("@bob is <b>this</b> right?").wait_for()


def test_pages_can_be_read_and_used_without_scripts(browser: Any, up: Up):
    with visitor(browser, up, "vic", java_script_enabled=False) as looks:
        page = looks.page
        page.get_by_role("link", name="claims", exact=True).click()
        page.get_by_label("Say something").fill("without scripts")
        page.get_by_role("button", name="Comment").click()
        page.get_by_text("without scripts").first.wait_for()
        page.get_by_role("searchbox").fill("cla")
        page.keyboard.press("Enter")
        page.wait_for_url("**/?q=cla")
        page.get_by_role("link", name="claims", exact=True).wait_for()


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
