"""Times of which some are only known to be longer: how labels spell them, where they stand on a grid, and what censoring hides.

A label is a text, as R prints a ``Surv``: ``"12.5"`` happened at 12.5, ``"12.5+"`` had not happened by 12.5, when it was last seen. A
*place* is the position of a time on a grid of k rising times: 3.25 is a quarter of the way from the third to the fourth, and a time beyond
the last stands between k and k + 1. Places of times that are censored are negative (that of a censored 0 is -0.0).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError

Floats = npt.NDArray[np.float64]
CENSORED = "+"
"""What stands behind a time at which it had not happened yet."""
MOST_TIMES = 20
"""Times of a grid, at most."""
_FEWEST_SEEN = 5
"""Rows that are still seen at the last time of a grid, at least."""
_ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_MOST_BEFORE_FIRST = 0.5
_SMALLEST_SHARE = 0.05
"""A row stands for at most so many others that were censored: one over it."""


def spell_time(time: float, *, happened: bool) -> str:
    """Return a label as text.

    Examples
    --------
    >>> spell_time(12.5, happened=True), spell_time(30.0, happened=False)
    ('12.5', '30+')
    """
    number = int(time) if float(time).is_integer() and abs(time) < 2**53 else float(time)
    return f"{number}{'' if happened else CENSORED}"


def read_time(label: object) -> tuple[float, bool] | None:
    """Return the time that a label says, and whether it happened then; `None` if it says none.

    Parameters
    ----------
    label
        A text such as ``"12.5"`` or ``"12.5+"``; a number, which happened then; or ``{"time": 12.5, "event": false}``.

    Examples
    --------
    >>> read_time("12.5+"), read_time(3), read_time({"time": 4, "event": False}), read_time("soon")
    ((12.5, False), (3.0, True), (4.0, False), None)
    """
    happened: object = True
    if isinstance(label, Mapping):
        if set(label) != {"time", "event"}:
            return None
        label, happened = label["time"], label["event"]
        if isinstance(label, str):
            return None
    if isinstance(label, str) and label.rstrip().endswith(CENSORED):
        label, happened = label.rstrip()[: -len(CENSORED)], False
    if isinstance(label, bool) or not isinstance(label, (str, int, float)):
        return None
    if happened not in (True, False, 0, 1):
        return None
    try:
        time = float(label)
    except (ValueError, OverflowError):
        return None
    return (time + 0.0, bool(happened)) if math.isfinite(time) and time >= 0 else None


def read_times(labels: Iterable[Any], *, name: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the times that labels say, and whether it happened then, each of shape (n,).

    Raises
    ------
    SpecError
        If a label says no time of at least 0; `name` is that of the task.
    """
    texts = list(labels)
    known = {text: read_time(text) for text in set(texts)}
    found = [known[text] for text in texts]
    for row, (text, one) in enumerate(zip(texts, found, strict=True)):
        if one is None:
            raise SpecError(
                f"a {name} label is a time of at least 0, with a + behind it if it had not happened by then",
                where=f"label.column, row {row}",
                found=str(text),
                allowed='"12.5" or "12.5+"',
                hint="name the column of times as label.column and that of what happened as label.event",
            )
    times = np.array([one[0] for one in found if one is not None], dtype=np.float64)
    return times, np.array([one[1] for one in found if one is not None], dtype=np.bool_)


def grid_of(times: Floats, happened: npt.NDArray[np.bool_]) -> Floats:
    """Return the times of a curve, rising, at most `MOST_TIMES`.

    Regular ones, in round steps, up to the latest time by which enough rows are still seen, so that a mean over them is one over time; where most
    would happen before the first, quantiles of the times at which it happened. A grid does not have 0; empty where nothing happened in time.

    Examples
    --------
    >>> days = np.arange(1.0, 201.0)
    >>> grid_of(days, days % 2 == 0)[[0, 1, 2, -1]].tolist()
    [10.0, 20.0, 30.0, 190.0]
    """
    fewest = max(_FEWEST_SEEN, round(_SMALLEST_SHARE * len(times)))
    last = np.sort(times)[max(0, len(times) - fewest)]
    events = np.sort(times[happened & (times > 0) & (times <= last)])
    if not len(events):
        return np.empty(0)
    step = _round_step(last / MOST_TIMES, is_whole=bool((times == np.round(times)).all()))
    regular = step * np.arange(1, int(last / step + 1e-9) + 1)
    # Where many are seen to one end, as to the day of a report, the curve goes so far.
    if (times == last).sum() >= fewest and (not len(regular) or last - regular[-1] > 1e-9 * last):
        regular = np.append(regular, last)[-MOST_TIMES:]
    if len(regular) > 1 and (events <= regular[0]).mean() <= _MOST_BEFORE_FIRST:
        return np.round(regular, 12).astype(np.float64)
    shares = np.arange(1, MOST_TIMES + 1) / MOST_TIMES
    return np.unique(events[np.ceil(shares * len(events)).astype(np.int64) - 1])


def _round_step(least: float, *, is_whole: bool) -> float:
    """Return the least of some round numbers, or their tenfold, that is not below a number, and whole where times are."""
    if is_whole:
        least = max(least, 1.0)
    power = 10.0 ** math.floor(math.log10(least))
    steps = (factor * power for factor in _ROUND)
    return next(
        step for step in steps if step >= least * (1 - 1e-9) and (not is_whole or step == round(step))
    )


