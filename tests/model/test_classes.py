"""What is said of single classes: shares of few rows are not taken for more than they are, and probabilities are held against rows."""

import numpy as np
import pytest

from linewright.model.evaluate.calibration_in_the_large import measure_expected
from linewright.model.evaluate.measure import evaluate
from linewright.model.evaluate.per_class import Share, found_by_class, is_surely_apart
from linewright.model.metrics.evaluation_rows import EvaluationRows


def judged(counts, *, noise=0.1, odd=0):
    """Evaluate a model of several classes that answers the commonest to all rows, but for so many of the first ones."""
    truth = np.repeat(np.arange(len(counts)), counts)
    shares = np.bincount(truth) / len(truth)
    scores = shares * np.exp(noise * np.random.default_rng(0).normal(size=(len(truth), len(counts))))
    scores[:odd] = np.eye(len(counts))[2]
    found = evaluate(
        EvaluationRows(
            split="sha256:s",
            task="multiclass",
            classes=tuple(map(str, range(len(counts)))),
            truth=truth,
            scores=scores / scores.sum(axis=1, keepdims=True),
            baseline_scores=np.tile(shares, (len(truth), 1)),
            weight=np.ones(len(truth)),
            seed=1,
        ),
        package="sha256:p",
        headline="balanced_accuracy",
    )
    return found.metrics[0], found.baseline[0], found


@pytest.mark.parametrize("rarest", [5, 21])
def test_a_model_of_one_answer_is_not_worse_than_that_answer(rarest):
    """Of 1,069 rows each is right: that the mean recall is 0.04 where it is 0.2 by construction is no interval that can be read."""
    own, base, found = judged([1069, 53, 42, 38, rarest])

    assert found.only_answer == 0
    assert own.value == base.value == 0.2
    assert 0.199 < own.low < 0.2
    # Of the rarest class alone, none of so many rows: as many might be found as the rule of three says.
    assert own.high == pytest.approx(0.2 + (1 - 0.025 ** (1 / rarest)) / 5, abs=1e-6)


@pytest.mark.parametrize("rarest", [1, 5, 21])
def test_what_can_answer_nothing_else_is_known_exactly(rarest):
    """Draws that lose the rarest class are not draws of another metric."""
    base = judged([1069, 53, 42, 38, rarest])[1]

    assert base.low == base.value == base.high == 0.2


def test_one_answer_more_does_not_make_sure_of_classes_that_are_never_found():
    """Six wrong answers made the upper end 0.2, though as few rows of the rarest class were seen as before."""
    alike, other = judged([1069, 53, 42, 38, 5])[0], judged([1069, 53, 42, 38, 5], odd=6)[0]

    assert other.value < alike.value
    assert alike.high == pytest.approx(other.high, abs=0.002)


def test_what_is_found_of_a_rare_class_has_an_interval():
    """3 of 24 may be a third at most; of 1 of 4 nothing is known."""
    assert Share(rows=3, of=24).interval == pytest.approx((0.0434, 0.3100), abs=1e-3)
    assert Share(rows=0, of=0).interval == (0.0, 1.0)
    told = found_by_class([[50, 0, 0], [21, 3, 0], [3, 0, 1]])
    assert [False, True, False] == [one.is_hardly_found for one in told]


def test_true_probabilities_are_seldom_accused():
    """All classes together in 5 % of cases at most: a rare one is not off since 2 rows came where 1 was expected."""
    accused = 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        scores = chance.dirichlet([9.0, 1.0, 0.3, 0.05], size=600)
        truth = (chance.random(600)[:, None] > scores.cumsum(axis=1)).sum(axis=1).clip(0, 3)
        found = measure_expected(truth, scores, weight=np.ones(600), clusters=None)
        accused += any(map(is_surely_apart, found))

    print(f"{accused} of 300")
    assert accused <= 20


def test_a_rare_class_that_is_promised_three_times_too_often_is_seen():
    """The probability of the class that is answered is right all the same."""
    chance = np.random.default_rng(3)
    scores = np.tile([0.9, 0.07, 0.03], (1200, 1))
    truth = chance.choice(3, 1200, p=[0.92, 0.07, 0.01])
    found = measure_expected(truth, scores, weight=np.ones(1200), clusters=None)

    assert [False, False, True] == [is_surely_apart(one) for one in found]
    assert found[2].said == pytest.approx(36.0)


def test_weights_and_groups_widen_what_true_probabilities_show():
    """A row that counts ten times is one row, and ten rows of a machine may be one event."""
    chance = np.random.default_rng(5)
    scores = np.tile([0.8, 0.1, 0.1], (1000, 1))
    machine = np.arange(1000) // 10
    truth = chance.choice(3, 100, p=[0.8, 0.1, 0.1])[machine]

    def width(weight, clusters):
        one = measure_expected(truth, scores, weight=weight, clusters=clusters)[2]
        return one.high - one.low

    alone = width(np.ones(1000), None)
    assert width(np.ones(1000), machine) > 2.5 * alone
    assert width(np.where(np.arange(1000) < 500, 0.1, 1.9), None) > 1.2 * alone
    assert width(np.full(1000, 7.0), None) == pytest.approx(alone)


def test_two_classes_have_their_reliability_instead():
    """Of two, one probability says both."""
    scores = np.tile([0.6, 0.4], (50, 1))

    assert () == measure_expected(np.zeros(50, dtype=np.int64), scores, weight=np.ones(50), clusters=None)
