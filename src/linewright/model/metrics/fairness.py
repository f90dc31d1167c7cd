"""Whether groups of people are treated alike, and how sure we are of it.

A *cell* is a group and a rate: the share of its actual positives (true positive rate) or negatives (false positive
rate) that are answered positive, or of all its rows (selection rate). The measure is the largest difference of one rate
between two groups.

It is shown to be small only where each single difference is: an intersection-union test, which needs no correction for
their number [1]_. It is shown to be large by a simultaneous bound over all differences, from the largest deviation in
each draw, since the largest of many noisy differences is large by chance alone [2]_.

References
----------
.. [1] R. L. Berger, Multiparameter Hypothesis Testing and Acceptance Sampling, Technometrics 24 (1982), 295-300.
.. [2] J. P. Romano and M. Wolf, Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing, Journal of the
   American Statistical Association 100 (2005), 94-108: the single-step bound.
.. [3] M. Hardt, E. Price and N. Srebro, Equality of Opportunity in Supervised Learning, NeurIPS 2016.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linewright.model.facts import GroupRates
from linewright.model.gate_reasons import Rate
from linewright.model.metrics.bootstrap import (
    DRAWS,
    Draws,
    bootstrap,
    count_units,
    expanded_level,
    unseen_share,
)
from linewright.model.metrics.definitions import Floats, share
from linewright.text.numbers import figure

Measure = Literal["equalized_odds_difference", "demographic_parity_difference"]
Codes = npt.NDArray[Any]
MISSING = "(missing)"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One rate of one group."""

    rate: Rate
    group: str
    rows: npt.NDArray[np.intp]
    units: int
    """Rows, or groups of the split, of weight above 0."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The largest difference of a rate between groups."""

    value: float
    low: float
    high: float
    """One-sided bounds."""
    widest: tuple[Rate, str, str]
    """The rate, the group where it is highest, and the group where it is lowest."""
    rates: tuple[float, float]
    """The rate in those two groups."""


def rows_by_group(labels: Sequence[str | None] | Codes, weight: Floats) -> dict[str, npt.NDArray[np.intp]]:
    """Return the rows of weight above 0 of each group, by name; missing labels are a group.

    Examples
    --------
    >>> {name: rows.tolist() for name, rows in rows_by_group(["b", None, "b"], np.ones(3)).items()}
    {'(missing)': [1], 'b': [0, 2]}
    """
    names = np.array([MISSING if label is None else str(label) for label in labels], dtype=np.str_)
    return {str(name): np.flatnonzero((names == name) & (weight > 0)) for name in np.unique(names)}


def cells(
    measure: Measure, groups: dict[str, npt.NDArray[np.intp]], truth: Codes, clusters: Codes | None
) -> list[Cell]:
    """Return the cells that a measure compares, those of one rate together."""
    kinds: list[tuple[Rate, npt.NDArray[np.bool_]]] = (
        [("selection rate", np.full(len(truth), True))]
        if measure == "demographic_parity_difference"
        else [("true positive rate", truth == 1), ("false positive rate", truth == 0)]
    )
    made: list[Cell] = []
    for rate, counted in kinds:
        for group, rows in groups.items():
            kept = rows[counted[rows]]
            made.append(Cell(rate=rate, group=group, rows=kept, units=count_units(kept, clusters)))
    return made


def rates(
    groups: dict[str, npt.NDArray[np.intp]],
    truth: Codes,
    decided: Codes,
    weight: Floats,
    *,
    min_group: int,
) -> tuple[GroupRates, ...]:
    """Return how each group was answered, the largest first; of one with fewer than `min_group` rows only its size.

    Examples
    --------
    >>> groups = {"a": np.arange(4), "b": np.arange(4, 6)}
    >>> a, b = rates(groups, np.array([1, 1, 0, 0, 1, 0]), np.array([1, 0, 1, 0, 0, 0]), np.ones(6), min_group=3)
    >>> a.selection_rate, a.true_positive_rate, a.false_positive_rate, b.n, b.selection_rate
    (0.5, 0.5, 0.5, 2, None)
    """

    def answered(rows: npt.NDArray[np.intp], *, is_told: bool) -> float | None:
        return figure(np.average(decided[rows], weights=weight[rows])) if is_told and len(rows) else None

    made = [
        GroupRates(
            group=name,
            n=len(rows),
            positives=int((truth[rows] == 1).sum()),
            selection_rate=answered(rows, is_told=len(rows) >= min_group),
            true_positive_rate=answered(rows[truth[rows] == 1], is_told=len(rows) >= min_group),
            false_positive_rate=answered(rows[truth[rows] == 0], is_told=len(rows) >= min_group),
        )
        for name, rows in groups.items()
    ]
    return tuple(sorted(made, key=lambda one: (-one.n, one.group)))


