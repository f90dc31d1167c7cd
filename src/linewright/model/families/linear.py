"""Regularised linear models on a design that is computed from the same matrix as the trees read.

scikit-learn finds the coefficients; from then on the model is a table of numbers that our own code scores.
"""

import sys
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import ThreadpoolController

from linewright.model.facts import Task
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix, Valid, centre_and_scale

LEVELS_PER_COLUMN = 40
DESIGN_COLUMNS = 2_000
"""Most design columns that codes may take, all columns together."""
FIT_ROWS = 100_000
"""Most rows that coefficients are fitted on; more change little and cost memory."""
_CHUNK = 16_384
BEND, FAR = 3.0, 30.0
"""Scaled numbers are bent smoothly into (-3, 3); beyond 30 nothing changes any more."""
_HINGE_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
_LONG, _LONG_NUMBERS, _BEYOND = 6.0, 200, 2.0
"""A number has a long tail where one row's lies further from the median than so many spreads; where more than so many numbers do, none has a
straight column; and a straight column goes on to so many times the furthest of the rows that were learned from."""
_ABSENT = 20.0
"""A class without rows gets a margin this far below the lowest intercept: a probability of about 1e-9."""
_NEWTON_COEFFICIENTS = 500


class LongTail(msgspec.Struct, frozen=True, kw_only=True):
    """A number as it is, for one of long tails: bent, its largest values are all alike, and a label may grow with it."""

    place: int
    """In `LinearNative.numbers`."""
    least: float
    """Nothing changes below: some times as far away as the smallest scaled value of the rows that were learned from."""
    most: float
    factor: float
    """One over the standard deviation of the scaled values."""


class LinearNative(msgspec.Struct, frozen=True, kw_only=True, tag="linear", tag_field="family"):
    """A linear model as plain numbers.

    The design has, in this order: each column of `numbers`, scaled, bent and with 0 for missing; an indicator for each
    column of `missing`; a hinge ``max(0, value - knot)`` for each pair of `hinges`; an indicator for each pair of `levels`;
    and for each of `straight` its number, scaled but not bent, and with 0 for missing.
    """

    task: Task
    width: int
    numbers: tuple[int, ...]
    """Matrix columns."""
    centre: tuple[float, ...]
    """Medians of `numbers`, each a float32."""
    factor: tuple[float, ...]
    """One over the spread of `numbers`; 0 for constant columns."""
    missing: tuple[int, ...]
    """Matrix columns that had missing numbers."""
    hinges: tuple[tuple[int, float], ...]
    """Place in `numbers`, and knot on the bent scale."""
    levels: tuple[tuple[int, float], ...]
    """Matrix column and code."""
    coefficients: tuple[tuple[float, ...], ...]
    """One row an output (one for binary and regression), one number a design column."""
    intercept: tuple[float, ...]
    straight: tuple[LongTail, ...] = ()
    """Of the numbers that have long tails."""
    means: tuple[float, ...] = ()
    """Weighted mean of each design column over the rows that it was fitted on, against which an answer is
    explained."""

    @property
    def sources(self) -> tuple[int, ...]:
        """The matrix column of each design column."""
        hinged = (self.numbers[place] for place, _ in self.hinges)
        levels = (column for column, _ in self.levels)
        straight = (self.numbers[one.place] for one in self.straight)
        return (*self.numbers, *self.missing, *hinged, *levels, *straight)


def design(native: LinearNative, x: Matrix) -> Floats:
    """Return the design matrix of rows, shape (n, design columns)."""
    rows = x.astype(np.float64)
    numbers = rows[:, list(native.numbers)]
    whole = (numbers - np.asarray(native.centre)) * np.asarray(native.factor)
    scaled = np.clip(whole, -FAR, FAR)
    bent = np.where(np.isnan(numbers), 0.0, scaled / np.sqrt(1 + (scaled / BEND) ** 2))
    absent = np.isnan(rows[:, list(native.missing)]).astype(np.float64)
    hinged = np.maximum(0.0, bent[:, [i for i, _ in native.hinges]] - [knot for _, knot in native.hinges])
    codes = rows[:, [i for i, _ in native.levels]] == [code for _, code in native.levels]
    parts = [bent, absent, hinged, codes.astype(np.float64)]
    if native.straight:
        parts.append(_straight(native, whole))
    return np.concatenate(parts, axis=1)


