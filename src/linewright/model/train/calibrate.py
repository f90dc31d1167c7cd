"""Learn from out-of-fold scores how raw scores become probabilities.

Every candidate is judged on rows that it was not fitted on, and the simplest that is as good as the best wins. Rows
that the folds keep together stay together, and where the folds go forward in time, so does the judging. What comes out
is plain data; `model.package.model.calibrate` applies it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from linewright.model.facts import Calibration, CalibrationMethod, Task
from linewright.model.families.hazard import by_interval, moves
from linewright.model.package.model import calibrate, log_odds
from linewright.model.tasks import task
from linewright.model.tasks.links import HAZARD, Floats
from linewright.model.tasks.prediction_interval import ends_of_labels

Codes = npt.NDArray[np.int64]
Fit = Callable[[Floats, Codes, Floats], Calibration]

ISOTONIC_ROWS = 1_000
"""Fewest rows of each class from which a curve of any rising form is learned."""
POINTS = 256
"""Most points of that curve."""
STEEPEST = 50.0
"""Largest slope of that curve. Served scores are float32; a steeper curve would make their rounding visible."""
CLIP = 1e-6
"""Calibrated probabilities of the curve stay this far from 0 and 1."""

_PARTS = 5
_FEWEST = 10
"""With fewer rows of a class, nothing is learned."""
_STEPS = 100


def fit_calibration(
    scores: Floats,
    target: npt.NDArray[Any],
    weight: Floats,
    *,
    kind: Task,
    seed: int,
    parts: Codes | None = None,
    is_forward: bool = False,
) -> Calibration:
    """Choose and fit a calibration.

    Examples
    --------
    Scores that are too sure in January and too timid in February say nothing of March.

    >>> chance = np.random.default_rng(0)
    >>> honest = chance.random(4_000)
    >>> target = (chance.random(4_000) < honest).astype(np.int64)
    >>> month = np.repeat([0, 1], 2_000)
    >>> odds = (honest / (1 - honest)) ** np.where(month == 0, 2.0, 0.5)
    >>> scores, weight = np.column_stack([1 / (1 + odds), odds / (1 + odds)]), np.ones(4_000)
    >>> fit_calibration(scores, target, weight, kind="binary", seed=0, parts=month, is_forward=True).method
    'none'
    """
    if "clip" in task(kind).calibrations:
        return _clipped(scores, target, weight)
    if "hazard" in task(kind).calibrations:
        return fit_hazard(scores, target, weight)
    candidates = _candidates(target, kind)
    if not candidates:
        return Calibration()
    if parts is None or len(np.unique(parts)) < 2:
        if is_forward:
            return Calibration()
        parts = _dealt(target, seed)
    row_loss = task(kind).row_loss
    chosen: Fit | None = None
    lowest = row_loss(target, scores)
    for fit in candidates:
        calibrated, is_judged = _cross_fitted(fit, scores, target, weight, parts, is_forward=is_forward)
        if not weight[is_judged].any():
            continue
        loss = row_loss(target, calibrated)
        share = np.where(is_judged, weight, 0.0) / weight[is_judged].sum()
        less = lowest - loss
        gain = float(share @ less)
        apart = share * (less - gain)
        error = _error_of_parts(apart[is_judged], parts[is_judged]) if is_forward else np.sqrt(apart @ apart)
        if gain > error:
            chosen, lowest = fit, loss
    return chosen(scores, target, weight) if chosen else Calibration()


def fit_hazard(scores: Floats, target: Floats, weight: Floats) -> Calibration:
    """Fit to each interval a number that its log-odds of going are moved by, so that as many go as went.

    Examples
    --------
    Half went in the only interval, and a quarter was said to.

    >>> places = np.array([0.5, 1.5] * 500)
    >>> found = fit_hazard(np.full((1000, 1), 0.75), places, np.ones(1000))
    >>> calibrate(found, np.array([[0.75]])).round(2).tolist()
    [[0.5]]
    """
    k = scores.shape[1]
    row = np.arange(len(scores), dtype=np.float32)[:, np.newaxis]
    rows, went, mass = by_interval(row, target, weight, k)
    interval = rows[:, 1].astype(np.int64)
    margins = HAZARD.to_margins(scores)[rows[:, 0].astype(np.int64), interval]
    moved = moves(margins, went, mass, interval=interval, intervals=k)
    return Calibration(method="hazard", parameters=moved)


def _error_of_parts(apart: Floats, parts: Codes) -> float:
    """Return the standard error of a mean from how far the parts are apart from it; one part alone says nothing."""
    each = np.bincount(np.unique(parts, return_inverse=True)[1], weights=apart)
    return float(np.sqrt(each @ each * len(each) / (len(each) - 1))) if len(each) > 1 else np.inf


def goes_forward(folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]) -> bool:
    """Return whether no fold learns from rows that it or a later one judges, as forward chaining in time does.

    Examples
    --------
    >>> first, second, third = np.array([0, 1]), np.array([2, 3]), np.array([4])
    >>> goes_forward([(first, second), (np.arange(4), third)])
    True
    >>> goes_forward([(np.array([2, 3]), first), (first, np.array([2, 3]))])
    False
    """
    is_judged = np.zeros(
        1 + max(int(rows.max(initial=-1)) for fold in folds for rows in fold), dtype=np.bool_
    )
    for taken, held in reversed(folds):
        is_judged[held] = True
        if is_judged[taken].any():
            return False
    return True


def _clipped(scores: Floats, target: npt.NDArray[Any], weight: Floats) -> Calibration:
    least, most = ends_of_labels(target[weight > 0])
    low = None if least is None or scores.min() >= least else least
    high = None if most is None or scores.max() <= most else most
    return Calibration() if low is high is None else Calibration(method="clip", least=low, most=high)


def _candidates(target: Codes, kind: Task) -> list[Fit]:
    counts = np.unique(target, return_counts=True)[1]
    rarest = int(counts.min())
    if len(counts) < 2 or rarest < _FEWEST:
        return []
    fits = [fit for method in task(kind).calibrations if (fit := _FITS.get(method)) is not None]
    return fits if rarest >= ISOTONIC_ROWS else [fit for fit in fits if fit is not fit_isotonic]


def _dealt(target: Codes, seed: int) -> Codes:
    """Part rows by chance. Classes are dealt out evenly, so that each part has some of each."""
    part = np.empty(len(target), dtype=np.int64)
    order = np.lexsort((np.random.default_rng(seed).random(len(target)), target))
    part[order] = np.arange(len(target)) % _PARTS
    return part


def _cross_fitted(
    fit: Fit, scores: Floats, target: Codes, weight: Floats, parts: Codes, *, is_forward: bool
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return the scores of each part, calibrated by the others or by those before it, and which rows these are."""
    result, is_judged = scores.copy(), np.zeros(len(target), dtype=np.bool_)
    classes = len(np.unique(target))
    for k in np.unique(parts):
        these, others = parts == k, parts < k if is_forward else parts != k
        if len(np.unique(target[others])) == classes:
            result[these] = calibrate(fit(scores[others], target[others], weight[others]), scores[these])
            is_judged |= these
    return result, is_judged


