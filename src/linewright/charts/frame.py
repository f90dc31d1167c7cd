"""What charts share: a title if the picture stands alone, a legend, axes, and room for what is drawn."""

from collections.abc import Sequence
from typing import NamedTuple

from linewright.charts.kinds import Axis, Chart, Reference
from linewright.charts.palette import REFERENCE_DASHES, paint, style
from linewright.charts.scales import Place, Tick, value_text
from linewright.charts.sheet import Sheet, fitted, text_width

EDGE = 6.0
"""Left free at each side."""
SIZE = 11.0
LINE = 15.0
"""From one line of text to the next."""
_TITLE = 14.0


class Key(NamedTuple):
    """An entry of a legend: how it is drawn, and its name."""

    shape: str
    """`"line"`, `"area"`, `"dot"`, or `"span"` for an interval."""
    kind: str
    name: str
    dash: str = "none"


class Canvas:
    """A sheet whose height is known when all is drawn: shapes are kept until then."""

    def __init__(self, chart: Chart, width: int, says: str, *, is_standalone: bool) -> None:
        self.chart, self.width, self.is_standalone = chart, width, is_standalone
        self.top = EDGE
        self._says = says
        self._calls: list[tuple[str, tuple[object, ...], dict[str, object]]] = []
        if is_standalone:
            for line in wrapped(chart.title, width - 2 * EDGE, _TITLE):
                self.top += _TITLE + 5
                self.write(line, EDGE, self.top - 5, size=_TITLE, is_bold=True)
            self.top += 4

    def put(self, tag: str, kind: str, says: str = "", **attributes: str | float) -> None:
        """Add a shape."""
        self._calls.append(("put", (tag, kind, says), dict(attributes)))

    def path(self, kind: str, *parts: str | float, says: str = "", **attributes: str | float) -> None:
        """Add a path."""
        self._calls.append(("path", (kind, *parts), {"says": says, **attributes}))

    def write(self, text: str, x: float, y: float, *, kind: str = "ink", **form: object) -> None:
        """Add a text, as `Sheet.write` does."""
        self._calls.append(("write", (text, x, y), {"kind": kind, "size": SIZE, **form}))

    def write_within(self, text: str, x: float, y: float, *, kind: str = "ink") -> None:
        """Add a text whose middle is at `x`, or as near to it as the sheet has room."""
        text = fitted(text, self.width - 2 * EDGE, SIZE)
        half = text_width(text, SIZE) / 2
        x = min(max(x, EDGE + half), self.width - EDGE - half)
        self.write(text, x, y, kind=kind, anchor="middle")

    def legend(self, keys: Sequence[Key]) -> None:
        """Draw entries from left to right, in as many lines as they need, below what is drawn so far."""
        x = EDGE
        for key in keys:
            name = fitted(key.name, self.width - 2 * EDGE - 26, SIZE)
            wide = 24 + text_width(name, SIZE)
            if x > EDGE and x + wide > self.width - EDGE:
                x, self.top = EDGE, self.top + LINE + 2
            middle = self.top + 7
            if key.shape == "line":
                self.path(
                    f"{key.kind} line", "M", x, middle, "H", x + 18, stroke_width=2, stroke_dasharray=key.dash
                )
            elif key.shape == "span":
                self.path(f"{key.kind} line", *span(x + 1, x + 17, middle), stroke_width=1.5)
            elif key.shape == "dot":
                self.put("circle", key.kind, cx=x + 9, cy=middle, r=4)
            else:
                self.put("rect", key.kind, x=x, y=middle - 5, width=18, height=10)
            self.write(name, x + 24, middle + 4)
            x += wide + 16
        if keys:
            self.top += LINE + 6

    def nothing(self) -> str:
        """Say that there is nothing to show, and return the picture."""
        self.write("nothing to show yet", self.width / 2, self.top + 30, kind="soft", anchor="middle")
        return self.to_svg(self.top + 52)

    def to_svg(self, height: float) -> str:
        """Return the picture."""
        tall = round(height)
        sheet = Sheet(
            self.width,
            tall,
            title=self.chart.title,
            says=self._says,
            style=style() if self.is_standalone else "",
            paint=paint,
            root={"class": "linewright-chart"},
        )
        if self.is_standalone:
            sheet.put("rect", "card", width=self.width, height=tall, rx=6)
        for name, arguments, attributes in self._calls:
            getattr(sheet, name)(*arguments, **attributes)
        return sheet.to_svg()

    def value_axis(self, ticks: Sequence[Tick], axis: Axis, height: float) -> tuple[Place, float]:
        """Draw a vertical axis with its grid; return the place of its values, and the left end of the plot."""
        if str(axis):
            self.write(str(axis), EDGE, self.top + 10, kind="soft", room=self.width - 2 * EDGE)
            self.top += LINE + 5
        place = Place(ticks[0].value, ticks[-1].value, self.top + height, self.top + 4)
        left = EDGE + max(text_width(tick.text, SIZE) for tick in ticks) + 6
        for tick in ticks:
            y = place.at(tick.value)
            self.path("rule line", "M", left, y, "H", self.width - EDGE)
            self.write(tick.text, left - 6, y + 4, kind="soft", anchor="end")
        return place, left

    def along_axis(
        self, ticks: Sequence[Tick], label: str, place: Place, top: float, *, is_grid: bool = False
    ) -> float:
        """Draw a horizontal axis below `top`, with as many ticks as have room; return its end."""
        end, has_below = float("-inf"), any(tick.below for tick in ticks)
        for tick in ticks:
            half = max(text_width(tick.text, SIZE), text_width(tick.below, SIZE)) / 2
            x = place.at(tick.value)
            middle = min(max(x, EDGE + half), self.width - EDGE - half)
            if is_grid:
                self.path("rule line", "M", x, self.top, "V", top)
            if middle - half < end:
                continue
            end = middle + half + 8
            self.path("soft line", "M", x, top, "V", top + 4)
            self.write(tick.text, middle, top + LINE + 2, kind="soft", anchor="middle")
            self.write(tick.below, middle, top + 2 * LINE + 2, kind="soft", anchor="middle")
        bottom = top + (2 if has_below else 1) * LINE + 6
        if label:
            self.write_within(label, (place.start + place.end) / 2, bottom + 12, kind="soft")
            bottom += LINE + 2
        return bottom


def reference_keys(references: Sequence[Reference], axis: Axis) -> list[Key]:
    """Return the entries of values that others are compared with."""
    return [
        Key(
            "line",
            "ink",
            f"{one.name} {value_text(one.value, axis)}",
            REFERENCE_DASHES[number % len(REFERENCE_DASHES)],
        )
        for number, one in enumerate(references)
    ]


def span(low: float, high: float, y: float) -> tuple[str | float, ...]:
    """Return the path of an interval with its ends.

    Examples
    --------
    >>> span(0, 9, 5)[:4]
    ('M', 0, 5, 'H')
    """
    return ("M", low, y, "H", high, "M", low, y - 3, "V", y + 3, "M", high, y - 3, "V", y + 3)


def wrapped(text: str, room: float, size: float) -> list[str]:
    """Return a title in at most three lines; the last is cut if it is too long."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and len(lines) < 3 and text_width(longer, size, is_bold=True) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return [fitted(line, room, size, is_bold=True) for line in lines]
