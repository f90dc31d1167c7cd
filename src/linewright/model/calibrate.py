"""Learn from out-of-fold scores how raw scores become probabilities.

Every candidate is judged on rows that it was not fitted on, and the simplest that is as good as the best wins. What
comes out is plain data; `model.package.calibrate` applies it.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from linewright.model.facts import Calibration, Task
from linewright.model.margins import Floats
from linewright.model.package import calibrate, log_odds
from linewright.model.tasks import task

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


def fit_calibration(scores: Floats, target: Codes, weight: Floats, *, kind: Task, seed: int) -> Calibration:
    """Choose and fit a calibration.

    Parameters
    ----------
    scores : float64 array, shape (n, classes)
        Out-of-fold probabilities, raw. For regression, anything.
    target : int64 array, shape (n,)
        Class codes.
    weight : float64 array, shape (n,), at least 0
    kind
        The task.
    seed
        Parts the rows for the comparison of candidates.

    Returns
    -------
    Calibration
        Binary: none, sigmoid or, with at least `ISOTONIC_ROWS` rows of each class, isotonic. Multiclass: none or
        temperature. A candidate displaces a simpler one only if its cross-validated log-loss is lower by more than the
        standard error of the difference.
    """
    candidates = _candidates(target, kind)
    if not candidates:
        return Calibration()
    row_loss = task(kind).row_loss
    chosen: Fit | None = None
    lowest = row_loss(target, scores)
    share = weight / weight.sum()
    for fit in candidates:
        loss = row_loss(target, _cross_fitted(fit, scores, target, weight, seed))
        less = lowest - loss
        gain = float(share @ less)
        if gain > float(np.sqrt(np.sum((share * (less - gain)) ** 2))):
            chosen, lowest = fit, loss
    return chosen(scores, target, weight) if chosen else Calibration()


def _candidates(target: Codes, kind: Task) -> list[Fit]:
    if kind == "regression":
        return []
    counts = np.unique(target, return_counts=True)[1]
    rarest = int(counts.min())
    if len(counts) < 2 or rarest < _FEWEST:
        return []
    if kind == "multiclass":
        return [fit_temperature]
    return [fit_sigmoid, fit_isotonic] if rarest >= ISOTONIC_ROWS else [fit_sigmoid]


def _cross_fitted(fit: Fit, scores: Floats, target: Codes, weight: Floats, seed: int) -> Floats:
    part = np.empty(len(target), dtype=np.int64)
    # Classes are dealt out evenly, so that each part has some of each.
    order = np.lexsort((np.random.default_rng(seed).random(len(target)), target))
    part[order] = np.arange(len(target)) % _PARTS
    result = np.empty_like(scores)
    for k in range(_PARTS):
        others, these = part != k, part == k
        result[these] = calibrate(fit(scores[others], target[others], weight[others]), scores[these])
    return result


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
