"""Operations."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from linewright.capabilities.schedules.task_state import due_at, task_state_of, tasks_of
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.data.history.reconcile import Reconciliation
from linewright.data.history.reconcile import reconcile as reconcile_source
from linewright.data.spec import SourceSpec, identity_of, kind_of, table_sources
from linewright.errors import Conflict, LinewrightError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished, Plan
from linewright.line.file.view_file import read_view
from linewright.line.personal import because_of, hidden_columns
from linewright.line.record.data.readings import last_read
from linewright.line.record.data.source_histories import history_sources, history_store
from linewright.line.record.monitoring.deleted_rows import tend_deleted
from linewright.line.record.view_status import views_read
from linewright.line.retention.dropped import dropped_at
from linewright.line.runs.progress import steps_of
from linewright.line.spec import LineSpec
from linewright.line.views.sources import SENT, VIEW
from linewright.operations.declare import operation
from linewright.store.clock import text_of


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


MOST_COMPARED = 200
"""The most lines of a factory for which `also` is filled in: it needs the file of each."""
_FEW = 5
"""How many of the newest accepted runs are searched, before all of the record is."""


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A source of a line or of one of its feature views, and how its last read went."""

    line: str
    name: str
    """As in the line file; of the source of a view, the name of the view."""
    view: str = ""
    """Name of the feature view that reads it; empty for a source of the line itself."""
    kind: str
    """Word of the line file that names the kind, such as ``file`` or ``sql``."""
    reads: str
    """What is read, without secrets."""
    also: tuple[str, ...] | None
    """Other lines that read the same; `None` if there are too many lines to compare (`MOST_COMPARED`)."""
    read_at: str | None = None
    """When the last run ended that has read it; `None`, as the next five, if none has."""
    run: str | None = None
    fingerprint: str | None = None
    """Digest of what it held and how it was read; of the source of a view, also of what the view computes."""
    seconds: float | None = None
    """Seconds in which that run read all sources and checked the contract; `None` if that was not noted."""
    rows: int | None = None
    """Rows that were read; `None` for a line's own source if the table is made of several."""
    newest: str | None = None
    """Largest `table.time` of the rows: UTC, RFC 3339, or a day if the column has days. `None` without such a column, if you may not see it,
    and of the source of a view."""
    trouble: str = ""
    """Why the last run failed before it had read its sources; empty if it did not."""
    next_read: str | None = None
    """When `up` reads its newer rows next by its schedule, UTC; `None` if it has none, or `up` has not seen it yet."""


class _LineSource(NamedTuple):
    """A source of a line or of one of its feature views, as declared."""

    name: str
    view: str
    source: SourceSpec
    place: str
    """Its name in `Work.sources`."""


