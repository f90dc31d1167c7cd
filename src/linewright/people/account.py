"""The value account: sums by day as totals with an interval, and what one day is made of.

The method
----------
The total of what matured decisions were worth is known to the cent. The interval says how far chance may have moved it: where the
total of as many answers lies, were such days lived again. Rows of one day are alike (one campaign, one failure, one fraud ring), and so
are days that follow each other. So the days are divided into `STRETCHES` stretches of consecutive days, which are taken as independent:
few and long ones, so that what hangs together from day to day stays within, and Student's t with as many degrees of freedom less one
pays for their being few [1]_. With y the sum and n the answers of a stretch and r = sum y / sum n, the number of answers is taken as
given, and the variance of the total is that of the residuals e = y - r n: the ratio estimator of cluster sampling [2]_. With fewer days
than that, rows are taken as independent, which claims too much where a day has something of its own.

`benchmarks/account.py --coverage` counts how often it holds: about as often as it says from `STRETCHES` days on, a little less where what
is particular about a day lasts for several.

What no unit shows is not in the interval: where no decision differed from what it is held against, it is [0, 0].

References
----------
.. [1] R. Ibragimov and U. K. Mueller, t-Statistic Based Correlation and Heterogeneity Robust Inference, Journal of Business and
   Economic Statistics 28 (2010), 453-468.
.. [2] W. G. Cochran, Sampling Techniques, 3rd edition, Wiley, 1977: chapter 9A, clusters of unequal sizes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
import numpy as np

from linewright.model.facts import Value
from linewright.model.metrics.bootstrap import expanded_quantile
from linewright.model.value_amounts import amount_at
from linewright.people.facts import Account, Against, DaySums, Sums, Unit

STRETCHES = 8
"""Stretches of days that an interval is made from, as [1]_ does: with more, neighbours are alike; with fewer, intervals are wide."""
CHANGE_DAYS = 28
"""Days that are compared with as many before: whole weeks, since days of the week differ."""
_EACH_SIDE = 0.975
"""Confidence of each end of a 95 % interval."""


class Priced(NamedTuple):
    """What one decision was worth, and what the one that it is held against would have been worth."""

    value: float
    against: float


def price(
    value: Value, row: Callable[[str], object], *, alarm: bool, against: bool, positive: bool
) -> Priced | None:
    """Price one decision and the one that it is held against; `None` where the row lacks an amount of the matrix.

    Examples
    --------
    >>> matrix = Value(currency="EUR", true_positive="amount", false_positive=-4.0, false_negative="-amount", true_negative=0.0)
    >>> price(matrix, {"amount": 90}.get, alarm=True, against=False, positive=True)
    Priced(value=90.0, against=-90.0)
    >>> price(matrix, {}.get, alarm=True, against=False, positive=False) is None
    True
    """
    # All four are asked for: were negatives priced and positives not, the account would lean to one side.
    found, missed, false, quiet = (
        amount_at(amount, row)
        for amount in (value.true_positive, value.false_negative, value.false_positive, value.true_negative)
    )
    if found is None or missed is None or false is None or quiet is None:
        return None
    acted, let = (found, missed) if positive else (false, quiet)
    return Priced(acted if alarm else let, acted if against else let)


# One day


@dataclass
class _Adding:
    """Sums that are being added up."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("matured", "young", "unlabelled", "unpriced", "without_before"), 0
        )
    )
    value: float = 0.0
    value_squared: float = 0.0
    against: float = 0.0
    gain_squared: float = 0.0


@dataclass
class DayTally:
    """One day that is being added up: records are told in the order of the log, so that the sums are the same each time."""

    day: str
    spans: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    undeclared: int = 0
    _sums: dict[str, _Adding] = field(default_factory=dict[str, _Adding])

    def see(self, segment: str, offset: int, end: int) -> None:
        """Take note of the place of a record."""
        first, last = self.spans.get(segment, (offset, end))
        self.spans[segment] = min(first, offset), max(last, end)

    def count(self, currency: str, what: str) -> None:
        """Count an answer that is not priced: ``young``, ``unlabelled`` or ``unpriced``."""
        self._of(currency).counts[what] += 1

    def add(self, currency: str, priced: Priced, *, without_before: bool) -> None:
        """Add a matured answer."""
        sums = self._of(currency)
        sums.counts["matured"] += 1
        sums.counts["without_before"] += without_before
        sums.value += priced.value
        sums.value_squared += priced.value**2
        sums.against += priced.against
        sums.gain_squared += (priced.value - priced.against) ** 2

    def _of(self, currency: str) -> _Adding:
        return self._sums.get(currency) or self._sums.setdefault(currency, _Adding())

    def to_sums(self) -> DaySums:
        """Return the day as it is kept."""
        return DaySums(
            day=self.day,
            spans=dict(sorted(self.spans.items())),
            undeclared=self.undeclared,
            sums=tuple(
                Sums(
                    currency=currency,
                    value=one.value,
                    value_squared=one.value_squared,
                    against=one.against,
                    gain_squared=one.gain_squared,
                    **one.counts,
                )
                for currency, one in sorted(self._sums.items())
            ),
        )


