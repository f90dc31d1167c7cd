"""Times of which some are only known to be longer: how labels spell them, where they stand on a grid, and what censoring hides.

A label is a text, as R prints a ``Surv``: ``"12.5"`` happened at 12.5, ``"12.5+"`` had not happened by 12.5, when it was last seen. A
*place* is the position of a time on a grid of k rising times: 3.25 is a quarter of the way from the third to the fourth, and a time beyond
the last stands between k and k + 1. Places of times that are censored are negative (that of a censored 0 is -0.0).

A row may be seen only from some time on, ``"(5,12.5]"`` or ``"(5,12.5+]"``: before 5 nobody would have known of it, so that it survived nothing then
(left truncation). Its place is a complex number, whose imaginary part is the place of that time.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[Any]
"""Float64, or complex128 if rows are seen from some time on."""
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
_MOST, _TINY = 1 / _SMALLEST_SHARE, 1e-12


def spell_time(time: float, *, happened: bool) -> str:
    """Return a label as text.

    Examples
    --------
    >>> spell_time(12.5, happened=True), spell_time(30.0, happened=False)
    ('12.5', '30+')
    """
    number = int(time) if float(time).is_integer() and abs(time) < 2**53 else float(time)
    return f"{number}{'' if happened else CENSORED}"


def spell_span(entry: float, time: float, *, happened: bool) -> str:
    """Return the label of a row that is seen from some time on.

    Examples
    --------
    >>> spell_span(5.0, 12.5, happened=False), spell_span(0.0, 30.0, happened=True)
    ('(5,12.5+]', '30')
    """
    text = spell_time(time, happened=happened)
    return f"({spell_time(entry, happened=True)},{text}]" if entry > 0 else text


def read_span(label: object) -> tuple[float, float, bool] | None:
    """Return from when on a row is seen, 0 if a label does not say it, and what `read_time` returns.

    Examples
    --------
    >>> read_span("(5,12.5+]"), read_span("30"), read_span("(5,5]")
    ((5.0, 12.5, False), (0.0, 30.0, True), None)
    """
    if not (isinstance(label, str) and (found := _SPAN.fullmatch(label.strip()))):
        said = _read_plain(label)
        return None if said is None else (0.0, *said)
    entry, said = _read_plain(found[1]), _read_plain(found[2])
    if entry is None or said is None or not entry[1] or not entry[0] < said[0]:
        return None
    return entry[0], *said


_SPAN = re.compile(r"\(([^,+]{1,40}),([^,]{1,40})\]")


def read_time(label: object) -> tuple[float, bool] | None:
    """Return the time that a label says, and whether it happened then; `None` if it says none.

    Examples
    --------
    >>> read_time("12.5+"), read_time(3), read_time({"time": 4, "event": False}), read_time("soon"), read_time("(5,9]")
    ((12.5, False), (3.0, True), (4.0, False), None, (9.0, True))
    """
    said = read_span(label)
    return None if said is None else said[1:]


def _read_plain(label: object) -> tuple[float, bool] | None:
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


def read_times(labels: Iterable[Any], *, name: str) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Return the times that labels say, whether it happened then, and from when on rows are seen, each of shape (n,)."""
    texts = list(labels)
    known = {text: read_span(text) for text in set(texts)}
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
    entries, times, happened = (
        zip(*(one for one in found if one is not None), strict=True) if found else ((), (), ())
    )
    return (
        np.array(times, dtype=np.float64),
        np.array(happened, dtype=np.bool_),
        np.array(entries, dtype=np.float64),
    )


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


def places_of(
    times: Floats, happened: npt.NDArray[np.bool_], grid: Floats, entries: Floats | None = None
) -> Places:
    """Return where times stand on a grid; complex numbers if rows are seen from some time on.

    Examples
    --------
    >>> places_of(np.array([5.0, 15.0, 40.0]), np.array([True, False, True]), np.array([10.0, 20.0])).tolist()
    [0.5, -1.5, 2.5]
    >>> places_of(np.array([15.0]), np.array([False]), np.array([10.0, 20.0]), np.array([5.0])).tolist()
    [(-1.5+0.5j)]
    """
    signed = np.copysign(_on_grid(times, grid), np.where(happened, 1.0, -1.0))
    if entries is None or not entries.any():
        return signed
    found = np.empty(len(signed), dtype=np.complex128)
    found.real, found.imag = signed, _on_grid(entries, grid)
    return found


