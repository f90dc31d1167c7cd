"""How good a model of several classes is class by class: what it finds, what it is right about, and whether it promises too much of one.

A mean over rows hides a rare class. What is found of each class, and how often an answer is right, follows from the confusion matrix; the
intervals are Wilson's [1]_, which hold for shares of few rows and for 0 and 1. `expected_rows` says how many rows of a class its
probabilities promise.

References
----------
.. [1] E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, Journal of the American Statistical
   Association 22 (1927), 209-212.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linewright.model.facts import Expected
from linewright.text.numbers import listed

SURE = 0.95
HARDLY = 0.5
"""Share of a class, below which a model that surely finds less hardly finds it."""
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Share:
    """Rows of some that are so, and where their share may really be."""

    rows: int
    of: int

    @property
    def value(self) -> float:
        """The share; NaN of no rows."""
        return self.rows / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval by Wilson; 0 to 1 of no rows.

        Examples
        --------
        >>> [round(end, 3) for end in Share(rows=3, of=24).interval], [round(end, 3) for end in Share(rows=0, of=5).interval]
        ([0.043, 0.31], [0.0, 0.434])
        """
        if not self.of:
            return 0.0, 1.0
        z = 1.959964
        middle = (self.rows + z * z / 2) / (self.of + z * z)
        reach = z * math.sqrt(self.rows * (self.of - self.rows) / self.of + z * z / 4) / (self.of + z * z)
        low, high = max(middle - reach, 0.0), min(middle + reach, 1.0)
        # Rounding leaves a trace of 0 at the ends.
        return (low if self.rows else 0.0), (high if self.rows < self.of else 1.0)


@dataclass(frozen=True, kw_only=True)
class ClassFound:
    """What the confusion matrix says of one class."""

    code: int
    recall: Share
    """Of the rows that are of it, those that are answered so."""
    precision: Share
    """Of the rows that are answered so, those that are of it."""

    @property
    def is_hardly_found(self) -> bool:
        """Whether some rows of it are found, and less than half at the upper end of the interval."""
        return self.recall.rows > 0 and self.recall.interval[1] < HARDLY


def found_by_class(confusion: Sequence[Sequence[int]]) -> list[ClassFound]:
    """Return what is found of each class, in their order.

    Examples
    --------
    >>> one = found_by_class([[8, 2], [1, 4]])[1]
    >>> one.recall, one.precision
    (Share(rows=4, of=5), Share(rows=4, of=6))
    """
    return [
        ClassFound(
            code=code,
            recall=Share(rows=row[code], of=sum(row)),
            precision=Share(rows=row[code], of=sum(other[code] for other in confusion)),
        )
        for code, row in enumerate(confusion)
    ]


def is_surely_apart(found: Expected) -> bool:
    """Return whether there are surely more, or fewer, rows of a class than its probabilities promise."""
    return not found.low <= found.true <= found.high


# In words


def hardly_in_words(found: Sequence[ClassFound], classes: Sequence[str]) -> str:
    """Name the classes of which less than half is found at the upper end of the interval, the least found first; empty where there are none.

    Examples
    --------
    >>> hardly_in_words(found_by_class([[90, 0, 0], [20, 4, 0], [26, 1, 1]]), ("a", "b", "c"))
    "1 of 28 that are 'c' and 4 of 24 that are 'b'"
    """
    hardly = sorted((one for one in found if one.is_hardly_found), key=lambda one: one.recall.value)
    told = [f"{one.recall.rows:,} of {one.recall.of:,} that are {classes[one.code]!r}" for one in hardly]
    if len(told) > _MOST_NAMED:
        return listed(told, _MOST_NAMED)
    return f"{', '.join(told[:-1])} and {told[-1]}" if len(told) > 1 else "".join(told)


def apart_by_class(found: Sequence[Expected], classes: Sequence[str]) -> Iterator[str]:
    """Say of each class whose probability is surely off as a whole on which side it is.

    Examples
    --------
    >>> print(*apart_by_class([Expected(code=0, said=20.0, true=5.0, low=11.0, high=30.0)], ["a", "b", "c"]))
    The probability of 'a' is too high as a whole: by it 20 test rows would be 'a', and 5 are; if it were true, 11 to 30 would be.
    """
    for one in found:
        if is_surely_apart(one):
            side = "low" if one.true > one.said else "high"
            yield (
                f"The probability of {classes[one.code]!r} is too {side} as a whole: by it {rows_in_words(one.said)} test rows would be "
                f"{classes[one.code]!r}, and {rows_in_words(one.true)} are; if it were true, {rows_in_words(one.low)} to {rows_in_words(one.high)} would be."
            )


def rows_in_words(rows: float) -> str:
    """Return rows that are expected, with a decimal where they are few.

    Examples
    --------
    >>> rows_in_words(5.27), rows_in_words(1080.4), rows_in_words(40.0)
    ('5.3', '1,080', '40')
    """
    return f"{rows:,.0f}" if rows >= 20 or rows == round(rows) else f"{rows:.1f}"


def share_in_words(share: float) -> str:
    """Return a share in percent as a table has it.

    Examples
    --------
    >>> share_in_words(0.125), share_in_words(1.0), share_in_words(0.9996), share_in_words(0.0)
    ('12.5 %', '100 %', '99.96 %', '0 %')
    """
    if share in {0.0, 1.0}:
        return f"{share:.0%}".replace("%", " %")
    for decimals in range(1, 8):
        text = f"{100 * share:.{decimals}f}"
        if 0 < float(text) < 100:
            return f"{text} %"
    return f"{100 * share:.10g} %"