class _Line(NamedTuple):
    spec: LineSpec
    sources: list[_LineSource]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of lines."""

    sources: tuple[SourceStatus, ...]
    troubles: tuple[str, ...]
    """What is wrong with files of lines and feature views: their sources are not known."""
    next: str | None = None
    """What `after` is for the next lines; `None` after the last."""


@operation(permission="view", effect="read", expensive=True, checks_lines=True)
def sources(
    factory: Factory,
    line: str | None = None,
    /,
    *,
    after: str = "",
    limit: Annotated[int, Meta(ge=1, le=1000)] = 1000,
) -> Sources:
    """List the sources of lines and of their feature views: what is read, when it was read last and how that went.

    Parameters
    ----------
    line
        Name of one line (default: all that you may see).
    after
        Name of a line: those after it, by name.
    limit
        Most lines.
    """
    if line is not None:
        factory.identity.require("view", (line,))
        factory.path_of(line)
    visible = sorted(one for one in factory.names() if factory.may("view", one))
    later = [line] if line is not None else [one for one in visible if one > after]
    wanted = later[:limit]
    compared = visible if len(visible) <= MOST_COMPARED else wanted
    lines, troubles = dict[str, _Line](), dict[str, None]()
    for name in compared:
        found, wrong = _line(factory, name)
        if found is not None:
            lines[name] = found
        if name in wanted:
            troubles |= dict.fromkeys(wrong)
    same = _lines_by_source(lines) if compared is visible else None
    return Sources(
        sources=tuple(
            one for name in wanted if name in lines for one in _of_line(factory, lines[name], same)
        ),
        troubles=tuple(troubles),
        next=wanted[-1] if len(later) > len(wanted) else None,
    )


def _line(factory: Factory, name: str) -> tuple[_Line | None, list[str]]:
    """Return a line with what it and its feature views read, and what is wrong with their files."""
    try:
        spec = factory.line(name)
    except LinewrightError as error:
        return None, [str(error)]
    found = [_LineSource(one, "", source, one) for one, source in spec.sources.items()]
    wrong = list[str]()
    for view in spec.features:
        try:
            for word, source in zip((VIEW, SENT), read_view(factory.root, view).sources, strict=False):
                found.append(_LineSource(view, view, source, word + view))
        except LinewrightError as error:
            wrong.append(str(error))
    return _Line(spec, found), wrong


def _lines_by_source(lines: Mapping[str, _Line]) -> Mapping[str, list[str]]:
    """Return the names of the lines that have a source, by its `identity_of`."""
    found = defaultdict[str, list[str]](list)
    for name, line in lines.items():
        for source in dict.fromkeys(identity_of(one.source) for one in line.sources):
            found[source].append(name)
    return found


def _of_line(factory: Factory, line: _Line, same: Mapping[str, list[str]] | None) -> Iterator[SourceStatus]:
    spec = line.spec
    last, failed = last_read(factory, spec.line)
    accepted = None if last is None else _accepted(factory, last)
    fingerprints = factory.metadata.get(accepted.plan, Plan).sources if accepted else {}
    read = {} if last is None else _read(factory, spec, last, accepted)
    rows = {} if last is None else {one.facts.view: one.rows for one in views_read(factory, last)}
    due = {
        task.name: due_at(task, task_state)
        for task in tasks_of(factory, spec)
        if task.what == "read" and (task_state := task_state_of(factory, task)) is not None
    }
    for name, view, source, place in line.sources:
        fingerprint = fingerprints.get(place)
        # The rows of a view are counted as a whole.
        counted = rows.get(view) if place.startswith(VIEW) else None
        of_view: Mapping[str, Any] = {"rows": counted, "newest": None} if view else {}
        yield SourceStatus(
            line=spec.line,
            name=name,
            view=view,
            kind=kind_of(source),
            reads=source.describe(),
            also=None
            if same is None
            else tuple(one for one in same[identity_of(source)] if one != spec.line),
            fingerprint=fingerprint,
            trouble="" if failed is None else because_of(factory, failed),
            next_read=due.get(place),
            **({**read, **of_view} if fingerprint else {}),
        )


def _accepted(factory: Factory, run: Finished) -> Accepted | None:
    newest = factory.metadata.events(Accepted, line=run.line, newest_first=True, limit=_FEW)
    found = next((one for one in newest if one.run == run.run), None)
    return found or factory.metadata.newest_with(Accepted, "run", run.run)


def _read(factory: Factory, spec: LineSpec, run: Finished, accepted: Accepted | None) -> dict[str, Any]:
    """Return what a run read, as fields of a `SourceStatus`."""
    steps = steps_of(factory, accepted).steps if accepted else ()
    ingested = factory.metadata.get(str(run.ingested), Ingested)
    is_one = len(table_sources(spec)) == 1
    return {
        "read_at": run.at,
        "run": run.run,
        "seconds": next((one.seconds for one in steps if one.step == "ingest"), None),
        "rows": ingested.rows_read if is_one else None,
        "newest": _newest(factory, spec, ingested.dataset),
    }


def _newest(factory: Factory, spec: LineSpec, digest: str) -> str | None:
    time = spec.table.time
    if time is None or time in hidden_columns(factory, spec.line) or dropped_at(factory, digest):
        return None
    dataset = factory.metadata.get(digest, Dataset)
    if time not in {one.name for one in dataset.columns}:
        return None
    newest = read_dataset(dataset, factory.artifacts, factory.metadata, columns=[time])[time].max()
    if newest is None:
        return None
    return text_of(newest) if isinstance(newest, datetime) else str(newest)
