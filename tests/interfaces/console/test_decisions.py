"""What was decided about models, in the console: by whom, what waits, what was turned down, what was not examined."""

from pathlib import Path

import approvals
import pytest
from shown_pages import Get, pages_of

from linewright.capabilities.inbox.operations import comment
from linewright.capabilities.overview.operations.history import history, models
from linewright.capabilities.overview.operations.status import status
from linewright.capabilities.proposals.operations import decline, proposal, proposals
from linewright.capabilities.releases.halt import halt
from linewright.line.factory import Factory

HOSTILE = "<script>alert(1)</script> {{31337*7}}"


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory whose candidate claims@2 waits for an approver."""
    return approvals.waiting_factory(tmp_path_factory, tmp_path_factory.mktemp("waits") / "factory")


@pytest.fixture(scope="module")
def declined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one where bob declined it, with a hostile comment, and halted and freed the line."""
    root = approvals.waiting_factory(tmp_path_factory, tmp_path_factory.mktemp("declined") / "factory")
    with Factory.open(root) as factory, approvals.by(factory, "bob") as bob:
        decline(bob, proposals(bob).proposals[0].proposal, comment=HOSTILE)
        halt(bob, "claims", because="a test")
        halt(bob, "claims", off=True, because="over")
        comment(bob, "claims", "of the line")
        comment(bob, "claims", "of the version", about="2")
    return root


@pytest.fixture(scope="module")
def get(declined: Path) -> Get:
    return pages_of(declined)


def test_a_declined_promotion_waits_no_more(declined: Path, waiting: Path):
    """It waits only while somebody may still approve it."""
    with Factory.open(waiting) as factory:
        before = status(factory, "claims").lines[0]
    with Factory.open(declined) as factory:
        after = status(factory, "claims").lines[0]
        listed = models(factory, "claims").models[0]

    assert before.waits
    assert before.turned_down is None
    assert (None, "declined", "bob", HOSTILE) == (
        after.waits,
        after.turned_down and after.turned_down.state,
        after.turned_down and after.turned_down.member,
        after.turned_down and after.turned_down.comment,
    )
    assert not [wait for wait in after.waiting if wait.reason == "approval"]
    assert not [step for step in after.next if "claims@2" in step]
    assert listed.proposed == after.turned_down
    assert ("hold", "promote") == (listed.verdict, listed.certified)


@pytest.mark.parametrize(
    "path", ["/lines/claims", "/lines/claims/release", "/lines/claims/versions/2", "/proposals?all=1"]
)
def test_pages_say_who_declined(get: Get, path: str):
    """And none that it waits, or that nobody approved it yet."""
    page = get(path, role="approver")

    assert 200 == page.status
    assert "declined" in page.text
    assert not [
        said for said in ("waits for approval", "nobody yet", "linewright approve") if said in page.text
    ]
    page.assert_harmless()
    if "?" not in path:
        assert HOSTILE in page.text
        assert "bob" in page.text


def test_what_was_decided_says_how(declined: Path, get: Get):
    """A candidate is held back by its line file, and refused by nobody who only started its run; a promotion says whether a person approved."""
    with Factory.open(declined) as factory:
        how = {(one.kind, one.how) for one in history(factory, "claims").entries}
        of_second = {one.kind for one in history(factory, "claims", about=2).entries}

    assert {
        ("promoted", "automatic"),
        ("refused", "hold"),
        ("voted", "decline"),
        ("halted", "halted"),
        ("halted", "freed"),
    } <= how
    assert {"refused", "change-proposed", "voted"} == of_second
    page = get("/lines/claims/release")
    for said in (
        "automatically, by the rule of its line file, without a human approval",
        "held back",
        "in a run of ada",
        "halted",
        "freed again",
    ):
        assert said in page.text
    assert "halted or freed" not in page.text


def test_a_comment_leads_to_where_it_was_made(get: Get):
    page = get("/lines/claims", role="approver")

    assert "/lines/claims#comments" in page.links
    assert "/lines/claims/versions/2#comments" in page.links
    for link in page.links:
        if link.startswith(("/evidence/", "/proposals/")):
            assert 200 == get(link, role="approver").status, link


def test_a_proposal_says_what_is_replaced_and_what_nobody_examined(waiting: Path):
    """Who decides has the change in figures, and the gaps beside the buttons."""
    with Factory.open(waiting) as factory:
        one = proposals(factory).proposals[0]
        compared = proposal(factory, one.proposal).comparison

    assert compared is not None
    assert ("claims@2", "claims@1") == (compared.model, compared.before)
    assert compared.columns == compared.columns_before
    assert ((), ()) == (compared.added, compared.dropped)
    assert compared.metric is not None
    assert {"fairness", "rebuild"} <= {*compared.unexamined}
    get = pages_of(waiting)
    page = get(f"/proposals/{one.proposal}", role="approver")
    for said in (
        "is replaced by",
        f"{compared.columns} column",
        "What was not examined",
        "Fairness:",
        "Rebuild:",
    ):
        assert said in page.text
    assert 404 == get("/proposals/000000000000", role="approver").status


def test_a_note_of_a_form_names_no_command(get: Get):
    """Who reads pages has no terminal."""
    for operation, form in (
        ("halt", {"line": "claims", "because": "a test"}),
        ("halt", {"line": "claims", "off": "true", "because": "over"}),
        ("comment", {"line": "claims", "text": HOSTILE}),
    ):
        done = get(f"/do/{operation}", role="approver", form={**form, "_next": "/lines/claims"})
        page = get(done.location, role="approver")
        assert 200 == page.status
        assert "linewright " not in page.text
        page.assert_harmless()


def test_former_champions_have_quiet_buttons(get: Get):
    """One press too many is less likely."""
    page = get("/lines/claims/release", role="engineer")

    assert 200 == page.status
    assert "Promote again" not in page.text  # claims@1 serves, and claims@2 never did


def test_a_page_that_is_not_there_is_a_page(get: Get):
    """Who follows an old link gets the way back, and no JSON."""
    page = get("/not-here")

    assert 404 == page.status
    assert "this page is not there" in page.text
    assert "h1" in page.tags
    assert "/" in page.links