def fit_sigmoid(scores: Floats, target: Codes, weight: Floats) -> Calibration:
    """Fit p' = 1 / (1 + exp(-(a * logit(p) + b))) by maximum likelihood, with Platt's softened targets [1]_.

    Without a rising fit (a above 0) nothing is calibrated.

    References
    ----------
    .. [1] J. Platt, Probabilistic outputs for support vector machines and comparisons to regularized likelihood
       methods, Advances in Large Margin Classifiers (1999), 61-74.
    """
    z = log_odds(scores)
    positive, total = float(weight @ target), float(weight.sum())
    soft = np.where(target == 1, (positive + 1) / (positive + 2), 1 / (total - positive + 2))
    features = np.column_stack([z, np.ones_like(z)])
    found = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        step = _newton_step(features, soft, weight, found)
        found = found + step
        if np.abs(step).max() < 1e-10:
            break
    fitted = Calibration(method="sigmoid", parameters=(float(found[0]), float(found[1])))
    return fitted if np.isfinite(found).all() and found[0] > 0 else Calibration()


def _newton_step(features: Floats, soft: Floats, weight: Floats, at: Floats) -> Floats:
    p = 1 / (1 + np.exp(-np.clip(features @ at, -500, 500)))
    slope = features.T @ (weight * (soft - p))
    bend = (features * (weight * p * (1 - p))[:, np.newaxis]).T @ features + 1e-9 * np.eye(2)
    step: Floats = np.linalg.solve(bend, slope).astype(np.float64)
    # Far from the optimum a full step may overshoot.
    return step / max(1.0, float(np.abs(step).max()))


