"""Whether the intervals of answers hold as much of the truth as they are meant to, and whether answers lean to one side.

An interval is made from residuals on training rows. It holds as much of new rows as these are like those, which a split by
time does not promise; so it is counted on test rows. Rows that err alike because they are near in time are drawn together, in
blocks as long as what is counted asks for: signs of errors may hang together for longer than their sizes.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.model.facts import Beyond, CoverageAt, Metric
from linewright.model.metrics.bootstrap import UNBOUNDED, count_units
from linewright.model.metrics.definitions import Floats, share
from linewright.model.metrics.estimate import Measure, error_of_means, spreads, to_metric
from linewright.model.metrics.time_blocks import block_length
from linewright.model.tasks.prediction_interval import LEVEL
from linewright.text.numbers import in_words

Clusters = npt.NDArray[Any] | None
_MISSED = 0.025
"""How often an end of a 95 % interval is missed."""
PARTS = 5
PART_ROWS = 50
"""Test rows of a part, at least: the share of fewer says little."""


def measure_coverage(
    is_inside: npt.NDArray[np.bool_], *, weight: Floats, clusters: Clusters, is_in_time: bool, seed: int
) -> Metric | None:
    """Measure the share of rows whose truth is inside the interval of the answer.

    Parameters
    ----------
    is_inside : bool array, shape (n,)
        Whether it is, row by row.
    weight : float64 array, shape (n,), at least 0
        Sample weights.
    clusters, seed
        As for `linewright.model.evaluate.measure.evaluate`.
    is_in_time
        Whether rows are in order of time; clusters are blocks of them then, and may be made longer.

    Returns
    -------
    Metric or None
        In [0, 1], with its 95 % interval; `None` where no row has weight.

    Examples
    --------
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
    """Measure on which side of its interval the truth lies where it is not inside.

    Parameters
    ----------
    is_below, is_above : bool arrays, shape (n,)
        Whether the truth lies below the interval of the answer, or above it.
    weight, clusters, is_in_time, seed
        As for `measure_coverage`.

    Returns
    -------
    Beyond or None
        `None` where no row has weight.

    Examples
    --------
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

    Parameters
    ----------
    is_inside, weight, clusters, is_in_time, seed
        As for `measure_coverage`.
    scores : float64 array, shape (n,)
        The answers.

    Returns
    -------
    tuple of CoverageAt
        Of rows that have weight, the smallest answers first, equal ones together; a part of fewer than 50 rows is left out, and all where
        a fifth would be.

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
    """Measure the mean of truth less answer: above 0 where answers are too low.

    Parameters
    ----------
    truth, scores, weight, clusters, is_in_time, seed
        As for `measure_coverage`.

    Returns
    -------
    Metric or None
        In the unit of the label, to a billionth of the largest error; `None` where no row has weight.

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


# In words

ONE_IN = "one check in 40 says so by chance"
"""What a bound that is missed in 2.5 % of cases is worth, where it is looked at once."""


def is_surely_less(coverage: Metric) -> bool:
    """Return whether the intervals surely hold less of the truth than they are meant to."""
    return coverage.high is not None and coverage.high < LEVEL


def coverage_in_words(coverage: Metric, *, because: str = "") -> str:
    """Say what share of test rows lies inside the interval of the answer, and what to make of it.

    Parameters
    ----------
    coverage
        As measured by `measure_coverage`.
    because
        Why they may hold less, where they surely do.

    Examples
    --------
    >>> print(coverage_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.764, n=3092)))
    On the test rows 74.3 % lie inside (72.1 to 76.4 %): fewer than the 90 % that are meant, so the interval may be too narrow (one check in 40 says so by chance).
    >>> print(coverage_in_words(Metric(name="coverage", value=0.88, low=0.81, high=0.93, n=90)))
    On the test rows 88 % lie inside (81 to 93 %): as meant, as far as these rows can tell.
    """
    meant = f"the {_percent(LEVEL)} % that are meant"
    if is_surely_less(coverage):
        told = f"fewer than {meant}, so the interval may be too narrow ({ONE_IN}){f'; {because}' if because else ''}"
    elif coverage.low is not None and coverage.low > LEVEL:
        told = f"more than {meant}, so the interval is wider than it need be"
    else:
        told = "as meant, as far as these rows can tell"
    return f"On the test rows {_percent(coverage.value)} % lie inside ({range_in_words(coverage)}): {told}."


