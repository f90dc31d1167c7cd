"""Evaluations: the headline first, intervals beside every value, and no figure that the rows do not give."""

import numpy as np
import pytest
from sklearn import metrics as sk

from linewright.errors import ContractBreach, SpecError
from linewright.model.evaluate.measure import evaluate
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.store.values import digest_of


def measured(*, task, truth, scores, baseline, **changes):
    asked = {
        "package": "sha256:package",
        "split": "sha256:split",
        "classes": ("no", "yes") if task == "binary" else (),
        "headline": {"binary": "roc_auc", "multiclass": "accuracy", "regression": "mae"}[task],
        "weight": np.ones(len(truth)),
        "clusters": None,
        "threshold": 0.3 if task == "binary" else None,
        "seed": 7,
    }
    asked |= changes
    of_rows = {name: asked.pop(name) for name in tuple(asked) if name in EvaluationRows.__dataclass_fields__}
    rows = EvaluationRows(task=task, truth=truth, scores=scores, baseline_scores=baseline, **of_rows)
    return evaluate(rows, **asked)


def binary(n=400, seed=1):
    chance = np.random.default_rng(seed)
    truth = (chance.random(n) < 0.3).astype(np.int64)
    positive = np.clip(0.3 + 0.25 * truth + 0.2 * chance.normal(size=n), 0.01, 0.99)
    scores = np.column_stack([1 - positive, positive])
    return {"task": "binary", "truth": truth, "scores": scores, "baseline": np.tile([0.7, 0.3], (n, 1))}


def test_the_headline_comes_first_and_the_others_of_the_task_follow_once():
    """People read the first number."""
    found = measured(**binary())
    names = [metric.name for metric in found.metrics]

    assert names[0] == "roc_auc"
    assert names[1] == "average_precision"
    assert len(set(names)) == len(names)
    assert [metric.name for metric in found.baseline] == names


def test_values_are_those_of_scikit_learn_and_lie_within_their_intervals():
    """With weights, and decisions at the model's own threshold."""
    rows = binary()
    weight = np.random.default_rng(2).integers(1, 4, 400).astype(float)
    found = {metric.name: metric for metric in measured(**rows, weight=weight).metrics}
    decided = (rows["scores"][:, 1] >= 0.3).astype(int)

    assert sk.roc_auc_score(rows["truth"], rows["scores"][:, 1], sample_weight=weight) == pytest.approx(
        found["roc_auc"].value
    )
    assert sk.f1_score(rows["truth"], decided, sample_weight=weight) == pytest.approx(found["f1"].value)
    assert all(metric.low <= metric.value <= metric.high for metric in found.values())
    assert all(metric.n == 400 for metric in found.values())


def test_the_confusion_matrix_counts_rows_by_truth_and_answer():
    """Rows are truth, columns answers, as scikit-learn has it."""
    rows = binary()
    decided = (rows["scores"][:, 1] >= 0.3).astype(int)

    assert sk.confusion_matrix(rows["truth"], decided).tolist() == [
        list(row) for row in measured(**rows).confusion
    ]


def test_numbers_have_no_confusion_matrix():
    """Regression has no classes to confuse."""
    truth = np.random.default_rng(3).normal(size=60)
    found = measured(task="regression", truth=truth, scores=truth + 0.1, baseline=np.zeros(60))

    assert found.confusion == ()
    assert found.metrics[0].name == "mae"
    assert found.metrics[0].value == pytest.approx(0.1)
    assert sk.mean_absolute_error(truth, np.zeros(60)) == pytest.approx(found.baseline[0].value)


def test_several_classes_are_confused_in_their_order():
    """A class that the test part lacks keeps its row and column."""
    truth = np.array([0, 0, 2, 2, 0, 2] * 20)
    scores = np.tile([0.5, 0.2, 0.3], (120, 1))
    found = measured(task="multiclass", truth=truth, scores=scores, baseline=scores, classes=("a", "b", "c"))

    assert ((60, 0, 0), (0, 0, 0), (60, 0, 0)) == found.confusion
    assert 0 == found.only_answer