def _straight(native: LinearNative, whole: Floats) -> Floats:
    least, most = [one.least for one in native.straight], [one.most for one in native.straight]
    held = np.clip(whole[:, [one.place for one in native.straight]], least, most)
    return np.nan_to_num(held, nan=0.0) * np.array([one.factor for one in native.straight])


class LinearFitted:
    """A fitted linear model; a `Fitted`."""

    def __init__(self, native: LinearNative) -> None:
        self.native = native
        self.rounds = 0

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,)."""
        coefficients, intercept = np.asarray(self.native.coefficients).T, np.asarray(self.native.intercept)
        parts = [design(self.native, part) @ coefficients + intercept for part in in_chunks(x)]
        margins = np.concatenate(parts) if parts else np.empty((0, len(intercept)))
        return link_of(self.native.task).to_scores(margins)

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return the places where a column's effect bends: its median, and where it stops growing."""
        ends = {one.place: (one.least, one.most) for one in self.native.straight}
        found: dict[int, npt.NDArray[np.float32]] = {}
        for place, (column, centre, factor) in enumerate(
            zip(self.native.numbers, self.native.centre, self.native.factor, strict=True)
        ):
            scaled = np.array([-FAR, 0.0, FAR, *ends.get(place, ())])
            found[column] = np.unique(
                (centre + (scaled / factor if factor else 0 * scaled)).astype(np.float32)
            )
        return found

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


def _designed(native: LinearNative, x: Matrix) -> Floats:
    """Return the design matrix of many rows; what it is made of on the way is held for a few of them at a time."""
    matrix = np.empty((len(x), len(native.sources)))
    for start in range(0, len(x), _CHUNK):
        matrix[start : start + _CHUNK] = design(native, x[start : start + _CHUNK])
    return matrix


def in_chunks(x: Matrix) -> Iterator[Matrix]:
    """Give the rows of a matrix in parts whose designs are small beside it."""
    return (x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK))


class Linear:
    """Ridge, logistic or multinomial regression; a `Trainer`.

    Settings: ``c``, the weight of the data against the penalty of half the squared coefficients; and ``hinges``,
    whether numbers get hinges at their 10, 30, 50, 70 and 90 % quantiles, or, those of long tails, a straight column each. `rounds` and `valid` are not used.
    """

    family = "linear"

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> LinearFitted:
        """Fit coefficients; see `Trainer.fit`."""
        del rounds, valid
        if len(x) > FIT_ROWS:
            taken = np.sort(np.random.default_rng(seed).choice(len(x), FIT_ROWS, replace=False))
            x, target, weight = x[taken], target[taken], weight[taken]
        blank = learn_design(x, weight, categorical, task, hinges=bool(settings.get("hinges")))
        with steady():
            matrix = _designed(blank, x)
            coefficients, intercept = solve(
                matrix, target, weight, task=task, classes=classes, c=settings["c"]
            )
        return LinearFitted(
            msgspec.structs.replace(
                blank,
                coefficients=tuple(tuple(row) for row in coefficients.tolist()),
                intercept=tuple(intercept.tolist()),
                means=tuple(np.average(matrix, axis=0, weights=weight).tolist()),
            )
        )


