"""SVG pictures that need nothing from elsewhere: shapes and words on a sheet, and scales for what is drawn.

Equal calls give equal bytes. What kind a shape is decides on its colours, which follow the light or dark scheme of the reader.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from unicodedata import combining, east_asian_width
from xml.etree.ElementTree import Element, SubElement, indent, tostring

_BOLD = 1.1
"""How much wider bold letters are."""
_NARROW = frozenset(" \u2009.,:;'|!()[]ijlftrI\u00b7-")
_WIDE = frozenset("mwMW@%\u2026\u2014")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SVG = "http://www.w3.org/2000/svg"
_FONT = "system-ui, 'Helvetica Neue', Arial, sans-serif"


class Scale(NamedTuple):
    """From values to places on a sheet."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: int) -> float:
        """Return where a value is; what is outside stands at the rim."""
        within = min(max(value, self.low), self.high)
        return self.start + (within - self.low) / (self.high - self.low) * (self.end - self.start)


def round_ticks(low: int, high: int, *, unit: int = 1, most: int = 5) -> range:
    """Return ticks 1, 2, 5, 10, 20, … units apart that begin at `low` or below and end at `high` or above.

    Examples
    --------
    >>> list(round_ticks(-300, 4_100))
    [-1000, 0, 1000, 2000, 3000, 4000, 5000]
    """
    high = max(high, low + unit)
    step = unit
    while high - low > most * step:
        step = step * 5 // 2 if str(step // unit)[0] == "2" else step * 2
    return range(low // step * step, -(-high // step) * step + 1, step)


def text_width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return the width of a text at a font size: an estimate on the safe side for common sans-serif fonts."""
    return size * (_BOLD if is_bold else 1.0) * sum(map(_em, text))


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


def printable(text: str) -> str:
    r"""Return a text without the characters that no page can hold.

    Examples
    --------
    >>> printable("a\x00b")
    'a\ufffdb'
    """
    return _NOT_XML.sub("\ufffd", text)


def fitted(text: str, room: float, size: float, *, is_bold: bool = False) -> str:
    """Return a text in one line, cut where it is wider than `room`."""
    text = printable(" ".join(text.split()))
    if text_width(text, size, is_bold=is_bold) <= room:
        return text
    cuts = (f"{text[:length]}…" for length in range(len(text) - 1, 0, -1))
    return next((cut for cut in cuts if text_width(cut, size, is_bold=is_bold) <= room), "")


class Sheet:
    """An SVG that is being drawn."""

    def __init__(
        self,
        width: int,
        height: int,
        *,
        title: str,
        says: str,
        style: str = "",
        paint: Callable[[str], dict[str, str]] | None = None,
        root: dict[str, str] | None = None,
    ) -> None:
        self._paint = paint or _as_class
        view = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
        self._svg = Element(
            "svg", {**({"xmlns": _SVG} if style else {}), "role": "img", **view, **(root or {})}
        )
        self._add("title", title)
        self._add("desc", says)
        if style:
            self._svg.set("font-family", _FONT)
            self._add("style", style)

    def put(self, tag: str, kind: str, says: str = "", **attributes: str | float) -> None:
        """Add a shape of a kind; `says` is shown at the pointer."""
        shape = SubElement(self._svg, tag, self._paint(kind))
        for name, value in attributes.items():
            shape.set(name.replace("_", "-"), value if isinstance(value, str) else spell(value))
        if says:
            SubElement(shape, "title").text = printable(says)

    def path(self, kind: str, *parts: str | float, says: str = "", **attributes: str | float) -> None:
        """Add a path of letters and numbers."""
        d = " ".join(part if isinstance(part, str) else spell(part) for part in parts)
        self.put("path", kind, says, d=d, **attributes)

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        kind: str = "ink",
        size: float = 11.0,
        is_bold: bool = False,
        anchor: str = "start",
        room: float | None = None,
    ) -> None:
        """Add a line of text, cut to `room` if that is given; nothing if it is empty."""
        text = fitted(text, float("inf") if room is None else room, size, is_bold=is_bold)
        if text:
            weight = {"font_weight": "600"} if is_bold else {}
            self.put("text", kind, x=x, y=y, font_size=size, text_anchor=anchor, **weight)
            self._svg[-1].text = text

    def to_svg(self) -> str:
        """Return the SVG."""
        indent(self._svg, " ")
        return tostring(self._svg, encoding="unicode") + "\n"

    def _add(self, tag: str, text: str) -> None:
        SubElement(self._svg, tag).text = printable(text)


def _as_class(kind: str) -> dict[str, str]:
    return {"class": kind}


def spell(number: float) -> str:
    """Return a number with two digits at most.

    Examples
    --------
    >>> spell(-0.001), spell(12.50), spell(100)
    ('0', '12.5', '100')
    """
    return f"{number:.2f}".rstrip("0").rstrip(".") if round(number, 2) else "0"
