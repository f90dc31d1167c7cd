"""The list of worlds."""

import pytest
from interpreter import printed_by

from linewright.errors import NotFound
from linewright.worlds import WORLDS, load


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_that_is_listed_can_be_made(name):
    """A name in the list that leads nowhere is found by a user otherwise."""
    world = load(name)(1)

    first = (
        world.day(0).date if hasattr(world, "day") else world.plant("lyon").morning().readings["read_at"][0]
    )
    assert first == world.start
    assert WORLDS[name].summary.endswith(".")


def test_an_unknown_world_is_refused_with_those_that_exist():
    with pytest.raises(NotFound, match="fraud"):
        load("weather")


def test_the_list_imports_no_world():
    """Help names the worlds, and must not wait for numpy."""
    code = "import sys, linewright.worlds; print({'numpy', 'polars', 'pydantic'} & set(sys.modules))"
    printed = printed_by(code)

    assert "set()" == printed.strip()
