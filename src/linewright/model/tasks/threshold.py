"""Where the positive class begins: the probability at and above which it is answered."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.model.reasons import (
    Alarms,
    BestF1,
    BreakEven,
    EarnedMost,
    Judging,
    NoPositive,
    ThresholdReason,
    WorthMost,
)
from linewright.model.tasks.value import Amounts, Floats

FEWEST_FAULTY = 10
"""Rows that are known to be faulty, from which on amounts set the threshold of odd rows."""
_TIE = 1e-12
_RISK = 0.05
"""How often luck alone may move a threshold away from where the declared amounts break even."""


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A decision threshold and its reason."""

    at: float
    """In [0, 1]."""
    reason: ThresholdReason


def choose_threshold(
    probability: Floats,
    target: npt.NDArray[np.int64],
    weight: Floats,
    amounts: Amounts | None,
    *,
    of: Judging = "out-of-fold",
) -> Threshold:
    """Choose the threshold of a binary task, at best from rows that the model did not learn from.

    Examples
    --------
    >>> p, y = np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])
    >>> choose_threshold(p, y, np.ones(4), None).at
    0.4
    """
    if amounts is None:
        return _best_f1(probability, target, weight, of)
    return _best_value(probability, target, weight, amounts, of)


def choose_alarm_threshold(
    score: Floats,
    target: npt.NDArray[np.int64],
    weight: Floats,
    amounts: Amounts | None,
    *,
    alarms: float,
) -> Threshold:
    """Choose from which score on a row is called faulty.

    Examples
    --------
    >>> choose_alarm_threshold(np.array([0.1, 0.9]), np.array([0, 1]), np.ones(2), None, alarms=0.05).at
    0.95
    """
    faulty = int((target == 1).sum())
    if amounts is None or faulty < FEWEST_FAULTY:
        needed = None if amounts is None else FEWEST_FAULTY
        reason = Alarms(share=alarms, faulty=faulty, needed=needed)
        return Threshold(at=round(1 - alarms, 12), reason=reason)
    added = weight * np.where(target == 1, amounts.gain, -amounts.cost)
    steps = _steps(score, weight, added)
    best = int(np.argmax(steps.amount >= steps.amount.max() - _TIE * np.abs(added).sum()))
    if steps.amount[best] <= 0:  # no alarm pays on these rows
        return Threshold(at=1.0, reason=WorthMost(faulty=faulty, rows=len(target), added=0.0))
    return Threshold(
        at=steps.cut(best),
        reason=WorthMost(faulty=faulty, rows=len(target), added=float(f"{steps.amount[best]:.10g}")),
    )


def _best_f1(probability: Floats, target: npt.NDArray[np.int64], weight: Floats, of: Judging) -> Threshold:
    positive = float(weight @ target)
    if positive == 0:
        return Threshold(at=0.5, reason=NoPositive(of=of))
    steps = _steps(probability, weight, weight * target)
    f1 = 2 * steps.amount / (steps.weight + positive)
    best = int(np.argmax(f1 >= f1.max() - _TIE))
    recall, precision = steps.amount[best] / positive, steps.amount[best] / steps.weight[best]
    reason = BestF1(
        of=of, rows=len(target), f1=float(f1[best]), precision=float(precision), recall=float(recall)
    )
    return Threshold(at=steps.cut(best), reason=reason)


def _best_value(
    probability: Floats, target: npt.NDArray[np.int64], weight: Floats, amounts: Amounts, of: Judging
) -> Threshold:
    gain, cost = _typical(amounts.gain, target == 1, weight), _typical(amounts.cost, target == 0, weight)
    is_each = bool(np.ptp(amounts.gain) or np.ptp(amounts.cost))
    if is_each:
        fair = _most_expected(probability, weight, amounts)
    else:
        fair = cost / (gain + cost) if gain + cost > 0 else 0.0
    # What an alarm adds to leaving the row alone.
    added = weight * np.where(target == 1, amounts.gain, -amounts.cost)
    steps = _steps(probability, weight, added)
    best = steps.cut(int(np.argmax(steps.amount >= steps.amount.max() - _TIE * np.abs(added).sum())))
    at_fair = probability >= fair
    moved = (probability >= best).astype(np.float64) - at_fair
    more = float(added @ moved)
    chance = _by_chance(probability, weight * moved, amounts, len(steps.high))
    if more > max(0.0, chance):
        earned = EarnedMost(of=of, rows=len(target), more=more, break_even=float(fair), chance=chance)
        return Threshold(at=best, reason=earned)
    even = BreakEven(
        of=of, rows=len(target), is_each=is_each, gain=gain, cost=cost, added=float(added @ at_fair)
    )
    return Threshold(at=fair, reason=even)


def _most_expected(probability: Floats, weight: Floats, amounts: Amounts) -> float:
    """Return the threshold that is worth most if the probabilities are right, whatever became of these rows."""
    expected = weight * (probability * amounts.gain - (1 - probability) * amounts.cost)
    steps = _steps(probability, weight, expected)
    return steps.cut(int(np.argmax(steps.amount >= steps.amount.max() - _TIE * np.abs(expected).sum())))


def _typical(amount: Floats, of_kind: npt.NDArray[np.bool_], weight: Floats) -> float:
    """Return the mean amount of the rows of a kind, or of all where none that counts is of it."""
    mass = weight * of_kind
    return float(np.average(amount, weights=mass if mass.any() else np.ones_like(weight)))


def _by_chance(probability: Floats, moved: Floats, amounts: Amounts, tried: int) -> float:
    """Return what the best of `tried` thresholds gains at most by chance, if the probabilities are right.

    Bernstein's inequality and the union bound. What the rows themselves scatter would mislead: where positives are
    rare, a stretch without any looks certain.
    """
    gain, cost = amounts.gain, amounts.cost
    expected = float(np.sum(moved * (probability * gain - (1 - probability) * cost)))
    swing = np.abs(moved) * (gain + cost)
    variance = float(np.sum(swing**2 * probability * (1 - probability)))
    doubt = float(np.log(tried / _RISK))
    return expected + float(np.sqrt(2 * variance * doubt)) + float(swing.max()) * doubt / 3


@dataclass(frozen=True, kw_only=True, eq=False)
class _Steps:
    """What lies at and above each distinct probability, from the highest down."""

    high: Floats
    low: Floats
    """The next lower probability; 0 below the lowest."""
    weight: Floats
    amount: Floats

    def cut(self, step: int) -> float:
        """Return a threshold that parts this step from the next."""
        return _shortest_between(float(self.low[step]), float(self.high[step]))


def _steps(probability: Floats, weight: Floats, amount: Floats) -> _Steps:
    order = np.argsort(-probability, kind="stable")
    down = probability[order]
    last = np.append(np.flatnonzero(np.diff(down)), len(order) - 1)
    return _Steps(
        high=down[last],
        low=np.append(down[last[:-1] + 1], 0.0),
        weight=np.cumsum(weight[order])[last],
        amount=np.cumsum(amount[order])[last],
    )


def _shortest_between(low: float, high: float) -> float:
    """Return the number with the fewest decimals above `low` and not above `high`, near their middle."""
    middle = low + (high - low) / 2
    for digits in range(1, 17):
        short = round(middle, digits)
        if low < short <= high:
            return float(short)
    return float(high)
