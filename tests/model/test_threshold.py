"""Thresholds: where an alarm begins to pay, or where F1 is best."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import f1_score

from linewright.errors import SpecError
from linewright.model.reason_text import threshold_in_words
from linewright.model.spec import ValueSpec
from linewright.model.tasks.threshold import choose_threshold
from linewright.model.tasks.value import amounts_of, require_stakes
from linewright.model.value_amounts import value_of

COSTS = ValueSpec(currency="EUR", true_positive=900, false_positive=-40, false_negative=-900)


def drawn(n, *, seed=0):
    chance = np.random.default_rng(seed)
    p = expit(chance.normal(size=n) * 2 - 1.5)
    return p, (chance.random(n) < p).astype(np.int64), chance.choice([0.5, 1.0, 2.0], n)


def each(n, value=COSTS, **columns):
    """Return the amounts of n rows."""
    return amounts_of(value_of(value), n, columns.__getitem__)


def worth(probability, target, weight, at, value):
    """Total value of the decisions, row by row."""
    table = {
        (1, True): value.true_positive,
        (0, True): value.false_positive,
        (1, False): value.false_negative,
        (0, False): value.true_negative,
    }
    rows = zip(probability, target, weight, strict=True)
    return sum(w * table[int(t), bool(p >= at)] for p, t, w in rows)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_no_threshold_has_a_better_f1(seed, n):
    """Every distinct decision is tried by brute force, with scikit-learn's F1."""
    p, target, weight = drawn(n, seed=seed)
    p = p.round(1)
    target[0] = 1
    found = choose_threshold(p, target, weight, None)
    f1 = [f1_score(target, p >= at, sample_weight=weight, zero_division=0) for at in np.unique(p)]

    assert max(f1) == pytest.approx(f1_score(target, p >= found.at, sample_weight=weight))
    assert f"{max(f1):.3f}" in threshold_in_words(found.reason)


def test_among_equal_thresholds_the_one_with_fewest_alarms_wins():
    """Ties are decided by rule, not by the order of rows."""
    p = np.array([0.9, 0.7, 0.5, 0.3, 0.2, 0.1])
    target = np.array([1, 0, 1, 0, 0, 1])
    order = np.array([4, 2, 0, 5, 1, 3])

    assert 0.4 == choose_threshold(p, target, np.ones(6), None).at
    assert 0.4 == choose_threshold(p[order], target[order], np.ones(6), None).at


def test_a_threshold_is_short_and_lies_between_rows():
    """People read it, and rounding of scores does not flip the rows beside it."""
    p = np.array([0.123456, 0.423456, 0.6, 0.7])

    assert 0.3 == choose_threshold(p, np.array([0, 1, 1, 1]), np.ones(4), None).at


def test_equal_probabilities_are_decided_alike():
    """No threshold parts them."""
    found = choose_threshold(np.full(5, 0.25), np.array([0, 1, 0, 1, 1]), np.ones(5), None)

    assert 0 < found.at <= 0.25


def test_rows_without_a_positive_leave_one_half():
    """Early blocks may have none; the sentence says so."""
    found = choose_threshold(np.array([0.1, 0.2]), np.array([0, 0]), np.ones(2), None)

    assert 0.5 == found.at
    assert "no out-of-fold row is positive" in threshold_in_words(found.reason)


def test_with_honest_probabilities_the_threshold_is_where_amounts_break_even():
    """40 / (1,800 + 40): missing costs 1,800 against finding, a false alarm 40."""
    p, target, weight = drawn(20_000)
    found = choose_threshold(p, target, weight, each(20_000))

    assert 40 / 1_840 == pytest.approx(found.at)
    assert "break-even" in threshold_in_words(found.reason)
    assert "1800" in threshold_in_words(found.reason)


@pytest.mark.parametrize("seed", range(20))
def test_luck_does_not_move_the_threshold_from_where_amounts_break_even(seed):
    """Where positives are rare, a lucky stretch without any looks like a better threshold than it is."""
    p, target, weight = drawn(2_000, seed=seed)

    assert 40 / 1_840 == pytest.approx(choose_threshold(p, target, weight, each(2_000)).at)


def test_the_added_value_in_the_sentence_is_true():
    """The number that a manager reads is the difference between alarms and no alarms."""
    p, target, weight = drawn(2_000)
    found = choose_threshold(p, target, weight, each(2_000))
    added = worth(p, target, weight, found.at, COSTS) - worth(p, target, weight, 2.0, COSTS)

    assert f"added {added:,.0f}," in threshold_in_words(found.reason)


def test_with_dishonest_probabilities_the_threshold_that_earned_most_is_taken():
    """Then break-even is at the wrong place, and the rows say so."""
    p, target, weight = drawn(4_000)
    shrunk = expit(logit(p) / 4 - 4)
    found = choose_threshold(shrunk, target, weight, each(4_000))
    best = max(worth(shrunk, target, weight, at, COSTS) for at in np.quantile(shrunk, np.linspace(0, 1, 100)))

    assert found.at < 40 / 1_840
    assert best <= worth(shrunk, target, weight, found.at, COSTS) + 1e-6
    assert "earned most" in threshold_in_words(found.reason)


def test_alarms_that_cost_nothing_are_always_given():
    """What was declared is taken at its word, and said."""
    p, target, weight = drawn(500)
    found = choose_threshold(p, target, weight, each(500, ValueSpec(true_positive=10)))

    assert 0.0 == found.at
    assert "a false alarm costs 0" in threshold_in_words(found.reason)


@pytest.mark.parametrize(
    "value",
    [ValueSpec(), ValueSpec(false_positive=-10), ValueSpec(true_positive=-5, true_negative=5)],
    ids=["nothing declared", "no gain", "wrong way round"],
)
def test_amounts_under_which_no_alarm_could_pay_are_refused(value):
    """A line that never answers the positive class is a mistake in the file."""
    with pytest.raises(SpecError, match="no alarm could ever pay"):
        require_stakes(each(100, value), value_of(value))


def test_amounts_of_each_row_decide_where_alarms_pay():
    """Where a column says what each row is at stake for, the mean of it would be the wrong place to break even."""
    p, target, weight = drawn(20_000)
    amount = np.where(p > 0.5, 1_000.0, 10.0)
    value = ValueSpec(true_positive="amount", false_negative="-amount", false_positive=-20)
    found = choose_threshold(p, target, weight, each(20_000, value, amount=amount))
    even = choose_threshold(p, target, weight, each(20_000, value, amount=np.full(20_000, 10.0)))

    assert 0.5 == pytest.approx(even.at)
    assert "finding one instead of missing it is worth 20, a false alarm costs 20" in threshold_in_words(
        even.reason
    )
    assert 0.5 == pytest.approx(found.at, abs=0.01)
    assert "expected to be worth most by the amounts of each row" in threshold_in_words(found.reason)
