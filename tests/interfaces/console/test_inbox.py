"""What waits for somebody: the page of it, the count on every page, and what is told while a page is open."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import expect, session, visitor
from control import Up
from shown_pages import HOSTILE, Get, hostile_factory, pages_of

from linewright.capabilities.inbox.operations import Inbox, InboxItem, comment
from linewright.capabilities.members.operations.members import member_add
from linewright.errors import LinewrightError
from linewright.interfaces.console.inbox_cache import LEAST_S, NEWS_S, PAGE_S, InboxCache
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute
from linewright.serve.access.rights import Identity, owner
from linewright.serve.access.sign_in import end_session

ADA, BOB = (Identity(actor=name, member=name, scopes=()) for name in ("ada", "bob"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with two members: ada runs all lines, una sees one; and a line whose last run failed."""
    folder = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("inbox") / "factory")
    with Factory.open(folder) as factory:
        member_add(factory, "ada", role="engineer")
        member_add(factory, "una", role="viewer", lines=("claims",))
        other = folder / "lines" / "other.yaml"
        other.write_text(other.read_text().replace("claims.csv", "broken.csv"))
        (folder / "broken.csv").write_text("claim,amount\nC1,3\n")
        with pytest.raises(LinewrightError):
            execute(factory, "other")
    return folder


@pytest.fixture(scope="module")
def get(root: Path) -> Get:
    return pages_of(root)


def say(root: Path, text: str, line: str = "claims") -> None:
    with Factory.open(root) as factory:
        comment(factory, line, text)


def test_a_failed_run_waits_for_whoever_may_run_the_line(get: Get):
    hers, viewers = get("/inbox", member="ada"), get("/inbox", member="una", role="viewer", lines=("claims",))

    assert "A run of other failed." in hers.text
    assert any(link.startswith("/runs/") for link in hers.links)
    assert "Nothing waits for you." in viewers.text


def test_a_comment_waits_until_it_is_read(get: Get, root: Path):
    before = count(get("/runs", member="una", role="viewer").html)
    say(root, "look at this, @una")
    named, nobody = get("/inbox", member="una", role="viewer"), get("/inbox", member="ada")
    until = named.html.partition('name="until" value="')[2].partition('"')[0]
    say(root, "and at this, @una")
    told = get("/do/inbox-read", member="una", role="viewer", form={"until": until, "_next": "/inbox"})
    after = get("/inbox", member="una", role="viewer")

    assert "" == before
    assert "look at this" in named.text
    assert "look at this" not in nobody.text
    assert 303 == told.status
    assert "look at this" not in after.text
    assert "and at this" in after.text  # which came after the page was made
    assert "1" == count(after.html)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_comment_is_shown_and_not_carried_out(get: Get, root: Path, text: str):
    say(root, f"@ada {text}")
    for page in ("/inbox", "/"):
        shown = get(page, member="ada")
        assert text in shown.text
        shown.assert_harmless()


def test_a_member_of_one_line_sees_what_is_about_it_alone(get: Get, root: Path):
    say(root, "a secret of the other line, @una", "other")
    shown = get("/inbox", member="una", role="viewer")

    assert "secret" not in shown.text
    assert 403 == get("/inbox", role="predict").status


def count(html: str) -> str:
    """Return what a page says next to the name of the inbox."""
    return html.partition('id="waiting" class="count">')[2].partition("<")[0]


# The one reading for all pages of somebody


class Record:
    """What waits for everybody, and how often that was read."""

    def __init__(self) -> None:
        self.ids, self.read, self.now = list[str](), list[str](), 0.0

    def __call__(self, identity: Identity) -> Inbox:
        self.read.append(identity.member)
        items = [
            InboxItem(kind="alert", id=one, line="claims", at="", by="", says="")
            for one in reversed(self.ids)
        ]
        return Inbox(proposals=(), mentions=(), alerts=len(items), items=tuple(items))


@pytest.fixture
def record() -> Record:
    return Record()


@pytest.fixture
def inboxes(record: Record) -> InboxCache:
    return InboxCache(record, clock=lambda: record.now)


def test_many_pages_of_a_member_read_the_inbox_once_in_two_seconds(record: Record, inboxes: InboxCache):
    for _ in range(40):
        for _ in range(10):
            inboxes.of(ADA)
        record.now += LEAST_S / 10

    assert 4 == len(record.read)


def test_nobody_sees_by_the_reading_of_another(record: Record, inboxes: InboxCache):
    inboxes.of(ADA)
    inboxes.of(BOB)
    inboxes.of(owner("local"))

    assert ["ada", "bob", ""] == record.read


def test_what_came_while_a_page_is_open_is_news_for_a_while(record: Record, inboxes: InboxCache):
    record.ids = ["before"]
    first = inboxes.of(ADA)
    record.now, record.ids = LEAST_S, ["before", "new"]
    then = inboxes.of(ADA)
    seen = [inboxes.of(ADA) for record.now in range(3, int(NEWS_S) + 5)]

    assert (1, ()) == (first.waiting, first.news)
    assert (2, ["new"]) == (then.waiting, [one.id for one in then.news])
    assert "new" in [one.id for one in seen[5].news]
    assert (2, ()) == (seen[-1].waiting, seen[-1].news)


def test_what_came_while_no_page_was_open_is_counted_and_not_told(record: Record, inboxes: InboxCache):
    """Else whoever comes back in the morning would be told of the whole night as if it were now."""
    inboxes.of(ADA)
    record.now, record.ids = NEWS_S + 1, ["of the night"]

    assert (1, ()) == inboxes.of(ADA)


