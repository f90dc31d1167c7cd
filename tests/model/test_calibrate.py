"""Calibration: probabilities that mean what they say, learned from rows that the model has not seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from linewright.model.facts import Calibration
from linewright.model.package.model import calibrate
from linewright.model.train.calibrate import (
    CLIP,
    POINTS,
    STEEPEST,
    _cross_fitted,
    fit_calibration,
    fit_isotonic,
    fit_sigmoid,
    fit_temperature,
    goes_forward,
)


def pairs(p):
    return np.column_stack([1 - p, p])


def drawn(n, distort, *, seed=0, weighted=True):
    """Draw outcomes of honest probabilities, and show the probabilities distorted."""
    chance = np.random.default_rng(seed)
    honest = expit(chance.normal(size=n) * 1.5 - 0.5)
    target = (chance.random(n) < honest).astype(np.int64)
    weight = chance.choice([0.5, 1.0, 1.5], n) if weighted else np.ones(n)
    return pairs(distort(honest)), target, weight, honest


def too_sure(p):
    return expit(1.4 * logit(p) + 0.4)


def kinked(p):
    """Distort as no sigmoid undoes."""
    return np.where(p < 0.4, p / 2, 0.2 + (p - 0.4) * 0.8 / 0.6)


def test_the_sigmoid_is_the_one_of_platt():
    """scikit-learn fits the same two numbers by another solver, softened targets included."""
    scores, target, weight, _ = drawn(800, too_sure)
    a, b = _sigmoid_calibration(logit(scores[:, 1]), target, weight)

    assert (-a, -b) == pytest.approx(fit_sigmoid(scores, target, weight).parameters, abs=1e-4)


def test_the_sigmoid_finds_the_maximum_of_its_likelihood():
    """An independent optimiser finds nothing better."""
    scores, target, weight, _ = drawn(300, too_sure)
    positive, total = weight @ target, weight.sum()
    soft = np.where(target == 1, (positive + 1) / (positive + 2), 1 / (total - positive + 2))
    z = logit(scores[:, 1])

    def loss(ab):
        p = expit(ab[0] * z + ab[1])
        return -np.sum(weight * (soft * np.log(p) + (1 - soft) * np.log(1 - p)))

    found = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-8}).x

    np.testing.assert_allclose(found, fit_sigmoid(scores, target, weight).parameters, atol=1e-4)


def test_perfectly_separated_rows_give_a_finite_sigmoid():
    """An easy table may not end in a step function."""
    p = np.concatenate([np.full(50, 0.1), np.full(50, 0.9)])
    a, b = fit_sigmoid(pairs(p), np.repeat([0, 1], 50), np.ones(100)).parameters

    assert 1 < a < 3
    assert b == pytest.approx(0, abs=1e-6)


def test_scores_that_point_the_wrong_way_are_not_turned_round():
    """A model that is worse than chance out of fold is broken, not to be inverted."""
    scores, target, weight, _ = drawn(500, lambda p: 1 - p)

    assert Calibration() == fit_sigmoid(scores, target, weight)


def test_the_temperature_is_the_one_of_least_loss():
    """A bounded scalar search of another library finds the same."""
    chance = np.random.default_rng(1)
    margins = chance.normal(size=(600, 4)) * 1.5
    target = np.array([chance.choice(4, p=row) for row in softmax(margins, axis=1)])
    scores, weight = softmax(3 * margins, axis=1), chance.choice([0.5, 1.5], 600)

    def loss(t):
        return -weight @ log_softmax(3 * margins / t, axis=1)[np.arange(600), target]

    found = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-8}).x

    assert found == pytest.approx(fit_temperature(scores, target, weight).parameters[0], rel=1e-5)
    assert found == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(("sure", "t"), [(True, 0.05), (False, 20.0)])
def test_the_temperature_is_bounded(sure, t):
    """Rows that are all right, or all wrong, may not lead to infinity."""
    scores = np.tile([0.6, 0.3, 0.1], (30, 1))
    target = np.full(30, 0 if sure else 2)

    assert t == pytest.approx(fit_temperature(scores, target, np.ones(30)).parameters[0])


def test_the_curve_goes_through_the_blocks_of_isotonic_regression():
    """At few distinct scores it is scikit-learn's fit, drawn through the middle of each block."""
    chance = np.random.default_rng(2)
    p = chance.integers(1, 20, 3_000) / 20
    target = (chance.random(3_000) < kinked(p)).astype(np.int64)
    weight = chance.choice([0.5, 1.5], 3_000)
    fitted = fit_isotonic(pairs(p), target, weight)
    peer = IsotonicRegression().fit(p, target, sample_weight=weight)

    np.testing.assert_allclose(peer.predict(np.asarray(fitted.x)), fitted.y, atol=1e-9)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 3_000), st.floats(0.01, 20))
