"""Feature views, as a table; one of them with its columns and the lines that use it."""

from collections.abc import Mapping, Sequence

from linewright.capabilities.feature_views.operations import Features
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid
from linewright.line.record.view_status import AuditStatus, ViewProblem, ViewStatus
from linewright.store.clock import said

_HEAD = (
    *("view", "owner", "entity", "reads", "columns", "newest row", "newest known", "last read", "rows"),
    *("entities", "records made", "MB", "CPU s", "lines", "models", "audit"),
)
_NUMBERS = ("columns", "rows", "entities", "MB", "CPU s")
_WIDEST = 40
"""Letters of what a view reads."""
_PROBLEMS: Mapping[str, str] = {
    "unread": "the last run of {line} failed before it had read its sources: {about}",
    "absent": "a model serves without records here: linewright up writes them",
    "late": "the records are of {about}, which is longer ago than they should be: linewright up writes them",
    "settings": "endpoints follow another push, max_age or otherwise than its file has now: linewright up writes the records again",
    "changed": "{about} serves, and goes on with the form of it that it has learned, until a newer model serves: linewright run {line}",
    "differs": "{about} of the logged rows that were audited last differ: linewright audit features {line}",
}


@renderer.register
def features_text(found: Features) -> str:
    """Show a row for each view, without columns that are empty in all of them; below it what is wrong."""
    if found.view is not None and found.views:
        said_first = _one(found.views[0])
    elif found.views:
        said_first = _table([_cells(one) for one in found.views])
    else:
        said_first = ["No feature view."]
    wrong = [f"problem: {one.view}: {problem_text(each)}" for one in found.views for each in one.problems]
    return "\n".join([*said_first, *wrong, *(f"failed: {one}" for one in found.troubles)])


def problem_text(problem: ViewProblem) -> str:
    """Say what is wrong with a view, and what helps."""
    about = said(problem.about) if problem.kind == "late" else problem.about
    return _PROBLEMS[problem.kind].format(line=problem.line, about=about)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    filled = [i for i in range(len(_HEAD)) if any(row[i] for row in rows)]
    head = [_HEAD[i] for i in filled]
    numbers = [at for at, name in enumerate(head) if name in _NUMBERS]
    return grid(head, [[row[i] for i in filled] for row in rows], numbers=numbers)


def _cells(one: ViewStatus) -> list[str]:
    read, records = one.read, one.records
    newest, newest_known = _newest(one)
    return [
        one.view,
        one.owner or "",
        ", ".join(one.entity),
        clipped(one.reads, _WIDEST),
        f"{len(one.columns)}",
        newest,
        newest_known,
        said(read.at) if read else "",
        f"{read.rows:,}" if read else "",
        f"{read.entities:,}" if read else "",
        said(records.made) if records else "",
        f"{records.bytes / 1e6:.2f}" if records else "",
        f"{records.cpu_s:.2f}" if records and records.cpu_s is not None else "",
        ", ".join(use.line for use in one.used_by),
        ", ".join(model for use in one.used_by for model in use.models),
        "; ".join(_audited(use.audited) for use in one.used_by if use.audited),
    ]


def _newest(one: ViewStatus) -> tuple[str, str]:
    """Return when the newest row happened and could be known: of the records, or of what was read if there are none."""
    of = one.records if one.records is not None and one.records.newest_known else one.read
    if of is None:
        return "", ""
    return said(of.newest) if of.newest else "", said(of.newest_known) if of.newest_known else ""


def _audited(audited: AuditStatus) -> str:
    behind = f", {audited.behind:,} behind" if audited.behind else ""
    return f"{audited.differ:,} of {audited.rows:,} differ{behind}"


def _one(one: ViewStatus) -> list[str]:
    facts = dict(zip(_HEAD, _cells(one), strict=True))
    facts |= {"reads": one.reads, "columns": "", "lines": "", "models": "", "audit": ""}
    policy = {
        "about": one.about,
        "where": one.where or "",
        "written": f"every {one.every}",
        "max age": f"{one.max_age}, otherwise {one.otherwise}" if one.max_age else "",
    }
    pairs = [(name, text) for name, text in {**facts, **policy}.items() if text]
    width = max(len(name) for name, _ in pairs)
    columns = grid(
        ("column", "computes", "type", "of the source"),
        [[each.name, each.says, each.type or "", ", ".join(each.reads)] for each in one.columns],
    )
    uses = grid(
        ("line", "models that serve", "audited", "result"),
        [
            [
                use.line,
                ", ".join(use.models),
                said(use.audited.at) if use.audited else "",
                _audited(use.audited) if use.audited else "",
            ]
            for use in one.used_by
        ],
    )
    return [
        *(f"{name.ljust(width)}  {text}" for name, text in pairs),
        "",
        *columns,
        "",
        *(uses if one.used_by else [f"No line uses it: features: [{one.view}]"]),
    ]
