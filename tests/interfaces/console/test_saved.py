"""A page as one file, for those who keep it as evidence."""

import re

import pytest
from console_pages import PAGES

from linewright.capabilities.evidence.operations import show
from linewright.capabilities.overview.operations.history import predictions, runs
from linewright.line.factory import Factory


@pytest.fixture(scope="module")
def addresses(hostile) -> dict[str, str]:
    """Give an address of each page of the table that needs no more than a line has here."""
    with Factory.open(hostile) as factory:
        digests = show(factory, "claims@1").body["evidence"]
        values = {
            "line": "claims",
            "version": "1",
            "number": "1",
            "digest": digests["dataset"],
            "run": runs(factory, "claims").runs[0].run,
        }
        prediction = predictions(factory, "claims").predictions[0].id
    found = {}
    for name, entry in PAGES.items():
        known = values | {"id": prediction if "/predictions/" in entry.path else digests["certificate"]}
        path = entry.path
        for each, value in known.items():
            path = path.replace(f"{{{each}}}", value)
        if "{" not in path and name != "alert":
            found[name] = path
    return found


def test_each_page_is_saved_whole(get, addresses):
    """Nothing of it is loaded from us, links lead back to us, and no form is in it; at its end stands where it came from."""
    for name, path in addresses.items():
        role = "admin" if PAGES[name].permission == "manage" else "engineer"
        role = "annotator" if PAGES[name].permission == "annotate" else role
        asked = path + ("?left=&right=" if name == "difference" else "")
        shown, page = get(asked, role=role), get(f"{path}?save=1", role=role)
        if shown.status != 200:
            continue
        assert 200 == page.status, name
        assert [] == page.forms, name
        assert not [tag for tag in ("script", "textarea", "button") if tag in page.tags], name
        assert "data-load" not in page.html, name
        assert "<!--part" not in page.html, name
        ours = [link for link in page.links if not link.startswith(("http://127.0.0.1:8080/", "#"))]
        assert [] == ours, name
        assert "Saved 2" in page.text, name
        assert f"http://127.0.0.1:8080{path}" in page.text, name
        assert re.search("the head of which is sha256:[0-9a-f]{64}", page.text), name
        assert "img" not in page.tags, name
        assert [] == page.events, name


def test_a_saved_version_contains_its_card(get):
    """What the page would load is in the file."""
    page = get("/lines/claims/versions/1?save=1")
    card = get("/lines/claims/versions/1/card")

    sentence = re.search(r"<p>([^<]{40,})", card.html)
    assert sentence
    assert sentence[1] in page.html


def test_a_saved_prediction_contains_its_replay(get, addresses):
    page = get(f"{addresses['prediction']}?save=1", role="engineer")

    assert "the same answer" in page.text
    assert "What each column contributed" in page.text


def test_a_page_of_one_line_is_saved_by_who_sees_that_line(get):
    """The rest of the page is saved."""
    page = get("/lines/claims?save=1", role="viewer", lines=("claims",))

    assert 200 == page.status
    assert "Drift and quality" in page.text
