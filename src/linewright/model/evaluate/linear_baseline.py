"""A plain linear model beside the one that was trained: what trees, sums and searching were worth on the test rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task, Trained
from linewright.model.families.hazard import Hazard, HazardFitted
from linewright.model.families.linear import Linear, LinearFitted
from linewright.model.families.raw_linear import Straight, fit_straight
from linewright.model.tasks import link_of
from linewright.model.tasks import task as rules_of
from linewright.model.tasks.censoring import seen_in
from linewright.model.tasks.links import HAZARD, Floats, Matrix

MOST_ROWS, MOST_CELLS = 20_000, 4_000_000
"""Training rows, and numbers in their matrix, that it learns from at most: a yardstick may not cost as much as the model."""
_SETTINGS = {"c": 0.3, "hinges": False}
"""Those of the setting ``lin`` of the search."""
_ONE_IN = 5
"""The part of the rows that says which form it has."""


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


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearSaid:
    """What the linear model says."""

    scores: Floats
    """Of the test rows, shape (n, classes) or (n,)."""
    learned: npt.NDArray[np.intp]
    """Positions of the rows that it learned from, among those that it was given."""
    probability: Floats | None
    """Of these: that of the positive class, shape (learned,); `None` where there are not two classes."""
    weight: Floats
    """What each of these counts."""


def fit_linear(
    *,
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    categorical: tuple[int, ...],
    task: Task,
    classes: int,
    test_x: Matrix,
    seed: int,
) -> LinearSaid | None:
    """Fit a linear model to training rows, and ask it about the test rows.

    It is linear in the numbers as they are, or in those that `Linear` bends, by which has the smaller loss on a fifth of the rows that the fits
    do not learn from. Bent alone, a label that grows with a number of long tails was out of its reach, and what a person would try
    first did better than what the card held the model against.
    """
    learned = np.flatnonzero(weight > 0)
    if not len(learned) or not _can_learn(target[learned], task):
        return None
    x, target, weight = x[learned], target[learned], weight[learned] / weight[learned].mean()
    fitted = _fitted(x, target, weight, categorical=categorical, task=task, classes=classes, seed=seed)
    return LinearSaid(
        scores=fitted.scores(test_x),
        learned=learned,
        probability=fitted.scores(x)[:, 1] if rules_of(task).has_positive else None,
        weight=weight,
    )


def _can_learn(target: npt.NDArray[Any], task: Task) -> bool:
    if link_of(task) is HAZARD:
        return bool(seen_in(target)[1].any())
    return not link_of(task).is_class or len(np.unique(target)) > 1


def _fitted(
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    categorical: tuple[int, ...],
    task: Task,
    classes: int,
    seed: int,
) -> LinearFitted | HazardFitted | Straight:
    """Fit the form of the smaller loss; the bent one where they are equal."""

    def bent(rows: npt.NDArray[np.bool_]) -> LinearFitted | HazardFitted:
        trainer = Hazard(Linear()) if link_of(task) is HAZARD else Linear()
        return trainer.fit(
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
    if len(categorical) == x.shape[1] or link_of(task) is HAZARD:
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


def is_plain(trained: Trained) -> bool:
    """Return whether the model is nothing but linear, so that a linear one beside it would tell nothing."""
    names = {one.trial for one in trained.executed.members} if trained.executed else {trained.chosen}
    return all(one.family == "linear" for one in trained.trials if one.name in names)