def seen_in(places: Places) -> tuple[Floats, npt.NDArray[np.bool_], Floats]:
    """Return where rows were seen to, whether it happened there, and from where on they were seen, each of shape (n,)."""
    signed: Floats = np.real(places)
    entry: Floats = np.imag(places) if np.iscomplexobj(places) else np.zeros(len(places))
    return np.abs(signed), ~np.signbit(signed), entry


def _on_grid(times: Floats, grid: Floats) -> Floats:
    k = len(grid)
    inside = np.interp(times, [0.0, *grid], np.arange(k + 1))
    beyond = k + 1 - grid[-1] / np.maximum(times, grid[-1])
    return np.where(times > grid[-1], beyond, inside)


def times_at(places: Floats, grid: Floats) -> Floats:
    """Return the times at places from 0 to k of a grid."""
    return np.interp(places, np.arange(len(grid) + 1), [0.0, *grid])


def kaplan_meier(places: Places, weight: Floats, k: int) -> Floats:
    """Return the share that is left at each of `k` times, as Kaplan and Meier estimate it: shape (k,).

    Examples
    --------
    >>> kaplan_meier(np.array([0.5, -1.5, 1.5, 2.5]), np.ones(4), 2).tolist()
    [0.75, 0.5]
    """
    left, _ = kaplan_meier_with_error(places, weight, k)
    return left


def kaplan_meier_with_error(places: Places, weight: Floats, k: int) -> tuple[Floats, Floats]:
    """Return what `kaplan_meier` does, and the standard error of each share relative to the share (Greenwood), both of shape (k,)."""
    at, happened, entry = seen_in(places)
    moments, of = np.unique(at, return_inverse=True)
    gone = np.bincount(of, weights=weight * happened, minlength=len(moments))
    seen = _still_seen(moments, at, entry, weight)
    left = np.cumprod(1 - np.divide(gone, seen, out=np.zeros(len(moments)), where=seen > 0))
    spread = np.divide(gone, seen * (seen - gone), out=np.zeros(len(moments)), where=seen > gone)
    reached = np.searchsorted(moments, np.arange(1, k + 1), side="right")
    return np.concatenate([[1.0], left])[reached], np.sqrt(
        np.concatenate([[0.0], np.cumsum(spread)])[reached]
    )


def _still_seen(moments: Floats, at: Floats, entry: Floats, weight: Floats) -> Floats:
    """Return the weight of the rows that are seen at each moment: that came before it, and are there up to it at least."""
    last = np.bincount(np.searchsorted(moments, at), weights=weight, minlength=len(moments))
    seen: Floats = np.cumsum(last[::-1].astype(np.float64))[::-1]
    if not entry.any():
        return seen
    # A row that comes at a moment is seen from the next one on.
    first = np.where(entry > 0, np.searchsorted(moments, entry, side="right"), 0)
    comes = np.bincount(first, weights=weight, minlength=len(moments) + 1)
    return seen - (weight.sum() - np.cumsum(comes)[: len(moments)])


def share_seen(places: Places, asked: Floats) -> Floats:
    """Return the share of rows that would still be seen just before each of the asked places, had nothing happened.

    It is Kaplan's and Meier's estimate of the censoring, at least 0.05: one over it weights what was seen so that it stands for what
    was not.
    """
    at, happened, entry = seen_in(places)
    censored = ~happened
    moments, of = np.unique(at, return_inverse=True)
    hidden = np.bincount(of, weights=censored, minlength=len(moments))
    every = np.bincount(of, minlength=len(moments))
    # Of what happened and what was censored at one time, the former came first.
    seen = _still_seen(moments, at, entry, np.ones(len(at))) - (every - hidden)
    left = np.cumprod(1 - np.divide(hidden, seen, out=np.zeros(len(moments)), where=seen > 0))
    before = np.searchsorted(moments, asked, side="left")
    return np.maximum(np.concatenate([[1.0], left])[before], _SMALLEST_SHARE)


