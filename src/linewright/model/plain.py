"""A plain linear model beside the one that was trained: what trees, sums and searching were worth on the test rows."""

from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Plain, Task, Trained
from linewright.model.figures import figure
from linewright.model.intervals import units_of
from linewright.model.linear import Linear
from linewright.model.margins import Floats, Matrix
from linewright.model.measures import difference_of, spreads
from linewright.model.metrics import MetricRule
from linewright.model.spec import ValueSpec
from linewright.model.tasks import task as rules_of
from linewright.model.threshold import choose_threshold

MOST_ROWS, MOST_CELLS = 20_000, 4_000_000
"""Training rows, and numbers in their matrix, that it learns from at most: a yardstick may not cost as much as the model."""
_SETTINGS = {"c": 0.3, "hinges": False}
"""Those of the setting ``lin`` of the search."""
_CONFIDENCE = 0.975
"""Of each end: both together hold 95 %."""
_DRAWS = 1_000


def rows_to_learn(rows: int, width: int, *, seed: int) -> npt.NDArray[np.intp]:
    """Return the positions of the training rows that the linear model learns from, ascending: all, or some drawn by chance.

    Examples
    --------
    >>> rows_to_learn(4, 10, seed=1).tolist(), len(rows_to_learn(1_000_000, 10, seed=1))
    ([0, 1, 2, 3], 20000)
    """
    most = min(MOST_ROWS, MOST_CELLS // max(width, 1))
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def beside_linear(
    *,
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    categorical: tuple[int, ...],
    rule: MetricRule,
    task: Task,
    classes: int,
    value: ValueSpec | None,
    test_x: Matrix,
    truth: npt.NDArray[Any],
    test_weight: Floats,
    clusters: npt.NDArray[Any] | None,
    scores: Floats,
    threshold: float | None,
    seed: int,
) -> Plain | None:
    """Fit a linear model to training rows, and compare the model with it on the test rows.

    Parameters
    ----------
    x : float32 array, shape (n, width)
        Training rows as the model reads them; numbers may be NaN.
    target : array, shape (n,)
        Class codes or numbers.
    weight : float64 array, shape (n,), at least 0
    categorical
        Columns that hold codes.
    rule
        The metric of the comparison.
    task, classes
        What is predicted; `classes` is 0 for numbers.
    value
        What decisions are worth: sets the threshold of the linear model, which is chosen on the rows that it learned from.
    test_x, truth, test_weight, clusters
        The test rows, as `evaluate` takes them.
    scores, threshold
        What the model answers to these, and where its positive class begins.
    seed
        Of the bootstrap, in which both models get the same draws.

    Returns
    -------
    Plain or None
        `None` where fewer than two classes are among the rows to learn from, or the test rows leave the metric undefined.
    """
    kept = weight > 0
    if not kept.any() or (classes and len(np.unique(target[kept])) < 2):
        return None
    x, target, weight = x[kept], target[kept], weight[kept] / weight[kept].mean()
    fitted = Linear().fit(
        x,
        target,
        weight,
        categorical=categorical,
        task=task,
        classes=classes,
        rounds=None,
        valid=None,
        seed=seed,
        settings=_SETTINGS,
    )
    said, own = fitted.scores(test_x), scores
    if rule.uses == "decision":
        rules = rules_of(task)
        at = (
            choose_threshold(fitted.scores(x)[:, 1], target, weight, value, of="training").at
            if task == "binary"
            else None
        )
        said, own = rules.decide(said, at), rules.decide(scores, threshold)
    (spread,) = spreads(
        [difference_of(rule, truth, own, said, weight=test_weight, clusters=clusters)],
        units=[max(units_of(task, truth, test_weight, clusters, by_class=rule.by_class), 2)],
        weight=test_weight,
        clusters=clusters,
        seed=seed,
        draws=_DRAWS,
    )
    ends = [spread.lower(_CONFIDENCE), spread.upper(_CONFIDENCE)]
    value_of = rule.prepare(truth, said)(test_weight[np.newaxis, :])[0]
    if not np.isfinite([spread.value, *ends, value_of]).all():
        return None
    return Plain(
        metric=rule.name,
        value=figure(float(value_of)),
        better=figure(spread.value),
        low=figure(ends[0]),
        high=figure(ends[1]),
        rows=len(x),
        n=len(truth),
    )


def is_plain(trained: Trained) -> bool:
    """Return whether the model is nothing but linear, so that a linear one beside it would tell nothing."""
    names = {one.trial for one in trained.executed.members} if trained.executed else {trained.chosen}
    return all(one.family == "linear" for one in trained.trials if one.name in names)
