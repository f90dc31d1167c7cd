"""Figures as records hold them and as sentences say them."""

import math
import re
from collections.abc import Sequence

import numpy as np

_SQUARED = re.compile(r"squared error (?:of \d+ trials: )?(\d+(?:\.\d+)?(?:e[+-]\d+)?)\b")
"""As training says it (`model.members`); records hold the sentence as it was said, so that it is told here."""
_SHORT = re.compile(r"(?<![\w.])-?\d(?:\.\d+)?e\+\d+\b")
"""A number of few digits as training writes it where it is large."""
_CALLED = (
    ("smallest model within noise", "the fastest to answer of those within noise"),
    ("smallest model that is worth", "the fastest to answer that is worth"),
)
"""What was chosen for its speed, as training says it, and as people read it."""
_DAY = 86_400_000_000


def figure(value: float, digits: int = 10) -> float:
    """Return `value` with so many significant digits: what a record holds, whatever the order its sum was taken in.

    Examples
    --------
    >>> figure(0.1 + 0.2)
    0.3
    """
    return float(f"{value:.{digits}g}")


def in_words(value: float, *, beside: float | None = None) -> str:
    """Return `value` in about three digits, and in as many as keep it on its side of another number, and of 1.

    Examples
    --------
    >>> in_words(0.123456), in_words(12345.6), in_words(0.20004, beside=0.2), in_words(0.99991)
    ('0.123', '12,346', '0.20004', '0.9999')
    """
    if value == 0:
        return "0"
    large = abs(value) >= 999.5
    others = [beside, math.copysign(1, value)]
    for more in range(8):
        text = f"{value:,.{more}f}" if large else f"{value:.{3 + more}g}"
        said = float(text.replace(",", ""))
        if all(other is None or value == other or _keeps_side(said, value, other) for other in others):
            return text
    return f"{value:.17g}"


def few_in_words(few: Sequence[tuple[str, int]]) -> str:
    """Say of which classes the test part has so few rows that they show nothing.

    Parameters
    ----------
    few
        Classes with their test rows, the rarest first; at least one.

    Examples
    --------
    >>> few_in_words([("b", 1)])
    "of class 'b' there is 1 test row: metrics that count each class alike rest on it, whatever the other rows show; merge it with another class, leave it out, or bring more rows"
    >>> few_in_words([("c", 0)])
    "of class 'c' there are no test rows: the metrics say nothing of it, and the mean over classes of balanced_accuracy is over the others; merge it with another class, leave it out, or bring more rows"
    """
    absent, rare = ([one for one in few if (one[1] == 0) == is_absent] for is_absent in (True, False))
    told = (
        [
            _few(
                absent,
                "the metrics say nothing of {}, and the mean over classes of balanced_accuracy is over the others",
            )
        ]
        if absent
        else []
    )
    told += (
        [_few(rare, "metrics that count each class alike rest on {}, whatever the other rows show")]
        if rare
        else []
    )
    it, another = ("it", "another class") if len(few) == 1 else ("them", "others")
    return f"{'; '.join(told)}; merge {it} with {another}, leave {it} out, or bring more rows"


def _few(few: Sequence[tuple[str, int]], what: str) -> str:
    shown = [
        f"of class {name!r} there {'is' if rows == 1 else 'are'} {rows or 'no'} test row{'' if rows == 1 else 's'}"
        for name, rows in few[:5]
    ]
    more = (
        f" and of {len(few) - 5:,} more classes {'fewer than 5' if few[0][1] else 'none'}"
        if len(few) > 5
        else ""
    )
    return f"{', '.join(shown)}{more}: {what.format('it' if len(few) == 1 else 'them')}"


def as_declared(value: float) -> str:
    """Return a number that a person wrote with all of its digits.

    Examples
    --------
    >>> as_declared(0.9999), as_declared(1.0), as_declared(12_345.678)
    ('0.9999', '1', '12,345.678')
    """
    return f"{value:,.10g}"


def say_time(micros: float) -> str:
    """Return microseconds since 1970 as a date, with the time of day where it is not midnight.

    Examples
    --------
    >>> say_time(86_400_000_000.0), say_time(90_000_000_000.0)
    ('1970-01-02', '1970-01-02 01:00')
    """
    moment = np.datetime64(int(micros), "us")
    return str(np.datetime_as_string(moment, unit="D" if micros % _DAY == 0 else "m")).replace("T", " ")


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it should be.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Sequence[str], most: int) -> str:
    """Return names for a sentence, which says how many it leaves out.

    Examples
    --------
    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def percent(share: float) -> str:
    """Return a share as a percentage.

    Examples
    --------
    >>> percent(0.95), percent(0.999)
    ('95 %', '99.9 %')
    """
    return f"{100 * share:.10g} %"


def roughly(rows: int) -> str:
    """Return an estimate of rows, rounded up to two digits.

    Examples
    --------
    >>> roughly(7), roughly(12_345)
    ('7', '13,000')
    """
    unit = 10 ** max(0, len(str(rows)) - 2)
    return f"{-(-rows // unit) * unit:,}"


def with_roots(text: str) -> str:
    """Return a sentence with the root of each mean squared error beside it: that is on the scale of the RMSE on test rows.

    Examples
    --------
    >>> with_roots("lowest out-of-fold squared error of 2 trials: 5278 on 11,587 rows, 5.5 above squared error 5184")
    'lowest out-of-fold squared error of 2 trials: 5278 (RMSE 72.6) on 11,587 rows, 5.5 above squared error 5184 (RMSE 72)'
    >>> with_roots("out-of-fold log-loss 0.2135 on 990 rows")
    'out-of-fold log-loss 0.2135 on 990 rows'
    """
    return _SQUARED.sub(lambda found: f"{found[0]} (RMSE {in_words(math.sqrt(float(found[1])))})", text)


def chosen_in_words(because: str) -> str:
    """Return the reason of a choice as people read it; records hold it as training said it.

    Each mean squared error has its root beside it, numbers are written out, and the smallest is called what it is: the fastest to
    answer. Another setting may have fewer leaves and still take longer.

    Examples
    --------
    >>> chosen_in_words("smallest model within noise: out-of-fold log-loss 0.21, 0.001 above lgb (standard error 0.002)")
    'the fastest to answer of those within noise: out-of-fold log-loss 0.21, 0.001 above lgb (standard error 0.002)'
    >>> chosen_in_words("against 5293 of lgb_s alone (78 more, 95 % interval 29 to 1.3e+02)")
    'against 5293 of lgb_s alone (78 more, 95 % interval 29 to 130)'
    """
    told = _SHORT.sub(lambda found: in_words(float(found[0])), with_roots(because))
    for said, called in _CALLED:
        if told.startswith(said):
            return f"{called}{told.removeprefix(said)}"
    return told


def _keeps_side(said: float, value: float, beside: float) -> bool:
    return (said - beside) * (value - beside) > 0
