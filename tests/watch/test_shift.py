"""The one statistic: laws, numerics at extremes, how often it is wrong, and what it finds."""

import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ncx2

from linewright.watch.psi import findable, measure, sf

ALPHA = 1 / 2160 / 62
"""1 false alarm in 90 d, windows of 1 h, 62 monitors."""


@st.composite
def pairs(draw):
    """Return counts of two sides in the same cells."""
    cells = draw(st.integers(1, 12))
    side = st.lists(st.integers(0, 10**9), min_size=cells, max_size=cells)
    return draw(side), draw(side)


@given(pairs())
def test_the_index_is_never_negative_and_the_p_value_is_one(pair):
    shift = measure(*pair)

    assert shift.psi >= 0
    assert 0 <= shift.debiased <= shift.psi
    assert 0 <= shift.p_value(0.2) <= 1


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12), st.integers(1, 1000))
def test_equal_shares_have_not_moved(counts, times):
    shift = measure(counts, [times * count for count in counts])

    assert shift.psi == pytest.approx(0, abs=1e-12)
    assert not shift.is_beyond(0.01, alpha=0.05)


@given(pairs(), st.randoms(use_true_random=False))
def test_the_order_of_cells_is_irrelevant(pair, random):
    order = list(range(len(pair[0])))
    random.shuffle(order)
    shuffled = measure([pair[0][i] for i in order], [pair[1][i] for i in order])

    assert shuffled.psi == pytest.approx(measure(*pair).psi)


@given(pairs())
def test_the_index_is_the_same_in_both_directions(pair):
    assert measure(*pair).psi == pytest.approx(measure(*reversed(pair)).psi)


@pytest.mark.parametrize(
    ("reference", "window", "is_beyond"),
    [
        ([10**9, 10**9], [10**9, 3 * 10**9], True),
        ([10**9, 10**9], [10**9, 10**9 + 1], False),
        ([10**9, 0], [0, 10**9], True),
        ([0, 0], [5, 5], False),
        ([5, 5], [0, 0], False),
        ([0, 0], [0, 0], False),
        ([7], [7], False),
        ([7], [10**9], False),
        ([7, 0], [9, 0], False),
        ([1, 0], [0, 1], False),
        ([], [], False),
    ],
)
def test_extremes_are_decided_and_never_nan(reference, window, is_beyond):
    shift = measure(reference, window)

    assert math.isfinite(shift.psi)
    assert math.isfinite(shift.debiased)
    assert math.isfinite(shift.p_value(0.2))
    assert shift.is_beyond(0.2, alpha=ALPHA) is is_beyond


@pytest.mark.parametrize("freedom", [1, 9, 50])
@pytest.mark.parametrize("noncentrality", [9_000.0, 100_000.0, 1e6])
def test_the_tail_of_large_values_joins_the_exact_one(freedom, noncentrality):
    middle, spread = noncentrality + freedom, math.sqrt(2 * (freedom + 2 * noncentrality))
    for deviations in (-3, 0, 3, 4.5):
        value = middle + deviations * spread
        exact = float(ncx2.sf(value, freedom, noncentrality))

        assert sf(value, freedom, noncentrality) == pytest.approx(exact, rel=0.05)


def test_more_rows_make_the_same_shift_surer():
    sure = [measure([800, 200], [5 * n, 5 * n]).p_value(0.2) for n in (1, 10, 100, 1000)]

    assert sure == sorted(sure, reverse=True)


@pytest.mark.parametrize("cells", [2, 10, 30])
@pytest.mark.parametrize("rows", [50, 500, 5000])
def test_a_shift_of_just_the_bar_is_rarely_found(cells, rows):
    """At the bar itself, the largest shift that is not worth naming, the chance is about alpha."""
    seed = 20_000 + 100 * cells + rows
    print("seed", seed)
    random = np.random.default_rng(seed)
    base = np.full(cells, 1 / cells)
    moved = _moved(base, 0.2)
    found = [
        measure(random.multinomial(10_000, base), random.multinomial(rows, moved)).is_beyond(0.2, alpha=0.01)
        for _ in range(1500)
    ]

    assert np.mean(found) <= 0.03


@pytest.mark.parametrize("rows", [20, 300, 3000])
def test_no_shift_is_never_found_however_skewed_the_cells(rows):
    print("seed", rows)
    random = np.random.default_rng(rows)
    base = 1 / np.arange(1, 51) ** 1.5
    base /= base.sum()
    found = [
        measure(random.multinomial(2_000, base), random.multinomial(rows, base)).is_beyond(0.2, alpha=ALPHA)
        for _ in range(2000)
    ]

    assert sum(found) == 0


def test_what_is_said_to_be_findable_is_found():
    """1,000 rows a window, reference 10,000, 3 windows: an index of 0.32 is found with probability 0.9."""
    index = findable(rows=1000, reference=10_000, cells=10, bar=0.2, windows=3, alpha=ALPHA)
    seed = 7
    print("seed", seed)
    random = np.random.default_rng(seed)
    base = np.full(10, 0.1)
    moved = _moved(base, index)
    found = []
    for _ in range(400):
        reference = random.multinomial(10_000, base)
        windows = random.multinomial(1000, moved, size=3)
        each = all(measure(reference, window).debiased >= 0.2 for window in windows)
        found.append(each and measure(reference, windows.sum(axis=0)).is_beyond(0.2, alpha=ALPHA))

    assert index == pytest.approx(0.32, abs=0.005)
    assert 0.85 <= np.mean(found) <= 0.99


def test_the_page_and_the_docstring_say_what_is_findable():
    """Both are figures of the code, with what they are computed for beside them."""
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "monitoring.md").read_text()
    table = page.split("| rows a window | smallest PSI that is found |")[1].split("\n\n")[0]
    told = {
        int(rows.replace(",", "")): float(psi)
        for rows, psi in re.findall(r"\| ([\d,]+) \| ([\d.]+) \|", table)
    }
    docstring = str(sys.modules["linewright.watch.psi"].__doc__)

    assert {100, 300, 1_000, 10_000} == set(told)
    for rows, psi in told.items():
        index = findable(rows=rows, reference=10_000, cells=10, bar=0.2, windows=3, alpha=ALPHA)
        assert psi == pytest.approx(index, abs=0.005)
        assert re.search(rf"^ *{rows:,}  {psi}$", docstring, re.MULTILINE)


def test_with_very_few_rows_nothing_is_findable():
    assert findable(rows=1, reference=3, cells=10, bar=0.2, windows=1, alpha=1e-300) == math.inf


def _moved(base, index):
    """Return shares at that index from `base`: tilted towards one end."""
    tilt = np.linspace(-1, 1, len(base))
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        moved = base * np.exp(middle * tilt)
        moved /= moved.sum()
        low, high = (middle, high) if np.sum((moved - base) * np.log(moved / base)) < index else (low, middle)
    return moved
