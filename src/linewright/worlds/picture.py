"""A life as a picture: for a page, and for a terminal.

Both show how far ahead of never retraining a line was, summed up day by day: the end of its curve is the sum that the
caption names, to the cent, and nothing is smoothed. Equal lives give equal bytes.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from linewright.worlds.layout import (
    FLAT,
    Flag,
    Scale,
    day_scale,
    money_scale,
    plant,
    round_step,
    spread_out,
    text_width,
    week_step,
)
from linewright.worlds.life import Life, Moment
from linewright.worlds.story import (
    Stretch,
    caption,
    compared,
    first,
    gains,
    in_whole,
    promotions,
    short_model,
    shortened,
    stretches,
    tell,
    version,
    worth,
)
from linewright.worlds.terminal import to_terminal

__all__ = ["to_svg", "to_terminal"]

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, BOTTOM = 88.0, 786.0, 334.0
"""Of the plot; its top depends on how many rows of labels stand above it."""
_TOP, _ROW, _ROWS = 72.0, 17.0, 4
_RIBBON, _RIBBON_HEIGHT = 342.0, 20.0
_SMALL, _TEXT = 11.0, 12.5
_BOLD = 1.1
"""How much wider bold letters are."""
_MARKED = ("attack", "alert", "promoted", "refused")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STYLE = """
.lw-paper{fill:#fff}.lw-ink{fill:#1a1a1a}.lw-soft{fill:#5c6166}.lw-strong{fill:#0072b2}
.lw-grid{stroke:#dfe2e5}.lw-zero{stroke:#1a1a1a}.lw-rule{stroke:#8d9499}
@media (prefers-color-scheme:dark){
.lw-paper{fill:#16191d}.lw-ink{fill:#ecebe8}.lw-soft{fill:#a9afb5}.lw-strong{fill:#56b4e9}
.lw-grid{stroke:#31363c}.lw-zero{stroke:#ecebe8}.lw-rule{stroke:#7c838a}.lw-line{stroke:#56b4e9}
.lw-served-0{fill:#3b4148}.lw-served-1{fill:#1b4f70}.lw-served-2{fill:#143347}}
"""
_INKS = {"attack": "#d55e00", "alert": "#e69f00", "promoted": "#009e73", "refused": "#cc79a7"}
"""Okabe and Ito, Color Universal Design (2008): told apart by all kinds of colour vision."""
_DASHES = {"attack": "none", "alert": "2 3", "promoted": "8 3", "refused": "1 4"}
_GLYPHS = {
    "attack": "M-5-4.5H5L0 5Z",
    "alert": "M0-5L5 0L0 5L-5 0Z",
    "promoted": "M-5 4.5H5L0-5Z",
    "refused": "M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5",
}
_SERVED = ("#d9dde1", "#b5d6ea", "#deedf6")
_UNITS = ((10**12, " trillion"), (10**9, " billion"), (10**6, " million"), (1, ""))


class _Label(NamedTuple):
    moment: Moment
    text: str


def to_svg(life: Life) -> str:
    """Return a life as an SVG image that needs nothing from elsewhere.

    Examples
    --------
    >>> life = Life(world="fraud", seed=1, is_attacked=False, line="a<b", currency="EUR", days=(), moments=())
    >>> "a&lt;b in the world fraud" in to_svg(life)
    True
    """
    days, labels, flags = day_scale(life, LEFT, RIGHT), *_planted(life)
    rows = max((flag.row + 1 for flag in flags), default=1)
    top = _TOP + rows * _ROW + 8
    sums = gains(life)
    money = money_scale((*sums.line, *sums.best), BOTTOM, top)
    svg = _sheet(life)
    _draw_money_axis(svg, life.currency, money)
    _draw_day_axis(svg, life, days)
    _draw_marks(svg, life, days, top)
    _draw_curves(svg, life, days, money)
    _draw_flags(svg, labels, flags, top)
    _draw_ends(svg, life, money)
    _draw_ribbon(svg, stretches(life), days)
    indent(svg, " ")
    return tostring(svg, encoding="unicode") + "\n"


def _planted(life: Life) -> tuple[list[_Label], list[Flag]]:
    """Return the labels of marks, as wordy as there is room for, with their places."""
    days = day_scale(life, LEFT, RIGHT)
    for labels in _wordings(life):
        wanted = [(days.at(label.moment.day), text_width(label.text, _TEXT)) for label in labels]
        if (flags := plant(wanted, rows=_ROWS, left=LEFT - 6, right=float(WIDTH - 8))) is not None:
            return labels, flags
    return [], []


def _wordings(life: Life) -> Iterable[list[_Label]]:
    """Yield what the labels of marks may say, from all to little."""
    openings = [
        _Label(moment, text)
        for moment, text in ((first(life, "attack"), "attack"), (first(life, "alert"), "first alert"))
        if moment
    ]
    made = [(moment, _clean(model)) for moment, model in promotions(life) if model]
    long = [_Label(moment, f"{short_model(model, 22)} promoted") for moment, model in made]
    short = [_Label(moment, shortened(version(model), 8)) for moment, model in made]
    refused = [_Label(moment, "refused") for moment in life.moments if moment.kind == "refused"]
    yield openings + long + refused
    yield openings + short + refused
    yield openings + short + refused[:1]
    yield openings + short
    yield openings + short[:: max(len(short) - 1, 1)]
    yield openings


def _sheet(life: Life) -> Element:
    """Return the empty page, with its words."""
    view = {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "width": str(WIDTH), "height": str(HEIGHT)}
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **view})
    svg.set("font-family", "system-ui, 'Helvetica Neue', Arial, sans-serif")
    said = _clean(caption(life))
    SubElement(svg, "title").text = said
    SubElement(svg, "desc").text = _clean(tell(life))
    SubElement(svg, "style").text = _STYLE
    _put(svg, "rect", "lw-paper", fill="#fff", width=WIDTH, height=HEIGHT, rx=6)
    room = float(WIDTH - 32)
    size = next((size for size in (17.0, 15.0, 13.5, 12.0) if text_width(said, size * _BOLD) <= room), _SMALL)
    _write(svg, _fitting(said, room, size * _BOLD), 16, 32, size=size, weight="600")
    about = "What the line's decisions were worth since day 0, compared with never retraining it"
    _write(svg, about, 16, 53, kind="soft", size=_TEXT)
    world = _fitting(_clean(life.world), 180, _SMALL)
    truth = "Best possible: decisions by the true probabilities, which only the world knows."
    source = _fitting(f"World {world}, seed {life.seed}. {truth}", room, _SMALL)
    _write(svg, source, 16, HEIGHT - 9, kind="soft", size=_SMALL)
    return svg


def _draw_money_axis(svg: Element, currency: str, money: Scale) -> None:
    span = money.high - money.low
    step = round_step(span, 100, most=6)
    size, word = _unit(step // 100)
    is_flat = (money.low, money.high) == FLAT
    name = f"{shortened(currency, 3)}{word}"
    _write(
        svg,
        name,
        LEFT - 8,
        money.at(0 if is_flat else money.high) - 13,
        kind="soft",
        size=_SMALL,
        anchor="end",
    )
    for value in [0] if is_flat else range(money.low, money.high + 1, step):
        y = money.at(value)
        if value:
            _put(svg, "path", "lw-grid", d=f"M{_n(LEFT)} {_n(y)}H{_n(RIGHT)}", stroke="#dfe2e5")
        _write(svg, in_whole(value // size), LEFT - 8, y + 4, kind="soft", size=_SMALL, anchor="end")


def _unit(step: int) -> tuple[int, str]:
    """Return the unit of an axis whose ticks are a round step of whole currency apart."""
    if step >= 10**15:
        power = (len(str(step)) - 1) // 3 * 3
        return 10**power, f" e{power}"
    return next((size, word) for size, word in _UNITS if step >= size)


def _draw_day_axis(svg: Element, life: Life, days: Scale) -> None:
    """Draw weeks, as days and dates."""
    span = days.high - days.low
    step = week_step(span, most=8)
    dates = {day.day: day.date for day in life.days}
    for day in range(days.low, days.high, step):
        x = days.at(day)
        _put(
            svg,
            "path",
            "lw-rule",
            d=f"M{_n(x)} {_n(_RIBBON + _RIBBON_HEIGHT + 2)}V{_n(_RIBBON + _RIBBON_HEIGHT + 6)}",
            stroke="#8d9499",
        )
        _write(svg, f"day {day}", x, 378, size=_SMALL, anchor="middle")
        date = shortened(dates.get(day, ""), 10)
        _write(svg, date, x, 391, kind="soft", size=10, anchor="middle")


def _draw_marks(svg: Element, life: Life, days: Scale, top: float) -> None:
    """Draw a vertical line for each moment; alerts after the first are ticks, lest they hide the rest."""
    alert = first(life, "alert")
    for moment in life.moments:
        if moment.kind not in _MARKED:
            continue
        is_tick = moment.kind == "alert" and moment is not alert
        x = days.at(moment.day)
        mark = _put(
            svg,
            "path",
            f"lw-mark lw-{moment.kind}",
            d=f"M{_n(x)} {_n(BOTTOM)}V{_n(BOTTOM - 8 if is_tick else top)}",
            stroke=_INKS[moment.kind],
            stroke_width=1.5,
            stroke_dasharray="none" if is_tick else _DASHES[moment.kind],
        )
        SubElement(mark, "title").text = _clean(f"Day {moment.day}: {moment.says}")


def _draw_curves(svg: Element, life: Life, days: Scale, money: Scale) -> None:
    sums, zero = gains(life), money.at(0)
    ends = [days.low, *(day.day + 1 for day in life.days)]
    line, best = (
        "".join(
            f"{'L' if at else 'M'}{_n(days.at(day))} {_n(money.at(value))}"
            for at, (day, value) in enumerate(zip(ends, (0, *values), strict=True))
        )
        for values in sums
    )
    _put(svg, "path", "lw-gain", d=f"{line}V{_n(zero)}Z", fill="#56b4e9", fill_opacity=0.18)
    never = f"M{_n(LEFT)} {_n(zero)}H{_n(RIGHT)}"
    _put(svg, "path", "lw-never lw-zero", d=never, stroke="#1a1a1a", stroke_width=1.4, stroke_dasharray="6 4")
    _put(svg, "path", "lw-best lw-rule", d=best, stroke="#8d9499", stroke_width=1.4, fill="none")
    _put(
        svg, "path", "lw-line", d=line, stroke="#0072b2", stroke_width=3, fill="none", stroke_linejoin="round"
    )


def _draw_flags(svg: Element, labels: Sequence[_Label], flags: Sequence[Flag], top: float) -> None:
    """Draw poles first, so that none crosses the glyph of another moment of its day."""
    planted = [(label, flag, top - 10 - flag.row * _ROW) for label, flag in zip(labels, flags, strict=True)]
    for label, flag, y in planted:
        kind = label.moment.kind
        looks = {"stroke": _INKS[kind], "stroke_width": 1.5, "stroke_dasharray": _DASHES[kind]}
        _put(svg, "path", "lw-pole", d=f"M{_n(flag.x)} {_n(top)}V{_n(y)}", **looks)
    for label, flag, y in planted:
        kind = label.moment.kind
        is_open = kind == "refused"
        looks = {
            "fill": "none" if is_open else _INKS[kind],
            "stroke": _INKS[kind],
            "stroke_width": 2.0 * is_open,
        }
        _put(svg, "path", "lw-glyph", d=_GLYPHS[kind], transform=f"translate({_n(flag.x)} {_n(y)})", **looks)
        x = flag.x - 9 if flag.is_left else flag.x + 9
        _write(svg, label.text, x, y + 4, size=_TEXT, anchor="end" if flag.is_left else "start")


def _draw_ends(svg: Element, life: Life, money: Scale) -> None:
    """Name each curve where it ends, and what it came to."""
    totals = worth(life)
    ahead, best = totals.value - totals.never, totals.best - totals.never
    names = (
        "best possible",
        _fitting(_clean(life.line), WIDTH - RIGHT - 24, _TEXT * _BOLD),
        "never retrained",
    )
    sums = (compared(best, life.currency), compared(ahead, life.currency), "the zero line")
    wanted = [money.at(best), money.at(ahead), money.at(0)]
    places = spread_out(wanted, height=32, low=money.end + 14, high=BOTTOM - 6)
    kinds = ("soft", "strong", "ink")
    for name, amount, y, place, kind in zip(names, sums, wanted, places, kinds, strict=True):
        d = f"M{_n(RIGHT + 3)} {_n(y)}L{_n(RIGHT + 13)} {_n(place)}"
        _put(svg, "path", "lw-rule", d=d, stroke="#8d9499", fill="none")
        _write(svg, name, RIGHT + 17, place - 1, kind=kind, size=_TEXT, weight="600")
        _write(
            svg, _fitting(amount, WIDTH - RIGHT - 24, _TEXT), RIGHT + 17, place + 13, kind=kind, size=_TEXT
        )


def _draw_ribbon(svg: Element, served: Sequence[Stretch], days: Scale) -> None:
    """Draw which model answered when."""
    middle = _RIBBON + _RIBBON_HEIGHT / 2 + 4
    _write(svg, "model", LEFT - 8, middle, kind="soft", size=_SMALL, anchor="end")
    for at, stretch in enumerate(served):
        start, end = days.at(stretch.start), days.at(stretch.end)
        tone = (at - 1) % 2 + 1 if at else 0
        size = {"width": max(end - start - 1, 0.2), "height": _RIBBON_HEIGHT}
        band = _put(
            svg, "rect", f"lw-served lw-served-{tone}", x=start, y=_RIBBON, fill=_SERVED[tone], **size
        )
        SubElement(band, "title").text = _clean(f"{stretch.model}, days {stretch.start} to {stretch.end - 1}")
        model = _clean(stretch.model)
        texts = (short_model(model, 40), version(model))
        text = next((text for text in texts if text_width(text, _SMALL) <= end - start - 12), "")
        _write(svg, text, start + 6, middle, size=_SMALL)


def _fitting(text: str, room: float, size: float) -> str:
    """Return a text, cut so that it fits."""
    return next(
        cut
        for length in range(len(text), -1, -1)
        if text_width(cut := shortened(text, length), size) <= room or not length
    )


def _put(parent: Element, tag: str, kind: str, **attributes: str | float) -> Element:
    """Add a shape; numbers are written alike everywhere."""
    child = SubElement(parent, tag, {"class": kind})
    for name, value in attributes.items():
        child.set(name.replace("_", "-"), value if isinstance(value, str) else _n(value))
    return child


def _write(
    parent: Element,
    text: str,
    x: float,
    y: float,
    *,
    kind: str = "ink",
    size: float,
    weight: str = "400",
    anchor: str = "start",
) -> None:
    if not text:
        return
    fill = {"ink": "#1a1a1a", "soft": "#5c6166", "strong": "#0072b2"}[kind]
    looks = {"fill": fill, "font_size": size, "font_weight": weight, "text_anchor": anchor}
    _put(parent, "text", f"lw-{kind}", x=x, y=y, **looks).text = _clean(text)


def _clean(text: str) -> str:
    """Replace what no XML may hold, escaped or not."""
    return _NOT_XML.sub("\ufffd", text)


def _n(number: float) -> str:
    """Return a number with two digits at most.

    Examples
    --------
    >>> _n(-0.001), _n(12.50), _n(100)
    ('0', '12.5', '100')
    """
    return f"{number:.2f}".rstrip("0").rstrip(".") if round(number, 2) else "0"
