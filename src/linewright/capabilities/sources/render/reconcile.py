"""How sources and what is kept of them differ."""

from collections.abc import Iterator

from linewright.capabilities.sources.operations.reconcile import LineReconciliation
from linewright.data.history.reconcile import DifferentRows, Reconciliation
from linewright.interfaces.cli.dispatch import renderer
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
