"""Operation that compares sources with what is kept of them."""

import msgspec

from linewright.data.history.reconcile import Reconciliation
from linewright.data.history.reconcile import reconcile as reconcile_source
from linewright.errors import Conflict, Transient
from linewright.line.factory import Factory
from linewright.line.record.data.source_histories import history_sources, history_store
from linewright.line.record.monitoring.deleted_rows import tend_deleted
from linewright.operations.declare import operation


class LineReconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """How the sources of a line and what is kept of them differ."""

    line: str
    sources: tuple[Reconciliation, ...]
    """Those that are read by a cursor."""

    @property
    def exit_code(self) -> int:
        """0, or 4 if something differs and was not repaired."""
        return 0 if all(one.is_sound or one.repaired for one in self.sources) else 4


@operation(permission="run", effect="act", expensive=True)
def reconcile(
    factory: Factory, line: str, /, *, source: str | None = None, repair: bool = False
) -> LineReconciliation:
    """Find rows of a source that its cursor does not show: missed, changed and deleted ones.

    The database counts its rows and adds up their digests, by day of the cursor and span of keys; only parts that differ from what is
    kept are looked at row by row.

    Parameters
    ----------
    line
        Name of the line.
    source
        Name of one of its sources (default: all that have a cursor), or ``view:NAME`` for that of a feature view.
    repair
        Keep what was found as new versions of the rows, known from now on; runs then have it.
    """
    factory.identity.require("view-rows", (line,))
    found: list[Reconciliation] = []
    for name, spec in history_sources(factory, line, source, of_views=True).items():
        try:
            found.append(
                reconcile_source(
                    name, spec, factory.root, history_store(factory), factory.now(), repairs=repair
                )
            )
        except Conflict as error:
            raise Transient(
                "another process has read the source meanwhile", where=f"sources.{name}", hint="try again"
            ) from error
    tend_deleted(factory, factory.line(line))
    return LineReconciliation(line=line, sources=tuple(found))
