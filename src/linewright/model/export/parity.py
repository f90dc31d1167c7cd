"""Prove on hard rows that a package answers as the library that trained its model does."""

from collections.abc import Iterator, Mapping
from itertools import chain

import numpy as np
import numpy.typing as npt

from linewright.errors import SpecError, Terminal
from linewright.model.facts import Parity
from linewright.model.families.anomaly.fitted import OddityFitted
from linewright.model.families.onnx_model import WholeFitted
from linewright.model.families.reference_outputs import unit_of
from linewright.model.families.trainer import Fitted
from linewright.model.families.tree_arrays import GrownFitted
from linewright.model.package.model import Model, calibrate
from linewright.model.tasks import task
from linewright.model.tasks.links import Floats, Matrix

ALLOWED = 1e-5
"""Largest allowed difference in a probability; for regression, relative to the spread of the predictions."""

CUTS = 2_000
"""Most cuts (thresholds of trees, bends of linear models) that are probed; each gives three rows."""

_ALONE = 16
_MISSING_SHARE, _UNSEEN_SHARE = 0.3, 0.5
_UNSEEN, _MISSING = 0.0, 1.0
_SMALLEST_SPREAD = 0.01
"""Relative to the largest prediction: answers are float32, so a smaller spread could not be told to 1e-5 of itself."""


def parity(native: Fitted, model: Model, *, x: Matrix, seed: int) -> Parity:
    """Compare the calibrated scores of a fitted model with those of its package.

    Notes
    -----
    Rows: those held out as they are; one by one (a runtime may compute a single row by other code); with values set
    missing; with codes of levels that were not seen; those that the library of an estimator was asked about itself; and with one number put exactly on, just above and just below a
    place where the model's answer jumps.
    """
    if not len(x):
        raise SpecError("no held-out rows to compare the package on", hint="widen `train.split.test`")
    package, rules = model.package, task(model.package.task)
    own = package.calibration
    unit = 1.0 if package.classes else _spread(native.scores(x))
    rows, flips, largest, worst = 0, 0, 0.0, ""
    asked = _probes(native, x, package.encoder.categorical, refused_by(native), seed)
    said = ((kind, probes, native.scores(probes)) for kind, probes in asked)
    for kind, probes, raw in chain(said, _witnessed(native)):
        expected = calibrate(own, raw)
        found = _one_by_one(model, probes) if kind == "single" else model.scores(probes)
        largest_unit = unit if package.classes or kind != "witnessed" else max(unit, unit_of(expected))
        difference = float(np.abs(found - expected).max() / largest_unit)
        if rules.is_class:
            decisions = [rules.decide(scores, package.threshold) for scores in (expected, found)]
            clear = _is_clear(expected, package.threshold)
            flips += int(np.sum(clear & (decisions[0] != decisions[1])))
        rows += len(probes)
        if difference > largest:
            largest, worst = difference, kind
    if largest > ALLOWED or flips:
        raise Terminal(
            "the package does not answer as the trained model does",
            where=f"package {model.digest}",
            found=f"a difference of {largest:.3g} in {worst} rows, and {flips} other decisions, in {rows:,} rows",
            allowed=f"{ALLOWED:g} and none",
            hint="report this with the line file; the previous champion serves on",
            details={"largest": largest, "rows": rows, "flips": flips, "kind": worst},
        )
    return Parity(package=model.digest, rows=rows, largest=largest, allowed=ALLOWED, flips=flips)


def refused_by(native: Fitted) -> tuple[int, ...]:
    """Return the columns of the matrix without whose number a model does not answer."""
    if isinstance(native, OddityFitted):
        return native.refuses
    return native.native.refuses if isinstance(native, GrownFitted | WholeFitted) else ()


def _witnessed(native: Fitted) -> list[tuple[str, Matrix, Floats]]:
    """Return what the library of an estimator answered to a few rows."""
    if not isinstance(native, GrownFitted | WholeFitted) or native.native.witness is None:
        return []
    return [("witnessed", *native.native.witness.read(native.native.width))]


def _spread(predictions: Floats) -> float:
    smallest = _SMALLEST_SPREAD * float(np.abs(predictions).max())
    return max(float(predictions.std()), smallest) or 1.0


def _one_by_one(model: Model, x: Matrix) -> Floats:
    return np.concatenate([model.scores(x[i : i + 1]) for i in range(len(x))])


def _is_clear(scores: Floats, threshold: float | None) -> npt.NDArray[np.bool_]:
    """Whether a row is further from a change of decision than scores may differ."""
    if threshold is not None:
        return np.abs(scores[:, 1] - threshold) > ALLOWED
    ordered = np.sort(scores, axis=1)
    return ordered[:, -1] - ordered[:, -2] > 2 * ALLOWED


def _probes(
    native: Fitted, x: Matrix, categorical: tuple[int, ...], refuses: tuple[int, ...], seed: int
) -> Iterator[tuple[str, Matrix]]:
    chance = np.random.default_rng(seed)
    codes = np.isin(np.arange(x.shape[1]), categorical)
    yield "held-out", x
    yield "single", x[:_ALONE]
    hidden = chance.random(x.shape) < _MISSING_SHARE
    hidden[:, list(refuses)] = False
    yield "missing-value", np.where(hidden, np.where(codes, _MISSING, np.nan), x).astype(np.float32)
    if categorical:
        unseen = codes & (chance.random(x.shape) < _UNSEEN_SHARE)
        yield "unseen-category", np.where(unseen, np.float32(_UNSEEN), x)
    beside = _beside_cuts(native.cuts(), x, chance)
    if len(beside):
        yield "threshold", beside


def _beside_cuts(
    cuts: Mapping[int, npt.NDArray[np.float32]], x: Matrix, chance: np.random.Generator
) -> Matrix:
    columns = np.repeat(np.fromiter(cuts, dtype=np.int64), [len(values) for values in cuts.values()])
    values = np.concatenate([np.empty(0, np.float32), *cuts.values()])
    taken = chance.permutation(len(values))[:CUTS]
    columns, values = np.tile(columns[taken], 3), values[taken]
    ends = np.float32(np.inf)
    with np.errstate(over="ignore"):  # beside the largest number lies infinity, which is dropped below
        placed = np.concatenate([values, np.nextafter(values, ends), np.nextafter(values, -ends)])
    rows = x[chance.integers(len(x), size=len(placed))].copy()
    rows[np.arange(len(placed)), columns] = placed
    return rows[np.isfinite(placed)]
