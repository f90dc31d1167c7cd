"""The rules of each task."""

import json

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_squared_error

from linewright.errors import SpecError
from linewright.model.facts import Band
from linewright.model.task_facts import TASK_FACTS, facts_of
from linewright.model.tasks import TASKS, task
from linewright.model.tasks.binary import BINARY, positive_class
from linewright.model.tasks.multiclass import MULTICLASS
from linewright.model.tasks.regression import REGRESSION

RNG = np.random.default_rng(7)


ONE_LABEL = [name for name in TASKS if name not in {"recommend", "forecast"}]
"""Tasks whose label is one class, number or time."""


def test_every_task_is_found_by_its_name():
    """The line file names them."""
    assert [
        "binary",
        "multiclass",
        "regression",
        "survival",
        "rul",
        "recommend",
        "forecast",
        "anomaly",
    ] == list(TASKS)
    assert all(name == task(name).name for name in TASKS)


def test_an_unknown_task_says_which_there_are():
    """A typing mistake in `train.task`."""
    with pytest.raises(
        SpecError,
        match=r"train.task: unknown task: found 'ranking', allowed: binary, multiclass, regression",
    ):
        task("ranking")


@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        (["Yes", "Yes", "No"], "Yes"),
        (["true", "false", "true"], "true"),
        (["1", "0", "1"], "1"),
        (["-1", "1", "1"], "1"),
        (["Negative", "POSITIVE", "POSITIVE"], "POSITIVE"),
        (["spam", "ham", "ham"], "spam"),
        (["<=50K", "<=50K", ">50K"], ">50K"),
        (["a", "b"], "b"),
        (["b", "a"], "b"),
    ],
)
def test_the_positive_class_is_the_affirmative_else_the_rarer(labels, positive):
    """What people look for is usually one of the two; the choice must not depend on the order of rows."""
    chosen, why = positive_class(labels)

    assert positive == chosen
    assert positive == BINARY.classes(labels, None)[1]
    assert repr(positive) in why


def test_a_declared_positive_class_comes_last():
    """Its probability is the second score, whatever the spelling."""
    assert ("Yes", "No") == BINARY.classes(["Yes", "No", "No"], "No")


@pytest.mark.parametrize(
    ("labels", "positive", "says"),
    [
        (["a", "b", "c"], None, "a binary label has two values"),
        (["a", "a"], None, "the same in every row: found 'a'"),
        ([], None, "no labelled rows"),
        (["No", "Yes"], "yes", "no row has the positive label: found 'yes', allowed: 'No' or 'Yes'"),
    ],
)
def test_labels_that_are_not_binary_are_refused(labels, positive, says):
    """Training on them would answer another question."""
    with pytest.raises(SpecError, match=says):
        BINARY.classes(labels, positive)


def test_multiclass_labels_are_sorted_and_at_most_200():
    """The order of the scores must follow from the set of labels alone."""
    assert ("a", "b", "c") == MULTICLASS.classes(["b", "c", "a", "b"], None)
    assert 200 == len(MULTICLASS.classes([str(i) for i in range(200)], None))
    with pytest.raises(SpecError, match=r"too many classes: found .201 values.*regression"):
        MULTICLASS.classes([str(i) for i in range(201)], None)
    with pytest.raises(SpecError, match="no positive value"):
        MULTICLASS.classes(["a", "b"], "a")
    with pytest.raises(SpecError, match="the same in every row"):
        MULTICLASS.classes(["a", "a"], None)


@pytest.mark.parametrize("label", ["twelve", "", "nan", "inf", "1e999", None])
def test_a_regression_label_must_be_a_finite_number(label):
    """The message names the first one that is not."""
    with pytest.raises(SpecError, match=f"row 1: a regression label is a finite number: found '{label}'"):
        REGRESSION.classes(["1.5", label, "x"], None)


def test_regression_labels_must_vary_and_have_no_positive():
    """Nothing can be learned from a constant."""
    assert () == REGRESSION.classes(["1", "2"], None)
    with pytest.raises(SpecError, match="the same in every row"):
        REGRESSION.classes(["1", "1"], None)
    with pytest.raises(SpecError, match="a number has no positive value"):
        REGRESSION.classes(["1", "2"], "2")


@given(st.lists(st.text(max_size=3), min_size=2, unique=True, max_size=9), st.data())
def test_targets_are_places_in_the_classes(names, data):
    """Any spelling is a class, and codes come back to it."""
    classes = MULTICLASS.classes(names, None)
    labels = data.draw(st.lists(st.sampled_from(names)))
    codes = MULTICLASS.target(labels, classes)

    assert np.int64 == codes.dtype
    assert labels == [classes[code] for code in codes]
    assert codes.tolist() == MULTICLASS.target(np.array(labels, dtype=object), classes).tolist()


def test_an_unseen_label_is_refused_with_its_row():
    """A class that appears after training cannot be scored as if it were known."""
    with pytest.raises(SpecError, match=r"row 2: a label that the model was not trained on: found 'maybe'"):
        BINARY.target(["No", "Yes", "maybe"], ("No", "Yes"))


def test_numbers_may_come_as_numbers():
    """The data room has them typed."""
    target = REGRESSION.target(np.array([1, 2], dtype=np.int64), ())

    assert (np.float64, [1.0, 2.0]) == (target.dtype, target.tolist())


