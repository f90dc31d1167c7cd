"""How long until it happens: a curve of what is left by time, learned also from what has not happened yet."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from linewright.data.facts import LabelForm
from linewright.errors import SpecError
from linewright.model.facts import Band, CalibrationMethod, Maintenance
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks.censoring import (
    MOST_TIMES,
    brier_at_times,
    grid_of,
    grid_read,
    kaplan_meier,
    left_between,
    places_of,
    read_span,
    read_times,
    spell_span,
    spell_time,
    times_at,
)
from linewright.model.tasks.links import HAZARD, Link
from linewright.model.tasks.rules import TaskRules, count_labels, repeat, total_weight

_AS_NEW = 0.1
"""Share of the rows that count as new: those that cost least in each unit of time."""


class Survival(TaskRules):
    """Rules of the survival task.

    Targets are places on the grid of times that `classes` spells (`censoring`), float64, negative where they are censored. Scores
    are the shares that are left at these times, shape (n, k), which never rise.

    Examples
    --------
    >>> SURVIVAL.classes([str(day) for day in range(1, 101)], None)[:3]
    ('5', '10', '15')
    >>> grid = ("5", "10", "20", "40")
    >>> SURVIVAL.target(["5", "15+"], grid).tolist()
    [1.0, -2.5]
    >>> SURVIVAL.answers(np.array([[0.9, 0.8, 0.4, 0.3]]), classes=grid, threshold=None, band=None)
    [{'prediction': 17.5, 'beyond': False, 'survival': {'5': 0.9, '10': 0.8, '20': 0.4, '40': 0.3}}]
    """

    name = "survival"
    metrics = TASK_FACTS["survival"].metrics
    headline_because = (
        "how far curves are from what happened, over all times; rows that are still seen count too"
    )
    measures = "linewright.model.metrics.survival:OF_SURVIVAL"
    objective = "integrated_brier_score"
    loss_name = TASK_FACTS["survival"].loss_name
    label: ClassVar[LabelForm] = "time"
    link: ClassVar[Link] = HAZARD
    class_limits: ClassVar[tuple[float, float]] = (1, MOST_TIMES)
    calibrations: ClassVar[tuple[CalibrationMethod, ...]] = ("hazard",)

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the times of a curve, as spelled: quantiles of the times at which it happened."""
        if positive is not None:
            raise SpecError(
                "a time has no positive value",
                where="label.positive",
                found=positive,
                hint="remove `positive`: label.event says what happened",
            )
        count_labels(labels)
        times, happened, _ = read_times(labels, name=self.name)
        grid = grid_of(times, happened)
        if not len(grid):
            raise SpecError(
                "it happened in no row while others were still seen, so there is no time to learn",
                where="label.event",
                found=f"{int(happened.sum()):,} of {len(times):,} rows in which it happened",
                allowed="rows in which it happened, after a time above 0",
                hint="look whether label.event is true (or 1) if it happened",
            )
        return tuple(spell_time(time, happened=True) for time in grid.tolist())

    def target(self, labels: Sequence[str] | NDArray[Any], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the place of each label on the grid of times, as `censoring` has it."""
        times, happened, entries = read_times(labels, name=self.name)
        return places_of(times, happened, grid_read(classes), entries)

    def spelled(self, value: object) -> str:
        """Return what feedback says as a label, e.g. ``"12.5+"``; empty if it is not a time."""
        said = read_span(value)
        return "" if said is None else spell_span(said[0], said[1], happened=said[2])

    def baseline(
        self,
        target: NDArray[Any],
        weight: NDArray[np.float64],
        classes: tuple[str, ...],
        *,
        metric: str | None = None,
    ) -> tuple[float, ...]:
        """Return the curve of Kaplan and Meier."""
        del metric
        total_weight(weight)
        return tuple(kaplan_meier(target, weight, len(classes)).tolist())

    def baseline_scores(self, baseline: tuple[float, ...], n: int) -> NDArray[np.float64]:
        """Return that curve once a row, shape (n, k)."""
        return repeat(baseline, n)

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over the times of what each row adds to the Brier score, see `censoring.brier_at_times`."""
        return brier_at_times(target, scores).mean(axis=1)

    def decide(self, scores: NDArray[np.float64], threshold: float | None) -> NDArray[np.float64]:
        """Return where on the grid half is left; the last time where more is left there."""
        del threshold
        return _median(scores)

    def time(self, scores: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted time, shape (n,): that at which half is left, at most the last of the grid."""
        return times_at(_median(scores), grid)

    def answers(
        self,
        scores: NDArray[np.float64],
        *,
        classes: tuple[str, ...],
        threshold: float | None,
        band: Band | None,
    ) -> list[dict[str, Any]]:
        """Return the time, whether the median lies beyond the last one, and the share that is left by time."""
        del threshold, band
        times = self.time(scores, grid_read(classes)).tolist()
        return [
            {"prediction": time, "beyond": row[-1] > 0.5, "survival": dict(zip(classes, row, strict=True))}
            for time, row in zip(times, scores.tolist(), strict=True)
        ]

    def said(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the curves of answers."""
        curves = [[one["survival"][time] for time in classes] for one in answers]
        return np.array(curves, dtype=np.float64).reshape(len(answers), len(classes))

    def act_by(
        self, scores: NDArray[np.float64], classes: tuple[str, ...], amounts: Maintenance
    ) -> list[float | None]:
        """Return the time at which coming costs least; 0 is now, `None`: not before the last time.

        Acting makes it as good as new. So it pays to wait for as long as that costs less than what is as good as new costs in the same
        time, `amounts.rate`: the time has the least ``cost - rate * life``. Without that rate each row counts as new itself, and the time
        is that of the least ``cost / life``, which is age replacement [1]_.

        References
        ----------
        .. [1] R. E. Barlow and F. Proschan, Mathematical Theory of Reliability, Wiley (1965), chapter 4: age replacement.

        Examples
        --------
        It wears out about time 20, and comes without warning; the third row is worn.

        >>> amounts = Maintenance(currency="EUR", failure=-50_000.0, inspection=-800.0)
        >>> curves = np.array([[1.0, 0.99, 0.3], [0.7, 0.49, 0.343]])
        >>> SURVIVAL.act_by(curves, ("10", "20", "30"), amounts)
        [20.0, None]
        >>> SURVIVAL.act_by(curves, ("10", "20", "30"), SURVIVAL.as_new(curves, ("10", "20", "30"), amounts))
        [20.0, 0.0]
        """
        grid = grid_read(classes)
        cost, lives = _costs(scores, amounts), _lives(scores, grid)
        rate = (cost / lives).min(axis=1, keepdims=True) if amounts.rate is None else amounts.rate
        net = np.concatenate([np.full((len(scores), 1), -amounts.inspection), cost - rate * lives], axis=1)
        times = [0.0, *grid.tolist()]
        return [times[k] if k < len(grid) else None for k in net.argmin(axis=1).tolist()]

    def as_new(
        self,
        scores: NDArray[np.float64],
        classes: tuple[str, ...],
        amounts: Maintenance,
        weight: NDArray[np.float64] | None = None,
    ) -> Maintenance:
        """Return the amounts with what a unit of time costs of what is as good as new: a tenth of the rows, by weight, cost less if each acts at its best."""
        rates = (_costs(scores, amounts) / _lives(scores, grid_read(classes))).min(axis=1)
        rate = float(np.quantile(rates, _AS_NEW, method="inverted_cdf", weights=weight))
        return replace(amounts, rate=float(f"{rate:.6g}"))  # the last digits are those of a processor

    def watched(self, answers: Sequence[Mapping[str, Any]], classes: tuple[str, ...]) -> NDArray[Any]:
        """Return the times."""
        del classes
        return np.array([one["prediction"] for one in answers], dtype=np.float64)

    def are_comparable(self, classes: tuple[str, ...], others: tuple[str, ...]) -> bool:
        """Return that curves on other times are comparable: they are read between their times."""
        del classes, others
        return True

    def scores_on(
        self, scores: NDArray[np.float64], classes: tuple[str, ...], wanted: tuple[str, ...]
    ) -> NDArray[np.float64]:
        """Return curves at the times of another grid."""
        return scores if classes == wanted else left_between(scores, grid_read(classes), grid_read(wanted))

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers a time and a curve."""
        return f"How long until it happens ({label}), with the share that is left at each of {len(classes)} times, up to {classes[-1]}."


class RemainingLife(Survival):
    """Rules of survival under the words of machines: the prediction is the mean life that remains, up to the last time.

    Examples
    --------
    >>> RUL.answers(np.array([[0.9, 0.5]]), classes=("10", "20"), threshold=None, band=None)[0]["prediction"]
    16.5
    """

    name = "rul"

    def time(self, scores: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean remaining life, lives beyond the last time counted as it."""
        return _mean_life(scores, grid)

    def purpose(self, label: str, classes: tuple[str, ...]) -> str:
        """Say that it answers a remaining life and a curve."""
        return f"The remaining life ({label}), at most {classes[-1]}, with the share of machines that still work at each of {len(classes)} times."


def _median(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the place at which a curve falls to one half, shape (n,)."""
    n, k = scores.shape
    whole = np.concatenate([np.ones((n, 1)), scores], axis=1)
    after = np.minimum((whole > 0.5).sum(axis=1), k)
    rows = np.arange(n)
    before, then = whole[rows, after - 1], whole[rows, after]
    fall = np.maximum(before - then, np.finfo(np.float64).tiny)
    return after - 1 + np.clip((before - 0.5) / fall, 0.0, 1.0)


def _mean_life(scores: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area under curves that are straight between their times, shape (n,)."""
    return _lives(scores, grid)[:, -1]


def _lives(scores: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean life up to each time of a grid, shape (n, k)."""
    whole = np.concatenate([np.ones((len(scores), 1)), scores], axis=1)
    widths = np.diff(np.concatenate([[0.0], grid]))
    return np.cumsum((whole[:, :-1] + whole[:, 1:]) / 2 * widths, axis=1)


def _costs(scores: NDArray[np.float64], amounts: Maintenance) -> NDArray[np.float64]:
    """Return what a cycle costs that ends at each time, if it has not failed before, shape (n, k)."""
    return amounts.failure * (scores - 1) - amounts.inspection * scores


SURVIVAL = Survival()
RUL = RemainingLife()
