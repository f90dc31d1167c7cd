"""Where things stand in a picture: days and money on their axes, and labels so that none covers another."""

from collections.abc import Sequence
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from linewright.worlds.life import Life

FLAT = (-100, 100)
"""Cents on the axis, where there is nothing but zero."""
_NARROW = frozenset(" \u2009.,:;'|!()[]ijlftrI\u00b7-")
_WIDE = frozenset("mwMW@%\u2026\u2014")
_AIR = 4.0
"""Between two labels, or a label and the line of another mark."""


class Scale(NamedTuple):
    """From values to places on the page."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: int) -> float:
        """Return where a value is; what is outside stands at the rim."""
        within = min(max(value, self.low), self.high)
        return self.start + (within - self.low) / (self.high - self.low) * (self.end - self.start)


class Flag(NamedTuple):
    """A label on a pole: the pole stands on the plot, the label is beside its top."""

    x: float
    row: int
    """Counted upwards from the plot."""
    is_left: bool
    """Whether the text stands left of the pole."""
    width: float
    """Of the text."""


def day_scale(life: Life, start: float, end: float) -> Scale:
    """Return where days begin; a day's sum is known where the next one begins."""
    if not life.days:
        return Scale(0, 1, start, end)
    return Scale(life.days[0].day, max(life.days[-1].day, life.days[0].day) + 1, start, end)


def money_scale(amounts: Sequence[int], start: float, end: float) -> Scale:
    """Return where amounts are: zero is in sight, and both ends are round."""
    low, high = min(0, *amounts, 0), max(0, *amounts, 0)
    if low == high:
        return Scale(*FLAT, start, end)
    step = round_step(high - low, 100, most=5)
    return Scale(low // step * step, -(-high // step) * step, start, end)


def round_step(span: int, unit: int, *, most: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, … units that goes into a span at most so often.

    Examples
    --------
    >>> round_step(4_100, 1, most=5)
    1000
    """
    while True:
        for factor in (1, 2, 5):
            if span <= most * factor * unit:
                return factor * unit
        unit *= 10


def week_step(span: int, *, most: int) -> int:
    """Return the least of 1, 2, 7, 14, 28, … days that goes into a span at most so often.

    Examples
    --------
    >>> week_step(50, most=8)
    7
    """
    step = next((step for step in (1, 2, 7) if span <= most * step), 14)
    while span > most * step:
        step *= 2
    return step


def text_width(text: str, size: float) -> float:
    """Return the width of a text at a font size: an estimate on the safe side for common sans-serif fonts."""
    return size * sum(_em(letter) for letter in text)


def _em(letter: str) -> float:
    if combining(letter):
        return 0.0
    if east_asian_width(letter) in "WF" or ord(letter) > 0x2FFF:
        return 1.05
    if letter in _NARROW:
        return 0.42
    if letter in _WIDE:
        return 1.02
    return 0.78 if letter.isupper() or ord(letter) > 0xFF else 0.65


def plant(flags: Sequence[tuple[float, float]], *, rows: int, left: float, right: float) -> list[Flag] | None:
    """Return a place for each label, or none if there is no room for all.

    No label covers another one, and no pole runs through a label.

    Parameters
    ----------
    flags
        Where each pole stands, and how wide its label is. The order of the answer is that of the question.
    rows
        Labels may stand in so many rows.
    left, right
        Labels stay between these.
    """
    placed: dict[int, Flag] = {}
    for which in sorted(range(len(flags)), key=lambda which: (-flags[which][0], which)):
        x, width = flags[which]
        choices = (Flag(x, row, is_left, width) for is_left in (False, True) for row in range(rows))
        fits = (flag for flag in choices if left <= _spread(flag)[0] and _spread(flag)[1] <= right)
        found = next(
            (flag for flag in fits if all(_is_clear(flag, other) for other in placed.values())), None
        )
        if found is None:
            return None
        placed[which] = found
    return [placed[which] for which in range(len(flags))]


def _spread(flag: Flag) -> tuple[float, float]:
    """Return from where to where a label goes, with the glyph on its pole."""
    arm = 9 + flag.width
    return (flag.x - arm, flag.x + 6) if flag.is_left else (flag.x - 6, flag.x + arm)


def _is_clear(one: Flag, other: Flag) -> bool:
    (left, right), (other_left, other_right) = _spread(one), _spread(other)
    if one.row == other.row:
        return right + _AIR <= other_left or other_right + _AIR <= left
    lower, higher = (one, other) if one.row < other.row else (other, one)
    low, high = _spread(lower)
    return lower.x == higher.x or not low - _AIR < higher.x < high + _AIR


def spread_out(wanted: Sequence[float], *, height: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least ``height`` apart, in the same order.

    Examples
    --------
    >>> spread_out([10.0, 12.0, 50.0], height=10, low=0, high=100)
    [10.0, 20.0, 50.0]
    """
    order = sorted(range(len(wanted)), key=lambda which: wanted[which])
    found = [0.0] * len(wanted)
    floor = low
    for which in order:
        found[which] = max(floor, wanted[which])
        floor = found[which] + height
    ceiling = high
    for which in reversed(order):
        found[which] = min(ceiling, found[which])
        ceiling = found[which] - height
    return found
