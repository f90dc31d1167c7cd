"""Columns that repeat others are found among thousands, where each pair cannot be looked at whole."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from linewright.data.profile.column import see
from linewright.data.profile.repeated import SAME_ORDER, _correlated, find_twins


def test_the_pairs_are_those_that_all_correlations_show():
    """A pair lies in two of the blocks that are compared, is mostly zero, or turns the other around."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(600, 900))
    numbers[311] *= rng.random(900) < 0.05
    for place, of, spread in ((310, 5, 0.005), (599, 311, 0.0), (20, 19, 0.03), (21, 19, 0.1)):
        numbers[place] = (-1) ** place * numbers[of] + spread * rng.normal(size=900)
    numbers[7] = 1.0
    ranks = np.array([pl.Series(one).rank("average").to_numpy() for one in numbers])
    with np.errstate(invalid="ignore"):
        every = np.corrcoef(ranks)

    found = [
        (i, j, pytest.approx(every[i, j], abs=1e-9))
        for i, j in combinations(range(600), 2)
        if abs(every[i, j]) >= SAME_ORDER
    ]
    assert [(5, 310), (311, 599)] == [pair[:2] for pair in found]
    assert found == [*_correlated(ranks)]


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
