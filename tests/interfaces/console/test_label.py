"""An annotator labels in a real browser, by keyboard alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import small
from browser import expect, visitor
from control import Up, factory_up

from linewright.capabilities.annotation.operations import annotate_queue
from linewright.capabilities.members.operations.members import member_add
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file

MANY = 50


@pytest.fixture(scope="module")
def labelling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Give a factory that is up, with sixty questions for an annotator, one row of which is hostile."""
    root = small.make_factory(tmp_path_factory, tmp_path_factory.mktemp("label") / "factory")
    table = (root / "claims.csv").read_text().splitlines()
    rows = [line.rpartition(",")[0] for line in table[100:170]]
    (root / "more.csv").write_text(
        "\n".join(["claim,amount,age", *rows, "<script>alert(1)</script>,0.1,40"]) + "\n"
    )
    with Factory.open(root) as factory:
        predict_file(factory, small.LINE, root / "more.csv", Path(root / "answers2.csv"))
        annotate_queue(
            factory, small.LINE, size=60, consent="You agree\nto this.", instructions="Is it <b>fraud</b>?"
        )
        member_add(factory, "ann", role="annotator", lines=(small.LINE,))
        member_add(factory, "vic", role="viewer")
    with factory_up(root, forked=True) as up:
        yield up


def test_fifty_labels_by_keyboard(browser: Any, labelling: Up):
    """Consent comes first; each answer is kept before the next question; one is taken back."""
    with visitor(browser, labelling, "ann") as looks:
        page = looks.page
        page.goto("/inbox")
        page.get_by_role("link", name="60 questions of claims wait for your labels.").click()
        page.get_by_text("You agree").wait_for()
        page.get_by_role("button", name="I consent").press("Enter")
        seen: set[str] = set()
        for number in range(MANY):
            page.get_by_text(f"{number} done").wait_for()
            seen.add(page.locator("input[name=question]").first.get_attribute("value"))
            page.keyboard.press("1" if number % 3 else "2")
        page.get_by_text(f"{MANY} done").wait_for()
        assert MANY == len(seen)
        page.keyboard.press("u")
        page.get_by_text(f"{MANY - 1} done").wait_for()
        page.keyboard.press("s")
        page.get_by_text(f"{MANY} done").wait_for()
        page.goto("/lines/claims/labels")
        page.get_by_role("row").filter(has_text="ann").get_by_text(str(MANY - 1)).wait_for()
        expect(page.get_by_role("heading", name="Queue questions")).to_have_count(0)
    status = labelling.get("/api/v1/annotate-status?line=claims").json()
    assert (MANY - 1, MANY - 1, 1) == (
        status["kept"],
        status["annotators"][0]["labels"],
        status["annotators"][0]["skipped"],
    )
    assert status["annotators"][0]["seconds"] > 0, "how long each was looked at"


def test_who_may_not_label_sees_no_question(browser: Any, labelling: Up):
    with visitor(browser, labelling, "vic") as looks:
        looks.page.goto("/lines/claims")
        expect(looks.page.get_by_role("link", name="Label", exact=True)).to_have_count(0)
        answer = looks.page.request.get("/lines/claims/label", headers={"accept": "text/html"})
        assert 403 == answer.status
