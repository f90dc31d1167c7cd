"""The lines of a site: a plant engineer sees hers, with what of it needs somebody."""

import json
import re
from pathlib import Path

import pytest
from plants import make_plants
from shown_pages import HOSTILE, Get, hostile_factory, pages_of

from linewright.capabilities.members.operations.members import member_add
from linewright.line.factory import Factory
from linewright.line.file.line_tags import keep_tags
from linewright.line.runs.execute import execute_inline
from linewright.release import promotion

SITES = {
    "claims": ["site:lyon", "health"],
    "other": ["site:metz"],
    "third": [],
    "fourth": [f"site:{name}" for name in HOSTILE],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a factory with lines of two sites and of none; the one of Lyon is halted."""
    folder = hostile_factory(tmp_path_factory, tmp_path_factory.mktemp("sites") / "factory")
    other = (folder / "lines" / "other.yaml").read_text()
    for line, tags in SITES.items():
        path = folder / "lines" / f"{line}.yaml"
        text = path.read_text() if path.exists() else other.replace("line: other", f"line: {line}")
        path.write_text(f"{text}tags: {json.dumps(tags)}\n")
    with Factory.open(folder) as factory:
        keep_tags(folder, factory.state)
        promotion.halt(factory.context, factory.serving, "claims", halt=True, because="a drill")
        member_add(factory, "lea", role="viewer", tags=("site:lyon",))
    return folder


@pytest.fixture(scope="module")
def get(root: Path) -> Get:
    return pages_of(root)


def test_lines_are_grouped_by_their_site_with_what_needs_somebody(get: Get):
    shown = get("/?by=site")
    headings = [
        one for one in ("lyon 1 line, 1 needs somebody", "metz 1 line", "others 1 line") if one in shown.text
    ]

    assert 3 == len(headings)
    assert (
        shown.text.index("lyon 1 line") < shown.text.index("metz 1 line") < shown.text.index("others 1 line")
    )
    assert "health 1 line" not in shown.text
    assert "metz 1 line, " not in shown.text


def test_whose_role_is_by_the_tag_of_a_site_sees_that_site(get: Get):
    shown = get("/?by=site", member="lea", role="viewer")

    assert "lyon 1 line, 1 needs somebody" in shown.text
    assert "/lines/claims" in shown.links
    assert "metz" not in shown.text
    assert not {"/lines/other", "/lines/third"} & set(shown.links)


def test_groups_by_tag_and_pages_without_groups_stay(get: Get):
    assert "site:lyon 1 line, 1 needs somebody" in get("/?by=tag").text
    assert "others" not in get("/?by=site&q=claims").text
    assert "<h2" not in get("/").html


def test_hostile_sites_are_shown_and_not_carried_out(get: Get):
    shown = get("/?by=site")

    for name in HOSTILE:
        assert f"{name} 1 line" in shown.text
    shown.assert_harmless()


def test_the_lines_that_need_somebody_are_found_whatever_the_reason(get: Get):
    """The number on the first page leads to them."""
    first, found = get("/"), get("/?need=any")

    assert "need=any" in first.html
    assert "/lines/claims" in found.html
    assert "/lines/third" in first.html
    assert "/lines/third" not in found.html


def test_a_template_is_a_group_with_a_row_by_site(tmp_path: Path):
    """Ring and threshold of each site stand side by side."""
    root = make_plants(tmp_path / "factory")
    with Factory.open(root) as factory:
        execute_inline(factory, "inspect.lyon")
        keep_tags(root, factory.state)

    shown = pages_of(root)("/?by=template").text

    assert "inspect 3 lines" in shown
    assert "Line Ring Threshold Sensors that fail Needs" in shown
    assert ["1", "3", "2"] == re.findall(r"inspect\.\w+ quality site:\w+ (\d)", shown)
