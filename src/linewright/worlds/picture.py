"""A life as a picture.

It shows how far ahead of never retraining a line was, summed up day by day: the end of its curve is the sum that the caption
names, to the cent, and nothing is smoothed. Equal lives give equal bytes.
"""

from linewright.charts.sheet import Scale, Sheet, round_ticks, text_width
from linewright.worlds.life import Life
from linewright.worlds.story import caption, compared, gains, in_whole, stretches, tell, version, worth

WIDTH, HEIGHT = 960, 420
LEFT, RIGHT, BOTTOM = 96.0, 944.0, 334.0
"""Of the plot; its top depends on how many kinds of moments stand above it."""
_TOP, _LANE = 92.0, 17.0
_RIBBON, _RIBBON_HEIGHT = 342.0, 20.0
_MOST_DAYS = 8
_GLYPHS = {
    "attack": "M-5-4.5H5L0 5Z",
    "alert": "M0-5L5 0L0 5L-5 0Z",
    "refused": "M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5",
    "promoted": "M-5 4.5H5L0-5Z",
}
_STYLE = """
.paper{fill:#fff}.ink{fill:#1a1a1a}.soft{fill:#5c6166}.strong{fill:#0072b2}
.line{fill:none;stroke-linejoin:round}.grid{stroke:#dfe2e5}.rule{stroke:#8d9499}.axis{stroke:#1a1a1a}.own{stroke:#0072b2}
@media (prefers-color-scheme:dark){
.paper{fill:#16191d}.ink{fill:#ecebe8}.soft{fill:#a9afb5}.strong{fill:#56b4e9}
.grid{stroke:#31363c}.rule{stroke:#7c838a}.axis{stroke:#ecebe8}.own{stroke:#56b4e9}}

.gain{fill:#56b4e9;fill-opacity:.18}.served-0{fill:#d9dde1}.served-1{fill:#b5d6ea}.served-2{fill:#deedf6}
.attack{fill:#d55e00;stroke:#d55e00}.alert{fill:#e69f00;stroke:#e69f00}
.promoted{fill:#009e73;stroke:#009e73}.refused{fill:none;stroke:#cc79a7;stroke-width:2}.pole{stroke-width:1;stroke-dasharray:3 3}
@media (prefers-color-scheme:dark){.served-0{fill:#3b4148}.served-1{fill:#1b4f70}.served-2{fill:#143347}}
"""
"""Colours by Okabe and Ito, Color Universal Design (2008): told apart by all kinds of colour vision."""


def to_svg(life: Life) -> str:
    """Return a life as an SVG image that needs nothing from elsewhere.

    Examples
    --------
    >>> life = Life(world="fraud", seed=1, is_attacked=False, line="a<b", currency="EUR", days=(), moments=())
    >>> "a&lt;b in the world fraud" in to_svg(life)
    True
    """
    said = caption(life)
    sheet = Sheet(WIDTH, HEIGHT, title=said, says=tell(life), style=_STYLE)
    sheet.put("rect", "paper", width=WIDTH, height=HEIGHT, rx=6)
    room = float(WIDTH - 32)
    size = next((size for size in (17.0, 15.0, 13.5) if text_width(said, size, is_bold=True) <= room), 12.0)
    sheet.write(said, 16, 30, size=size, is_bold=True, room=room)
    about = "What the line's decisions were worth since day 0, compared with never retraining it"
    sheet.write(f"{about}, in {life.currency}", 16, 50, kind="soft", size=12.5, room=room)
    truth = "Best possible: decisions by the true probabilities, which only the world knows."
    sheet.write(f"{truth} Seed {life.seed}, world {life.world}.", 16, HEIGHT - 9, kind="soft", room=room)
    days = day_scale(life)
    top = _draw_moments(sheet, life, days)
    _draw_curves(sheet, life, days, money_scale(life, top))
    _draw_legend(sheet, life)
    _draw_ribbon(sheet, life, days)
    return sheet.to_svg()


def day_scale(life: Life) -> Scale:
    """Return where days begin; a day's sum is known where the next one begins."""
    first = life.days[0].day if life.days else 0
    last = life.days[-1].day if life.days else 0
    return Scale(first, max(first, last) + 1, LEFT, RIGHT)


def _money_ticks(life: Life) -> range:
    sums = gains(life)
    amounts = (0, *sums.line, *sums.best)
    return round_ticks(min(amounts), max(amounts), unit=100)


def money_scale(life: Life, top: float) -> Scale:
    """Return where sums are, in cents: zero is in sight, and both ends are round."""
    ticks = _money_ticks(life)
    return Scale(ticks[0], ticks[-1], BOTTOM, top)