# Totals


def account_of(line: str, currency: str, rule: Against, days: Sequence[DaySums]) -> Account:
    """Return what the matured answers of some days were worth in one currency."""
    found = [(day.day, one) for day in days for one in day.sums if one.currency == currency]
    sums = [one for _, one in found]
    matured = [one for one in sums if one.matured]
    value, against = math.fsum(one.value for one in sums), math.fsum(one.against for one in sums)
    by_row = len(matured) < STRETCHES
    unit: Unit = "row" if by_row else "days"
    gain = _interval(matured, [one.gain for one in matured], [one.gain_squared for one in matured])
    worth = _interval(matured, [one.value for one in matured], [one.value_squared for one in matured])
    return Account(
        line=line,
        currency=currency,
        rule=rule,
        since=found[0][0] if found else None,
        until=found[-1][0] if found else None,
        days=len(matured),
        answers=sum(one.answers for one in sums),
        matured=sum(one.matured for one in sums),
        young=sum(one.young for one in sums),
        unlabelled=sum(one.unlabelled for one in sums),
        unpriced=sum(one.unpriced for one in sums),
        without_before=sum(one.without_before for one in sums),
        value=value,
        against=against,
        gain=value - against,
        low=gain.low,
        high=gain.high,
        value_low=worth.low,
        value_high=worth.high,
        unit=unit,
        units=gain.units,
    )


class _Interval(NamedTuple):
    low: float | None
    high: float | None
    units: int


def _interval(days: Sequence[Sums], totals: Sequence[float], squares: Sequence[float]) -> _Interval:
    """Return the interval of a total of all days."""
    total, n = math.fsum(totals), sum(one.matured for one in days)
    if len(days) < STRETCHES:
        units, variance = n, max(math.fsum(squares) - total**2 / n, 0.0) if n else 0.0
    else:
        counts = np.array([one.matured for one in days], dtype=np.float64)
        residuals = np.array(totals, dtype=np.float64) - total / n * counts
        starts = np.arange(STRETCHES) * len(days) // STRETCHES
        units, variance = STRETCHES, float((np.add.reduceat(residuals, starts) ** 2).sum())
    if units < 2:
        return _Interval(None, None, units)
    reach = expanded_quantile(units, _EACH_SIDE) * math.sqrt(variance)
    return _Interval(total - reach, total + reach, units)


class GainChange(msgspec.Struct, frozen=True, kw_only=True):
    """How the gain of some days differs from that of as many days before."""

    days: int
    """Calendar days of each of the two."""
    until: str
    """The last of them."""
    gain: float
    before: float
    low: float
    high: float
    """95 % interval of the difference."""


def gain_change(line: str, currency: str, rule: Against, days: Sequence[DaySums]) -> GainChange | None:
    """Return how the gain of the last `CHANGE_DAYS` days differs from that of as many before, up to the last day with matured answers.

    `None` if one of the two has too few such days for an interval by days.

    Notes
    -----
    The ends follow from those of both gains by the method of variance estimates recovery [3]_; the two are taken as independent.

    References
    ----------
    .. [3] G. Y. Zou and A. Donner, Construction of confidence limits about effect measures: a general approach, Statistics in Medicine
       27 (2008), 1693-1702.
    """
    matured = [day for day in days if any(one.currency == currency and one.matured for one in day.sums)]
    if not matured:
        return None
    last = date.fromisoformat(matured[-1].day)
    begins = [(last - timedelta(days=n * CHANGE_DAYS - 1)).isoformat() for n in (1, 2)]
    now = account_of(line, currency, rule, [day for day in matured if day.day >= begins[0]])
    then = account_of(line, currency, rule, [day for day in matured if begins[1] <= day.day < begins[0]])
    if min(now.days, then.days) < STRETCHES:
        return None
    if now.low is None or now.high is None or then.low is None or then.high is None:
        return None
    by = now.gain - then.gain
    return GainChange(
        days=CHANGE_DAYS,
        until=matured[-1].day,
        gain=now.gain,
        before=then.gain,
        low=by - math.hypot(now.gain - now.low, then.high - then.gain),
        high=by + math.hypot(now.high - now.gain, then.gain - then.low),
    )


class Estimate(NamedTuple):
    """What all answers are worth, those that are not priced yet among them."""

    value: float
    low: float | None
    high: float | None
    """95 % interval."""


def of_all_answers(account: Account) -> Estimate | None:
    """Return what all answers of an account are worth, were those that are not priced like those that are; `None` where none is.

    The value and its interval are multiplied by answers over matured answers. It errs where the others are unlike: where the world has
    changed since, or where labels that come first are of one kind.
    """
    if not account.matured:
        return None
    times = account.answers / account.matured
    low, high = (None if end is None else end * times for end in (account.value_low, account.value_high))
    return Estimate(account.value * times, low, high)


def currencies_of(days: Sequence[DaySums]) -> list[str]:
    """Return the currencies of an account, that of the newest answers first."""
    newest_first = (one.currency for day in reversed(days) for one in day.sums)
    return list(dict.fromkeys(newest_first))
