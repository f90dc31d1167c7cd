"""How two dataset versions differ."""

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from linewright.data.dataset.diff import column_shifts, row_changes

OLD = pl.DataFrame({"id": [1, 2, 3, 4], "*": ["a", "a", "b", None], "n": [1.0, 2.0, 3.0, 4.0]})


def test_rows_are_matched_by_key_whatever_their_order():
    """A row that moved is the same row; a column may be called as it likes."""
    new = pl.DataFrame({"id": [5, 4, 2, 1], "*": ["a", "c", "a", "a"], "n": [0.0, 4.0, 2.5, 1.0]})
    found = row_changes(OLD, new, "id")

    assert (1, 1, 2) == (found.added, found.removed, found.changed)
    assert {"*": 1, "n": 1} == found.changed_columns


def test_what_columns_hold_is_compared_the_largest_change_first():
    """A person reads the first lines only."""
    new = pl.DataFrame({"id": [1, 2, 3, 4], "*": [None, None, None, "b"], "n": [1.0, 2.0, 3.0, 4.4]})
    first, second = column_shifts(OLD, new)

    assert ("*", (0.25, 0.75), (("a", 2 / 3), ("b", 1.0))) == (first.column, first.missing, first.most)
    assert ("n", (2.5, 2.6)) == (second.column, second.mean)


def test_nothing_differs_from_itself():
    """No line is better than one that says nothing."""
    found = row_changes(OLD, OLD, "id")

    assert (0, 0, 0, {}) == (found.added, found.removed, found.changed, found.changed_columns)
    assert [] == list(column_shifts(OLD, OLD))
    assert [] == list(column_shifts(OLD[:0], OLD[:0]))


tables = st.dictionaries(st.integers(0, 9), st.none() | st.integers(0, 2), max_size=8)


@given(tables, tables)
def test_counts_are_those_of_plain_mappings(old: dict[int, Any], new: dict[int, Any]):
    """Added, removed and changed account for every row."""
    found = row_changes(_frame(old), _frame(new), "id")

    assert len(new.keys() - old.keys()) == found.added
    assert len(old.keys() - new.keys()) == found.removed
    assert sum(old[key] != new[key] for key in old.keys() & new.keys()) == found.changed


def _frame(rows: dict[int, Any]) -> pl.DataFrame:
    return pl.DataFrame({"id": list(rows), "x": list(rows.values())}, schema={"id": pl.Int64, "x": pl.Int64})