def test_the_curve_is_rising_bounded_and_not_too_steep(seed, n, spread):
    """Parity, and readers of the card, rely on each of these."""
    chance = np.random.default_rng(seed)
    p = expit(chance.normal(size=n) * spread - 1).round(chance.integers(1, 12))
    target = (chance.random(n) < p).astype(np.int64)
    fitted = fit_isotonic(pairs(p), target, chance.choice([0.0, 1.0, 2.0], n) + 1e-3)
    x, y = np.asarray(fitted.x), np.asarray(fitted.y)

    assert len(x) == len(y) <= POINTS
    assert (np.diff(x) > 0).all()
    assert (np.diff(y) >= 0).all()
    assert (np.diff(y) <= STEEPEST * np.diff(x) + 1e-12).all()
    assert CLIP <= y.min() <= y.max() <= 1 - CLIP


@pytest.mark.parametrize(
    ("distort", "n", "method"),
    [
        (lambda p: p, 8_000, "none"),
        (too_sure, 8_000, "sigmoid"),
        (too_sure, 400, "sigmoid"),
        (kinked, 40_000, "isotonic"),
        (kinked, 1_000, {"none", "sigmoid"}),
    ],
    ids=["honest", "too-sure", "too-sure-few", "kinked", "kinked-few"],
)
def test_the_simplest_calibration_that_helps_is_chosen(distort, n, method):
    """A curve where it is needed and learnable, nothing where nothing is wrong."""
    scores, target, weight, _ = drawn(n, distort)
    found = fit_calibration(scores, target, weight, kind="binary", seed=1)

    assert found.method in method


@pytest.mark.parametrize("distort", [too_sure, kinked])
def test_calibrated_probabilities_come_nearer_to_the_truth(distort):
    """On new rows, whose honest probabilities we know because we made them."""
    scores, target, weight, _ = drawn(40_000, distort)
    found = fit_calibration(scores, target, weight, kind="binary", seed=1)
    fresh, outcomes, _, honest = drawn(40_000, distort, seed=9)
    after = calibrate(found, fresh)

    assert np.abs(after[:, 1] - honest).mean() < 0.02 < np.abs(fresh[:, 1] - honest).mean()
    assert log_loss(outcomes, after) < log_loss(outcomes, fresh)


def test_a_multiclass_model_that_is_too_sure_gets_a_temperature():
    """And one that is honest gets none."""
    chance = np.random.default_rng(3)
    margins = chance.normal(size=(3_000, 3))
    target = np.array([chance.choice(3, p=row) for row in softmax(margins, axis=1)])
    methods = [
        fit_calibration(
            softmax(k * margins, axis=1), target, np.ones(3_000), kind="multiclass", seed=1
        ).method
        for k in (1, 3)
    ]

    assert ["none", "temperature"] == methods


def test_few_rows_of_a_class_and_regression_are_left_alone():
    """Two numbers are not learned from nine rows."""
    scores, target, weight, _ = drawn(200, too_sure)
    rare = np.where(np.cumsum(target) <= 9, target, 0)

    assert Calibration() == fit_calibration(scores, rare, weight, kind="binary", seed=1)
    assert Calibration() == fit_calibration(scores[:, 1], scores[:, 0], weight, kind="regression", seed=1)


def test_one_class_alone_is_left_alone():
    """The judged rows of an early block may all be negative."""
    scores, target, weight, _ = drawn(200, too_sure)

    assert Calibration() == fit_calibration(scores, 0 * target, weight, kind="binary", seed=1)


def test_scores_of_exactly_zero_and_one_do_no_harm():
    """Trees can be that sure."""
    scores, target, weight, _ = drawn(5_000, too_sure)
    scores[:20], scores[20:40] = [1.0, 0.0], [0.0, 1.0]
    for fit in (fit_sigmoid, fit_isotonic, fit_temperature):
        fitted = fit(scores, target, weight)

        assert np.isfinite([*fitted.parameters, *fitted.x, *fitted.y]).all()
        assert np.isfinite(calibrate(fitted, scores)).all()


