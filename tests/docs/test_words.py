"""The dialect of the first versions leaves source and pages; it does not come back."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dialect():
    spec = importlib.util.spec_from_file_location("dialect", ROOT / "docs" / "dialect.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_word_that_comes_back_is_seen(dialect):
    """`make check` counts them; here it is seen that the count can fail."""
    now = {"docs": {"surely": 3}}

    assert [] == dialect.above(now, {"docs": {"surely": 3}})
    assert ["docs: 'surely' occurs 3 times, at most 2 are left over"] == dialect.above(
        now, {"docs": {"surely": 2}}
    )


def test_the_script_never_raises_a_count(dialect):
    """A limit that follows the text limits nothing."""
    now = {"docs": {"surely": 3, "told": 1}, "words": {"docs": 34_100}}
    limits = {"docs": {"surely": 2, "told": 5}, "words": {"docs": 40_000}}

    assert {"docs": {"surely": 2, "told": 1}, "words": {"docs": 35_000}} == dialect.lowered(now, limits)


def test_readme_and_changelog_stay_short():
    """What it is, two commands, your own CSV, what is different, what it does not do; and what a version is."""
    version = (ROOT / "CHANGELOG.md").read_text().partition("## 0.1.0")[2].partition("\n## ")[0]

    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
    assert len(version.splitlines()) <= 40
