"""A linear model of numbers as they are: what a person tries first.

The family `linear` bends far numbers, so that none of them rules the sum. A label that grows with a number of long tails is lost by that,
and is all that there is to know on some tables.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.facts import Task
from linewright.model.families.linear import LinearNative, design, in_chunks, learn_design, solve, steady
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix, centre_and_scale


@dataclass(frozen=True, kw_only=True, eq=False)
class Straight:
    """A fitted model; it answers, and is not exported."""

    numbers: tuple[int, ...]
    """Matrix columns."""
    centre: Floats
    """Weighted means of `numbers`; a missing number counts as its mean."""
    factor: Floats
    """One over their standard deviations; 0 for constant columns."""
    codes: LinearNative
    """What the indicators of codes are made of: a design without numbers."""
    coefficients: Floats
    intercept: Floats

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,)."""
        parts = [
            _design(part, self.numbers, self.centre, self.factor, self.codes) @ self.coefficients.T
            + self.intercept
            for part in in_chunks(x)
        ]
        margins = np.concatenate(parts) if parts else np.empty((0, len(self.intercept)))
        return link_of(self.codes.task).to_scores(margins)


def fit_straight(
    x: Matrix,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    categorical: tuple[int, ...],
    task: Task,
    classes: int,
    c: float,
) -> Straight:
    """Fit a ridge, logistic or multinomial regression on standardised numbers and indicators of codes; see `Trainer.fit`."""
    learned = learn_design(x, weight, categorical, task, hinges=False)
    codes = msgspec.structs.replace(learned, numbers=(), centre=(), factor=(), missing=(), straight=())
    scales = [_mean_and_factor(x[:, i], weight) for i in learned.numbers]
    centre, factor = np.array([one for one, _ in scales]), np.array([one for _, one in scales])
    with steady():
        coefficients, intercept = solve(
            _design(x, learned.numbers, centre, factor, codes),
            target,
            weight,
            task=task,
            classes=classes,
            c=c,
        )
    return Straight(
        numbers=learned.numbers,
        centre=centre,
        factor=factor,
        codes=codes,
        coefficients=coefficients,
        intercept=intercept,
    )


def _design(
    x: Matrix, numbers: tuple[int, ...], centre: Floats, factor: Floats, codes: LinearNative
) -> Floats:
    scaled = (x[:, list(numbers)].astype(np.float64) - centre) * factor
    return np.concatenate([np.nan_to_num(scaled, nan=0.0), design(codes, x)], axis=1)


def _mean_and_factor(values: npt.NDArray[np.float32], weight: Floats) -> tuple[float, float]:
    known = ~np.isnan(values)
    if not known.any() or np.ptp(values[known].astype(np.float64)) == 0:
        return 0.0, 0.0
    centre, deviation = centre_and_scale(values[known].astype(np.float64), weight[known])
    return centre, 1 / deviation
