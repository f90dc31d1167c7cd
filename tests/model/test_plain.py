"""A plain linear model beside the trained one, on the same rows and draws."""

import numpy as np
import pytest

from linewright.model.evaluate.against_linear import beside_linear
from linewright.model.evaluate.linear_baseline import MOST_CELLS, MOST_ROWS, fit_linear, rows_to_learn
from linewright.model.families.linear import Linear, in_chunks
from linewright.model.families.raw_linear import fit_straight
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import say

N = 400


def rows(seed):
    """Return rows whose class is decided by one number alone, and by whether two others have one sign."""
    x = np.random.default_rng(seed).normal(size=(N, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64), (x[:, 1] * x[:, 2] > 0).astype(np.int64)


def compared(by, said, *, name="roc_auc", others=(), task="binary", classes=2, **changes):
    learned, tested = rows(1), rows(2)
    given = {
        "x": learned[0],
        "target": learned[by],
        "weight": np.ones(N),
        "categorical": (),
        "task": task,
        "classes": classes,
        "test_x": tested[0],
        "seed": 3,
    }
    truth, scores, threshold = (changes.pop(word, None) for word in ("truth", "scores", "threshold"))
    found = fit_linear(**(given | changes))
    if found is None:
        return None
    return beside_linear(
        [metric(one, task) for one in (name, *others)],
        EvaluationRows(
            split="sha256:split",
            task=task,
            classes=tuple(map(str, range(classes))),
            truth=tested[by] if truth is None else truth,
            scores=said(tested) if scores is None else scores,
            baseline_scores=found.scores,
            weight=np.ones(N),
            threshold=threshold,
            seed=3,
        ),
        say(task, found.scores, threshold),
        learned_from=len(found.learned),
    )


def sure(truth):
    """Return what a model says that knows the truth nearly."""
    return np.column_stack([0.9 - 0.8 * truth, 0.1 + 0.8 * truth])


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "f1"])
def test_what_only_trees_can_learn_shows_as_a_sure_difference(name):
    """Else nobody sees what the training was worth beyond a regression of an afternoon."""
    found = compared(2, lambda tested: sure(tested[2]), name=name)

    assert found.better > found.low > 0.1
    assert found.high > found.better
    assert (N, N, name) == (found.rows, found.n, found.metric)


def test_what_a_linear_model_can_learn_shows_none():
    found = compared(1, lambda tested: sure(tested[1]))

    assert found.value > 0.99
    assert found.better < 0.02


def test_numbers_are_compared_by_their_metric():
    numbers = {
        "target": rows(1)[0][:, 0].astype(np.float64),
        "truth": rows(2)[0][:, 0].astype(np.float64),
    }
    found = compared(
        1, lambda tested: 0.0 * tested[0][:, 0], name="rmse", task="regression", classes=0, **numbers
    )

    assert found.high < 0
    assert found.better == pytest.approx(found.value - 1.0, abs=0.1)


def test_all_metrics_are_compared_each_as_if_it_were_the_first():
    """A model that ranks no better may yet be sharper, and who reads the card wants to see both."""
    names = ("roc_auc", "log_loss", "f1", "accuracy")
    found = compared(2, lambda tested: sure(tested[2]), name=names[0], others=names[1:])
    alone = {one: compared(2, lambda tested: sure(tested[2]), name=one) for one in names}

    assert names[1:] == tuple(one.metric for one in found.others)
    for one in (found, *found.others):
        assert (one.value, one.better) == (alone[one.metric].value, alone[one.metric].better)
        assert one.low < one.better < one.high


def test_rows_of_one_class_or_of_no_weight_tell_nothing():
    """A drawn part of very many rows may be like that; the card then says nothing."""
    assert compared(1, lambda tested: sure(tested[1]), target=np.zeros(N, dtype=np.int64)) is None
    assert compared(1, lambda tested: sure(tested[1]), weight=np.zeros(N)) is None


def test_equal_rows_give_equal_figures_and_never_more_than_a_bounded_part_is_learned_from():
    """A card of a large table may not cost another training."""
    assert compared(2, lambda tested: sure(tested[2])) == compared(2, lambda tested: sure(tested[2]))
    assert len(rows_to_learn(10**6, 10, seed=1)) == MOST_ROWS
    assert len(rows_to_learn(10**6, 2_000, seed=1)) * 2_000 == MOST_CELLS
    assert (rows_to_learn(10**6, 10, seed=1) == rows_to_learn(10**6, 10, seed=1)).all()


