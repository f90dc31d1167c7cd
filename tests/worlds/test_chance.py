"""Streams and ranges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.errors import RequestError
from linewright.worlds.random_streams import Range, stream


@given(seed=st.integers(0, 2**70), day=st.integers(0, 400))
def test_streams_of_other_purposes_do_not_move_one(seed, day):
    """What is drawn for one purpose never depends on what is drawn for another."""
    first = stream(seed, "payments", day).random(3)
    stream(seed, "labels", day).random(100)

    assert np.array_equal(first, stream(seed, "payments", day).random(3))
    assert not np.array_equal(first, stream(seed, "labels", day).random(3))
    assert not np.array_equal(first, stream(seed + 1, "payments", day).random(3))


@given(low=st.integers(-50, 50), width=st.integers(0, 50), whole=st.booleans(), seed=st.integers(0, 1000))
def test_a_drawn_value_lies_in_its_range(low, width, whole, seed):
    bounds = Range(low=low, high=low + width, unit="units", because="a test", whole=whole)
    value = bounds.draw(stream(seed, "x"))

    assert low <= value <= low + width
    assert not whole or isinstance(value, int)


def test_both_bounds_of_whole_numbers_occur():
    """An off-by-one in a range would never show otherwise."""
    bounds = Range(low=12, high=14, unit="days", because="a test", whole=True)

    assert {12, 13, 14} == {bounds.draw(stream(seed, "x")) for seed in range(60)}


def test_a_range_with_nothing_in_it_is_refused():
    with pytest.raises(RequestError, match="empty"):
        Range(low=2, high=1, unit="days", because="a test").draw(stream(1, "x"))
