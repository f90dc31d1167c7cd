"""From a sentence to what it rests on: versions, cards, evidence, rows."""

import re

import pytest

from linewright.capabilities.datasets.operations import rows
from linewright.capabilities.evidence.operations import card, show
from linewright.line.factory import Factory


@pytest.fixture(scope="module")
def digests(hostile) -> dict[str, str]:
    """Give the digests of what the only model of the line rests on."""
    with Factory.open(hostile) as factory:
        return show(factory, "claims@1").body["evidence"]


def test_a_version_shows_its_gates_its_lineage_and_what_happened(get):
    """A risk officer sees who let what serve, and why."""
    page = get("/lines/claims/versions/1")

    assert 200 == page.status
    for said in ("champion", "at least 0.5", "promoted", "From the sources to its predictions"):
        assert said in page.text
    assert any(link.startswith("/evidence/sha256:") for link in page.links)
    page.assert_harmless()


def test_the_card_is_shown_sentence_by_sentence_with_its_evidence(get, digests):
    """No figure stands there without what it rests on."""
    page = get("/lines/claims/versions/1/card")

    assert 200 == page.status
    assert "<script>alert(2)</script>" in page.text
    assert f"/evidence/{digests['evaluation']}?line=claims" in page.links
    page.assert_harmless()


@pytest.mark.parametrize(
    "kind",
    [
        "package",
        "trained",
        "dataset",
        "split",
        "ingested",
        "certificate",
        "evaluation",
        "explanation",
        "quarantine",
    ],
)
def test_each_kind_of_evidence_is_readable(get, digests, kind):
    """Nobody needs to read JSON."""
    page = get(f"/evidence/{digests[kind]}?line=claims")

    assert 200 == page.status
    assert digests[kind] in page.text
    assert "dl" in page.tags
    assert '{"' not in page.text
    page.assert_harmless()


def test_from_a_sentence_of_the_card_to_the_row_of_data_in_clicks(get, digests):
    """Each page has the link to the next: card, evaluation, split, rows, answers about the row."""
    at = f"/evidence/{digests['evaluation']}?line=claims"
    assert at in get("/lines/claims/versions/1/card").links
    split = f"/evidence/{digests['split']}?line=claims"
    assert split in get(at).links
    test_rows = f"/lines/claims/datasets/{digests['dataset']}/rows?split={digests['split']}&part=test"
    assert test_rows in get(split).links
    page = get(test_rows)

    assert 200 == page.status
    assert re.search(r"C\d{3}<script>alert\(1\)</script>", page.text)
    assert any(link.startswith("/lines/claims/predictions?key=C") for link in page.links)
    page.assert_harmless()


def test_an_unknown_id_is_an_error_page(get):
    """A link that leads nowhere says so."""
    page = get("/evidence/0123456789ab")

    assert 404 == page.status
    assert "nothing has that id" in page.text


def test_stored_bytes_have_a_page_too(get, digests, hostile):
    """The digest of a graph is no dead link."""
    with Factory.open(hostile) as factory:
        graph = show(factory, digests["package"]).body["graph"]

    assert "artifact" in get(f"/evidence/{graph}").text.lower()


def test_who_sees_one_line_sees_what_it_rests_on_and_nothing_of_another(get, digests):
    """A digest names no line: it is followed from the line's own models."""
    for kind, digest in digests.items():
        assert (200, kind) == (get(f"/evidence/{digest}", role="viewer", lines=("claims",)).status, kind)
        assert (404, kind) == (get(f"/evidence/{digest}", role="viewer", lines=("other",)).status, kind)
    assert 404 == get("/lines/claims/versions/1", role="viewer", lines=("other",)).status


def test_rows_are_for_those_who_may_see_rows(get, digests):
    """A viewer finds no link to them, and no page."""
    address = f"/lines/claims/datasets/{digests['dataset']}/rows"
    page = get(f"/evidence/{digests['split']}?line=claims", role="viewer")

    assert not [link for link in page.links if "/rows" in link]
    assert 403 == get(address, role="viewer").status
    assert 403 == get(address, role="engineer", lines=("other",)).status


def test_rows_are_found_by_a_value_and_shown_in_pages(hostile):
    """The row of a claim is found by its key, whatever is in the key."""
    with Factory.open(hostile) as factory:
        first = rows(factory, "claims", limit=7)
        after = rows(factory, "claims", after=first.next or 0, limit=7)
        key = first.rows[3].values["claim"]
        found = rows(factory, "claims", where=f"claim={key}")

    assert list(range(1, 15)) == [one.row for one in (*first.rows, *after.rows)]
    assert [first.rows[3]] == list(found.rows)
    assert found.next is None


def test_a_card_has_sections_whose_sentences_name_their_evidence(hostile):
    """Programs need not read Markdown."""
    with Factory.open(hostile) as factory:
        sections = card(factory, "claims@1").sections

    assert "metrics" in {one.name for one in sections}
    assert all(
        digest.startswith("sha256:")
        for one in sections
        for said in one.statements
        for digest in said.evidence
    )
