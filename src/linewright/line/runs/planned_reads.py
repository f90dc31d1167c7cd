"""What a run would read of the sources of a line, and how much: as figures, without reading it."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from linewright.data.read.file.paths import files_of
from linewright.data.spec import FileSource, FilesSource, SourceSpec, SqlSource
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Plan
from linewright.line.record.data.readings import last_read
from linewright.line.spec import LineSpec
from linewright.line.views.sources import SENT, VIEW, all_sources


class PlannedRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would read of a source. A figure is `None` if only a read of the source shows it."""

    source: str
    """Its name; of a feature view ``view:NAME``, or ``sent:NAME`` for rows that are sent to it."""
    changed: bool
    """Whether it holds something else than when the line read it last, or was never read."""
    rows: int | None = None
    """Rows that a query gives; with a cursor, those that are kept."""
    asked: int | None = None
    """With a cursor: rows that the read takes, those near its highest value again."""
    files: int | None = None
    bytes: int | None = None
    """Of all files."""
    newer_files: int | None = None
    """Files of this machine that were written since the line read its sources last; `None` before the first time."""
    newer_bytes: int | None = None


def planned_reads(factory: Factory, spec: LineSpec, plan: Plan) -> tuple[PlannedRead, ...]:
    """Say of each source what a run would read, if a plan reads the sources again; nothing if it does not."""
    if all(change.step != "ingest" for change in plan.changes):
        return ()
    before = factory.metadata.last_inputs(spec.line, "ingest")
    last, _ = last_read(factory, spec.line)
    found: list[PlannedRead] = []
    for name, source in all_sources(factory, spec).items():
        was = before.get(name if name.startswith((VIEW, SENT)) else f"source:{name}")
        figures: Mapping[str, Any] = {}
        with suppress(LinewrightError, OSError):  # the plan has read it; the run says what fails then
            figures = _figures(factory, name, source, None if last is None else last.at)
        found.append(PlannedRead(source=name, changed=was != plan.sources[name], **figures))
    return tuple(found)


def _figures(factory: Factory, name: str, source: SourceSpec, since: str | None) -> Mapping[str, Any]:
    match source:
        case SqlSource():
            return _of_query(factory, name.removeprefix(VIEW), source)
        case FileSource() | FilesSource() if source.is_live:
            from linewright.data.read.remote.remote_files import list_remote  # noqa: PLC0415 -- brings what reads tables

            sizes = [file.size for file in list_remote(source, factory.root, f"sources.{name}")]
            known = [size for size in sizes if size is not None]
            return {"files": len(sizes), "bytes": sum(known) if len(known) == len(sizes) else None}
        case FileSource():
            return _of_files(factory, source.file, since)
        case _:
            return {}


def _of_query(factory: Factory, name: str, source: SqlSource) -> Mapping[str, Any]:
    from linewright.data.history.count_rows import count_asked, count_rows  # noqa: PLC0415 -- as above
    from linewright.data.history.versions import HistoryStore  # noqa: PLC0415

    if not source.has_history:
        return {"rows": count_rows(name, source, factory.root)}
    store = HistoryStore(factory.artifacts, factory.metadata)
    rows, asked = count_asked(name, source, factory.root, store, factory.now())
    return {"rows": rows, "asked": asked}


def _of_files(factory: Factory, written: str, since: str | None) -> Mapping[str, Any]:
    found = [path.stat() for path in files_of(written, factory.root, "sources")]
    figures = {"files": len(found), "bytes": sum(one.st_size for one in found)}
    if since is None:
        return figures
    at = datetime.fromisoformat(since).timestamp()
    newer = [one.st_size for one in found if one.st_mtime >= at]
    return figures | {"newer_files": len(newer), "newer_bytes": sum(newer)}
