"""Reading the newer rows of a source into its history by a schedule: they are then known from that read on, not from the next run on."""

from typing import NamedTuple

from linewright.data.history.read import definition_of, keep_newer
from linewright.data.history.versions import newest
from linewright.data.spec import SqlSource
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.file.read import placed
from linewright.line.file.view_file import read_view
from linewright.line.record.data.source_histories import history_sources, history_store
from linewright.line.record.monitoring.deleted_rows import tend_deleted
from linewright.line.views.sources import VIEW
from linewright.line.views.sources import placed as placed_in_view


class SourceRead(NamedTuple):
    """What a read of a source found."""

    rows: int
    """Rows that the source has by now."""
    versions: int
    """Versions of rows that were new."""


def read_source(factory: Factory, line: str, source: str) -> SourceRead:
    """Read the newer rows of a source of a line and keep them."""
    (spec,) = history_sources(factory, line, source, of_views=True).values()
    name = source.removeprefix(VIEW)
    if name != source:
        with placed_in_view(read_view(factory.root, name), factory.root):
            read = _read(factory, name, spec)
    else:
        try:
            read = _read(factory, name, spec)
        except LinewrightError as error:
            raise placed(error, factory.path_of(line), line) from error
    tend_deleted(factory, factory.line(line))
    return read


def _read(factory: Factory, name: str, spec: SqlSource) -> SourceRead:
    store, definition = history_store(factory), definition_of(name, spec, factory.root)
    before = newest(definition, store.metadata)
    now = keep_newer(name, spec, factory.root, store, factory.now())
    known = sum(chunk.rows for chunk in before[1].chunks) if before else 0
    return SourceRead(now.rows, max(sum(chunk.rows for chunk in now.chunks) - known, 0))
