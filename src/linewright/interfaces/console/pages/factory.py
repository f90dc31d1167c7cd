"""The factory: every line, how it stands, and what needs the viewer."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from linewright.interfaces.console.page import Ask, Page

MOST = 100
"""Lines that one page shows; a search, a filter or the next page has the others."""
NEEDS = ("failed", "halted", "trouble", "alert", "proposal", "waits")
"""Why a line needs somebody, the gravest first."""


class Group(NamedTuple):
    """Lines that have something in common."""

    name: str
    """Empty for those that have nothing of the kind."""
    lines: tuple[Any, ...]


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the lines that hold what is searched for, those that need somebody first."""
    status = ask.status
    wanted, only = values["q"].strip().lower(), values["need"]
    lines = [
        each
        for each in status.lines
        if (wanted in each.line or wanted in each.tags) and (not only or only in needs(each))
    ]
    lines.sort(
        key=lambda each: (min((NEEDS.index(need) for need in needs(each)), default=len(NEEDS)), each.line)
    )
    page = max(1, int(values["page"])) if values["page"].isdecimal() else 1
    shown = lines[(page - 1) * MOST : page * MOST]
    counts = {need: sum(need in needs(each) for each in status.lines) for need in NEEDS}
    return {
        "status": status,
        "groups": tuple(_grouped(ask, shown, values["by"])),
        "found": len(lines),
        "number": page,
        "pages": -(-len(lines) // MOST),
        "needs": {each.line: needs(each) for each in shown},
        "counts": {need: n for need, n in counts.items() if n},
        "attention": sum(bool(needs(each)) for each in status.lines),
        "inbox": ask("inbox"),
    }


def needs(line: Any) -> tuple[str, ...]:
    """Return why a line needs somebody, the gravest first."""
    found = {
        "failed": line.failed is not None,
        "halted": line.halted,
        "trouble": bool(line.trouble or line.log_fails or line.log_damage),
        "alert": bool(line.alerts),
        "proposal": bool(line.approvals),
        "waits": bool(line.waits or line.waiting),
    }
    return tuple(name for name in NEEDS if found[name])


def _grouped(ask: Ask, lines: list[Any], by: str) -> Iterable[Group]:
    if by == "tag":
        names = sorted({tag for each in lines for tag in each.tags})
        named = [Group(name, tuple(each for each in lines if name in each.tags)) for name in names]
    elif by == "goal":
        goals = getattr(ask.if_may("goals"), "goals", ())
        of = {goal.name: {each.line for each in goal.lines} for goal in goals}
        named = [
            Group(name, tuple(each for each in lines if each.line in those)) for name, those in of.items()
        ]
    else:
        return (Group("", tuple(lines)),)
    seen = {each.line for group in named for each in group.lines}
    rest = tuple(each for each in lines if each.line not in seen)
    return (*(group for group in named if group.lines), *([Group("", rest)] if rest else []))


PAGE = Page(template="factory.html.jinja", read=read, query=("q", "need", "by", "page"), is_live=True)