@contextmanager
def steady() -> Generator[None]:
    """Keep linear algebra on one thread, and quiet where the optimum is not met to the last digit.

    A bounded number of steps is part of the plan. Limits and warnings belong to the process: who fits in several threads
    holds this around all of them.
    """
    with _libraries(len(sys.modules)).limit(limits=1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield


@lru_cache(maxsize=1)
def _libraries(_: int) -> ThreadpoolController:
    """Return the loaded libraries that compute in threads, given how many modules are loaded: to look for them takes milliseconds."""
    return ThreadpoolController()


def learn_design(
    x: Matrix, weight: Floats, categorical: tuple[int, ...], task: Task, *, hinges: bool
) -> LinearNative:
    """Return a model without coefficients: what its design is made of."""
    numbers = tuple(i for i in range(x.shape[1]) if i not in set(categorical))
    scales = [_centre_and_factor(x[:, i], weight) for i in numbers]
    levels_each = min(LEVELS_PER_COLUMN, DESIGN_COLUMNS // max(1, len(categorical)))
    native = LinearNative(
        task=task,
        width=x.shape[1],
        numbers=numbers,
        centre=tuple(centre for centre, _ in scales),
        factor=tuple(factor for _, factor in scales),
        missing=tuple(i for i in numbers if np.isnan(x[:, i]).any()),
        hinges=(),
        levels=tuple((i, code) for i in categorical for code in _frequent(x[:, i], weight, levels_each)),
        coefficients=(),
        intercept=(),
    )
    if not hinges:
        return msgspec.structs.replace(native, straight=_long(native, x, weight))
    bent = _designed(native, x)[:, : len(numbers)]
    knots = [(i, knot) for i in range(len(numbers)) for knot in _knots(bent[:, i], weight)]
    return msgspec.structs.replace(native, hinges=tuple(knots))


def _centre_and_factor(values: npt.NDArray[np.float32], weight: Floats) -> tuple[float, float]:
    known = ~np.isnan(values)
    if not known.any():
        return 0.0, 0.0
    low, centre, high = _quantiles(values[known], weight[known], (0.25, 0.5, 0.75))
    spread = high - low if high > low else float(np.ptp(values[known].astype(np.float64))) / 2
    return centre, 1 / spread if spread > 0 else 0.0


def _long(native: LinearNative, x: Matrix, weight: Floats) -> tuple[LongTail, ...]:
    """Return the numbers that have long tails, as they are."""
    found: list[LongTail] = []
    for place, (column, centre, factor) in enumerate(
        zip(native.numbers, native.centre, native.factor, strict=True)
    ):
        known = ~np.isnan(x[:, column])
        scaled = (x[known, column].astype(np.float64) - centre) * factor
        if len(scaled) and np.abs(scaled).max() > _LONG:
            _, deviation = centre_and_scale(scaled, weight[known])
            least, most = _BEYOND * float(scaled.min()), _BEYOND * float(scaled.max())
            found.append(LongTail(place=place, least=least, most=most, factor=1 / deviation))
    return tuple(found) if len(found) <= _LONG_NUMBERS else ()


def _quantiles(values: npt.NDArray[Any], weight: Floats, shares: tuple[float, ...]) -> list[float]:
    """Smallest values that at least these shares of the weight do not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    places = np.searchsorted(reached, np.asarray(shares) * reached[-1])
    return [float(values[order[min(place, len(order) - 1)]]) for place in places]


def _knots(bent: Floats, weight: Floats) -> list[float]:
    lowest, highest = bent.min(), bent.max()
    knots = sorted(set(_quantiles(bent, weight, _HINGE_QUANTILES)))
    return [knot for knot in knots if lowest < knot < highest]


def _frequent(codes: npt.NDArray[np.float32], weight: Floats, most: int) -> list[float]:
    levels, places = np.unique(codes, return_inverse=True)
    mass = np.bincount(places, weights=weight)
    order = np.lexsort((levels, -mass))[:most]
    return sorted(float(level) for level in levels[order])


def solve(
    matrix: Floats, target: npt.NDArray[Any], weight: Floats, *, task: Task, classes: int, c: float
) -> tuple[Floats, Floats]:
    """Return the coefficients of a design, shape (outputs, design columns), and the intercepts; `steady` is held around it."""
    link = link_of(task)
    if link.is_class:
        return _logistic(matrix, target, weight, c, link.outputs(classes))
    return _ridge(matrix, target, weight, c)


def _ridge(matrix: Floats, target: npt.NDArray[Any], weight: Floats, c: float) -> tuple[Floats, Floats]:
    offset, scale = centre_and_scale(target, weight)
    model = Ridge(alpha=1 / c, solver="cholesky").fit(matrix, (target - offset) / scale, sample_weight=weight)
    intercept = offset + scale * float(model.intercept_)
    return scale * np.asarray(model.coef_, dtype=np.float64).reshape(1, -1), np.array([intercept])


def _logistic(
    matrix: Floats, target: npt.NDArray[Any], weight: Floats, c: float, lines: int
) -> tuple[Floats, Floats]:
    seen = np.unique(target)
    few = matrix.shape[1] * len(seen) <= _NEWTON_COEFFICIENTS
    model = LogisticRegression(C=c, solver="newton-cholesky" if few else "lbfgs", max_iter=300, tol=1e-5)
    model.fit(matrix, target, sample_weight=weight)
    found, base = np.asarray(model.coef_, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
    if lines in (1, len(found)):
        return found, base
    if len(seen) == 2:
        # Two of several classes: scikit-learn gives one row of log-odds, the first class stands at 0.
        found, base = np.vstack([0 * found, found]), np.array([0.0, base[0]])
    coefficients = np.zeros((lines, matrix.shape[1]))
    intercept = np.full(lines, base.min() - _ABSENT)
    coefficients[seen], intercept[seen] = found, base
    return coefficients, intercept
