"""What is drawn of very many rows stands for all of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.model.train.sample import FEWEST, draw, most_rows


@given(
    st.lists(st.integers(1, 3_000), min_size=2, max_size=6), st.integers(40, 2_000), st.integers(0, 2**31 - 1)
)
@settings(max_examples=60, deadline=None)
def test_each_draw_stands_for_all_rows(counts, most, seed):
    """Shares of classes, and all that rests on them, are those of all rows; a rare class is there whole."""
    codes = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    drawn = draw(codes, most=most, seed=seed, is_class=True)
    again = draw(codes, most=most, seed=seed, is_class=True)

    assert len(drawn.rows) == min(most, len(codes))
    assert len(np.unique(drawn.rows)) == len(drawn.rows)
    assert drawn.stands_for.sum() == pytest.approx(len(codes))
    assert (drawn.stands_for >= 1).all()
    assert (drawn.rows == again.rows).all()
    for code, count in enumerate(counts):
        if count * 2 * len(counts) <= most // 4:
            assert (codes[drawn.rows] == code).sum() == count


def test_a_class_of_two_rows_is_kept():
    """A draw by chance alone would lose it nine times of ten."""
    codes = np.repeat([0, 1, 2], [20_000, 19_998, 2])
    drawn = draw(codes, most=4_000, seed=1, is_class=True)
    stands = np.bincount(codes[drawn.rows], weights=drawn.stands_for)

    assert stands[2] == 2
    assert stands[0] / stands[1] == pytest.approx(1, abs=0.1)


def test_groups_are_drawn_whole():
    """Rows of one person must not be learned from in part: folds and copies reckon with whole groups."""
    chance = np.random.default_rng(5)
    groups, target = chance.integers(0, 900, 9_000), chance.normal(size=9_000)
    drawn = draw(target, most=3_000, seed=2, is_class=False, groups=groups)
    taken = np.isin(groups, groups[drawn.rows])

    assert (np.flatnonzero(taken) == drawn.rows).all()
    assert abs(len(drawn.rows) - 3_000) < 60
    assert drawn.stands_for.sum() == pytest.approx(9_000)


def test_few_rows_are_all_taken():
    """Below the cap nothing changes: rows, order and weights are those that came."""
    drawn = draw(np.arange(50.0), most=50, seed=3, is_class=False)

    assert (drawn.rows == np.arange(50)).all()
    assert (drawn.stands_for == 1).all()


def test_how_many_follows_from_the_width_alone():
    """Equal tables must get equal draws on any machine, so nothing is measured."""
    assert most_rows(["number"] * 2_000, 80_000) == 60_000
    assert most_rows(["number"] * 20, 800_000) == 800_000
    assert most_rows(["number"] * 10**6, 10**6) == FEWEST
