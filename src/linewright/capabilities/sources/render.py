"""Terminal texts of results."""

from collections.abc import Iterator

from linewright.capabilities.sources.operations import LineReconciliation, Sources, SourceStatus
from linewright.data.history.reconcile import DifferentRows, Reconciliation
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid, short
from linewright.store.clock import said
from linewright.text.numbers import count


@renderer.register
def reconciled_text(found: LineReconciliation) -> str:
    """Say it source by source, with the keys of rows that differ."""
    if not found.sources:
        return f"{found.line}: no source has a cursor, so each run reads all rows"
    return "\n".join(line for one in found.sources for line in _said(one, found.line))


def _said(one: Reconciliation, line: str) -> Iterator[str]:
    more = f"; the next read asks for {count(one.unread, 'row')} more" if one.unread else ""
    if one.is_sound:
        yield f"{one.source}: {count(one.kept, 'row')} as in the source{more}"
        return
    yield f"{one.source}: {count(one.rows, 'row')} in the source, {one.kept:,} kept{more}"
    for word, some in (("missed", one.missed), ("changed", one.changed), ("deleted", one.deleted)):
        if some.rows:
            yield f"  {word:8} {count(some.rows, 'row')}: {_keys(some)}"
    yield (
        "  repaired" if one.repaired else f"Next: linewright reconcile {line} --source {one.source} --repair"
    )


def _keys(some: DifferentRows) -> str:
    rest = some.rows - len(some.keys)
    return ", ".join(some.keys) + (f" and {rest:,} more" if rest else "")


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
