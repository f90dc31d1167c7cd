"""What is drawn for annotators: unsure rows, unlike each other, and some at random."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from linewright.capabilities.annotation.effect import weights_of
from linewright.capabilities.annotation.sample import (
    RANDOM_SHARE,
    draw,
    features_of,
    strata_of,
    uncertainty_of,
)
from linewright.people.annotations import Batch, Question


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(0, 80), st.integers(0, 2**31 - 1))
def test_each_is_drawn_once_and_as_many_as_there_are(uncertainty, size, seed):
    """A row that is drawn twice wastes a label."""
    pool = np.array(uncertainty, dtype=np.float64)

    found = draw(pool, np.zeros((len(pool), 2)), size, seed=seed)

    wanted = min(size, len(pool))
    assert wanted == len(set(found.places)) == len(found.places)
    assert round(wanted * RANDOM_SHARE) == len(found.at_random)
    assert found == draw(pool, np.zeros((len(pool), 2)), size, seed=seed)


def test_unsure_rows_come_before_sure_ones():
    """The model learns most of what it does not know."""
    uncertainty = np.linspace(0, 1, 2_000)

    found = draw(uncertainty, np.zeros((2_000, 0)), 100, seed=5)

    assert uncertainty[[at for at in found.places if at not in found.at_random]].min() > 0.9


def test_equally_unsure_rows_are_unlike_each_other():
    """Ninety copies of one row are one question."""
    rows = [{"shop": "a"}] * 90 + [{"shop": name} for name in "bcdefghij"]
    features = features_of(rows, {"shop": "category"})

    found = draw(np.ones(len(rows)), features, 10, seed=2)

    assert len({rows[at]["shop"] for at in found.places}) >= 8


def test_rows_of_any_values_become_points():
    """A queue must not fail for what a row may hold: nothing, nested values, lone surrogates, huge numbers."""
    rows = [
        {"n": value, "t": value, "c": value}
        for value in (None, "x \ud800 y", 10**400, [1], {"a": 2}, "nan", True)
    ]

    points = features_of(rows, {"n": "number", "t": "text", "c": "category"})

    assert np.isfinite(points).all()
    assert len(rows) == len(points)


def test_an_answer_of_one_class_is_sure():
    """Entropy of a probability of 0 is 0, not undefined."""
    assert 0.0 == uncertainty_of({"probabilities": {"a": 1.0, "b": 0.0}})


def question(number, stratum, batch=1):
    return Question(
        str(number), batch, number, str(number), "chosen", stratum, None, "kept", '"a"', '"a"', "", 1
    )


def test_labels_stand_for_as_many_predictions_as_their_fifth_had():
    """Ninety labels of the unsure fifth must not outvote ten of all others."""
    pool = "[20, 20, 20, 20, 20]"
    batch = Batch(1, "", "", "", 1, 0.0, 0.0, "", "", "", pool, None)
    asked = [*(question(n, 4) for n in range(90)), *(question(90 + n, n % 4) for n in range(8))]

    weights = weights_of(asked, {1: batch})

    assert np.isclose(weights.sum(), len(asked))
    assert np.isclose(weights[:90].sum() / weights.sum(), 0.2)
    assert [2] * 3 == [sum(strata_of(np.arange(10.0)) == n) for n in range(3)]