def test_a_page_that_is_made_shows_what_was_read_some_seconds_ago_but_not_what_one_has_just_changed(
    record: Record, inboxes: InboxCache
):
    inboxes.of(ADA)
    record.now, record.ids = PAGE_S - 1, ["new"]
    old = inboxes.of(ADA, on_page=True)
    inboxes.forget(ADA)
    new = inboxes.of(ADA, on_page=True)

    assert (0, 1) == (old.waiting, new.waiting)


def test_what_was_changed_while_an_inbox_is_read_is_read_again(record: Record):
    def read(identity: Identity) -> Inbox:
        found = record(identity)
        if len(record.read) == 1:
            record.ids = []
            inboxes.forget(identity)  # they approve on another page
        return found

    record.ids, inboxes = ["proposal"], InboxCache(read, clock=lambda: record.now)

    assert [1, 0, 0] == [inboxes.of(ADA).waiting for _ in range(3)]
    assert 2 == len(record.read)


def test_what_cannot_be_read_is_read_again(record: Record):
    def fails(_: Identity) -> Inbox:
        record.read.append("")
        raise LinewrightError("the disk is gone")

    inboxes = InboxCache(fails, clock=lambda: record.now)
    for _ in range(2):
        with pytest.raises(LinewrightError, match="the disk is gone"):
            inboxes.of(ADA)

    assert 2 == len(record.read)


# While a page is open


def test_a_page_that_does_not_change_is_told_what_stands_around_it(up: Up):
    """One stream a page; rights are those of the page."""
    url = f"http://127.0.0.1:{up.control}"
    cookies, accept = {"linewright": session(up.root, "vic")}, {"Accept": "text/event-stream"}
    with (
        httpx.Client(base_url=url, cookies=cookies, headers=accept, timeout=20) as client,
        client.stream("GET", "/views") as told,
    ):
        lines = told.iter_lines()
        first = [next(lines) for _ in range(3)]
        refused = client.get("/people")

    assert "event: around" == first[0]
    assert "data: " in first[1]
    assert 403 == refused.status_code


@pytest.mark.parametrize("page", ["/", "/runs", "/lines/claims", "/lines/claims/release"])
def test_what_changed_between_loading_and_watching_a_page_is_sent_and_nothing_else(up: Up, page: str):
    """A page that missed a change would stay stale; one that is sent again for nothing loses its parts and its scroll position."""
    url = f"http://127.0.0.1:{up.control}"
    cookies = {"linewright": session(up.root, "vic")}
    loaded = httpx.get(url + page, cookies=cookies, headers={"Accept": "text/html"}).text
    have = loaded.partition('data-live="')[2].partition('"')[0]
    sent: dict[str, str] = {}
    for shown in (have, "0" * len(have)):
        with httpx.stream(
            "GET",
            f"{url}{page}?have={shown}",
            cookies=cookies,
            headers={"Accept": "text/event-stream"},
            timeout=20,
        ) as told:
            sent[shown] = next(told.iter_lines())

    assert 16 == len(have)
    assert {have: "event: around", "0" * len(have): "event: page"} == sent


@pytest.mark.parametrize("page", ["/views", "/"])
def test_a_page_that_is_open_tells_nothing_once_its_session_has_ended(up: Up, page: str):
    """Whoever was signed out, or removed, learns no more, though their browser keeps the page open."""
    secret = session(up.root, "vic")
    with httpx.stream(
        "GET",
        f"http://127.0.0.1:{up.control}{page}",
        cookies={"linewright": secret},
        headers={"Accept": "text/event-stream"},
        timeout=20,
    ) as told:
        lines = told.iter_lines()
        first = next(lines)
        assert end_session(up.root / ".linewright", secret)
        rest = list(lines)  # it ends

    assert "event: around" == first
    assert "event: page" not in rest


def test_somebody_is_told_in_a_sentence_what_came_while_their_page_is_open(browser: Any, up: Up):
    """The page is one that does not change, and nobody is asked for a permission."""
    with visitor(browser, up, "vic") as looks:
        page = looks.page
        page.goto("/views")
        page.locator("#news").wait_for(state="attached")
        before = page.locator("#waiting").inner_text()
        page.wait_for_timeout(1500)
        up.post("/api/v1/comment", {"line": "claims", "text": "is this right, @vic?"}).raise_for_status()
        page.get_by_text("named you in a comment on claims").wait_for(timeout=8_000)
        expect(page.locator("#waiting")).to_have_text("1")
        live = page.locator("#news").get_attribute("aria-live")
        streams = [one for one in looks.requests if one.endswith("/views")]
        page.locator("#news").get_by_role("link", name="Look").click()
        page.get_by_role("heading", level=1, name="claims").wait_for()
        page.goto("/inbox")
        page.get_by_role("button", name="Mark comments as read").click()
        page.get_by_text("Nothing waits for you.").first.wait_for()
        expect(page.locator("#waiting")).to_have_text("")

    assert "" == before
    assert "polite" == live
    assert 2 == len(streams)  # the page, and its stream


def test_a_view_is_saved_and_opened_without_scripts(browser: Any, up: Up):
    with visitor(browser, up, "una", java_script_enabled=False) as looks:
        page = looks.page
        page.goto("/runs?line=claims")
        page.get_by_text("Save this view").click()
        page.get_by_label("Name of the view").fill("runs of claims")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_url("**&note=*")
        page.goto("/views")
        page.get_by_role("navigation", name="Saved views").get_by_role("link", name="runs of claims").click()
        page.wait_for_url("**/runs?line=claims")
        page.goto("/views")
        page.get_by_label("New name").fill("mine")
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("navigation", name="Saved views").get_by_role("link", name="mine").wait_for()
        page.get_by_role("button", name="Delete").click()
        page.get_by_text("You have saved no view.").first.wait_for()
    kept = json.loads((up.root / ".linewright" / "preferences" / "una.json").read_text())

    assert () == tuple(kept.get("views", ()))
