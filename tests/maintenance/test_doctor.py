"""The doctor of a factory in which nothing has run yet."""

import pytest

from linewright.capabilities.care.doctor import Needs, examine
from linewright.line.factory import Factory

LINE = "line: claims\nsources: {claims: {file: claims.csv}}\nlabel: {column: y}\n"


@pytest.fixture
def cloned(tmp_path):
    """Give a factory as it comes out of git: line files and sources, and no state."""
    root = tmp_path / "factory"
    (root / "lines").mkdir(parents=True)
    (root / "factory.yaml").write_text("format: 1\n")
    (root / "lines" / "claims.yaml").write_text(LINE)
    (root / "claims.csv").write_text("a,y\n" + "1,0\n2,1\n" * 20)
    return Factory(root)


def examined(factory):
    return examine(factory, Needs(free_bytes=0, ports=()))


def test_all_is_well_in_a_factory_that_never_ran_and_nothing_is_made_in_it(cloned):
    """It is asked first of all by whoever has just cloned a factory, and said that its disk was to be looked at."""
    found = examined(cloned)

    assert () == found.problems == found.skipped
    assert {"factory.yaml", "lines", "claims.csv"} == {path.name for path in cloned.root.iterdir()}


def test_what_is_wrong_with_a_line_is_told_before_the_first_run(cloned):
    """A source that was not cloned with the rest keeps the line from running."""
    (cloned.root / "claims.csv").unlink()
    found = examined(cloned)

    assert ["sources.claims.file"] == [one.where for one in found.problems]
    assert not cloned.state.exists()