def monthly(slopes, *, rows=2_000, seed=0):
    """Draw honest probabilities, and show those of each month with a slope of its own."""
    scores, target, weight, _ = drawn(rows * len(slopes), lambda p: p, seed=seed, weighted=False)
    month = np.repeat(np.arange(len(slopes)), rows)
    return pairs(expit(np.asarray(slopes)[month] * logit(scores[:, 1]))), target, weight, month


def test_what_rows_of_one_time_say_is_judged_on_later_ones():
    """Shuffled, all months lend each other their slope; a curve of the past was wrong about each month to come."""
    scores, target, weight, month = monthly([2.5, 0.6, 2.5, 0.6, 2.5])
    shuffled = fit_calibration(scores, target, weight, kind="binary", seed=1)
    forward = fit_calibration(scores, target, weight, kind="binary", seed=1, parts=month, is_forward=True)

    assert ("isotonic", "none") == (shuffled.method, forward.method)


def test_a_model_that_is_always_too_sure_is_calibrated_forward_in_time_too():
    """Time alone is no reason to leave wrong probabilities as they are."""
    scores, target, weight, month = monthly([2.0] * 5)
    found = fit_calibration(scores, target, weight, kind="binary", seed=1, parts=month, is_forward=True)

    assert "sigmoid" == found.method
    assert 0.5 == pytest.approx(found.parameters[0], abs=0.05)


@pytest.mark.parametrize("months", [1, 2])
def test_too_few_times_calibrate_nothing(months):
    """A gain that was seen once is no evidence of the next one."""
    scores, target, weight, month = monthly([2.0] * months)

    assert Calibration() == fit_calibration(
        scores, target, weight, kind="binary", seed=1, parts=month, is_forward=True
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_labels_of_the_last_part_do_not_bear_on_how_it_is_judged(seed, months):
    """The law of no leak: what calibrates a part forward in time has seen none of its labels, nor of later ones."""
    scores, target, weight, month = monthly([1.5] * months, rows=60, seed=seed)
    last = month == months - 1
    other = np.where(last, 1 - target, target)
    made = [
        calibrate(fit_sigmoid(scores[~last], each[~last], weight[~last]), scores[last])
        for each in (target, other)
    ]
    judged = [
        _cross_fitted(fit_sigmoid, scores, each, weight, month, is_forward=True)[0]
        for each in (target, other)
    ]

    np.testing.assert_array_equal(judged[0], judged[1])
    np.testing.assert_array_equal(made[0], judged[0][last])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_rows_of_one_group_are_on_one_side(seed):
    """The law of no leak for folds that are dealt: the labels of a part do not bear on how it is judged."""
    scores, target, weight, group = monthly([1.5] * 4, rows=60, seed=seed)
    these = group == 2
    judged = [
        _cross_fitted(fit_sigmoid, scores, each, weight, group, is_forward=False)[0][these]
        for each in (target, np.where(these, 1 - target, target))
    ]

    np.testing.assert_array_equal(judged[0], judged[1])


@given(st.integers(2, 6), st.integers(1, 5))
def test_chained_folds_go_forward_and_dealt_ones_do_not(k, rows):
    """The folds themselves say which they are, so that no caller can say it wrongly."""
    blocks = np.array_split(np.arange((k + 1) * rows), k + 1)
    chained = [(np.concatenate(blocks[:i]), blocks[i]) for i in range(1, k + 1)]
    dealt = [(np.concatenate(blocks[:i] + blocks[i + 1 :]), blocks[i]) for i in range(k + 1)]

    assert goes_forward(chained)
    assert not goes_forward(dealt)


@pytest.mark.parametrize(
    ("scores", "weight", "expected"),
    [
        ([-0.5, 0.2, 3.0], None, Calibration(method="clip", least=0.0)),
        ([0.5, 0.2, 3.0], None, Calibration()),
        ([-0.5, 0.2, 3.0], [0.0, 0.0, 1.0], Calibration()),
    ],
    ids=["beyond", "within", "no pile"],
)
def test_no_number_is_answered_beyond_an_end_at_which_labels_pile_up(scores, weight, expected):
    """A model of murders answered that there would be -34: what is cut off was error."""
    target = np.repeat([0.0, 1.0, 2.5], [60, 30, 10])
    said = np.repeat(scores, [60, 30, 10])
    mass = np.ones(100) if weight is None else np.repeat(weight, [60, 30, 10])

    assert expected == fit_calibration(said, target, mass, kind="regression", seed=0)
