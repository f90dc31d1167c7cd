"""The map of the code and the list of decisions say what is there."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from linewright.operations.table import CAPABILITIES, OPERATIONS

ROOT = Path(__file__).parents[2]
DECISIONS = ROOT / "docs" / "decisions"
_LINK = re.compile(r"^- (\d+): \[(.*)\]\((\d{4}-[a-z0-9-]+\.md)\)(?: \((.*)\))?$", re.MULTILINE)


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("docs_map", ROOT / "docs" / "map.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_map_is_what_the_code_says(made, monkeypatch, capsys):
    """A picture that nobody draws anew shows a house that is gone."""
    monkeypatch.setattr(sys, "argv", ["map.py", "--check"])

    assert (0, "") == (made.main(), capsys.readouterr().out)


def test_each_capability_and_each_command_is_on_the_map(made):
    """Who looks for a command finds its folder."""
    page = made.PAGE.read_text()

    assert [] == [
        one.home
        for one in CAPABILITIES
        if f"`{one.home.removeprefix('linewright.').replace('.', '/')}`" not in page
    ]
    assert [] == [name for name in OPERATIONS if f"`{name}`" not in page]


def test_what_the_page_says_about_adding_is_there(made):
    """Who follows it opens these files."""
    _, _, adding = made.PAGE.read_text().partition("## How to add")
    paths = {
        name
        for name in re.findall(r"`([\w./-]+)`", adding)
        if "/" in name and not name.startswith("linewright")
    }
    places = (ROOT, ROOT / "src" / "linewright", ROOT / "src" / "linewright" / "capabilities" / "value")

    assert len(paths) > 15
    assert [] == [path for path in sorted(paths) if not any((place / path).exists() for place in places)]


def test_a_function_of_the_row_that_is_gone_is_found(made):
    """The life of a row names functions: one that was renamed fails the check, and is no empty box."""
    with pytest.raises(LookupError, match=r"data/read/source\.py has no no_such_reader"):
        made.sentence(made.module_file("data.read.source"), "no_such_reader")


def test_each_decision_is_listed_once_with_its_title_and_status():
    """A decision that was replaced must not be followed."""
    listed = {
        name: (number, title, status or "")
        for number, title, name, status in _LINK.findall((DECISIONS / "README.md").read_text())
    }
    held = {}
    for path in sorted(DECISIONS.glob("0*.md")):
        heading, _, first, *_ = path.read_text().splitlines()
        number, title = heading.removeprefix("# ").split(". ", 1)
        held[path.name] = (number, title, first.startswith("*") and not first.startswith("**"))

    assert held == {name: (number, title, bool(status)) for name, (number, title, status) in listed.items()}