def largest_gap(
    compared: Sequence[Cell],
    decided: Codes,
    *,
    weight: Floats,
    clusters: Codes | None,
    confidence: float,
    seed: int,
    draws: int = DRAWS,
) -> Gap | None:
    """Measure the largest difference between cells of one rate.

    Examples
    --------
    >>> decided = np.array([1, 0] * 50 + [0, 0] * 50)
    >>> two = [Cell(rate="selection rate", group=g, rows=r, units=100) for g, r in
    ...        (("a", np.arange(100)), ("b", np.arange(100, 200)))]
    >>> gap = largest_gap(two, decided, weight=np.ones(200), clusters=None, confidence=0.95, seed=1)
    >>> gap.value, gap.widest, 0.4 < gap.low < gap.value < gap.high < 0.65
    (0.5, ('selection rate', 'a', 'b'), True)
    """
    by_rate = {cell.rate: [c for c in compared if c.rate == cell.rate] for cell in compared}
    used = [cell for same in by_rate.values() if len(same) > 1 for cell in same]
    if not used:
        return None
    statistics = [share(cell.rows, decided[cell.rows].astype(np.float64)) for cell in used]
    made = bootstrap(statistics, weight=weight, clusters=clusters, seed=seed, draws=draws)
    places = {rate: [i for i, cell in enumerate(used) if cell.rate == rate] for rate in by_rate}
    places = {rate: where for rate, where in places.items() if where}
    rate = max(places, key=lambda name: float(np.ptp(made.values[places[name]])))
    top = max(places[rate], key=lambda i: float(made.values[i]))
    bottom = min(places[rate], key=lambda i: float(made.values[i]))
    value = float(made.values[top] - made.values[bottom])
    return Gap(
        value=value,
        low=max(value - _largest_deviation(made, places.values(), used, confidence), 0.0),
        high=max(_upper_gap(made, where, used, confidence) for where in places.values()),
        widest=(used[top].rate, used[top].group, used[bottom].group),
        rates=(float(made.values[top]), float(made.values[bottom])),
    )


def _largest_deviation(
    made: Draws, places: Iterable[list[int]], used: Sequence[Cell], confidence: float
) -> float:
    deviations = made.drawn - made.values[:, np.newaxis]
    largest = np.max([np.ptp(deviations[where], axis=0) for where in places], axis=0)
    return float(np.quantile(largest, expanded_level(min(cell.units for cell in used), confidence)))


def _upper_gap(made: Draws, where: Sequence[int], used: Sequence[Cell], confidence: float) -> float:
    """Return the largest upper bound of the difference of any two of the cells at `where`."""
    highest = {i: _moved(made, i, used[i].units, confidence, side=1) for i in where}
    lowest = {i: _moved(made, i, used[i].units, confidence, side=-1) for i in where}
    return max(
        float(
            np.quantile(highest[i] - lowest[j], expanded_level(min(used[i].units, used[j].units), confidence))
        )
        for i in where
        for j in where
        if i != j
    )


def _moved(made: Draws, i: int, units: int, confidence: float, *, side: int) -> Floats:
    """Return the draws of a cell; where they all agree, the furthest rate that its rows do not exclude."""
    drawn = made.drawn[i]
    if np.ptp(drawn) > 1e-12:
        return drawn
    return np.clip(drawn + side * unseen_share(units, confidence), 0.0, 1.0)