def test_baselines_are_weighted():
    """The prediction that uses no features is the one that the weights say."""
    weight = np.array([1.0, 1.0, 2.0, 0.0])

    assert (0.25, 0.75) == BINARY.baseline(np.array([0, 1, 1, 0]), weight, ("n", "y"))
    assert (0.5, 0.0, 0.5) == MULTICLASS.baseline(np.array([0, 0, 2, 1]), weight, ("a", "b", "c"))
    assert (2.25,) == REGRESSION.baseline(np.array([1.0, 2.0, 3.0, 99.0]), weight, ())


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_no_constant_has_a_smaller_mae_than_the_baseline_of_mae(rows):
    """Held against a constant that another metric is best by, a model looks better than it is."""
    target, weight = np.array(rows, dtype=float).T
    assume(weight.sum() > 0)
    [at] = REGRESSION.baseline(target, weight, (), metric="mae")
    own = np.sum(weight * np.abs(target - at))

    assert own <= min(np.sum(weight * np.abs(target - other)) for other in target) + 1e-9


@pytest.mark.parametrize("name", ONE_LABEL)
def test_weights_that_are_all_0_are_refused(name):
    """A baseline of nothing would be NaN."""
    with pytest.raises(SpecError, match="no row has a weight"):
        task(name).baseline(np.array([0, 1]), np.zeros(2), ("a", "b"))


def test_baseline_scores_have_the_form_of_scores():
    """The baseline goes through the same metrics as a model."""
    assert [[0.25, 0.75]] * 2 == BINARY.baseline_scores((0.25, 0.75), 2).tolist()
    assert [[0.5, 0.0, 0.5]] == MULTICLASS.baseline_scores((0.5, 0.0, 0.5), 1).tolist()
    assert [2.25, 2.25] == REGRESSION.baseline_scores((2.25,), 2).tolist()


def test_the_mean_row_loss_is_that_of_scikit_learn():
    """Trials and gates compare row losses; their mean must be the metric that people know."""
    truth = RNG.integers(0, 3, 200)
    scores = RNG.dirichlet([1, 1, 1], 200)
    numbers = RNG.normal(size=200)

    assert log_loss(truth, scores, labels=[0, 1, 2]) == pytest.approx(
        MULTICLASS.row_loss(truth, scores).mean(), rel=1e-12
    )
    assert log_loss(truth > 0, scores[:, :2] / scores[:, :2].sum(axis=1, keepdims=True)) == pytest.approx(
        BINARY.row_loss(
            (truth > 0).astype(int), scores[:, :2] / scores[:, :2].sum(axis=1, keepdims=True)
        ).mean(),
        rel=1e-12,
    )
    assert mean_squared_error(numbers, scores[:, 0]) == pytest.approx(
        REGRESSION.row_loss(numbers, scores[:, 0]).mean(), rel=1e-12
    )


def test_a_sure_mistake_costs_much_but_not_infinity():
    """One row must not decide between trials."""
    assert -np.log(1e-15) == pytest.approx(BINARY.row_loss(np.array([1]), np.array([[1.0, 0.0]]))[0])


def test_the_threshold_itself_is_positive():
    """`threshold` is the probability at and above which the positive class is answered."""
    scores = np.array([[0.7, 0.3], [0.71, 0.29], [0.5, 0.5], [0.51, 0.49]])

    assert [1, 0, 1, 1] == BINARY.decide(scores, 0.3).tolist()
    assert [0, 0, 1, 0] == BINARY.decide(scores, None).tolist()


def test_the_likeliest_class_is_answered_and_ties_go_to_the_first():
    """Ties must not be decided by chance."""
    assert [2, 0] == MULTICLASS.decide(np.array([[0.2, 0.3, 0.5], [0.4, 0.2, 0.4]]), None).tolist()


def test_answers_are_plain_json_in_the_form_of_the_task():
    """Clients rely on these names; numpy values would break the encoder."""
    scores = np.array([[0.75, 0.25], [0.25, 0.75]])
    binary = BINARY.answers(scores, classes=("No", "Yes"), threshold=0.3, band=None)
    default = BINARY.answers(scores[:1], classes=("No", "Yes"), threshold=None, band=None)
    multiclass = MULTICLASS.answers(scores[:1], classes=("3", "10"), threshold=None, band=None)
    interval = REGRESSION.answers(
        np.array([1.0, -2.0]),
        classes=(),
        threshold=None,
        band=Band(at=(0.0,), half_widths=(0.5,), least=None),
    )
    bare = REGRESSION.answers(np.array([1.0]), classes=(), threshold=None, band=None)

    assert [
        {"prediction": "No", "probabilities": {"No": 0.75, "Yes": 0.25}, "threshold": 0.3},
        {"prediction": "Yes", "probabilities": {"No": 0.25, "Yes": 0.75}, "threshold": 0.3},
    ] == binary
    assert 0.5 == default[0]["threshold"]
    assert [{"prediction": "3", "probabilities": {"3": 0.75, "10": 0.25}}] == multiclass
    assert [
        {"prediction": 1.0, "interval": [0.5, 1.5, 0.9]},
        {"prediction": -2.0, "interval": [-2.5, -1.5, 0.9]},
    ] == interval
    assert [{"prediction": 1.0}] == bare
    assert json.dumps([binary, multiclass, interval])


@pytest.mark.parametrize("name", ONE_LABEL)
def test_no_rows_give_no_answers(name):
    """An empty request is a request."""
    empty, classes = (np.empty((0, 2)), ("1", "2")) if name != "regression" else (np.empty(0), ())

    assert [] == task(name).answers(empty, classes=classes, threshold=None, band=None)


def test_the_headline_metric_comes_first():
    """`train.metric: auto` is the first one."""
    assert (
        "average_precision",
        "log_loss",
        "rmse",
        *["integrated_brier_score"] * 2,
        "ndcg@10",
        "mase",
        "average_precision",
    ) == tuple(task(name).metrics[0] for name in TASKS)


def test_what_is_asked_of_built_in_tasks_is_what_their_rules_say():
    """A plan asks the table, which imports nothing that computes, and a run asks the rules."""
    assert dict(TASK_FACTS) == {name: facts_of(task(name)) for name in TASKS}