def long_tailed(seed):
    """Return rows with one number of long tails, as counties have people."""
    x = np.random.default_rng(seed).normal(size=(N, 2))
    x[:, 0] = np.exp(2 * x[:, 0])
    return x.astype(np.float32)


def linear(x, target, task, classes, *, hinges=False):
    """Return what the family `linear` makes of rows; with hinges, of bent numbers alone."""
    return Linear().fit(
        x,
        target,
        np.ones(N),
        categorical=(),
        task=task,
        classes=classes,
        rounds=None,
        valid=None,
        seed=3,
        settings={"c": 0.3, "hinges": hinges},
    )


def of_numbers(answer, *, name="r2"):
    """Return what the plain model reaches where the label is `answer` of the rows."""
    learned, tested = long_tailed(1), long_tailed(2)
    return compared(
        1,
        lambda _: np.zeros(N),
        name=name,
        task="regression",
        classes=0,
        x=learned,
        target=answer(learned),
        test_x=tested,
        truth=answer(tested),
    ).value


def test_what_is_linear_in_a_number_of_long_tails_is_plain():
    """Bent numbers alone were worse than a constant on murders by people in a county, where least squares were good."""
    assert of_numbers(lambda x: 3.0 * x[:, 0] + x[:, 1].astype(np.float64)) > 0.98


def test_what_is_linear_in_the_rank_of_a_number_is_as_plain_as_before():
    """The largest few numbers would else rule the line, and the yardstick would be easy to beat."""

    def logarithm(x):
        return np.log(x[:, 0].astype(np.float64) + 1e-9)

    before = linear(long_tailed(1), logarithm(long_tailed(1)), "regression", 0)
    error = logarithm(long_tailed(2)) - before.scores(long_tailed(2))

    assert of_numbers(logarithm, name="rmse") == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_classes_by_a_sum_of_numbers_of_long_tails_are_plain(task, classes):
    """Bent, two numbers of middling size weigh more than one that is far."""

    def classed(seed):
        drawn = np.random.default_rng(seed)
        x = np.exp(1.5 * drawn.normal(size=(N, 2))).astype(np.float32)
        total = x.sum(axis=1) + 2 * drawn.logistic(size=N)
        return x, np.minimum((total > 15).astype(np.int64) + (total > 30), classes - 1)

    (x, target), (test_x, truth) = classed(1), classed(2)
    found = compared(
        1,
        lambda _: np.full((N, classes), 1 / classes),
        name="log_loss",
        task=task,
        classes=classes,
        x=x,
        target=target,
        test_x=test_x,
        truth=truth,
        threshold=0.5 if task == "binary" else None,
    )
    told = linear(x, target, task, classes, hinges=True).scores(test_x)[np.arange(N), truth]

    assert found.value < 0.9 * -np.log(told).mean()


def test_missing_constant_and_coded_columns_are_read_by_the_straight_form():
    """A missing number counts as the mean, and a column without two values as nothing, whatever test rows have there."""
    x = np.column_stack([long_tailed(1), np.full(N, 1e8), np.full(N, np.nan), np.arange(N) % 3]).astype(
        np.float32
    )
    x[::10, 1] = np.nan
    target = 3.0 * x[:, 0] + 5.0 * x[:, 4]
    fitted = fit_straight(x, target, np.ones(N), categorical=(4,), task="regression", classes=0, c=0.3)
    row = np.array([[10, np.nan, 2e8, 7, 2], [20, np.nan, 1e8, np.nan, 9]], dtype=np.float32)

    np.testing.assert_allclose(fitted.scores(row)[0], 40.0, atol=1.5)
    assert np.isfinite(fitted.scores(row)).all()


def test_a_class_of_few_rows_is_learned_from_by_both_forms():
    """Held out as a whole it would leave one class, which is nothing to fit."""
    target = np.zeros(N, dtype=np.int64)
    target[7] = 1

    assert compared(1, lambda tested: sure(tested[1]), target=target) is not None


def test_many_rows_are_answered_in_parts_as_they_are_alone():
    """A design of a million rows took two gigabytes."""
    chance = np.random.default_rng(7)
    x = chance.normal(size=(20_000, 3)).astype(np.float32)
    target = x[:, 0] + chance.normal(size=len(x))
    fitted = fit_straight(
        x[:500], target[:500], np.ones(500), categorical=(), task="regression", classes=0, c=0.3
    )
    alone = np.concatenate([fitted.scores(part) for part in np.array_split(x, 7)])

    assert len(x) > len(next(in_chunks(x)))
    np.testing.assert_allclose(fitted.scores(x), alone, rtol=1e-12)
    assert (0,) == fitted.scores(x[:0]).shape
