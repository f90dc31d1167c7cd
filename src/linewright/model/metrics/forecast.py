"""Metrics of forecasts: errors in units of the seasonal naive one, against the naive one with season, and what intervals hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.metrics.definitions import MetricRule, Statistic, divide
from linewright.model.tasks.horizons import (
    naive_scaled_errors,
    naive_symmetric_errors,
    pinball_losses,
    scaled_errors,
    shares_covered,
    symmetric_errors,
)

Floats = NDArray[np.float64]


def _mean_of(of_rows: Callable[[NDArray[Any], NDArray[Any]], Floats]) -> Callable[[Any, Any], Statistic]:
    def prepare(target: NDArray[Any], scores: NDArray[Any]) -> Statistic:
        values = of_rows(target, scores)
        return lambda weights: divide(weights @ values, weights.sum(axis=1))

    return prepare


def _owa(target: NDArray[Any], scores: NDArray[Any]) -> Statistic:
    """Return the mean of two ratios: of scaled and of symmetric errors to those of the naive forecast with season."""
    pairs = [
        (scaled_errors(target, scores), naive_scaled_errors(target, scores)),
        (symmetric_errors(target, scores), naive_symmetric_errors(target, scores)),
    ]

    def of(weights: Floats) -> Floats:
        ratios = [divide(weights @ own, weights @ naive) for own, naive in pairs]
        return (ratios[0] + ratios[1]) / 2

    return of


def _rule(
    name: str,
    of_rows: Callable[[NDArray[Any], NDArray[Any]], Floats],
    *,
    greater_is_better: bool = False,
    is_bounded: bool = False,
) -> MetricRule:
    return MetricRule(
        name=name,
        tasks=("forecast",),
        greater_is_better=greater_is_better,
        uses="scores",
        is_bounded=is_bounded,
        prepare=_mean_of(of_rows),
        losses=of_rows,
    )


OF_FORECAST = (
    _rule("mase", scaled_errors),
    MetricRule(
        name="owa",
        tasks=("forecast",),
        greater_is_better=False,
        uses="scores",
        is_bounded=False,
        prepare=_owa,
    ),
    _rule("smape", symmetric_errors),
    _rule("pinball", pinball_losses),
    _rule("coverage", shares_covered, greater_is_better=True, is_bounded=True),
)
"""Metrics of the task `forecast`."""
