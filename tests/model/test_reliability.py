"""Probabilities are held against how often they came true: known errors are found, and honest ones are not accused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from linewright.model.evaluate.measure import evaluate
from linewright.model.evaluate.reliability import (
    BINS,
    FEWEST,
    bins_of,
    calibration_error,
    measure_reliability,
)
from linewright.model.evaluate.reliability_text import is_off, reliability_in_words
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.package.model import calibrate
from linewright.model.train.calibrate import fit_calibration

shares = st.lists(st.integers(0, 20).map(lambda twentieths: twentieths / 20), min_size=1, max_size=300).map(
    np.array
)


def two(positive):
    return np.column_stack([1 - positive, positive])


def measured(positive, truth, *, raw=None, **changes):
    asked = {"weight": np.ones(len(truth)), "clusters": None, "seed": 3} | changes
    return measure_reliability(truth, two(positive), None if raw is None else two(raw), **asked)


def drawn(n, seed, *, too_high=0.0):
    """Return probabilities, and truth that comes true less often by so much."""
    chance = np.random.default_rng(seed)
    positive = chance.uniform(0.2, 0.9, n)
    return positive, (chance.random(n) < positive - too_high).astype(np.int64)


@pytest.mark.parametrize("too_high", [0.05, 0.1, 0.2])
def test_an_error_of_known_size_is_found(too_high):
    """Each probability is too high by so much: so large is the error, whatever the bins."""
    found = measured(*drawn(20_000, 1, too_high=too_high))

    assert too_high == pytest.approx(found.error.value, abs=0.01)
    assert found.error.low < too_high < found.error.high
    assert is_off(found)
    assert "further from what came true than chance explains" in reliability_in_words(found, of="of 'yes'")


def test_errors_up_and_down_do_not_cancel():
    """Probabilities that are too sure are wrong at both ends, and right on average."""
    truth = np.tile([0, 1, 1, 1, 1, 1, 1, 1, 1, 1] * 10 + [1, 0, 0, 0, 0, 0, 0, 0, 0, 0] * 10, 5)
    found = measured(np.tile(np.repeat([1.0, 0.0], 100), 5), truth)

    assert 0.1 == pytest.approx(found.error.value)
    assert [(0.0, 0.1, 500), (1.0, 0.9, 500)] == [(one.answered, one.true, one.rows) for one in found.bins]


def test_honest_probabilities_of_few_rows_are_not_accused():
    """An error of 0.07 looks bad, and is what 200 honest rows show; nine of ten tables are cleared, and 0 is in their interval."""
    cleared = [measured(*drawn(200, seed)) for seed in range(40)]

    assert 0.05 < np.mean([one.error.value for one in cleared]) < 0.1
    assert np.mean([one.error.value for one in cleared]) == pytest.approx(
        np.mean([one.by_chance for one in cleared]), rel=0.15
    )
    assert 34 <= sum(not is_off(one) for one in cleared)
    assert all((one.error.low == 0) == (not is_off(one)) for one in cleared)
    assert "can be taken at their word" in reliability_in_words(
        next(one for one in cleared if not is_off(one)), of="of 'yes'"
    )


@pytest.mark.slow
def test_the_interval_holds_an_error_of_known_size():
    """As often as those of other figures, or nearly: draws err upwards, and that is taken away."""
    found = [measured(*drawn(800, seed, too_high=0.1)).error for seed in range(40)]

    assert 32 <= sum(one.low <= 0.1 <= one.high for one in found)


@pytest.mark.slow
def test_calibration_is_seen_to_mend_what_was_known_to_be_wrong():
    """Log-odds that are three times too large have an error that can be computed; a sigmoid takes it away."""
    chance = np.random.default_rng(4)
    odds = chance.normal(size=30_000)
    truth = (chance.random(30_000) < expit(odds)).astype(np.int64)
    raw, (learned, judged) = two(expit(3 * odds)), np.split(np.arange(30_000), [10_000])
    found = fit_calibration(raw[learned], truth[learned], np.ones(10_000), kind="binary", seed=1)
    scores = calibrate(found, raw[judged])
    evaluation = evaluate(
        EvaluationRows(
            split="sha256:s",
            task="binary",
            classes=("no", "yes"),
            truth=truth[judged],
            scores=scores,
            baseline_scores=np.full((20_000, 2), 0.5),
            weight=np.ones(20_000),
            threshold=0.5,
            seed=1,
        ),
        package="sha256:p",
        headline="log_loss",
        raw_scores=raw[judged],
    )
    known, _ = quad(lambda z: abs(expit(3 * z) - expit(z)) * norm.pdf(z), -8, 8)

    assert known == pytest.approx(evaluation.reliability.before, abs=0.01)
    assert 0.02 > evaluation.reliability.error.value
    assert not is_off(evaluation.reliability)
    assert "before calibration" in reliability_in_words(evaluation.reliability, of="of 'yes'")


def test_of_several_classes_the_one_that_is_answered_is_asked_about():
    """At 80 % and right in six of ten rows, whichever class it is."""
    answered = np.tile([0, 1, 2], 200)
    scores = np.full((600, 3), 0.1)
    scores[np.arange(600), answered] = 0.8
    truth = np.where(np.arange(600) % 10 < 6, answered, (answered + 1) % 3)

    assert 0.2 == pytest.approx(calibration_error(scores, truth, np.ones(600)))


@given(st.integers(200, 400), st.integers(0, 2**31))
def test_it_depends_on_what_rows_weigh_and_not_on_their_order(n, seed):
    """A row of weight 3 counts as three rows."""
    chance = np.random.default_rng(seed)
    positive, times = chance.integers(0, 21, n) / 20, chance.integers(1, 4, n)
    truth = (chance.random(n) < 0.5).astype(np.int64)
    order = chance.permutation(n)
    error = calibration_error(two(positive), truth, times.astype(float))
    moved = calibration_error(two(positive[order]), truth[order], times[order].astype(float))
    repeated = calibration_error(
        two(np.repeat(positive, times)), np.repeat(truth, times), np.ones(times.sum())
    )

    assert 0 < error <= 1
    assert error == pytest.approx(moved) == pytest.approx(repeated)


@given(st.integers(1, 2000), st.integers(0, 2**31))
def test_bins_are_of_equally_many_rows_and_go_up(n, seed):
    """So that none rests on a handful of rows, as bins of equal width would."""
    said = np.random.default_rng(seed).beta(0.3, 3, n)
    found = bins_of(said, np.ones(n))
    counts = np.bincount(found)

    assert max(1, min(BINS, n // FEWEST)) == len(counts)
    assert counts.max() - counts.min() <= 1
    assert (np.diff(found[np.argsort(said, kind="stable")]) >= 0).all()


@given(shares)
def test_equal_probabilities_share_a_bin(positive):
    """Else the error would depend on how rows happen to lie."""
    found = bins_of(positive, np.ones(len(positive)))

    assert all(1 == len(np.unique(found[positive == value])) for value in np.unique(positive))


def test_rows_without_weight_count_for_nothing():
    """Neither in the error nor in the number of bins; where none has weight nothing is measured."""
    positive, truth = drawn(400, 2, too_high=0.1)
    weight = np.repeat([1.0, 0.0], 200)
    half = measured(positive[:200], truth[:200])
    whole = measured(positive, np.concatenate([truth[:200], 1 - truth[200:]]), weight=weight)

    assert half.error.value == pytest.approx(whole.error.value)
    assert len(half.bins) == len(whole.bins)
    assert measured(positive, truth, weight=np.zeros(400)) is None


def test_one_probability_for_all_rows_is_one_bin():
    """The prediction without features is calibrated on rows like its own."""
    found = measured(np.full(500, 0.2), (np.arange(500) % 5 == 0).astype(np.int64))

    assert [(0.2, 0.2, 500)] == [(one.answered, one.true, one.rows) for one in found.bins]
    assert 0 == pytest.approx(found.error.value, abs=1e-9)