def places_of(times: Floats, happened: npt.NDArray[np.bool_], grid: Floats) -> Floats:
    """Return where times stand on a grid.

    Examples
    --------
    >>> places_of(np.array([5.0, 15.0, 40.0]), np.array([True, False, True]), np.array([10.0, 20.0])).tolist()
    [0.5, -1.5, 2.5]
    """
    k = len(grid)
    inside = np.interp(times, [0.0, *grid], np.arange(k + 1))
    beyond = k + 1 - grid[-1] / np.maximum(times, grid[-1])
    return np.copysign(np.where(times > grid[-1], beyond, inside), np.where(happened, 1.0, -1.0))


def times_at(places: Floats, grid: Floats) -> Floats:
    """Return the times at places from 0 to k of a grid."""
    return np.interp(places, np.arange(len(grid) + 1), [0.0, *grid])


def kaplan_meier(places: Floats, weight: Floats, k: int) -> Floats:
    """Return the share that is left at each of `k` times, as Kaplan and Meier estimate it: shape (k,).

    Examples
    --------
    >>> kaplan_meier(np.array([0.5, -1.5, 1.5, 2.5]), np.ones(4), 2).tolist()
    [0.75, 0.5]
    """
    left, _ = kaplan_meier_with_error(places, weight, k)
    return left


def kaplan_meier_with_error(places: Floats, weight: Floats, k: int) -> tuple[Floats, Floats]:
    """Return what `kaplan_meier` does, and the standard error of each share relative to the share (Greenwood), both of shape (k,)."""
    at, happened = np.abs(places), ~np.signbit(places)
    moments, of = np.unique(at, return_inverse=True)
    gone = np.bincount(of, weights=weight * happened, minlength=len(moments))
    every = np.bincount(of, weights=weight, minlength=len(moments))
    seen = np.cumsum(every[::-1])[::-1]
    left = np.cumprod(1 - np.divide(gone, seen, out=np.zeros(len(moments)), where=seen > 0))
    spread = np.divide(gone, seen * (seen - gone), out=np.zeros(len(moments)), where=seen > gone)
    reached = np.searchsorted(moments, np.arange(1, k + 1), side="right")
    return np.concatenate([[1.0], left])[reached], np.sqrt(
        np.concatenate([[0.0], np.cumsum(spread)])[reached]
    )


def share_seen(places: Floats, asked: Floats) -> Floats:
    """Return the share of rows that would still be seen just before each of the asked places, had nothing happened.

    It is Kaplan's and Meier's estimate of the censoring, at least 0.05: one over it weights what was seen so that it stands for what
    was not.
    """
    at, censored = np.abs(places), np.signbit(places)
    moments, of = np.unique(at, return_inverse=True)
    hidden = np.bincount(of, weights=censored, minlength=len(moments))
    every = np.bincount(of, minlength=len(moments))
    # Of what happened and what was censored at one time, the former came first.
    seen = np.cumsum(every[::-1])[::-1] - (every - hidden)
    left = np.cumprod(1 - np.divide(hidden, seen, out=np.zeros(len(moments)), where=seen > 0))
    before = np.searchsorted(moments, asked, side="left")
    return np.maximum(np.concatenate([[1.0], left])[before], _SMALLEST_SHARE)


def brier_at_times(places: Floats, left: Floats) -> Floats:
    """Return what each row adds to the Brier score at each time, weighted by the inverse probability of censoring [1]_.

    Parameters
    ----------
    places : float64 array, shape (n,)
    left : float64 array, shape (n, k)
        Share that is said to be left at each time.

    Returns
    -------
    float64 array, shape (n, k)
        0 if a row was censored before a time. Its mean over rows estimates that of rows without censoring.

    References
    ----------
    .. [1] E. Graf, C. Schmoor, W. Sauerbrei and M. Schumacher, Assessment and comparison of prognostic classification schemes for
       survival data, Statistics in Medicine 18 (1999), 2529-2545.

    Examples
    --------
    >>> brier_at_times(np.array([0.5, 1.5]), np.array([[0.2, 0.1], [0.9, 0.5]])).round(2).tolist()
    [[0.04, 0.01], [0.01, 0.25]]
    """
    at, happened = np.abs(places)[:, np.newaxis], ~np.signbit(places)[:, np.newaxis]
    horizons = np.arange(1, left.shape[1] + 1, dtype=np.float64)
    is_gone = happened & (at <= horizons)
    is_left = ~is_gone & (at >= horizons)
    of_gone = 1 / share_seen(places, at)
    of_left = 1 / share_seen(places, horizons)
    return np.where(is_gone, of_gone * left**2, 0.0) + np.where(is_left, of_left * (1 - left) ** 2, 0.0)


def left_between(left: Floats, grid: Floats, asked: Floats) -> Floats:
    """Return what is left at the asked times, straight between those of a grid; beyond its last what is left there.

    Examples
    --------
    >>> left_between(np.array([[0.8, 0.4]]), np.array([10.0, 20.0]), np.array([5.0, 15.0, 30.0])).round(2).tolist()
    [[0.9, 0.6, 0.4]]
    """
    whole = np.concatenate([np.ones_like(left[:, :1]), left], axis=1)
    places = np.interp(asked, [0.0, *grid], np.arange(len(grid) + 1))
    low = np.minimum(places.astype(np.int64), len(grid) - 1)
    share = places - low
    return whole[:, low] * (1 - share) + whole[:, low + 1] * share


def grid_read(classes: Sequence[str]) -> Floats:
    """Return the times that a package spells."""
    return np.array([float(time) for time in classes], dtype=np.float64)
