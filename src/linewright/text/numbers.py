"""Figures as records hold them and as sentences say them."""

import math
from collections.abc import Sequence


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


def in_digits(value: float, digits: int) -> str:
    """Return `value` in so many digits, and written out where it is large.

    Examples
    --------
    >>> in_digits(0.123456, 4), in_digits(132.4, 2), in_digits(5184.4, 4), in_digits(51844.0, 4)
    ('0.1235', '130', '5184', '51,840')
    """
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text else text


def in_tenths(share: float) -> str:
    """Return a share in percent with one decimal, and without a sign where it is rounded to 0.

    Examples
    --------
    >>> in_tenths(0.0034), in_tenths(-0.0004), in_tenths(-0.012)
    ('0.3%', '0.0%', '-1.2%')
    """
    return f"{round(100 * share, 1) + 0.0:.1f}%"


def few_in_words(few: Sequence[tuple[str, int]]) -> str:
    """Say of which classes the test part has so few rows that they show nothing.

    Examples
    --------
    >>> few_in_words([("b", 1)])
    "of class 'b' there is 1 test row: metrics that count each class alike rest on it, whatever the other rows show; merge it with another class, leave it out, or bring more rows"
    >>> few_in_words([("c", 0)])
    "of class 'c' there are no test rows: the metrics say nothing of it, and the mean over classes of balanced_accuracy is over the others; merge it with another class, leave it out, or bring more rows"
    """
    absent, rare = [one for one in few if not one[1]], [one for one in few if one[1]]
    told: list[str] = []
    if absent:
        it = "it" if len(absent) == 1 else "them"
        told.append(
            f"{_rows_of(absent)}: the metrics say nothing of {it}, and the mean over classes of balanced_accuracy is over the others"
        )
    if rare:
        it = "it" if len(rare) == 1 else "them"
        told.append(
            f"{_rows_of(rare)}: metrics that count each class alike rest on {it}, whatever the other rows show"
        )
    it, another = ("it", "another class") if len(few) == 1 else ("them", "others")
    return f"{'; '.join(told)}; merge {it} with {another}, leave {it} out, or bring more rows"


def _rows_of(few: Sequence[tuple[str, int]]) -> str:
    shown = [
        f"of class {name!r} there {'is' if rows == 1 else 'are'} {rows or 'no'} test row{'' if rows == 1 else 's'}"
        for name, rows in few[:5]
    ]
    more = f" and of {len(few) - 5:,} more classes {'fewer than 5' if few[0][1] else 'none'}"
    return ", ".join(shown) + (more if len(few) > 5 else "")


def as_declared(value: float) -> str:
    """Return a number that a person wrote with all of its digits.

    Examples
    --------
    >>> as_declared(0.9999), as_declared(1.0), as_declared(12_345.678)
    ('0.9999', '1', '12,345.678')
    """
    return f"{value:,.10g}"


def count(number: int, noun: str, nouns: str = "") -> str:
    """Return a number with its noun, in the plural where it should be.

    Examples
    --------
    >>> count(1, "row"), count(1200, "row"), count(2, "category", "categories")
    ('1 row', '1,200 rows', '2 categories')
    """
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def bytes_in_words(size: float) -> str:
    """Return a number of bytes with its unit.

    Examples
    --------
    >>> bytes_in_words(2_500_000)
    '2.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


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


def share_in_words(share: float) -> str:
    """Write a share for people; what is not all does not read as all.

    Examples
    --------
    >>> share_in_words(0.2408), share_in_words(0.99999), share_in_words(1.0), share_in_words(0.00001)
    ('24.1 %', '99.9 %', '100 %', '0.1 %')
    """
    if share in {0.0, 1.0}:
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def roughly(rows: int) -> str:
    """Return an estimate of rows, rounded up to two digits.

    Examples
    --------
    >>> roughly(7), roughly(12_345)
    ('7', '13,000')
    """
    unit = 10 ** max(0, len(str(rows)) - 2)
    return f"{-(-rows // unit) * unit:,}"


def _keeps_side(said: float, value: float, beside: float) -> bool:
    return (said - beside) * (value - beside) > 0
