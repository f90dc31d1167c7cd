"""Krippendorff's alpha is that of the literature, and keeps its laws."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.capabilities.annotation.agreement import agreement_of, krippendorff_alpha

PAPER = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
"""Example C of Krippendorff (2011): four observers, twelve units."""
WIKIPEDIA = (
    ". . . . . 3 4 1 2 1 1 3 3 . 3",
    "1 . 2 1 3 3 4 3 . . . . . . .",
    ". . 2 1 3 4 4 . 2 1 1 3 3 . 4",
)
"""The computational example of the article on Krippendorff's alpha."""
BINARY = ("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0")
"""Example A of Krippendorff (2011): two observers, ten units, alpha 0.095."""


def units_of(rows):
    return [[float(one) for one in unit if one != "."] for unit in zip(*map(str.split, rows), strict=True)]


@pytest.mark.parametrize(
    ("rows", "level", "published"),
    [
        (PAPER, "nominal", 0.743),
        (PAPER, "interval", 0.849),
        (WIKIPEDIA, "nominal", 0.691),
        (WIKIPEDIA, "interval", 0.811),
        (BINARY, "nominal", 0.095),
    ],
)
def test_worked_examples_that_were_published_come_out(rows, level, published):
    """A formula that is almost right gives numbers that nobody doubts."""
    assert published == round(krippendorff_alpha(units_of(rows), level=level), 3)


LABELLED = st.lists(st.lists(st.integers(0, 3).map(float), max_size=4), max_size=12)


@given(LABELLED, st.sampled_from(["nominal", "interval"]))
def test_neither_the_order_of_units_nor_that_of_annotators_matters(units, level):
    """Annotators are exchangeable."""
    turned = [unit[::-1] for unit in units[::-1]]

    before, after = krippendorff_alpha(units, level=level), krippendorff_alpha(turned, level=level)

    assert (before is None) == (after is None)
    assert before is None or math.isclose(before, after, abs_tol=1e-9)


@given(LABELLED, st.sampled_from(["nominal", "interval"]))
def test_it_is_one_exactly_where_all_agree_and_never_above(units, level):
    """Alpha of 1 promises that two annotators were never of two minds."""
    alpha = krippendorff_alpha(units, level=level)
    counted = [unit for unit in units if len(unit) > 1]

    assert (alpha is None) == (len({value for unit in counted for value in unit}) < 2)
    if alpha is not None:
        assert alpha <= 1
        assert math.isclose(alpha, 1, abs_tol=1e-9) == all(len(set(unit)) == 1 for unit in counted)


@given(LABELLED, st.floats(-1e6, 1e6), st.floats(0.01, 1e6))
def test_the_unit_of_numbers_does_not_matter(units, origin, scale):
    """Degrees of Fahrenheit agree as far as those of Celsius."""
    moved = [[origin + scale * one for one in unit] for unit in units]

    before, after = krippendorff_alpha(units, level="interval"), krippendorff_alpha(moved, level="interval")

    assert (before is None) == (after is None)
    assert before is None or math.isclose(before, after, abs_tol=1e-3)


@given(LABELLED, st.integers(0, 2**31 - 1))
def test_units_with_one_label_change_nothing(units, seed):
    """Agreement cannot be told from what one person said alone."""
    assert agreement_of(units, seed=seed, draws=20) == agreement_of([*units, [1.0], []], seed=seed, draws=20)


def test_labels_by_chance_have_an_interval_that_holds_zero():
    """An interval that leaves 0 out would call noise agreement."""
    units = [[float(n * 7 % 5 % 2), float(n * 11 % 7 % 2)] for n in range(200)]

    found = agreement_of(units, seed=3)

    assert found.low < 0 < found.high
    assert found == agreement_of(units, seed=3)
