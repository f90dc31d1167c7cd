"""Columns that repeat others are found among thousands, where each pair cannot be looked at whole."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.data.profile.column import see
from linewright.data.profile.repeated import SAME_ORDER, _correlated, find_twins

SPREADS = [0.0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.1]
"""Around 0.017 of noise a normal number's ranks correlate by 0.9995."""


def columns(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Return numbers of which some nearly repeat another or turn it around, some are mostly zero, and one says nothing."""
    base = rng.normal(size=(4, rows))
    base[3] *= rng.random(rows) < 0.05
    near = [
        sign * base[rng.integers(4)] + spread * rng.normal(size=rows)
        for spread in SPREADS
        for sign in (1, -1)
    ]
    every = np.vstack([base, near, np.ones(rows)])
    return every[rng.permutation(len(every))]


@given(seed=st.integers(0, 2**32 - 1), rows=st.sampled_from([11, 60, 799, 800, 1_500]))
def test_the_pairs_are_those_that_all_correlations_show(seed: int, rows: int):
    """Most pairs are told apart by a few of their rows, and none may be lost by that."""
    numbers = columns(np.random.default_rng(seed), rows)
    ranks = np.array([pl.Series(one).rank("average").to_numpy() for one in numbers])
    with np.errstate(invalid="ignore"):
        every = np.corrcoef(ranks)

    found = {(i, j): likeness for i, j, likeness in _correlated(ranks)}

    # Where one is closer to the bar than sums round, either answer is right.
    for i, j in combinations(range(len(ranks)), 2):
        if abs(every[i, j]) >= SAME_ORDER + 1e-9:
            assert found[i, j] == pytest.approx(every[i, j], abs=1e-9)
        elif not abs(every[i, j]) >= SAME_ORDER - 1e-9:
            assert (i, j) not in found


def test_pairs_are_found_beyond_the_columns_that_are_looked_at_together():
    """Blocks of columns are compared; a pair lies in two of them."""
    rng = np.random.default_rng(0)
    ranks = np.array([rng.permutation(900).astype(np.float64) for _ in range(600)])
    ranks[[310, 599]] = ranks[5], -ranks[311]

    assert [(5, 310, 1), (311, 599, -1)] == [(i, j, round(one, 9)) for i, j, one in _correlated(ranks)]


def test_of_several_that_rank_alike_the_first_is_named():
    """A person looks for it in the table's order."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=900).round(2)
    frame = pl.DataFrame({"other": rng.normal(size=900).round(2), "a": x, "b": x**3, "c": np.exp(x)})

    twins = find_twins({name: see(frame[name].cast(pl.String)) for name in frame.columns})

    assert {"b": "a", "c": "a"} == {name: twin.of for name, twin in twins.items()}


def test_the_different_values_of_a_column_are_counted_once():
    """Three questions are asked about them, of each of thousands of columns."""
    column = see(pl.Series("mark", ["3", "1", None, "3"]))

    assert [(1, 1), (3, 2)] == column.counts.rows()
    assert column.counts is column.counts
    assert [(3, 2)] == column.where(pl.Series([True, False, True, True])).counts.rows()


def test_among_many_measurements_of_a_few_rows_only_equal_ones_are_twins():
    """Each has its own value in each row, so any two go one to one: only equal ones are twins."""
    rng = np.random.default_rng(5)
    columns = {f"x{number}": pl.Series(rng.normal(size=72)) for number in range(1_000)}
    seen = {name: see(one.alias(name)) for name, one in {**columns, "again": columns["x7"]}.items()}
    twins = find_twins(seen)

    assert {"again": "equal"} == {name: twin.form for name, twin in twins.items()}
