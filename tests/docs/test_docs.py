"""What the pages name exists: files, commands, routes."""

import re
from pathlib import Path

import pytest

from linewright.operations.table import OPERATIONS
from linewright.serve.http.app import _ROUTES

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")])


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page):
    """A reader who follows a dead link does not come back."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [] == [link for link in links if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_named_exists(page):
    """Nothing sounds more like neglect than a command that was renamed a year ago."""
    commands = re.findall(r"(?:`|^|\$ )linewright ([a-z][a-z-]+)", page.read_text(), flags=re.MULTILINE)

    known = {name.split()[0] for name in OPERATIONS}

    assert [] == [command for command in commands if command not in known]


def test_the_page_about_the_endpoint_has_its_routes_and_no_others():
    """A route that nobody can read about is not there; one that is read about and not there is worse."""
    page = (ROOT / "docs" / "reference" / "endpoint.md").read_text()
    table = page.partition("## Routes")[2].partition("\n## ")[0]

    assert {(method, path) for path, method, _, _ in _ROUTES} == set(
        re.findall(r"`(GET|POST) ([^`]+)`", table)
    )
