"""Bounds that may be looked at as often as one likes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from linewright.release.confidence_sequence import bounds

RUNS, ROWS = 400, 2_000


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_they_hold_at_all_times_at_once_as_often_as_they_say(share):
    """Who looks after each value and stops at the first that is beyond is wrong in at most 5 of 100 cases, 99.9 % surely."""
    print("seed 3")
    chance, wrong = np.random.default_rng(3), 0
    for _ in range(RUNS):
        low, high = bounds((chance.random(ROWS) < share).astype(float), 0.95)
        wrong += bool(((low > share) | (high < share)).any())

    assert wrong <= 0.05 * RUNS + 3.1 * np.sqrt(0.05 * 0.95 * RUNS)


def test_they_hold_for_an_average_that_moves():
    """The world changes under both models: what is bounded is the average of what was to be expected."""
    print("seed 4")
    chance, wrong = np.random.default_rng(4), 0
    expected = np.linspace(0.1, 0.6, ROWS)
    average = np.cumsum(expected) / np.arange(1, ROWS + 1)
    for _ in range(RUNS):
        low, high = bounds((chance.random(ROWS) < expected).astype(float), 0.95)
        wrong += bool(((low > average) | (high < average)).any())

    assert wrong <= 0.05 * RUNS + 3.1 * np.sqrt(0.05 * 0.95 * RUNS)


@given(arrays(float, st.integers(0, 50), elements=st.floats(0, 1)))
def test_they_hold_the_middle_of_what_came_and_lie_within_0_and_1(values):
    low, high = bounds(values, 0.9)

    assert len(values) == len(low) == len(high)
    assert ((low >= 0) & (low <= high) & (high <= 1)).all()


def test_they_close_in():
    low, high = bounds(np.tile([0.0, 1.0], 50_000), 0.95)

    assert 0.49 < low[-1] < 0.5 < high[-1] < 0.51


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="from 0 to 1"):
        bounds(np.array([0.5, value]), 0.95)
