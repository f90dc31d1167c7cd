"""The metric of anomalies that needs no faulty row: how many good rows alarm."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.metrics.definitions import MetricRule, Statistic, divide

Floats = NDArray[np.float64]


def _false_positive_rate(codes: NDArray[Any], decided: NDArray[Any]) -> Statistic:
    rows = np.flatnonzero(codes == 0)
    said = decided[:, 1] if decided.ndim == 2 else (decided == 1).astype(np.float64)
    return lambda weights: divide(weights[:, rows] @ said[rows], weights[:, rows].sum(axis=1))


OF_ANOMALY = (
    MetricRule(
        name="false_positive_rate",
        tasks=("anomaly",),
        greater_is_better=False,
        uses="decision",
        is_bounded=True,
        guess="rate",
        of_class=0,
        prepare=_false_positive_rate,
    ),
)
"""Metrics of the task `anomaly`."""
