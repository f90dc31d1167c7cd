"""A plain linear model beside the one that was trained: what trees, sums and searching were worth on the test rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.facts import Beside, Plain, Task, Trained
from linewright.model.figures import figure
from linewright.model.intervals import units_of
from linewright.model.linear import Linear, LinearFitted
from linewright.model.margins import Floats, Matrix
from linewright.model.measures import difference_of, spreads
from linewright.model.metrics import MetricRule
from linewright.model.spec import ValueSpec
from linewright.model.straight import Straight, fit_straight
from linewright.model.tasks import task as rules_of
from linewright.model.threshold import choose_threshold

MOST_ROWS, MOST_CELLS = 20_000, 4_000_000
"""Training rows, and numbers in their matrix, that it learns from at most: a yardstick may not cost as much as the model."""
_SETTINGS = {"c": 0.3, "hinges": False}
"""Those of the setting ``lin`` of the search."""
_ONE_IN = 5
"""The part of the rows that says which form it has."""
_CONFIDENCE = 0.975
"""Of each end: both together hold 95 %."""


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
    rules: Sequence[MetricRule],
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

    It is linear in the numbers as they are, or in those that `Linear` bends, by which has the smaller loss on a fifth of the rows that the fits
    do not learn from. Bent alone, a label that grows with a number of long tails was out of its reach, and what a person would try
    first did better than what the card held the model against.

    Parameters
    ----------
    x : float32 array, shape (n, width)
        Training rows as the model reads them; numbers may be NaN.
    target : array, shape (n,)
        Class codes or numbers.
    weight : float64 array, shape (n,), at least 0
    categorical
        Columns that hold codes.
    rules
        The metrics of the comparison, the line's first.
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
        `None` where fewer than two classes are among the rows to learn from, or the test rows leave the first metric undefined.
    """
    kept = weight > 0
    if not kept.any() or (classes and len(np.unique(target[kept])) < 2):
        return None
    x, target, weight = x[kept], target[kept], weight[kept] / weight[kept].mean()
    fitted = _fitted(x, target, weight, categorical=categorical, task=task, classes=classes, seed=seed)
    said, at = fitted.scores(test_x), None
    if task == "binary":
        at = choose_threshold(fitted.scores(x)[:, 1], target, weight, value, of="training").at
    decide = rules_of(task).decide
    found = _compared(
        rules,
        scores=(said, scores),
        decided=(decide(said, at), decide(scores, threshold)),
        truth=truth,
        weight=test_weight,
        clusters=clusters,
        task=task,
        seed=seed,
    )
    if found[0] is None:
        return None
    return Plain(
        **msgspec.structs.asdict(found[0]),
        others=tuple(one for one in found[1:] if one is not None),
        rows=len(x),
        n=len(truth),
    )


def _fitted(
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    categorical: tuple[int, ...],
    task: Task,
    classes: int,
    seed: int,
) -> LinearFitted | Straight:
    """Fit the form of the smaller loss; the bent one where they are equal."""

    def bent(rows: npt.NDArray[np.bool_]) -> LinearFitted:
        return Linear().fit(
            x[rows],
            target[rows],
            weight[rows],
            categorical=categorical,
            task=task,
            classes=classes,
            rounds=None,
            valid=None,
            seed=seed,
            settings=_SETTINGS,
        )

    def straight(rows: npt.NDArray[np.bool_]) -> Straight:
        return fit_straight(
            x[rows],
            target[rows],
            weight[rows],
            categorical=categorical,
            task=task,
            classes=classes,
            c=_SETTINGS["c"],
        )

    everything = np.ones(len(x), dtype=np.bool_)
    if len(categorical) == x.shape[1]:
        return bent(everything)
    held = _held_out(target, classes, seed)
    learned, judged = (~held, held) if held.any() else (everything, everything)
    losses = [
        np.average(
            rules_of(task).row_loss(target[judged], form(learned).scores(x[judged])), weights=weight[judged]
        )
        for form in (bent, straight)
    ]
    return straight(everything) if losses[1] < losses[0] else bent(everything)


def _held_out(target: npt.NDArray[Any], classes: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return which rows judge the forms: each fifth of a class, drawn by chance, so that no class is without rows to learn from."""
    held = np.zeros(len(target), dtype=np.bool_)
    drawn = np.random.default_rng(seed).permutation(len(target))
    for code in np.unique(target) if classes else (None,):
        mine = drawn if code is None else drawn[target[drawn] == code]
        held[mine[_ONE_IN - 1 :: _ONE_IN]] = True
    return held


def _compared(
    rules: Sequence[MetricRule],
    *,
    scores: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    decided: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    truth: npt.NDArray[Any],
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    task: Task,
    seed: int,
) -> list[Beside | None]:
    """Compare by each metric what the linear model says and what the trained one says; `None` where a metric is undefined."""
    used = [decided if rule.uses == "decision" else scores for rule in rules]
    found = spreads(
        [
            difference_of(rule, truth, own, said, weight=weight, clusters=clusters)
            for rule, (said, own) in zip(rules, used, strict=True)
        ],
        units=[max(units_of(task, truth, weight, clusters, by_class=rule.by_class), 2) for rule in rules],
        weight=weight,
        clusters=clusters,
        seed=seed,
    )
    compared: list[Beside | None] = []
    for rule, (said, _), spread in zip(rules, used, found, strict=True):
        value = rule.prepare(truth, said)(weight[np.newaxis, :])[0]
        # Of few rows bounds may go where no difference of two metrics can be.
        ends = np.clip((spread.lower(_CONFIDENCE), spread.upper(_CONFIDENCE)), *spread.bounds)
        told = (float(value), spread.value, *map(float, ends))
        if np.isfinite(told).all():
            value, better, low, high = map(figure, told)
            compared.append(Beside(metric=rule.name, value=value, better=better, low=low, high=high))
        else:
            compared.append(None)
    return compared


def is_plain(trained: Trained) -> bool:
    """Return whether the model is nothing but linear, so that a linear one beside it would tell nothing."""
    names = {one.trial for one in trained.executed.members} if trained.executed else {trained.chosen}
    return all(one.family == "linear" for one in trained.trials if one.name in names)
