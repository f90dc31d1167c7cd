"""A life in letters, for a terminal."""

import textwrap
from collections.abc import Sequence
from unicodedata import combining, east_asian_width

import numpy as np

from linewright.worlds.layout import FLAT, Scale, day_scale, money_scale, week_step
from linewright.worlds.life import Life
from linewright.worlds.story import (
    MINUS,
    THIN,
    Stretch,
    caption,
    compared,
    gains,
    in_whole,
    stretches,
    version,
    worth,
)

_ROWS = 9
_GUTTER = 9
_NARROWEST = 48
_MARKS = {"attack": ("▼", "A"), "alert": ("◆", "!"), "refused": ("×", "x"), "promoted": ("▲", "P")}  # noqa: RUF001
"""Letter of each mark, and the one where only ASCII is taken."""
_PLAIN = str.maketrans({"·": "-", "…": "~", "─": "-", "━": "=", "┄": "-", "│": "|"})
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bit of each dot of a braille letter."""


def to_terminal(life: Life, *, width: int = 78, ascii: bool = False) -> list[str]:  # noqa: A002 -- the command's word
    """Return a life as lines of text: a plot, a row for each kind of mark, and which model answered when.

    Parameters
    ----------
    life
        What happened.
    width
        Columns, at least 48.
    ascii
        Whether the stream takes nothing but ASCII.
    """
    width = max(width, _NARROWEST)
    money = money_scale(gains(life).line, 0.0, float(_ROWS))
    shown = (0,) if (money.low, money.high) == FLAT else (money.high, money.low, 0)
    names = {_row(money, amount): in_whole(amount) for amount in shown}
    gutter = max(_GUTTER, *map(len, names.values())) + 1
    room = width - gutter - 1
    days = day_scale(life, 0.0, float(room))
    plot = _plot(life, money, room, is_ascii=ascii)
    rows = [(names.get(at, ""), line) for at, line in enumerate(plot)]
    rows += _marks(life, days, room, is_ascii=ascii)
    rows += [("model", _ribbon(stretches(life), days, room)), ("day", _days(days, room))]
    head = _wrapped(_printable(caption(life)), width)
    lines = [*head, *(f"{name:>{gutter - 1}} │{line}" for name, line in rows), *_foot(life, gutter, width)]
    return [_plain(line, is_ascii=ascii).rstrip() for line in lines]


def _row(money: Scale, amount: int) -> int:
    """Return the row of the plot in which an amount is, counted from the top."""
    return _ROWS - 1 - min(int(money.at(amount)), _ROWS - 1)


def _plot(life: Life, money: Scale, room: int, *, is_ascii: bool) -> list[str]:
    """Return the two curves: the line's in dots, never retrained as a dashed line at zero."""
    wide, high = (1, 1) if is_ascii else (2, 4)
    dots = _dots(life, money, room * wide, _ROWS * high)
    cells = dots.reshape(_ROWS, high, room, wide).transpose(0, 2, 1, 3)
    zero = _row(money, 0)
    lines: list[str] = []
    for at, row in enumerate(cells):
        empty = "┄" if at == zero else " "
        codes = [int((cell * _DOTS).sum()) if not is_ascii else int(cell.any()) for cell in row]
        lines.append("".join(("*" if is_ascii else chr(0x2800 + code)) if code else empty for code in codes))
    return lines


def _dots(life: Life, money: Scale, columns: int, rows: int) -> np.ndarray:
    """Return which dots are on the line's curve; steep parts are joined."""
    sums = gains(life).line
    ends = np.array([0, *(day.day + 1 - life.days[0].day for day in life.days)], float)
    heights = np.array([money.at(value) for value in (0, *sums)])
    at = (np.arange(columns) + 0.5) / columns * max(float(ends[-1]), 1.0)
    level = np.minimum((np.interp(at, ends, heights) * rows / _ROWS).astype(int), rows - 1)
    before = np.concatenate([level[:1], level[:-1]])
    low, high = np.minimum(level, before + 1), np.maximum(level, before - 1)
    each = np.arange(rows)[::-1, None]
    return (each >= low) & (each <= high)


def _marks(life: Life, days: Scale, room: int, *, is_ascii: bool) -> list[tuple[str, str]]:
    """Return a row for each kind of mark that there is."""
    rows: list[tuple[str, str]] = []
    for kind, letters in _MARKS.items():
        found = [moment.day for moment in life.moments if moment.kind == kind]
        if found:
            cells = [" "] * room
            for day in found:
                cells[column(days, day, room)] = letters[is_ascii]
            rows.append((kind, "".join(cells)))
    return rows


def column(days: Scale, day: int, room: int) -> int:
    """Return where a day stands in a row of so many letters."""
    return min(int(days.at(day)), room - 1)


def _ribbon(served: Sequence[Stretch], days: Scale, room: int) -> str:
    """Return who answered when."""
    text = ""
    for at, stretch in enumerate(served):
        end = room if at == len(served) - 1 else column(days, stretch.end, room)
        size = end - column(days, stretch.start, room)
        model = _printable(stretch.model)
        names = (model, version(model))
        name = next((name for name in names if _columns(name) < size), "")
        text += name + "━─"[at % 2] * (size - _columns(name))
    return text


def _days(days: Scale, room: int) -> str:
    text = ""
    step = week_step(days.high - days.low, most=max(room // 8, 1))
    for day in range(days.low, days.high, step):
        text = text.ljust(column(days, day, room)) + str(day)
    return text[:room]


def _foot(life: Life, gutter: int, width: int) -> list[str]:
    """Return the dates, and what each curve came to."""
    totals, pad = worth(life), " " * (gutter + 1)
    lines: list[str] = []
    if life.days:
        first, last = (_cut(_printable(life.days[at].date), 10) for at in (0, -1))
        lines.append(
            f"{pad}{first}{last:>{width - gutter - 1 - len(first)}}" if len(life.days) > 1 else pad + first
        )
    for name, value in (("the line", totals.value), ("best possible", totals.best)):
        lines.append(f"{pad}{name}: {compared(value - totals.never, life.currency)}")
    lines.append(f"{pad}┄ never retrained: {life.currency} {in_whole(totals.never)} in all")
    return [_cut(_printable(line), width) for line in lines]


def _wrapped(text: str, width: int) -> list[str]:
    """Break a caption between its parts, and within one only where it must be."""
    whole = text.replace(" ", "\xa0").replace("\xa0·\xa0", "\xa0· ")
    return textwrap.wrap(whole, max(width - (_columns(text) - len(text)), 1))


def _printable(text: str) -> str:
    """Replace what would steer a terminal; a narrow space is a space."""
    return "".join(
        letter if letter.isprintable() or letter == "\xa0" else "\ufffd" for letter in text.replace(THIN, " ")
    )


def _plain(line: str, *, is_ascii: bool) -> str:
    line = line.replace(THIN, " ").replace("\xa0", " ").replace(MINUS, "-")
    return line.translate(_PLAIN).encode("ascii", "replace").decode() if is_ascii else line


def _columns(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(0 if combining(letter) else 1 + (east_asian_width(letter) in "WF") for letter in text)


def _cut(text: str, room: int) -> str:
    """Return the beginning of a text that takes so many columns at most."""
    while _columns(text) > room:
        text = text[:-1]
    return text
