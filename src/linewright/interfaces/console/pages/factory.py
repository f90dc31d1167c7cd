"""The factory: every line, how it stands, and what needs whoever looks."""

from collections.abc import Mapping
from typing import Any

from linewright.interfaces.console.page import Ask, Page

MOST = 100
"""Lines that one page shows; a search finds the others."""
_NEEDS = {"failed": 0, "halted": 1, "alert": 2, "proposal": 3, "trouble": 4}


def read(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the lines that hold what is searched for, those that need somebody first."""
    status = ask("status")
    wanted = values["q"].strip().lower()
    lines = [each for each in status.lines if wanted in each.line]
    lines.sort(key=lambda each: (min((_NEEDS[need] for need in needs(each)), default=9), each.line))
    page = int(values["page"]) if values["page"].isdecimal() else 1
    first = (page - 1) * MOST
    return {
        "status": status,
        "lines": lines[first : first + MOST],
        "found": len(lines),
        "page": page,
        "pages": -(-len(lines) // MOST),
        "needs": {each.line: needs(each) for each in lines[first : first + MOST]},
        "attention": sum(bool(needs(each)) for each in status.lines),
    }


def needs(line: Any) -> tuple[str, ...]:
    """Return why a line needs somebody, the gravest first."""
    found = {
        "failed": line.failed is not None,
        "halted": line.halted,
        "alert": bool(line.alerts),
        "proposal": bool(line.approvals),
        "trouble": bool(line.trouble or line.log_fails or line.log_damage),
    }
    return tuple(name for name, holds in found.items() if holds)


PAGE = Page(template="factory.html.jinja", read=read, query=("q", "page"), is_live=True)
