"""The sources of a line whose rows are kept as versions."""

from typing import cast

from linewright.data.facts import SourceHistory
from linewright.data.history.read import definition_of
from linewright.data.history.versions import HistoryStore, newest
from linewright.data.spec import SqlSource
from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.views.sources import all_sources


def history_sources(
    factory: Factory, line: str, source: str | None = None, *, of_views: bool = False
) -> dict[str, SqlSource]:
    """Return the sources of a line that have a history, by name; only one of them if it is named."""
    spec = factory.line(line)
    sources = all_sources(factory, spec) if of_views else spec.sources
    found = {name: cast("SqlSource", one) for name, one in sources.items() if one.has_history}
    if source is None:
        return found
    if source not in found:
        raise RequestError(
            "the line has no such source whose rows are kept as versions",
            where=line,
            found=source,
            allowed=", ".join(found) or "none",
            hint="a source of SQL with key and cursor has them",
        )
    return {source: found[source]}


def history_of(factory: Factory, name: str, spec: SqlSource) -> SourceHistory:
    """Return what was read of a source; the database is not needed for it."""
    found = newest(definition_of(name, spec, factory.root), factory.metadata)
    if found is None:
        raise NotFound(
            "nothing of the source was read yet", where=f"sources.{name}", hint="run the line first"
        )
    return found[1]


def history_store(factory: Factory) -> HistoryStore:
    """Return where histories are kept."""
    return HistoryStore(factory.artifacts, factory.metadata)
