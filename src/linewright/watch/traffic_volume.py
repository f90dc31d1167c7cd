"""Whether a window has far fewer or far more rows than the line's own last windows had.

Counts are overdispersed: they vary more than chance would make them, by hour and weekday. So four things must agree. The
count is beyond all of the last windows by a factor of 3 (a rhythm that they hold is no news). It is beyond what chance makes
(Poisson) of the quarter of them that is nearest. And it is beyond their median by as many robust standard deviations as the
budget asks for, on the square-root scale, which is right where chance rules, and on the logarithmic scale, which is right
where the rhythm does (a negative binomial of large mean); a standard deviation is 1.4826 times the median absolute
deviation [1]_, at least that of Poisson counts. A window that is found unusual is no history for the next.

References
----------
.. [1] P. J. Rousseeuw and C. Croux, Alternatives to the Median Absolute Deviation, Journal of the American Statistical
   Association 88 (1993), 1273-1283.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linewright.watch.distributions import poisson, poisson_beyond, student

FACTOR = 3
FEWEST, MOST = 7, 28
"""Windows of history that are needed, and that are looked at."""
DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Unusual:
    """The newest window has an unusual number of rows."""

    rows: int
    usual: float
    """Median of the last windows that were not unusual."""
    windows: int
    """How many windows in a row are unusual, at least 1."""


def unusual(counts: Sequence[int], *, every_s: float, alpha: float) -> Unusual | None:
    """Return what is unusual about the newest window; `None` where nothing is, or the history is too short.

    Examples
    --------
    >>> unusual([100, 96, 108, 91, 103, 99, 110, 104] * 3 + [0, 0], every_s=3600, alpha=1e-5)
    Unusual(rows=0, usual=101.5, windows=2)
    >>> unusual([100, 96, 108, 91, 103, 50, 48] * 4 + [47], every_s=86_400, alpha=1e-5) is None
    True
    """
    usual: list[int] = []
    in_a_row = 0
    for count in counts:
        if len(usual) >= _needed(every_s) and _is_far(count, usual[-MOST:], alpha):
            in_a_row += 1
        else:
            in_a_row = 0
            usual.append(count)
    if not in_a_row:
        return None
    return Unusual(rows=counts[-1], usual=float(np.median(usual[-MOST:])), windows=in_a_row)


def _needed(every_s: float) -> int:
    day = math.ceil(DAY_S / every_s)
    return day if FEWEST <= day <= MOST else FEWEST


def _is_far(count: int, history: Sequence[int], alpha: float) -> bool:
    if not (count * FACTOR <= min(history) > 0 or count >= FACTOR * max(*history, 1)):
        return False
    before = np.asarray(history, dtype=np.float64)
    least = 1 / math.sqrt(float(np.median(before)) + 0.5)
    by_root = _p_value(2 * math.sqrt(count + 3 / 8), 2 * np.sqrt(before + 3 / 8), least=1.0)
    by_log = _p_value(math.log(count + 0.5), np.log(before + 0.5), least=least)
    return max(by_root, by_log, _by_chance(count, np.sort(before))) < alpha


def _by_chance(count: int, before: npt.NDArray[np.float64]) -> float:
    """Return the chance of such a count at the rate of the nearest quarter of `before` (ascending)."""
    quarter = max(1, len(before) // 4)
    if count < before[0]:
        return poisson(count, before[:quarter].mean())
    return poisson_beyond(count - 1, before[-quarter:].mean())


def _p_value(value: float, history: npt.NDArray[np.float64], *, least: float) -> float:
    """Return the two-sided chance of a value so far from the median, by Student's t."""
    middle = float(np.median(history))
    spread = max(least, 1.4826 * float(np.median(np.abs(history - middle))))
    distance = abs(value - middle) / (spread * math.sqrt(1 + math.pi / 2 / len(history)))
    return 2 * student(len(history) - 1, -distance)
