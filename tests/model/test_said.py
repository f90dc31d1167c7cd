"""What is said without features: the best that can be, for each metric, so that no model without knowledge is better."""

import numpy as np
import pytest

from linewright.model.gates.certify import Rival, certify
from linewright.model.metrics.definitions import metric
from linewright.model.metrics.evaluation_rows import EvaluationRows
from linewright.model.metrics.predictions import guess
from linewright.model.spec import BeatsGate
from linewright.model.tasks import task

DECIDED = ["accuracy", "balanced_accuracy", "f1", "f1_macro", "precision", "recall"]


@pytest.mark.parametrize("name", DECIDED)
@pytest.mark.parametrize("share", [0.07, 0.5, 0.8])
def test_no_answers_by_chance_are_better_than_the_guess(name, share):
    """Of very many rows, whatever part of them is said to be positive at random."""
    chance = np.random.default_rng(5)
    truth, weight = (chance.random(100_000) < share).astype(np.int64), np.ones(100_000)
    scores = np.tile([1 - share, share], (len(truth), 1))
    rule = metric(name, "binary")
    for rate in (0.0, 0.05, 0.5, 0.95, 1.0):
        beside = (chance.random(len(truth)) < rate).astype(np.int64)
        said = guess("binary", scores, beside=beside, weight=weight).used_by(rule)

        assert rule.function(truth, beside, weight) <= rule.function(truth, said, weight) + 0.01


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "f1_macro"])
@pytest.mark.parametrize("rates", [(0.2, 0.3, 0.5), (0.0, 0.0, 1.0), (0.9, 0.1, 0.0)])
def test_no_answers_by_chance_of_several_classes_are_better_than_the_guess(name, rates):
    """The same class for all rows has an f1 of a third of that of answers by chance."""
    chance = np.random.default_rng(5)
    truth, beside = (chance.choice(3, 100_000, p=shares) for shares in ((0.3, 0.3, 0.4), rates))
    scores, weight = np.tile([0.3, 0.3, 0.4], (len(truth), 1)), np.ones(len(truth))
    rule = metric(name, "multiclass")
    said = guess("multiclass", scores, beside=beside, weight=weight).used_by(rule)

    assert rule.function(truth, beside, weight) <= rule.function(truth, said, weight) + 0.01


def test_a_guess_of_several_classes_is_the_most_frequent():
    scores = np.tile([0.2, 0.5, 0.3], (3, 1))
    said = guess("multiclass", scores, beside=np.array([0, 1, 2]), weight=np.ones(3))

    assert [1, 1, 1] == said.used_by(metric("accuracy", "multiclass")).tolist()


@pytest.mark.parametrize("name", ["f1", "f1_macro", "precision", "recall"])
def test_who_knows_nothing_is_seldom_promoted_whatever_is_decided(name):
    """At a threshold above the share of positives a constant has an f1 of 0: five of nine shuffled labels were promoted."""
    promoted = 0
    for seed in range(8):
        chance = np.random.default_rng(seed)
        truth = (chance.random(300) < 0.07).astype(np.int64)
        said = np.clip(0.07 + 0.02 * chance.normal(size=300), 0.001, 0.999)
        certificate = certify(
            EvaluationRows(
                split="sha256:s", task="binary", classes=("no", "yes"), truth=truth, threshold=0.075, seed=seed,
                scores=np.column_stack([1 - said, said]), weight=np.ones(300),
                baseline_scores=task("binary").baseline_scores((0.93, 0.07), 300),
            ),
            Rival(digest="baseline", rows_digest="sha256:r", seen=np.zeros(300, dtype=bool)),
            package="sha256:p", gates=[BeatsGate(beats="baseline")], headline=name, groups={},
        )  # fmt: skip
        promoted += certificate.verdict == "promote"

    assert promoted <= 1
