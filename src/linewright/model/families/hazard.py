"""Times by what any family learns of two classes: of each row and each interval of time, whether it happens in it.

A row becomes one row for each interval that it was seen in, with the interval as one more column. What a family says of these is the
hazard: the chance that it happens in the interval, if it has not before. A row that was censored in the middle of an interval counts
there by the share of it in which it was seen, so it is never taken for one that survived it.

The fitted model reads the interval from its column; what is exported has none. For each interval its splits are decided and its
coefficient is a number, so that the model is one of several outputs like any other: equal in answers, and explained like one.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.fitted import Fitted
from linewright.model.families.forest import Flags, Forest, Ints, fused, trees_in
from linewright.model.families.lightgbm import BoostedFitted
from linewright.model.families.linear import LinearFitted, LinearNative
from linewright.model.families.xgboost import XGBoostFitted
from linewright.model.tasks.censoring import seen_in
from linewright.model.tasks.links import HAZARD, LOGISTIC, Floats, Matrix, Valid

Binary = BoostedFitted | LinearFitted | XGBoostFitted
"""What says of an interval whether it happens in it."""
_SHORTEST = 1e-3
"""A row that was seen in a smaller share of an interval says nothing of it."""
_FEWEST_HAPPENED = 2.0
"""Of a leaf: about so many rows in which it happened."""
_STEPS, _NEAR = 100, 1e-10


class HazardNative(msgspec.Struct, frozen=True, kw_only=True, tag="hazard", tag_field="family"):
    """A model of hazards as plain data."""

    task: Task
    width: int
    """Columns of the matrix that it reads, without that of the interval."""
    intervals: int
    binary: msgspec.Raw
    """The native model of two classes, of one column more."""
    moved: tuple[float, ...]
    """What is added to its log-odds in each interval, see `moves`."""


class HazardFitted:
    """A model of two classes that scores each interval; a `Fitted`."""

    def __init__(self, native: HazardNative, binary: Fitted) -> None:
        if (
            native.intervals != len(native.moved)
            or not native.moved
            or binary.native.width != native.width + 1
            or not isinstance(binary, Binary)
        ):
            raise Corrupt("not a model of hazards: its parts do not fit together", where="native model")
        self.native, self.binary = native, binary
        self.rounds = binary.rounds

    def scores(self, x: Matrix) -> Floats:
        """Return what is left at the end of each interval, shape (n, intervals)."""
        k = self.native.intervals
        of_each = LOGISTIC.to_margins(self.binary.scores(_each_interval(x, k)))
        return HAZARD.to_scores(of_each.reshape(len(x), k) + self.native.moved)

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return the cuts of the columns but that of the interval."""
        cuts = self.binary.cuts()
        return {column: values for column, values in cuts.items() if column < self.native.width}

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)

    def forest(self) -> Forest:
        """Return the trees of each interval, an output each; their sums are the margins. Not for linear models."""
        if isinstance(self.binary, LinearFitted):
            raise Corrupt("a linear model of hazards has no trees", where="native model")
        forest, k = self.binary.forest(), self.native.intervals
        parts = [_at_interval(forest, self.native.width, number, k) for number in range(k)]
        forest = fused([(one, 1.0) for one in parts])
        return replace(forest, offset=forest.offset + self.native.moved)

    def linear(self) -> LinearFitted | None:
        """Return the linear model with an output for each interval; `None` of trees."""
        if not isinstance(self.binary, LinearFitted):
            return None
        return LinearFitted(_by_interval(self.binary.native, self.native))


