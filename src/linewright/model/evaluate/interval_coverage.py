"""Whether the intervals of answers hold as many labels as they are meant to, and whether answers lean to one side.

An interval is made from residuals on training rows. It holds as much of new rows as these are like those, which a split by
time does not promise; so it is counted on test rows. Rows that err alike because they are near in time are drawn together, in
blocks as long as what is counted asks for: signs of errors may hang together for longer than their sizes.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Beyond, CoverageAt, Metric
from linewright.model.metrics.bootstrap import UNBOUNDED, count_units
from linewright.model.metrics.definitions import Floats, share
from linewright.model.metrics.estimate import Measure, error_of_means, spreads, to_metric
from linewright.model.metrics.time_blocks import block_length

Clusters = npt.NDArray[Any] | None
PARTS = 5
PART_ROWS = 50
"""Test rows of a part, at least: the share of fewer says little."""


def measure_coverage(
    is_inside: npt.NDArray[np.bool_], *, weight: Floats, clusters: Clusters, is_in_time: bool, seed: int
) -> Metric | None:
    """Measure the share of rows whose label is inside the interval of the answer.

    Examples
    --------
    >>> from linewright.model.evaluate.coverage_text import is_surely_less
    >>> is_inside = np.tile([True, True, True, True, False], 40)
    >>> found = measure_coverage(is_inside, weight=np.ones(200), clusters=None, is_in_time=False, seed=1)
    >>> found.value, is_surely_less(found), round(found.low, 2), round(found.high, 2)
    (0.8, True, 0.75, 0.85)
    """
    return _share("coverage", is_inside, weight=weight, clusters=clusters, is_in_time=is_in_time, seed=seed)


def measure_beyond(
    is_below: npt.NDArray[np.bool_],
    is_above: npt.NDArray[np.bool_],
    *,
    weight: Floats,
    clusters: Clusters,
    is_in_time: bool,
    seed: int,
) -> Beyond | None:
    """Measure on which side of its interval the label lies if it is not inside.

    Examples
    --------
    >>> from linewright.model.evaluate.coverage_text import is_surely_uneven
    >>> row = np.arange(1000)
    >>> found = measure_beyond(
    ...     row % 100 == 1, row % 10 == 0, weight=np.ones(1000), clusters=None, is_in_time=False, seed=1)
    >>> found.below.value, found.above.value, found.tilt.value, is_surely_uneven(found)
    (0.01, 0.1, 0.09, True)
    """
    below, above = (
        _share(name, is_there, weight=weight, clusters=clusters, is_in_time=is_in_time, seed=seed)
        for name, is_there in (("below", is_below), ("above", is_above))
    )
    # A row is on one side at most, so that the shares are compared within each draw: apart, their intervals would tell less.
    sides = is_above.astype(np.float64) - is_below
    tilt = _mean(
        "tilt",
        sides,
        weight=weight,
        clusters=_blocks(sides, clusters) if is_in_time else clusters,
        seed=seed,
        bounds=(-1.0, 1.0),
    )
    return (
        None
        if below is None or above is None or tilt is None
        else Beyond(below=below, above=above, tilt=tilt)
    )


def measure_parts(
    is_inside: npt.NDArray[np.bool_],
    scores: Floats,
    *,
    weight: Floats,
    clusters: Clusters,
    is_in_time: bool,
    seed: int,
) -> tuple[CoverageAt, ...]:
    """Measure it for small answers and for large ones: for fifths of the rows.

    Examples
    --------
    >>> scores = np.linspace(1.0, 100.0, 500)
    >>> found = measure_parts(
    ...     scores < 80, scores, weight=np.ones(500), clusters=None, is_in_time=False, seed=1)
    >>> [round(one.held.value, 2) for one in found]
    [1.0, 1.0, 1.0, 0.99, 0.0]
    """
    counted = weight > 0
    is_inside, scores, weight = is_inside[counted], scores[counted], weight[counted]
    clusters = None if clusters is None else clusters[counted]
    if len(scores) < PARTS * PART_ROWS:
        return ()
    part_of = np.searchsorted(np.quantile(scores, np.arange(1, PARTS) / PARTS), scores, side="left")
    found: list[CoverageAt] = []
    for part in range(PARTS):
        rows = np.flatnonzero(part_of == part)
        own = None if clusters is None else clusters[rows]
        if len(rows) < PART_ROWS:
            continue
        held = measure_coverage(
            is_inside[rows], weight=weight[rows], clusters=own, is_in_time=is_in_time, seed=seed
        )
        if held is not None:
            low, high = float(scores[rows].min()), float(scores[rows].max())
            found.append(CoverageAt(low=low, high=high, held=held))
    return tuple(found)


def measure_bias(
    truth: Floats, scores: Floats, *, weight: Floats, clusters: Clusters, is_in_time: bool, seed: int
) -> Metric | None:
    """Measure the mean of label less answer: above 0 if answers are too low.

    Examples
    --------
    >>> truth = np.random.default_rng(1).normal(size=200)
    >>> found = measure_bias(
    ...     truth + 3, truth, weight=np.ones(200), clusters=None, is_in_time=False, seed=1)
    >>> found.value
    3.0
    """
    return _mean(
        "bias",
        truth - scores,
        weight=weight,
        clusters=_blocks(truth - scores, clusters) if is_in_time else clusters,
        seed=seed,
    )


def _blocks(values: Floats, clusters: Clusters) -> Clusters:
    """Return blocks as long as these values ask for, and no shorter than those that there are."""
    known = 1 if clusters is None else int(np.unique(clusters, return_counts=True)[1].max())
    length = max(known, block_length(values))
    return None if length == 1 else np.arange(len(values)) // length


def _share(
    name: str,
    is_there: npt.NDArray[np.bool_],
    *,
    weight: Floats,
    clusters: Clusters,
    is_in_time: bool,
    seed: int,
) -> Metric | None:
    values = is_there.astype(np.float64)
    blocks = _blocks(values, clusters) if is_in_time else clusters
    return _mean(name, values, weight=weight, clusters=blocks, seed=seed, bounds=(0.0, 1.0))


def _mean(
    name: str,
    values: Floats,
    *,
    weight: Floats,
    clusters: Clusters,
    seed: int,
    bounds: tuple[float, float] = UNBOUNDED,
) -> Metric | None:
    if not (weight > 0).any():
        return None
    is_share = bounds == (0.0, 1.0)
    units = count_units(np.flatnonzero(weight > 0), clusters)
    [spread] = spreads(
        [
            Measure(
                value=share(np.arange(len(values)), values),
                error=error_of_means(values[:, np.newaxis], np.ones_like, weight=weight, clusters=clusters),
                scale="logit" if is_share else "linear",
                bounds=bounds,
            )
        ],
        # With 2 units bounds are as far apart as the rows can say.
        units=[max(units, 2)],
        weight=weight,
        clusters=clusters,
        seed=seed,
    )
    # Errors up and down cancel, so that the digits of their mean count from those of an error.
    largest = float(np.abs(values).max(initial=0.0))
    digits = 9 - math.floor(math.log10(largest)) if largest > 0 else 9
    return to_metric(
        name,
        spread,
        len(values),
        is_known=units > 1,
        is_bounded=is_share,
        rounded=lambda value: round(value, digits) + 0.0,
    )
