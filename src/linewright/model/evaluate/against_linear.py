"""A model beside a plain linear one: what each metric of the one is better by, on the same test rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.model.facts import Beside, Plain, Task
from linewright.model.metrics.bootstrap import units_of
from linewright.model.metrics.definitions import Floats, MetricRule
from linewright.model.metrics.estimate import difference_of, spreads
from linewright.model.metrics.predictions import Said
from linewright.text.numbers import figure

_CONFIDENCE = 0.975
"""Of each end: both together hold 95 %."""


def beside_linear(
    rules: Sequence[MetricRule],
    *,
    own: Said,
    linear: Said,
    truth: npt.NDArray[Any],
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    task: Task,
    rows: int,
    seed: int,
) -> Plain | None:
    """Compare what a model and a linear one say of the test rows.

    Parameters
    ----------
    rules
        The metrics of the comparison, the line's first.
    own, linear
        What the two say.
    truth, weight, clusters
        The test rows, as `evaluate` takes them.
    task
        What is predicted.
    rows
        Training rows that the linear model learned from.
    seed
        Of the bootstrap, in which both models get the same draws.

    Returns
    -------
    Plain or None
        `None` where the test rows leave the first metric undefined.
    """
    first, *others = _compared(
        rules, own=own, linear=linear, truth=truth, weight=weight, clusters=clusters, task=task, seed=seed
    )
    if first is None:
        return None
    return Plain(
        **msgspec.structs.asdict(first),
        others=tuple(one for one in others if one is not None),
        rows=rows,
        n=len(truth),
    )


def _compared(
    rules: Sequence[MetricRule],
    *,
    own: Said,
    linear: Said,
    truth: npt.NDArray[Any],
    weight: Floats,
    clusters: npt.NDArray[Any] | None,
    task: Task,
    seed: int,
) -> list[Beside | None]:
    """Compare by each metric what the linear model says and what the trained one says; `None` where a metric is undefined."""
    used = [(linear.used_by(rule), own.used_by(rule)) for rule in rules]
    found = spreads(
        [
            difference_of(rule, truth, ours, said, weight=weight, clusters=clusters)
            for rule, (said, ours) in zip(rules, used, strict=True)
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
