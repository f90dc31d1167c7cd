"""Metrics: scikit-learn's numbers, with weights and ties, for many weightings at once."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from linewright.errors import SpecError
from linewright.model.metrics.definitions import METRICS, metric

BINARY = {
    "roc_auc": lambda y, s, w: sk.roc_auc_score(y, s[:, 1], sample_weight=w),
    "average_precision": lambda y, s, w: sk.average_precision_score(y, s[:, 1], sample_weight=w),
    "log_loss": lambda y, s, w: sk.log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "brier_score": lambda y, s, w: sk.brier_score_loss(y, s[:, 1], sample_weight=w, pos_label=1),
}
DECIDED = {
    "accuracy": lambda y, d, w: sk.accuracy_score(y, d, sample_weight=w),
    "balanced_accuracy": lambda y, d, w: sk.balanced_accuracy_score(y, d, sample_weight=w),
    "f1_macro": lambda y, d, w: sk.f1_score(y, d, sample_weight=w, average="macro", zero_division=0),
}
POSITIVE = {
    "f1": lambda y, d, w: sk.f1_score(y, d, sample_weight=w, zero_division=0),
    "precision": lambda y, d, w: sk.precision_score(y, d, sample_weight=w, zero_division=0),
    "recall": lambda y, d, w: sk.recall_score(y, d, sample_weight=w, zero_division=0),
}
NUMBERS = {
    "rmse": lambda y, s, w: sk.root_mean_squared_error(y, s, sample_weight=w),
    "mse": lambda y, s, w: sk.mean_squared_error(y, s, sample_weight=w),
    "mae": lambda y, s, w: sk.mean_absolute_error(y, s, sample_weight=w),
    "mape": lambda y, s, w: sk.mean_absolute_percentage_error(y, s, sample_weight=w),
    "r2": lambda y, s, w: sk.r2_score(y, s, sample_weight=w),
}


@st.composite
def rows(draw, classes=2):
    """Rows with every class, weights from 0.1 to 5, and scores on a coarse grid so that many tie."""
    n = draw(st.integers(2 * classes, 40))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    truth = np.concatenate([np.arange(classes), chance.integers(0, classes, n - classes)])
    raw = chance.integers(1, draw(st.sampled_from([4, 50])), (n, classes)).astype(float)
    return truth, raw / raw.sum(axis=1, keepdims=True), chance.integers(1, 50, n) / 10


def expected(function, *parts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are answered but not there
        return function(*parts)


@pytest.mark.parametrize("name", BINARY)
@settings(max_examples=40, deadline=None)
@given(data=rows())
def test_metrics_of_probabilities_are_those_of_scikit_learn(name, data):
    """A number that differs from the library that people check it with is not believed."""
    truth, scores, weight = data

    assert expected(BINARY[name], *data) == pytest.approx(
        metric(name, "binary").function(truth, scores, weight), abs=1e-12
    )


@pytest.mark.parametrize("name", DECIDED | POSITIVE)
@settings(max_examples=40, deadline=None)
@given(data=rows(), threshold=st.sampled_from([0.2, 0.5, 0.9]))
def test_metrics_of_decisions_are_those_of_scikit_learn(name, data, threshold):
    """Also where nothing is answered positive and a ratio has nothing below it."""
    truth, scores, weight = data
    decided = (scores[:, 1] >= threshold).astype(np.int64)

    assert expected((DECIDED | POSITIVE)[name], truth, decided, weight) == pytest.approx(
        metric(name, "binary").function(truth, decided, weight), abs=1e-12
    )


@pytest.mark.parametrize("name", ["log_loss", *DECIDED])
@settings(max_examples=40, deadline=None)
@given(data=rows(classes=4))
def test_metrics_of_several_classes_are_those_of_scikit_learn(name, data):
    """Some class may never be answered."""
    truth, scores, weight = data
    rule = metric(name, "multiclass")
    given_scores = scores.argmax(axis=1) if rule.uses == "decision" else scores
    reference = DECIDED.get(name, lambda y, s, w: sk.log_loss(y, s, sample_weight=w, labels=range(4)))

    assert expected(reference, truth, given_scores, weight) == pytest.approx(
        rule.function(truth, given_scores, weight), abs=1e-12
    )


@pytest.mark.parametrize("name", NUMBERS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 40), far=st.sampled_from([0.0, 1e6]))
def test_metrics_of_numbers_are_those_of_scikit_learn(name, seed, n, far):
    """Also for numbers far from zero, whose squares lose digits."""
    chance = np.random.default_rng(seed)
    truth, scores = chance.normal(size=n) + far, chance.normal(size=n) + far
    weight = chance.integers(1, 50, n) / 10

    assert expected(NUMBERS[name], truth, scores, weight) == pytest.approx(
        metric(name, "regression").function(truth, scores, weight), rel=1e-9
    )


@pytest.mark.parametrize(("scores", "value"), [([5.0, 5.0, 5.0], 1.0), ([5.0, 5.0, 6.0], 0.0)])
def test_r2_of_a_constant_truth_is_what_scikit_learn_says(scores, value):
    """Nothing can be explained there; no division by zero may come of it."""
    truth = np.full(3, 5.0)

    assert value == metric("r2", "regression").function(truth, np.array(scores), np.ones(3))
    assert value == sk.r2_score(truth, scores)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=15, deadline=None)
@given(data=rows())
def test_a_row_of_weight_two_is_that_row_twice_and_one_of_weight_zero_is_not_there(name, data):
    """The bootstrap rests on it: a draw is a weighting."""
    truth, scores, _ = data
    rule = METRICS[name]
    given_scores = scores[:, 1] if rule.tasks == ("regression",) else scores
    given_scores = scores.argmax(axis=1) if rule.uses == "decision" else given_scores
    times = np.arange(len(truth)) % 3
    times[:2] = 1, 2  # both classes stay
    again = np.repeat(np.arange(len(truth)), times)
    weighted = rule.prepare(truth, given_scores)(times[np.newaxis].astype(float))[0]

    assert rule.function(truth[again], given_scores[again], np.ones(len(again))) == pytest.approx(weighted)


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=10, deadline=None)
@given(data=rows())
def test_many_weightings_at_once_are_each_weighting_alone(name, data):
    """What is fast must be what is simple."""
    truth, scores, weight = data
    rule = METRICS[name]
    given_scores = scores[:, 1] if rule.tasks == ("regression",) else scores
    given_scores = scores.argmax(axis=1) if rule.uses == "decision" else given_scores
    weightings = np.stack([weight, weight[::-1], np.ones(len(weight))])
    alone = [rule.function(truth, given_scores, one) for one in weightings]

    assert alone == pytest.approx(rule.prepare(truth, given_scores)(weightings))


def test_the_area_under_the_curve_of_one_class_is_undefined():
    """There is no pair to compare; a number would be invented."""
    scores = np.full((3, 2), 0.5)

    assert np.isnan(metric("roc_auc", "binary").function(np.ones(3, dtype=np.int64), scores, np.ones(3)))


def test_a_probability_of_zero_for_what_happened_costs_much_but_not_infinity():
    """One such row must not make a comparison of two models impossible."""
    loss = metric("log_loss", "binary").function(np.array([1]), np.array([[1.0, 0.0]]), np.ones(1))

    assert -np.log(1e-15) == pytest.approx(loss)


@pytest.mark.parametrize(
    ("name", "task", "nearest"),
    [("acuracy", "multiclass", "accuracy"), ("RMSE", "binary", None), ("roc_auc", "regression", None)],
)
def test_a_metric_that_does_not_fit_is_refused_with_those_that_do(name, task, nearest):
    """A typing error in a line file is told where it stands, not after training."""
    with pytest.raises(SpecError, match=f"no such metric for a {task} task") as caught:
        metric(name, task)

    assert all(rule.name in caught.value.allowed for rule in METRICS.values() if task in rule.tasks)
    assert nearest is None or caught.value.hint == f"write {nearest!r}"
