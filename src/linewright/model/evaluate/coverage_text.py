"""What was measured of the intervals of answers, in words for people: whether they hold as much as they are meant to."""

import math
from collections.abc import Sequence

from linewright.model.facts import LEVEL, Beyond, CoverageAt, Metric
from linewright.text.numbers import in_words

_MISSED = 0.025
"""How often an end of a 95 % interval is missed."""
ONE_IN = "one check in 40 says so by chance"
"""What a bound that is missed in 2.5 % of cases is worth, where it is looked at once."""


def is_surely_less(coverage: Metric) -> bool:
    """Return whether the intervals surely hold less of the truth than they are meant to."""
    return coverage.high is not None and coverage.high < LEVEL


def coverage_in_words(coverage: Metric, *, because: str = "") -> str:
    """Say what share of test rows lies inside the interval of the answer, and what to make of it.

    Examples
    --------
    >>> print(coverage_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.764, n=3092)))
    On the test rows 74.3 % lie inside (72.1 to 76.4 %): fewer than the 90 % that are meant, so the interval may be too narrow (one check in 40 says so by chance).
    >>> print(coverage_in_words(Metric(name="coverage", value=0.88, low=0.81, high=0.93, n=90)))
    On the test rows 88 % lie inside (81 to 93 %): as meant, as far as these rows can tell.
    """
    meant = f"the {_percent(LEVEL)} % that are meant"
    if is_surely_less(coverage):
        told = f"fewer than {meant}, so the interval may be too narrow ({ONE_IN}){f'; {because}' if because else ''}"
    elif coverage.low is not None and coverage.low > LEVEL:
        told = f"more than {meant}, so the interval is wider than it need be"
    else:
        told = "as meant, as far as these rows can tell"
    return f"On the test rows {_percent(coverage.value)} % lie inside ({range_in_words(coverage)}): {told}."


def surely_less(parts: Sequence[CoverageAt]) -> list[CoverageAt]:
    """Return the parts whose intervals surely hold less than they are meant to, though as many parts were looked at (Bonferroni).

    What is recorded are ends of 95 %; those of a higher confidence lie further out on the scale of log-odds, as normal quantiles do.

    Examples
    --------
    >>> part = lambda value, high: CoverageAt(
    ...     low=0.0, high=1.0, held=Metric(name="coverage", value=value, low=0.7, high=high, n=100))
    >>> [one.held.high for one in surely_less([part(0.8, 0.87), part(0.84, 0.898), *[part(0.9, 0.95)] * 3])]
    [0.87]
    """
    from scipy.special import expit, logit, ndtri  # noqa: PLC0415 -- commands that look import this module and compute nothing

    found: list[CoverageAt] = []
    for one in parts:
        value, high = one.held.value, one.held.high
        if high is None or high >= LEVEL:
            continue
        each = _MISSED / len(parts)
        if value > 0:
            further = float(ndtri(1 - each) / ndtri(1 - _MISSED))
            far = float(expit(logit(value) + further * (logit(high) - logit(value))))
        else:
            far = 1 - (1 - high) ** (math.log(each) / math.log(_MISSED))
        if far < LEVEL:
            found.append(one)
    return found


def parts_in_words(parts: Sequence[CoverageAt]) -> str:
    """Say for which answers intervals surely hold too little; empty where for none.

    Examples
    --------
    >>> held = Metric(name="coverage", value=0.7, low=0.6, high=0.78, n=100)
    >>> print(parts_in_words([CoverageAt(low=2.0, high=3.5, held=held)]))
    Of answers from 2 to 3.5 surely fewer than 90 % lie inside (70 %): there the interval is too narrow, by bounds that allow for as many looks as the table has rows.
    """
    less = surely_less(parts)
    if not less:
        return ""
    told = [f"from {in_words(one.low)} to {in_words(one.high)}" for one in less]
    held = ", ".join(f"{_percent(one.held.value)} %" for one in less)
    which = f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else told[0]
    return (
        f"Of answers {which} surely fewer than {_percent(LEVEL)} % lie inside ({held}): there the interval is too narrow, by bounds that "
        "allow for as many looks as the table has rows."
    )


def is_surely_uneven(beyond: Beyond) -> bool:
    """Return whether surely more truths lie beyond one end of the intervals than beyond the other."""
    low, high = beyond.tilt.low, beyond.tilt.high
    return low is not None and high is not None and not low <= 0 <= high


def beyond_in_words(beyond: Beyond) -> str:
    """Say what share of the truth lies below the interval and above it, and what its ends can be taken for.

    Examples
    --------
    >>> def share(name, value, low, high): return Metric(name=name, value=value, low=low, high=high, n=2110)
    >>> below, above = share("below", 0.008, 0.005, 0.013), share("above", 0.09, 0.078, 0.103)
    >>> print(beyond_in_words(Beyond(below=below, above=above, tilt=share("tilt", 0.082, 0.069, 0.095))))
    0.8 % lie below it and 9 % above, surely not alike: take the upper end as one that 91 % stay under, and the lower as one that 99.2 % stay over.
    >>> print(beyond_in_words(Beyond(below=below, above=above, tilt=share("tilt", 0.082, -0.01, 0.17))))
    0.8 % lie below it and 9 % above, alike as far as these rows can tell.
    """
    below, above = (_percent(one.value) for one in (beyond.below, beyond.above))
    told = f"{below} % lie below it and {above} % above"
    if not is_surely_uneven(beyond):
        return f"{told}, alike as far as these rows can tell."
    under, over = (_percent(1 - one.value) for one in (beyond.above, beyond.below))
    return f"{told}, surely not alike: take the upper end as one that {under} % stay under, and the lower as one that {over} % stay over."


def range_in_words(coverage: Metric) -> str:
    """Return the 95 % interval of a share.

    Examples
    --------
    >>> range_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.8996, n=3092))
    '72.1 to 89.96 %'
    """
    low, high = (
        end if end is not None else other for end, other in ((coverage.low, 0.0), (coverage.high, 1.0))
    )
    return f"{_percent(low)} to {_percent(high)} %"


def percent_in_words(coverage: Metric) -> str:
    """Return a share in percent, on its side of what is meant.

    Examples
    --------
    >>> percent_in_words(Metric(name="coverage", value=0.743, low=0.721, high=0.764, n=3092))
    '74.3 %'
    """
    return f"{_percent(coverage.value)} %"


def bias_in_words(bias: Metric) -> str:
    """Say on which side answers are wrong on average; empty where it may be neither.

    Examples
    --------
    >>> bias_in_words(Metric(name="bias", value=15.24, low=12.1, high=18.2, n=3092))
    'Answers to the test rows are surely too low: the truth is higher by 15.2 on average (12.1 to 18.2).'
    >>> bias_in_words(Metric(name="bias", value=-0.2, low=-1.0, high=0.6, n=90))
    ''
    """
    if bias.low is None or bias.high is None or bias.low <= 0 <= bias.high:
        return ""
    side, truth = ("low", "higher") if bias.value > 0 else ("high", "lower")
    near, far = sorted((abs(bias.low), abs(bias.high)))
    return (
        f"Answers to the test rows are surely too {side}: the truth is {truth} by {in_words(abs(bias.value))} on average "
        f"({in_words(near)} to {in_words(far)})."
    )


def _percent(part: float) -> str:
    # 10 digits: 100 times a float is another one.
    return in_words(float(f"{100 * part:.10g}"), beside=100 * LEVEL)
