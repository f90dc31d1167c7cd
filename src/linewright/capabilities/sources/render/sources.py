"""The sources of lines, as a table."""

from linewright.capabilities.sources.operations.sources import Sources, SourceStatus
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid, short
from linewright.store.clock import said

_HEAD = (
    "line",
    "source",
    "kind",
    "reads",
    "last read",
    "rows",
    "seconds",
    "newest row",
    "next read",
    "fingerprint",
    "also read by",
)
_NUMBERS = ("rows", "seconds")
_WIDEST = 60
"""Letters of what a source reads."""


@renderer.register
def sources_text(found: Sources) -> str:
    """Show a row for each source, without columns that are empty in all of them; below it what failed."""
    rows = [_cells(one) for one in found.sources]
    filled = [i for i in range(len(_HEAD)) if any(row[i] for row in rows)]
    head = [_HEAD[i] for i in filled]
    numbers = [at for at, name in enumerate(head) if name in _NUMBERS]
    table = (
        grid(head, [[row[i] for i in filled] for row in rows], numbers=numbers) if rows else ["No source."]
    )
    failed = [f"failed: {one.line}, {_name(one)}: {one.trouble}" for one in found.sources if one.trouble]
    more = [] if found.next is None else [f"more: linewright sources --after {found.next}"]
    return "\n".join([*table, *failed, *(f"failed: {one}" for one in found.troubles), *more])


def _cells(one: SourceStatus) -> list[str]:
    newest = one.newest or ""
    return [
        one.line,
        _name(one),
        one.kind,
        clipped(one.reads, _WIDEST),
        said(one.read_at) if one.read_at else "",
        "" if one.rows is None else f"{one.rows:,}",
        "" if one.seconds is None else f"{one.seconds:.1f}",
        said(newest) if "T" in newest else newest,
        said(one.next_read) if one.next_read else "",
        short(one.fingerprint or ""),
        ", ".join(one.also or ()),
    ]


def _name(one: SourceStatus) -> str:
    return f"feature view {one.view}" if one.view else one.name