def brier_at_times(places: Places, left: Floats) -> Floats:
    """Return what each row adds to the Brier score at each time, weighted by the inverse probability of censoring [1]_.

    References
    ----------
    .. [1] E. Graf, C. Schmoor, W. Sauerbrei and M. Schumacher, Assessment and comparison of prognostic classification schemes for
       survival data, Statistics in Medicine 18 (1999), 2529-2545.

    Examples
    --------
    >>> brier_at_times(np.array([0.5, 1.5]), np.array([[0.2, 0.1], [0.9, 0.5]])).round(2).tolist()
    [[0.04, 0.01], [0.01, 0.25]]
    """
    to, there, since = seen_in(places)
    at, happened, entry = to[:, np.newaxis], there[:, np.newaxis], since[:, np.newaxis]
    horizons = np.arange(1, left.shape[1] + 1, dtype=np.float64)
    is_gone = happened & (at <= horizons)
    is_left = ~is_gone & (at >= horizons)
    of_gone = 1 / share_seen(places, at)
    of_left = 1 / share_seen(places, horizons)
    if entry.any():
        came = entry < horizons
        # Just behind the place: what is censored at the moment at which a row comes is not of its time.
        before = np.where(entry > 0, share_seen(places, np.nextafter(entry, np.inf)), 1.0)
        of_gone, of_left = np.minimum(of_gone * before, _MOST), np.minimum(of_left * before, _MOST)
        left = np.clip(left / np.maximum(_left_at(left, entry), _TINY), 0.0, 1.0)
        many = len(left) / np.maximum(came.sum(axis=0), 1)
        of_gone, of_left = of_gone * came * many, of_left * came * many
    return np.where(is_gone, of_gone * left**2, 0.0) + np.where(is_left, of_left * (1 - left) ** 2, 0.0)


def _left_at(left: Floats, places: Floats) -> Floats:
    """Return what each row has left at its own place, shape (n, 1)."""
    whole = np.concatenate([np.ones_like(left[:, :1]), left], axis=1)
    within = np.clip(places, 0.0, left.shape[1])
    low = np.minimum(within.astype(np.int64), left.shape[1] - 1)
    before, after = np.take_along_axis(whole, low, axis=1), np.take_along_axis(whole, low + 1, axis=1)
    return before + (after - before) * (within - low)


def expected_left(places: Places, left: Floats, weight: Floats) -> Floats:
    """Return what curves say is left of the rows that were seen, comparable with `kaplan_meier`: shape (k,).

    It is their mean, unless rows are seen from some time on: then the share that goes in each interval is that of the rows that were seen in it.

    Examples
    --------
    >>> expected_left(np.array([1.0, -2.0]), np.array([[0.8, 0.4], [0.6, 0.3]]), np.ones(2)).round(2).tolist()
    [0.7, 0.35]
    >>> expected_left(np.array([1 + 0j, -2 + 1j]), np.array([[0.8, 0.4], [0.6, 0.3]]), np.ones(2)).round(2).tolist()
    [0.8, 0.4]
    """
    at, _, entry = seen_in(places)
    if not entry.any():
        return weight @ left / weight.sum()
    before = np.concatenate([np.ones_like(left[:, :1]), left[:, :-1]], axis=1)
    goes = 1 - left / np.maximum(before, _TINY)
    number = np.arange(left.shape[1])
    seen = weight[:, np.newaxis] * ((entry[:, np.newaxis] < number + 1) & (at[:, np.newaxis] > number))
    return np.cumprod(1 - (seen * goes).sum(axis=0) / np.maximum(seen.sum(axis=0), _TINY))


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
