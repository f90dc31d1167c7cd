"""A season of the world `machines` as a picture: what planning saved, and which site saw what. Equal seasons give equal bytes."""

from itertools import accumulate

from linewright.charts.sheet import Scale, Sheet, round_ticks, text_width
from linewright.worlds.machines.season import Moment, Season
from linewright.worlds.story import in_whole

WIDTH, HEIGHT = 960, 560
_LEFT, _RIGHT = 96.0, 944.0
_TOP, _BOTTOM = 92.0, 290.0
_ROWS, _ROW = 322.0, 16.0
_MARKS = {
    "tried": "M-4-4H4V4H-4Z",
    "halted": "M-4.5-4.5L4.5 4.5M-4.5 4.5L4.5-4.5",
    "sensor": "M0-4L4 0L0 4L-4 0Z",
}
_WEEK = 7
_STYLE = """
.paper{fill:#fff}.ink{fill:#1a1a1a}.soft{fill:#5c6166}.strong{fill:#0072b2}
.line{fill:none;stroke-linejoin:round}.grid{stroke:#dfe2e5}.rule{stroke:#8d9499}.own{stroke:#0072b2}.axis{stroke:#1a1a1a}
.row{fill:#eceff1}.served{fill:#b5d6ea}.sensor{fill:#e69f00}.tried{fill:#cc79a7}.halted{fill:none;stroke:#d55e00;stroke-width:2.5}
.released{stroke:#d55e00;stroke-dasharray:3 3}
@media (prefers-color-scheme:dark){
.paper{fill:#16191d}.ink{fill:#ecebe8}.soft{fill:#a9afb5}.strong{fill:#56b4e9}.grid{stroke:#31363c}.rule{stroke:#7c838a}
.own{stroke:#56b4e9}.axis{stroke:#ecebe8}.row{fill:#23282e}.served{fill:#1b4f70}}
"""


def caption(season: Season) -> str:
    """Return the season in one line."""
    faults, named = (sum(getattr(site, name) for site in season.sites) for name in ("faults", "named"))
    halted = [one for one in season.moments if one.kind == "halted"]
    seen = {one.site for one in season.moments if one.kind == "tried"}
    more = "saved" if season.saved >= 0 else "lost"
    released = (
        f"bad release halted at {halted[0].site} on day {halted[0].day}, seen by {len(seen)} of {len(season.sites)}"
        if halted
        else "no release halted"
    )
    money = f"{season.currency} {in_whole(abs(season.saved))} {more} by planning"
    return f"{money} · {released} · {named} of {faults} sensor faults named"


def tell(season: Season) -> str:
    """Return the season in sentences."""
    sums = (
        f"Maintenance and failures cost {season.currency} {in_whole(-sum(season.days))} in {len(season.days)} days; at the fixed "
        f"interval that was best in hindsight, {season.interval} days, {in_whole(-sum(season.fixed))}; had only failures been repaired, "
        f"{in_whole(-season.never)}; by the true wear, which only the world knows, {in_whole(-season.best)}."
    )
    return "\n".join([caption(season), sums, *(_said(one) for one in season.moments)])


def _said(one: Moment) -> str:
    return f"Day {one.day}, {one.kind}{f' at {one.site}' if one.site else ''}: {one.says}"


def to_svg(season: Season) -> str:
    """Return a season as an SVG image that needs nothing from elsewhere."""
    said = caption(season)
    sheet = Sheet(WIDTH, HEIGHT, title=said, says=tell(season), style=_STYLE)
    sheet.put("rect", "paper", width=WIDTH, height=HEIGHT, rx=6)
    room = float(WIDTH - 32)
    size = next((size for size in (17.0, 15.0, 13.5) if text_width(said, size, is_bold=True) <= room), 12.0)
    sheet.write(said, 16, 30, size=size, is_bold=True, room=room)
    about = f"What twelve sites saved since day 0, compared with the best fixed interval ({season.interval} days), in {season.currency}"
    sheet.write(about, 16, 50, kind="soft", size=12.5, room=room)
    days = Scale(0, max(1, len(season.days)), _LEFT, _RIGHT)
    _draw_savings(sheet, season, days)
    _draw_sites(sheet, season, days)
    foot = f"Diamond: a sensor that fails was named. Square: a release was tried. Cross: it was halted. Seed {season.seed}, world machines."
    sheet.write(foot, 16, HEIGHT - 9, kind="soft", room=room)
    return sheet.to_svg()


def _draw_savings(sheet: Sheet, season: Season, days: Scale) -> None:
    saved = [0, *accumulate(one - fixed for one, fixed in zip(season.days, season.fixed, strict=True))]
    ticks = round_ticks(min(saved), max(saved), unit=100)
    money = Scale(ticks[0], ticks[-1], _BOTTOM, _TOP)
    for value in ticks:
        sheet.path("grid", "M", _LEFT, money.at(value), "H", _RIGHT)
        sheet.write(in_whole(value), _LEFT - 8, money.at(value) + 4, kind="soft", anchor="end")
    sheet.path("line axis", "M", _LEFT, money.at(0), "H", _RIGHT, stroke_width=1.4, stroke_dasharray="6 4")
    points = [
        part
        for day, value in enumerate(saved)
        for part in ("L" if day else "M", days.at(day), money.at(value))
    ]
    sheet.path("line own", *points, stroke_width=3)
    for one in season.moments:
        if one.kind == "released":
            sheet.path("line released", "M", days.at(one.day), _TOP, "V", _ROWS + _ROW * len(season.sites))
            sheet.write("bad release", days.at(one.day) + 4, _TOP + 10, kind="soft")


def _draw_sites(sheet: Sheet, season: Season, days: Scale) -> None:
    """Draw a row for each site: from when a model answers, and what happened."""
    for place, site in enumerate(season.sites):
        y = _ROWS + place * _ROW
        sheet.write(f"{site.site} ({site.ring})", _LEFT - 8, y + 11, kind="soft", size=10.5, anchor="end")
        sheet.put("rect", "row", x=_LEFT, y=y, width=_RIGHT - _LEFT, height=_ROW - 3)
        if site.served_from is not None:
            start = days.at(site.served_from)
            says = f"{site.site}: a model answers from day {site.served_from} on"
            sheet.put("rect", "served", says, x=start, y=y, width=_RIGHT - start, height=_ROW - 3)
        for one in season.moments:
            if one.site == site.site and one.kind in _MARKS:
                spot = f"translate({days.at(one.day):.2f} {y + 6.5:.2f})"
                sheet.path(one.kind, _MARKS[one.kind], says=_said(one), transform=spot)
    for day in range(0, days.high + 1, _WEEK):
        at = _ROWS + _ROW * len(season.sites) + 12
        sheet.write(f"day {day}", days.at(day), at, kind="soft", size=10, anchor="middle", room=80)
    sheet.write("site (ring)", _LEFT - 8, _ROWS - 6, kind="soft", size=10.5, anchor="end")