def fit_isotonic(scores: Floats, target: Codes, weight: Floats) -> Calibration:
    """Fit a rising curve of straight pieces: at most `POINTS` points, no steeper than `STEEPEST`."""
    order = np.argsort(scores[:, 1], kind="stable")
    x, y, w = scores[order, 1], target[order].astype(np.float64), weight[order]
    x, y, w = _grouped(_bins(x, w), x, y, w)
    rising = isotonic_regression(y, weights=w)
    block = np.repeat(np.arange(len(rising.blocks) - 1), np.diff(rising.blocks))
    x, y, w = _not_too_steep(*_grouped(block, x, y, w))
    return Calibration(method="isotonic", x=tuple(x.tolist()), y=tuple(np.clip(y, CLIP, 1 - CLIP).tolist()))


def _bins(x: Floats, w: Floats) -> Codes:
    """Return the bin that each of the ascending rows falls into: about equal weight each, equal values together."""
    reached = (np.cumsum(w) - w / 2) / w.sum()
    firsts = np.searchsorted(x, x, side="left")
    return np.minimum((reached[firsts] * POINTS).astype(np.int64), POINTS - 1)


def _grouped(group: Codes, x: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """Return weighted means of x and y in each group, and the groups' weights; groups without weight fall away."""
    mass = np.bincount(group, weights=w).astype(np.float64)
    used = mass > 0
    means = [np.bincount(group, weights=w * values)[used] / mass[used] for values in (x, y)]
    return means[0], means[1], mass[used]


def _not_too_steep(x: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    while len(x) > 1:
        steep = np.flatnonzero(np.diff(y) > STEEPEST * np.diff(x))
        if not len(steep):
            break
        group = np.arange(len(x)) - (np.arange(len(x)) > steep[0])
        x, y, w = _grouped(group, x, y, w)
    return x, y, w


def fit_temperature(scores: Floats, target: Codes, weight: Floats) -> Calibration:
    """Fit softmax(log(p) / t) by maximum likelihood, t in [0.05, 20] [1]_.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Weinberger, On calibration of modern neural networks, ICML (2017).
    """
    z = np.log(np.maximum(scores, 1e-30))
    z = z - z.max(axis=1, keepdims=True)
    rows = np.arange(len(target))
    inverse = 1.0
    for _ in range(_STEPS):
        p = np.exp(inverse * z)
        p /= p.sum(axis=1, keepdims=True)
        mean = (p * z).sum(axis=1)
        slope = float(weight @ (z[rows, target] - mean))
        bend = float(weight @ ((p * z**2).sum(axis=1) - mean**2))
        # The log-likelihood is concave in 1/t; the bounds also tame a step that overshoots.
        after = float(
            np.clip(inverse + slope / max(bend, 1e-12), max(0.05, inverse / 2), min(20.0, inverse * 2))
        )
        if abs(after - inverse) < 1e-10:
            break
        inverse = after
    return Calibration(method="temperature", parameters=(1 / inverse,))


_FITS: Mapping[CalibrationMethod, Fit] = {
    "sigmoid": fit_sigmoid,
    "isotonic": fit_isotonic,
    "temperature": fit_temperature,
}