def test_groups_are_counted_and_widen_the_intervals():
    """Rows of one group are no independent witnesses."""
    rows = binary()
    groups = np.repeat(np.arange(20), 20)
    order = np.argsort(rows["scores"][:, 1] + rows["truth"], kind="stable")
    alike = {name: value[order] if name in {"truth", "scores"} else value for name, value in rows.items()}
    by_row, by_group = measured(**alike), measured(**alike, clusters=groups)

    assert (by_row.clusters, by_group.clusters) == (0, 20)
    assert by_group.metrics[1].high - by_group.metrics[1].low > by_row.metrics[1].high - by_row.metrics[1].low


def test_the_same_rows_give_the_same_digest():
    """An evaluation is a result: resumed runs must find it again."""
    assert digest_of(measured(**binary())) == digest_of(measured(**binary()))


def test_what_the_baseline_always_says_is_known_exactly():
    """It finds the same share of the positive rows in any sample, so an interval around that would be invented."""
    baseline = {metric.name: metric for metric in measured(**binary(), threshold=0.5).baseline}

    assert (0.5, 0.5, 0.5) == (baseline["roc_auc"].low, baseline["roc_auc"].value, baseline["roc_auc"].high)
    assert baseline["recall"].low == baseline["recall"].value == baseline["recall"].high
    assert baseline["average_precision"].low < baseline["average_precision"].high


def test_a_metric_that_the_rows_leave_undefined_is_left_out():
    """Canonical JSON has no NaN, and zero would be a lie."""
    rows = binary() | {"truth": np.zeros(400, dtype=np.int64)}
    names = [metric.name for metric in measured(**rows, headline="log_loss").metrics]

    assert names[0] == "log_loss"
    assert "roc_auc" not in names


def test_a_headline_that_the_rows_leave_undefined_stops_the_run():
    """Otherwise the first number that people read would silently be another one."""
    rows = binary() | {"truth": np.zeros(400, dtype=np.int64)}

    with pytest.raises(ContractBreach, match="the test part leaves roc_auc undefined"):
        measured(**rows)


@pytest.mark.parametrize("weight", [np.zeros(400), None])
def test_no_rows_that_count_stop_the_run(weight):
    """With a sentence, not with a division by zero."""
    rows = binary(400 if weight is not None else 0)

    with pytest.raises(ContractBreach, match="no rows that count"):
        measured(**rows, **({} if weight is None else {"weight": weight}))


def test_one_row_is_measured_as_far_as_it_goes():
    """A tiny table must work."""
    rows = {"truth": np.array([1]), "scores": np.array([[0.2, 0.8]]), "baseline": np.array([[0.5, 0.5]])}
    found = measured(task="binary", headline="log_loss", **rows)

    assert found.n == 1
    assert -np.log(0.8) == pytest.approx(found.metrics[0].value)


def test_a_metric_of_another_task_is_refused():
    """Before anything is computed."""
    with pytest.raises(SpecError, match="no such metric for a binary task"):
        measured(**binary(), headline="rmse")


def test_rows_of_one_group_do_not_make_an_interval_look_certain():
    """Every draw takes the one group there is: that it never varies says nothing about the next group."""
    one = np.zeros(400, dtype=int)
    chance = measured(**binary(), clusters=one)
    truth = np.random.default_rng(3).normal(size=400)
    numbers = measured(
        task="regression", truth=truth, scores=truth + 0.1, baseline=np.zeros(400), clusters=one
    )
    ends = {metric.name: (metric.low, metric.high) for metric in (*chance.metrics, *chance.baseline)}

    assert (0.0, 1.0) == ends["roc_auc"] == ends["f1"]
    assert (None, None) == ends["log_loss"]
    assert {(None, None)} == {
        (m.low, m.high) for m in (*numbers.metrics, *numbers.baseline) if m.name != "r2"
    }