def _draw_moments(sheet: Sheet, life: Life, days: Scale) -> float:
    """Draw a row for each kind of moment, and return where the plot below begins."""
    kinds = [kind for kind in _GLYPHS if any(moment.kind == kind for moment in life.moments)]
    top = _TOP + _LANE * len(kinds) + 8
    for lane, kind in enumerate(kinds):
        y = _TOP + _LANE * lane
        sheet.write(kind, LEFT - 8, y + 4, kind="soft", anchor="end")
        for moment in life.moments:
            if moment.kind != kind:
                continue
            x = days.at(moment.day)
            if kind != "alert":
                sheet.path(f"{kind} pole", "M", x, y, "V", BOTTOM)
            says = f"Day {moment.day}: {moment.says}"
            sheet.path(f"{kind} mark", _GLYPHS[kind], says=says, transform=f"translate({x:.2f} {y:.2f})")
    return top


def _draw_curves(sheet: Sheet, life: Life, days: Scale, money: Scale) -> None:
    for value in _money_ticks(life):
        y = money.at(value)
        sheet.path("grid", "M", LEFT, y, "H", RIGHT)
        sheet.write(in_whole(value), LEFT - 8, y + 4, kind="soft", anchor="end")
    sums, zero = gains(life), money.at(0)
    ends = [days.at(days.low), *(days.at(day.day + 1) for day in life.days)]
    line, best = (
        [
            part
            for x, value in zip(ends, (0, *values), strict=True)
            for part in ("M" if x is ends[0] else "L", x, money.at(value))
        ]
        for values in sums
    )
    sheet.path("gain", *line, "V", zero, "Z")
    sheet.path("line rule best", *best, stroke_width=1.4)
    sheet.path("line axis never", "M", LEFT, zero, "H", RIGHT, stroke_width=1.4, stroke_dasharray="6 4")
    sheet.path("line own gains", *line, stroke_width=3)


def _draw_legend(sheet: Sheet, life: Life) -> None:
    totals = worth(life)
    curves = (
        ("own", "strong", 3.0, "none", life.line, compared(totals.value - totals.never, life.currency)),
        ("rule", "soft", 1.4, "none", "best possible", compared(totals.best - totals.never, life.currency)),
        ("axis", "ink", 1.4, "6 4", "never retrained", f"{life.currency} {in_whole(totals.never)} in all"),
    )
    step = (WIDTH - 32) / len(curves)
    for at, (stroke, kind, width, dash, name, amount) in enumerate(curves):
        x = 16 + at * step
        sheet.path(f"line {stroke}", "M", x, 68.0, "H", x + 22, stroke_width=width, stroke_dasharray=dash)
        room = step - 28 - 12 - text_width(amount, 12.5)
        head = name if text_width(name, 12.5) <= room else ""
        sheet.write(f"{head}: {amount}" if head else amount, x + 28, 72, kind=kind, size=12.5, room=step - 40)


def _draw_ribbon(sheet: Sheet, life: Life, days: Scale) -> None:
    """Draw which model answered when, and the days below."""
    middle = _RIBBON + _RIBBON_HEIGHT / 2 + 4
    sheet.write("model", LEFT - 8, middle, kind="soft", anchor="end")
    for at, stretch in enumerate(stretches(life)):
        start, end = days.at(stretch.start), days.at(stretch.end)
        says = f"{stretch.model}, days {stretch.start} to {stretch.end - 1}"
        tone = (at - 1) % 2 + 1 if at else 0
        size = {"width": max(end - start - 1, 0.2), "height": _RIBBON_HEIGHT}
        sheet.put("rect", f"served served-{tone}", says, x=start, y=_RIBBON, **size)
        names = (stretch.model, version(stretch.model))
        name = next((name for name in names if text_width(name, 11.0) <= end - start - 12), "")
        sheet.write(name, start + 6, middle)
    dates = {day.day: day.date for day in life.days}
    step = week_step(days.high - days.low)
    for day in range(days.low, days.high, step):
        sheet.write(f"day {day}", days.at(day), 378, anchor="middle", room=80)
        sheet.write(dates.get(day, ""), days.at(day), 391, kind="soft", size=10, anchor="middle", room=80)


def week_step(span: int) -> int:
    """Return the least of 1, 2, 7, 14, 28, … days that goes into a span at most eight times.

    Examples
    --------
    >>> week_step(50)
    7
    """
    step = next((step for step in (1, 2, 7) if span <= _MOST_DAYS * step), 14)
    while span > _MOST_DAYS * step:
        step *= 2
    return step