def surely_less(parts: Sequence[CoverageAt]) -> list[CoverageAt]:
    """Return the parts whose intervals surely hold less than they are meant to, though as many parts were looked at (Bonferroni).

    What is recorded are ends of 95 %; those of a higher confidence lie further out on the scale of log-odds, as normal quantiles do.

    Examples
    --------
    >>> part = lambda value, high: CoverageAt(
    ...     low=0.0, high=1.0, held=Metric(name="coverage", value=value, low=0.7, high=high, n=100))
    >>> [one.held.high for one in surely_less([part(0.8, 0.87), part(0.84, 0.898), *[part(0.9, 0.95)] * 3])]
    [0.87]
    """
    from scipy.special import expit, logit, ndtri  # noqa: PLC0415 -- commands that look import this module and compute nothing

    found: list[CoverageAt] = []
    for one in parts:
        value, high = one.held.value, one.held.high
        if high is None or high >= LEVEL:
            continue
        each = _MISSED / len(parts)
        if value > 0:
            further = float(ndtri(1 - each) / ndtri(1 - _MISSED))
            far = float(expit(logit(value) + further * (logit(high) - logit(value))))
        else:
            far = 1 - (1 - high) ** (math.log(each) / math.log(_MISSED))
        if far < LEVEL:
            found.append(one)
    return found


def parts_in_words(parts: Sequence[CoverageAt]) -> str:
    """Say for which answers intervals surely hold too little; empty where for none.

    Examples
    --------
    >>> held = Metric(name="coverage", value=0.7, low=0.6, high=0.78, n=100)
    >>> print(parts_in_words([CoverageAt(low=2.0, high=3.5, held=held)]))
    Of answers from 2 to 3.5 surely fewer than 90 % lie inside (70 %): there the interval is too narrow, by bounds that allow for as many looks as the table has rows.
    """
    less = surely_less(parts)
    if not less:
        return ""
    told = [f"from {in_words(one.low)} to {in_words(one.high)}" for one in less]
    held = ", ".join(f"{_percent(one.held.value)} %" for one in less)
    which = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]
    return (
        f"Of answers {which} surely fewer than {_percent(LEVEL)} % lie inside ({held}): there the interval is too narrow, by bounds that "
        "allow for as many looks as the table has rows."
    )


def is_surely_uneven(beyond: Beyond) -> bool:
    """Return whether surely more truths lie beyond one end of the intervals than beyond the other."""
    low, high = beyond.tilt.low, beyond.tilt.high
    return low is not None and high is not None and not low <= 0 <= high


def beyond_in_words(beyond: Beyond) -> str:
    """Say what share of the truth lies below the interval and above it, and what its ends can be taken for.

    Examples
    --------
    >>> def share(name, value, low, high): return Metric(name=name, value=value, low=low, high=high, n=2110)
    >>> below, above = share("below", 0.008, 0.005, 0.013), share("above", 0.09, 0.078, 0.103)
    >>> print(beyond_in_words(Beyond(below=below, above=above, tilt=share("tilt", 0.082, 0.069, 0.095))))
    0.8 % lie below it and 9 % above, surely not alike: take the upper end as one that 91 % stay under, and the lower as one that 99.2 % stay over.
    >>> print(beyond_in_words(Beyond(below=below, above=above, tilt=share("tilt", 0.082, -0.01, 0.17))))
    0.8 % lie below it and 9 % above, alike as far as these rows can tell.
    """
    below, above = (_percent(one.value) for one in (beyond.below, beyond.above))
    told = f"{below} % lie below it and {above} % above"
    if not is_surely_uneven(beyond):
        return f"{told}, alike as far as these rows can tell."
    under, over = (_percent(1 - one.value) for one in (beyond.above, beyond.below))
    return f"{told}, surely not alike: take the upper end as one that {under} % stay under, and the lower as one that {over} % stay over."


def range_in_words(coverage: Metric) -> str:
    """Return the 95 % interval of a share.

    Examples
    --------
    >>> range_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.8996, n=3092))
    '72.1 to 89.96 %'
    """
    low, high = (
        end if end is not None else other for end, other in ((coverage.low, 0.0), (coverage.high, 1.0))
    )
    return f"{_percent(low)} to {_percent(high)} %"


def percent_in_words(coverage: Metric) -> str:
    """Return a share in percent, on its side of what is meant.

    Examples
    --------
    >>> percent_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.764, n=3092))
    '74.3 %'
    """
    return f"{_percent(coverage.value)} %"


def bias_in_words(bias: Metric) -> str:
    """Say on which side answers are wrong on average; empty where it may be neither.

    Examples
    --------
    >>> bias_in_words(Metric(name="bias", value=15.24, low=12.1, high=18.2, n=3092))
    'Answers to the test rows are surely too low: the truth is higher by 15.2 on average (12.1 to 18.2).'
    >>> bias_in_words(Metric(name="bias", value=-0.2, low=-1.0, high=0.6, n=90))
    ''
    """
    if bias.low is None or bias.high is None or bias.low <= 0 <= bias.high:
        return ""
    side, truth = ("low", "higher") if bias.value > 0 else ("high", "lower")
    near, far = sorted((abs(bias.low), abs(bias.high)))
    return (
        f"Answers to the test rows are surely too {side}: the truth is {truth} by {in_words(abs(bias.value))} on average "
        f"({in_words(near)} to {in_words(far)})."
    )


def _percent(part: float) -> str:
    # 10 digits: 100 times a float is another one.
    return in_words(float(f"{100 * part:.10g}"), beside=100 * LEVEL)
