"""Pages of the console."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from linewright.interfaces.console.page import Ask, Entry, Page

MOST = 100
"""Lines that one page shows; a search, a filter or the next page has the others."""
NEEDS = ("failed", "halted", "trouble", "alert", "proposal", "waits")
"""Why a line needs somebody, the gravest first."""


SITE = "site:"
"""What a tag begins with that names the site of a line, as in ``site:lyon``."""


class Group(NamedTuple):
    """Lines that have something in common."""

    name: str
    """Empty for those that have nothing of the kind."""
    lines: tuple[Any, ...]
    """Those that this page shows."""
    found: int
    """All, on other pages too."""
    attention: int
    """Those of all that need somebody."""


def _read_factory(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the lines that hold what is searched for, those that need somebody first."""
    status = ask.status
    wanted, only = values["q"].strip().lower(), values["need"]
    lines = [
        each for each in status.lines if (wanted in each.line or wanted in each.tags) and _has(each, only)
    ]
    lines.sort(
        key=lambda each: (min((NEEDS.index(need) for need in needs(each)), default=len(NEEDS)), each.line)
    )
    page = max(1, int(values["page"])) if values["page"].isdecimal() else 1
    shown = lines[(page - 1) * MOST : page * MOST]
    counts = {need: sum(need in needs(each) for each in status.lines) for need in NEEDS}
    return {
        "status": status,
        "groups": tuple(_groups(ask, lines, frozenset(each.line for each in shown), values["by"])),
        "has_sites": any(tag.startswith(SITE) for each in status.lines for tag in each.tags),
        "has_templates": any(each.site for each in status.lines),
        "found": len(lines),
        "number": page,
        "pages": -(-len(lines) // MOST),
        "needs": {each.line: needs(each) for each in shown},
        "counts": {need: n for need, n in counts.items() if n},
        "attention": sum(bool(needs(each)) for each in status.lines),
        "inbox": ask("inbox"),
    }


def _has(line: Any, need: str) -> bool:
    """Return whether a line needs somebody for a reason: ``any`` stands for each, and no text for no filter."""
    found = needs(line)
    return not need or need in found or (need == "any" and bool(found))


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


def _groups(ask: Ask, lines: list[Any], shown: Collection[str], by: str) -> Iterable[Group]:
    """Return the groups of which this page shows lines."""
    for name, those in _grouped(ask, lines, by):
        here = tuple(each for each in those if each.line in shown)
        if here:
            yield Group(name, here, len(those), sum(bool(needs(each)) for each in those))


def _grouped(ask: Ask, lines: list[Any], by: str) -> list[tuple[str, list[Any]]]:
    names: Mapping[str, Collection[str]]
    """Lines by group."""
    match by:
        case "tag":
            names = _by_tag(lines, "")
        case "template":
            sites = [each for each in lines if each.site]
            names = {
                name: {each.line for each in sites if each.site.template == name}
                for name in _templates(sites)
            }
        case "site":
            names = _by_tag(lines, SITE)
        case "goal":
            goals = getattr(ask.if_may("goals"), "goals", ())
            names = {goal.name: {each.line for each in goal.lines} for goal in goals}
        case _:
            return [("", lines)]
    seen = {line for those in names.values() for line in those}
    named = [(name, [each for each in lines if each.line in those]) for name, those in names.items()]
    return [*named, ("", [each for each in lines if each.line not in seen])]


def _templates(sites: list[Any]) -> list[str]:
    return sorted({each.site.template for each in sites})


def _by_tag(lines: list[Any], begins: str) -> Mapping[str, Collection[str]]:
    """Return the names of lines by the rest of each tag that begins so."""
    found = dict[str, set[str]]()
    for each in lines:
        for tag in each.tags:
            if tag.startswith(begins) and tag != begins:
                found.setdefault(tag.removeprefix(begins).strip(), set()).add(each.line)
    return {name: found[name] for name in sorted(found)}


def _read_line(ask: Ask, values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return how one line stands."""
    line = values["line"]
    models = ask("models", line=line).models
    runs = ask("runs", line=line, limit=8).runs
    roles = {each.role: each for each in reversed(models)}
    return {
        "now": ask("status", line=line).lines[0],
        "models": models,
        "champion": roles.get("champion"),
        "challenger": roles.get("challenger"),
        "runs": runs,
        "steps": ask("run-steps", run=runs[0].run).steps if runs else (),
        "history": ask("history", line=line, limit=30).entries,
        "alerts": ask("alerts", line=line, over=False).alerts,
        "proposals": ask("proposals", line=line).proposals,
        "scheduled": ask("schedule", line=line).tasks,
        "comments": ask("comments", line=line, about="").comments,
    }


PAGES = (
    Page(
        at=(Entry("factory", "/", "view", "Factory", "look"),),
        template="overview/factory.html.jinja",
        read=_read_factory,
        query=("q", "need", "by", "page"),
        is_live=True,
    ),
    Page(
        at=(Entry("line", "/lines/{line}", "view", "Line", tab="Overview"),),
        template="overview/line.html.jinja",
        read=_read_line,
        is_live=True,
        title=lambda values: values["line"],
    ),
)
