"""Rows without a label in the console: they are queued, labelled and closed, and the datasets say who labelled them."""

from pathlib import Path

import pytest
from shown_pages import COLUMN, HOSTILE, Get, hostile_factory, pages_of

from linewright.capabilities.datasets.operations import dataset
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline

QUEUE = {
    "line": "claims",
    "size": "5",
    "annotators": "1",
    "gold": "0",
    "dataset": "newest",
    "_next": "/lines/claims/labels",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with hostile values of which the last rows have no label."""
    root = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("annotated") / "factory")
    head, *lines = (root / "claims.csv").read_text().splitlines()
    cut = [f"{line.rpartition(',')[0]}," for line in lines[-40:-1]]
    (root / "claims.csv").write_text("\n".join([head, *lines[:-40], *cut, lines[-1]]) + "\n")
    with Factory.open(root) as factory:
        execute_inline(factory, "claims")
    return root


@pytest.fixture(scope="module")
def ask(root: Path) -> Get:
    return pages_of(root)


@pytest.fixture(scope="module")
def closed(ask: Get, root: Path) -> str:
    """Queue rows, label all of them and close; return the digest of the version of labelled rows."""
    assert 303 == ask("/do/annotate-queue-rows", form=QUEUE).status
    for _ in range(5):
        page = ask("/lines/claims/label")
        question = page.html.partition('name="question" value="')[2].partition('"')[0]
        form = {"line": "claims", "question": question, "label": "yes", "_next": "/lines/claims/label"}
        assert 303 == ask("/do/annotate-answer", form=form).status
    waits = ask("/lines/claims/labels")
    assert "5 labels of rows are in no dataset version yet." in waits.text
    assert "/do/annotate-close" in waits.forms
    assert 303 == ask("/do/annotate-close", form={"line": "claims", "_next": "/lines/claims/datasets"}).status
    with Factory.open(root) as factory:
        listed = dataset(factory, "claims").versions
    assert ["annotation", "run"] == [one.made_by for one in listed][:2]
    return listed[0].dataset


def test_a_row_that_waits_for_its_label_is_text(ask: Get):
    """Whatever stands in a row, an annotator reads it and no browser carries it out."""
    assert 303 == ask("/do/annotate-queue-rows", form=QUEUE | {"size": "4"}).status
    page = ask("/lines/claims/label")

    assert COLUMN in page.text
    assert any(value in page.text for value in HOSTILE)
    assert "Show what the model says" not in page.text
    page.assert_harmless()
    assert 303 == ask("/do/annotate-close", form={"line": "claims", "_next": "/"}).status


def test_the_versions_say_what_annotation_made(ask: Get, closed: str):
    page = ask("/lines/claims/datasets", role="viewer")
    shown = ask(f"/lines/claims/datasets/{closed}", role="viewer")

    assert "made by annotation" in page.text
    assert f"/lines/claims/datasets/{closed}" in page.links
    assert "Rows that people labelled 5" in shown.text
    assert "The next run gives these labels" in shown.text
    assert f"/lines/claims/datasets/{closed}/rows" not in shown.links
    assert "/do/run" not in shown.forms
    shown.assert_harmless()


def test_each_row_stands_with_who_labelled_it_and_when(ask: Get, closed: str):
    page = ask(f"/lines/claims/datasets/{closed}/rows")

    assert 200 == page.status
    assert "Labelled by" in page.text
    assert 5 == page.html.count("UTC</time>")
    page.assert_harmless()
    assert 403 == ask(f"/lines/claims/datasets/{closed}/rows", role="viewer").status
    assert 404 == ask(f"/lines/other/datasets/{closed}").status


def test_evidence_leads_to_the_labels(ask: Get, root: Path, closed: str):
    with Factory.open(root) as factory:
        shown = dataset(factory, "claims", closed).shown
    assert shown is not None
    assert shown.annotated is not None
    page = ask(f"/evidence/{shown.annotated.evidence}")

    assert 200 == page.status
    assert "5 rows that people labelled" in page.text
    page.assert_harmless()


def test_who_may_only_look_queues_nothing(ask: Get):
    form = ask("/do/annotate-queue-rows", form=QUEUE, role="viewer")

    assert 403 == form.status
    assert 403 == ask("/do/annotate-close", form={"line": "claims", "_next": "/"}, role="annotator").status