class Hazard:
    """Fits a family of models of two classes to rows and intervals; a `Trainer` if the link is `HAZARD`."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.family: str = trainer.family

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
    ) -> HazardFitted:
        """Fit hazards; see `Trainer.fit`. Targets are places on the grid of times (`model.tasks.censoring`)."""
        rows, happens, mass = by_interval(x, target, weight, classes)
        is_linear = self.family == "linear"
        taught, answers, counts = _of_two_classes(rows, happens, mass)
        binary = self._trainer.fit(
            taught,
            answers,
            counts / counts.mean(),
            # A linear model has a coefficient for each interval; trees cut where they see fit.
            categorical=(*categorical, x.shape[1]) if is_linear else categorical,
            task=LOGISTIC.native,
            classes=2,
            rounds=rounds,
            valid=None if valid is None else by_interval(*valid, classes),
            seed=seed,
            settings=_of_intervals(settings, len(rows) / len(x)),
        )
        margins = LOGISTIC.to_margins(binary.scores(rows))
        native = HazardNative(
            task=task,
            width=x.shape[1],
            intervals=classes,
            binary=msgspec.Raw(binary.to_native()),
            moved=moves(margins, happens, mass, interval=rows[:, -1].astype(np.int64), intervals=classes),
        )
        return HazardFitted(native, binary)


def _of_two_classes(
    rows: Matrix, happens: npt.NDArray[np.int64], mass: Floats
) -> tuple[Matrix, npt.NDArray[np.int64], Floats]:
    """Return rows of two classes; where all are of one, half a row of the other is spread over all of them.

    It is so in the early rows of a table in which it happens late. What is learned then is the same small hazard for all.
    """
    if len(np.unique(happens)) > 1:
        return rows, happens, mass
    spread = np.full(len(rows), 0.5 * mass.mean() / len(rows))
    return np.tile(rows, (2, 1)), np.append(happens, 1 - happens), np.append(mass, spread)


def _of_intervals(settings: Mapping[str, Any], times: float) -> dict[str, Any]:
    """Return settings in which a leaf needs as many rows as before they became so many times as many, and rows in which it happened."""
    fewest = "min_data_in_leaf"
    if fewest not in settings:
        return dict(settings)
    return {
        **settings,
        fewest: math.ceil(times * settings[fewest]),
        "min_sum_hessian_in_leaf": _FEWEST_HAPPENED,
    }


def by_interval(
    x: Matrix, places: npt.NDArray[Any], weight: Floats, intervals: int
) -> tuple[Matrix, npt.NDArray[np.int64], Floats]:
    """Return a row for each row and interval that it was seen in, whether it happened in it, and what that counts.

    Examples
    --------
    Of two intervals the first row survived one and went in the other, the second was seen in half of the first.

    >>> rows, happens, mass = by_interval(np.zeros((2, 1), np.float32), np.array([1.5, -0.5]), np.ones(2), 2)
    >>> rows.tolist(), happens.tolist(), mass.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], [0, 1, 0], [1.0, 1.0, 0.5])

    One that came in the middle of the first.

    >>> by_interval(np.zeros((1, 1), np.float32), np.array([-2 + 0.5j]), np.ones(1), 2)[2].tolist()
    [0.5, 1.0]
    """
    to, there, since = seen_in(places)
    at, happened, entry = to[:, np.newaxis], there[:, np.newaxis], since[:, np.newaxis]
    number = np.arange(intervals)
    # It happens in the interval whose end is the first not before it.
    happens = happened & (np.maximum(np.ceil(at) - 1, 0) == number)
    # The interval in which it happens counts whole, even if that was in its middle. Before a row came it survived nothing.
    seen = np.where(happens, 1.0, np.clip(at - number, 0.0, 1.0) - np.clip(entry - number, 0.0, 1.0))
    row, interval = np.nonzero(seen > _SHORTEST)
    rows = np.column_stack([x[row], interval.astype(np.float32)])
    return rows, happens[row, interval].astype(np.int64), weight[row] * seen[row, interval]


def moves(
    margins: Floats, happens: npt.NDArray[np.int64], mass: Floats, *, interval: Ints, intervals: int
) -> tuple[float, ...]:
    """Return what log-odds are moved by in each interval, so that as many go in it as went.

    Penalties draw what is said of late intervals, in which few rows are left, to what is said of all. Where few went it stays near 0: the fit is
    by maximum likelihood less half of its square.

    Examples
    --------
    Half went in the only interval, and a quarter was said to.

    >>> moved = moves(np.full(1000, np.log(1 / 3)), np.tile([0, 1], 500), np.ones(1000),
    ...     interval=np.zeros(1000, dtype=int), intervals=1)
    >>> np.round(moved, 2).tolist(), np.log([3]).round(2).tolist()
    ([1.09], [1.1])
    """
    moved = np.zeros(intervals)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(margins + moved[interval], -500, 500)))
        slope = np.bincount(interval, weights=mass * (happens - p), minlength=intervals) - moved
        bend = np.bincount(interval, weights=mass * p * (1 - p), minlength=intervals) + 1.0
        step = np.clip(slope / bend, -1.0, 1.0)
        moved = moved + step
        if np.abs(step).max() < _NEAR:
            break
    return tuple(moved.tolist())


def _each_interval(x: Matrix, intervals: int) -> Matrix:
    number = np.tile(np.arange(intervals, dtype=np.float32), len(x))
    return np.column_stack([np.repeat(x, intervals, axis=0), number])


def _at_interval(forest: Forest, column: int, number: int, intervals: int) -> Forest:
    """Return the trees as they are in one interval: splits on its column are decided, and what no row reaches is left out."""
    by_time = (forest.yes >= 0) & (forest.column == column)
    by_time[list(forest.codes)] &= forest.column[list(forest.codes)] != column
    next_one = np.where(number <= forest.at_most, forest.yes, forest.no)
    stands_for = np.arange(len(forest.tree))
    while (moved := by_time[stands_for]).any():
        stands_for = np.where(moved, next_one[stands_for], stands_for)
    splits = forest.yes >= 0
    yes = np.where(splits, stands_for[forest.yes], -1)
    no = np.where(splits, stands_for[forest.no], -1)
    roots = stands_for[np.searchsorted(forest.tree, np.arange(trees_in(forest)))]
    kept, levels = _reached(roots, yes, no)
    place = np.full(len(forest.tree), -1)
    place[kept] = np.arange(len(kept))

    def moved_to(nodes: Ints) -> Ints:
        return np.where(nodes < 0, -1, place[nodes])

    return Forest(
        tree=forest.tree[kept],
        yes=moved_to(yes[kept]),
        no=moved_to(no[kept]),
        column=forest.column[kept],
        at_most=forest.at_most[kept],
        codes=MappingProxyType(
            {int(place[split]): codes for split, codes in forest.codes.items() if place[split] >= 0}
        ),
        missing_is_yes=forest.missing_is_yes[kept],
        rows=_rows_below(forest.rows, yes, no, levels)[kept],
        value=forest.value[kept],
        output=np.full(len(kept), number),
        offset=forest.offset[0] * (np.arange(intervals) == number),
    )


def _reached(roots: Ints, yes: Ints, no: Ints) -> tuple[Ints, list[Ints]]:
    """Return the nodes below roots, ascending, with each root before what is below it; and by level, the deepest last."""
    reached: Flags = np.zeros(len(yes), dtype=np.bool_)
    levels: list[Ints] = []
    here = roots
    while len(here):
        reached[here] = True
        levels.append(here)
        here = here[yes[here] >= 0]
        here = np.concatenate([yes[here], no[here]])
    return np.flatnonzero(reached), levels


def _rows_below(rows: Floats, yes: Ints, no: Ints, levels: list[Ints]) -> Floats:
    """Return the training rows at each node as the sum of those at the leaves below it that are left."""
    counted = rows.copy()
    for level in reversed(levels):
        inner = level[yes[level] >= 0]
        counted[inner] = counted[yes[inner]] + counted[no[inner]]
    return counted


def _by_interval(native: LinearNative, of: HazardNative) -> LinearNative:
    """Return a linear model with an output for each interval, the coefficient of the interval in its intercept."""
    (coefficients,) = native.coefficients
    sources, k = np.array(native.sources), of.intervals
    is_other = sources != of.width
    codes = {
        code: len(native.numbers) + len(native.missing) + len(native.hinges) + place
        for place, (column, code) in enumerate(native.levels)
        if column == of.width
    }
    base = [
        native.intercept[0]
        + of.moved[number]
        + (coefficients[codes[float(number)]] if float(number) in codes else 0.0)
        for number in range(k)
    ]
    own = tuple(c for c, other in zip(coefficients, is_other, strict=True) if other)
    return msgspec.structs.replace(
        native,
        task=of.task,
        width=of.width,
        levels=tuple(level for level in native.levels if level[0] != of.width),
        coefficients=(own,) * k,
        intercept=tuple(base),
        means=tuple(mean for mean, other in zip(native.means, is_other, strict=True) if other),
    )
