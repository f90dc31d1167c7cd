"""Money: exact sums, and decisions that nobody can better."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewright.model.spec import ValueSpec
from linewright.worlds.costs import Stakes

CENTS = st.integers(-(10**9), 10**9)
STAKES = st.builds(
    Stakes, true_positive=CENTS, false_positive=CENTS, false_negative=CENTS, true_negative=CENTS
)
PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=50)


@given(stakes=STAKES, pairs=PAIRS)
def test_a_value_is_the_sum_of_its_rows_to_the_cent(stakes, pairs):
    """A value account that is a cent off is not believed in the next sentence either."""
    labels, decisions = (np.array([pair[i] for pair in pairs], bool) for i in (0, 1))
    one_by_one = sum(
        (stakes.true_positive if acted else stakes.false_negative)
        if positive
        else (stakes.false_positive if acted else stakes.true_negative)
        for positive, acted in pairs
    )

    assert one_by_one == stakes.value(labels, decisions)


@given(stakes=STAKES, pairs=PAIRS, cut=st.integers(0, 50))
def test_the_values_of_parts_add_up(stakes, pairs, cut):
    """Days are summed into weeks."""
    labels, decisions = (np.array([pair[i] for pair in pairs], bool) for i in (0, 1))
    parts = stakes.value(labels[:cut], decisions[:cut]) + stakes.value(labels[cut:], decisions[cut:])

    assert stakes.value(labels, decisions) == parts


@given(
    stakes=STAKES,
    rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=20),
)
def test_no_policy_is_worth_more_than_the_best_decision(stakes, rows):
    """The oracle bounds every policy that sees the same."""
    p, policy = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    best = stakes.expected_value(p, stakes.best_decision(p))

    assert best >= stakes.expected_value(p, policy) - 1e-6 * abs(best)


@given(stakes=STAKES, labels=st.lists(st.booleans(), max_size=30))
def test_with_certain_labels_the_expected_value_is_the_value(stakes, labels):
    """Expectation and sum are two readings of one matrix."""
    truth = np.array(labels, bool)
    decisions = stakes.best_decision(truth.astype(float))

    assert stakes.value(truth, decisions) == pytest.approx(
        stakes.expected_value(truth.astype(float), decisions)
    )


def test_a_line_file_can_say_the_same():
    """The line decides by the matrix that it is judged by."""
    section = Stakes(false_positive=-800, false_negative=-12_000).value_section()

    assert ValueSpec(currency="EUR", false_positive=-8, false_negative=-120) == ValueSpec.model_validate(
        section
    )
