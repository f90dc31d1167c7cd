"""Operations about dataset versions, the rows that a contract kept out, and the prediction log."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from linewright.capabilities.datasets.dataset_rows import Part, Wanted, find_rows, parts_of
from linewright.capabilities.datasets.export.write import ExportedDataset, Form, write_export
from linewright.data.dataset.diff import ColumnShift, RowChanges, column_shifts, row_changes
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import AnnotatedRows, Dataset, Split
from linewright.data.history.read import current_rows
from linewright.data.history.versions import known_at
from linewright.data.profile.summary import ColumnSummary, summarise
from linewright.errors import NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.personal import VIEW_PERSONAL, hidden_columns
from linewright.line.predict.output_file import AnswersFile
from linewright.line.record.data.quarantine import quarantined_rows
from linewright.line.record.data.readings import (
    DatasetLine,
    GivenLabel,
    Reading,
    annotated_lines,
    dataset_lines,
    given_labels,
    labelled_rows,
    reading,
    readings,
)
from linewright.line.record.data.source_histories import history_of, history_sources, history_store
from linewright.line.record.evidence import find_result
from linewright.line.record.line_of_result import is_of
from linewright.line.retention.dropped import dropped_at
from linewright.operations.declare import operation
from linewright.operations.parameter import instant_of
from linewright.people.facts import RowsAnnotated
from linewright.serve.log.segments import lengths


class Datasets(msgspec.Struct, frozen=True, kw_only=True):
    """The dataset versions of a line, newest first."""

    line: str
    datasets: tuple[DatasetLine, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How two dataset versions differ."""

    line: str
    before: str
    after: str
    rows: tuple[int, int]
    added_columns: tuple[str, ...]
    gone_columns: tuple[str, ...]
    changed_types: tuple[str, ...]
    shared_chunks: int
    new_chunks: int
    by_key: RowChanges | None = None
    """Which rows differ, where both versions have the line's key."""
    shifts: tuple[ColumnShift, ...] = ()
    """What the columns of both hold, where that differs; the largest change first."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that the contract kept out of the newest reading of a line."""

    line: str
    rows: tuple[dict[str, Any], ...]


class RowsAsOf(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows a source had, as known at an instant."""

    line: str
    source: str
    at: str
    """The instant: UTC, RFC 3339."""
    rows: int
    out: str | None
    """Where they were written."""


class LoggedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the prediction log that is a Parquet file."""

    segment: str
    """Digest by which `show` finds it."""
    predictions: int
    first: str
    last: str
    """When the earliest and the latest of its rows were received."""
    parquet: str
    """Path of the file; it never changes."""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a line's prediction log that is Parquet, oldest first."""

    line: str
    segments: tuple[LoggedPart, ...]
    open: int
    """Segments that are not sealed, or not yet."""


class DatasetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a dataset version."""

    row: int
    """Its place in the order of the dataset, from 1."""
    part: Part | None
    """Of the split in question; `None` where none was."""
    values: dict[str, Any]
    """By column; times are ISO 8601."""
    labelled: GivenLabel | None = None
    """Who gave its label, and when, in a version of rows that people labelled."""


class DatasetRows(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a dataset version."""

    line: str
    dataset: str
    columns: tuple[str, ...]
    of: int
    """Rows of the whole version."""
    rows: tuple[DatasetRow, ...]
    key: str | None
    """The line's key, if the version has that column: answers about a row are found by it."""
    next: int | None
    """What `after` is for the next page; `None` where this was the last."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of a dataset version hold."""

    line: str
    dataset: str
    rows: int
    columns: tuple[ColumnSummary, ...]
    hidden: tuple[str, ...] = ()
    """Columns of which no value is shown, since they name people or single rows."""


@operation(permission="view", effect="read", expensive=True, files={"out": "out"})
def datasets(
    factory: Factory,
    line: str,
    /,
    *,
    diff: tuple[str, str] | None = None,
    quarantine: bool = False,
    log: bool = False,
    as_of: str | None = None,
    source: str | None = None,
    out: Path | None = None,
) -> Datasets | Difference | Quarantined | Logged | RowsAsOf:
    """List a line's dataset versions, its rows in quarantine, the Parquet files of its prediction log, or what a source had.

    Parameters
    ----------
    line
        Name of the line.
    diff
        Two dataset digests (or their beginnings) to compare.
    quarantine
        Show the rows in quarantine, with source line and rule.
    log
        List the sealed segments of the prediction log: Parquet files, a row for each answer.
    as_of
        An instant, or a day, which means its beginning, 00:00 UTC: how many rows a source with a cursor had as far as was known then,
        in spite of all corrections since. Before the first read only where the source has `known`.
    source
        With `as_of`: name of the source (default: the only one with a cursor).
    out
        With `as_of`: where to write those rows, CSV or Parquet by its ending.
    """
    factory.path_of(line)
    if as_of:
        return _rows_as_of(factory, line, instant_of(as_of, "as-of"), source, out)
    if log or quarantine:
        factory.identity.require("view-rows", (line,))
    if log:
        return _logged(factory, line)
    if quarantine:
        return Quarantined(line=line, rows=tuple(quarantined_rows(factory, line)))
    if diff:
        return _difference(factory, line, *diff)
    return Datasets(line=line, datasets=_versions(factory, line))


def _rows_as_of(factory: Factory, line: str, at: str, source: str | None, out: Path | None) -> RowsAsOf:
    if out is not None:
        factory.identity.require("view-rows", (line,))
        if hidden_columns(factory, line):  # the source may have them under other names
            factory.identity.require(VIEW_PERSONAL, (line,))
        if out.suffix not in {".csv", ".parquet"}:
            raise RequestError(
                "rows are written as CSV or Parquet", where="out", found=out.name, allowed=".csv or .parquet"
            )
    found = history_sources(factory, line, source)
    if len(found) != 1:
        raise RequestError(
            "the line has no source with a cursor"
            if not found
            else "the line has more than one source with a cursor",
            where=line,
            allowed=", ".join(found),
            hint="name one by --source"
            if found
            else "give a source of SQL a `key` and a `cursor`: its rows are kept as versions then",
        )
    ((name, spec),) = found.items()
    history = known_at(
        history_of(factory, name, spec), at, factory.metadata, says_known=spec.known is not None
    )
    rows = current_rows(history, str(spec.key), history_store(factory), factory.root, known_by=at)
    if out is not None:
        with AnswersFile(out) as file:
            file.write(rows)
    return RowsAsOf(
        line=line, source=name, at=at, rows=rows.height, out=str(out) if out is not None else None
    )


def _versions(factory: Factory, line: str) -> tuple[DatasetLine, ...]:
    """Return all versions, newest first."""
    read, labelled = dataset_lines(factory, line), annotated_lines(factory, line)
    listed: list[DatasetLine] = []
    for one in read:
        while labelled and labelled[0].at < one.at:
            listed.append(labelled.pop(0))
        listed.append(one)
    return tuple(reversed([*listed, *labelled]))


class DatasetShown(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version of a line, among the others."""

    line: str
    shown: Reading | None
    """`None` if no run has read anything yet."""
    versions: tuple[DatasetLine, ...]
    """All of them, newest first."""
    before: str | None
    """Digest of the version before it; `None` if there is none."""


@operation(permission="view", effect="read")
def dataset(factory: Factory, line: str, dataset: str | None = None, /) -> DatasetShown:
    """Show one dataset version of a line: its columns, the contract with its breaches, its sources, its models.

    Parameters
    ----------
    line
        Name of the line.
    dataset
        Digest of the version, or its beginning (default: the newest that a run has read).
    """
    factory.path_of(line)
    found = readings(factory, line)
    digests = list(found)
    annotated = dict.fromkeys(one.dataset for one in annotated_lines(factory, line))
    if dataset is None:
        wanted = digests[-1] if digests else None
    else:
        full = [
            one
            for one in (*digests, *annotated)
            if one.removeprefix("sha256:").startswith(dataset.removeprefix("sha256:"))
        ]
        if len(full) != 1 or not dataset:
            raise NotFound(
                "this line has no such dataset" if not full else "more than one dataset begins so",
                where=line,
                found=dataset[:80],
                allowed=", ".join(one[:19] for one in (full or digests)[-10:]) or "none yet",
            )
        wanted = full[0]
    ingested = None if wanted is None else found.get(wanted)
    place = digests.index(wanted) if wanted is not None and ingested is not None else 0
    labelled = None if wanted is None else labelled_rows(factory, line, wanted)
    return DatasetShown(
        line=line,
        shown=labelled if ingested is None else reading(factory, line, ingested),
        versions=_versions(factory, line),
        before=digests[place - 1] if place else None,
    )


@operation(permission="view-rows", effect="read", expensive=True)
def rows(
    factory: Factory,
    line: str,
    /,
    *,
    dataset: str | None = None,
    split: str | None = None,
    part: Part | None = None,
    where: str | None = None,
    after: Annotated[int, Meta(ge=0)] = 0,
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50,
) -> DatasetRows:
    """Show rows of a dataset version of a line, and the part of a split that each is in.

    Parameters
    ----------
    line
        Name of the line.
    dataset
        Digest of the version, or its beginning (default: the newest).
    split
        Digest of a split of it, or its beginning: each row is then shown with its part.
    part
        Only rows of this part of the split.
    where
        Only rows with a value in a column, as COLUMN=VALUE.
    after
        Number of the last row that is left out: `next` of the page before.
    limit
        Most rows to show.
    """
    digest, found = _version_of(factory, line, dataset)
    if part is not None and split is None:
        raise RequestError("a part of no split", where="part", found=part, hint="name the split")
    divided = None if split is None else find_result(factory, split, Split)[1]
    column, is_named, value = (where or "").partition("=")
    if column in hidden_columns(factory, line):  # else values could be guessed
        factory.identity.require(VIEW_PERSONAL, (line,))
    if where is not None and not is_named:
        raise RequestError("not a value of a column", where="where", found=where[:80], allowed="COLUMN=VALUE")
    wanted = Wanted(
        parts=None if divided is None else parts_of(factory, digest, divided),
        part=part,
        column=column if where is not None else None,
        value=value,
        after=after,
    )
    shown = find_rows(factory, found, wanted, limit + 1)
    names = tuple(each.name for each in found.columns)
    given = _given(factory, line, digest)
    key = factory.line(line).table.key if factory.trouble_with(line) is None else None
    return DatasetRows(
        line=line,
        dataset=digest,
        columns=names,
        of=found.rows,
        rows=tuple(
            DatasetRow(
                row=one.number,
                part=one.part,
                values=one.values,
                labelled=given[one.number - 1] if given else None,
            )
            for one in shown[:limit]
        ),
        key=key if key in names else None,
        next=shown[limit - 1].number if len(shown) > limit else None,
    )


@operation(permission="view-rows", effect="read", local=True)
def export_dataset(
    factory: Factory,
    line: str,
    folder: Path,
    /,
    *,
    form: Form = "croissant",
    dataset: str | None = None,
) -> ExportedDataset:
    """Write a dataset version with what it is, as a Croissant record or a datasheet, for catalogues and people.

    Columns that are declared personal are left out unless you may see them.

    Parameters
    ----------
    line
        Name of the line.
    folder
        A new or empty folder.
    form
        ``croissant``: the rows in a Parquet file, and ``croissant.json``, which describes it. ``datasheet``: ``datasheet.md``, which answers
        what the factory knows, and leaves other questions to people.
    dataset
        Digest of the version, or its beginning (default: the newest).
    """
    digest, _ = _version_of(factory, line, dataset)
    return write_export(factory, line, digest, folder, form)


@operation(permission="view", effect="read", expensive=True)
def profile(factory: Factory, line: str, /, *, dataset: str | None = None) -> Profile:
    """Show what the columns of a dataset version hold: types, missing values, ranges, common values.

    No value is shown that fewer than 10 rows have, and none of the key, the group and the subject of the line.

    Parameters
    ----------
    line
        Name of the line.
    dataset
        Digest of the version, or its beginning (default: the newest).
    """
    digest, found = _version_of(factory, line, dataset)
    table = factory.line(line).table
    named = (table.key, *table.groups, table.group, table.subject)
    personal = hidden_columns(factory, line)
    names = (*named, *(column.name for column in found.columns if column.name in personal))
    hidden = list(dict.fromkeys(name for name in names if name is not None))
    types = {column.name: column.type for column in found.columns}
    frame = read_dataset(found, factory.artifacts, factory.metadata)
    return Profile(
        line=line,
        dataset=digest,
        rows=found.rows,
        columns=tuple(summarise(frame, types, hidden=hidden)),
        hidden=tuple(name for name in hidden if name in types),
    )


def _given(factory: Factory, line: str, dataset: str) -> list[GivenLabel]:
    """Return who labelled each row of a version of labelled rows; nothing for another version."""
    events = factory.metadata.events(RowsAnnotated, line=line)
    event = next((one for one in events if one.dataset == dataset), None)
    if event is None:
        return []
    return given_labels(factory, factory.metadata.get(event.annotated, AnnotatedRows))


def _version_of(factory: Factory, line: str, dataset: str | None) -> tuple[str, Dataset]:
    """Return a dataset version of a line, whose rows are there."""
    factory.path_of(line)
    if dataset is None:
        listed = dataset_lines(factory, line)
        if not listed:
            raise NotFound(
                "the line has no dataset yet", where=line, hint=f"linewright run {line} reads its sources"
            )
        dataset = listed[-1].dataset
    digest, found = find_result(factory, dataset, Dataset)
    # A digest names no line: it may be another one's.
    if not is_of(factory, digest, line):
        raise NotFound("this line has no such dataset", where=line, found=digest)
    if (at := dropped_at(factory, digest)) is not None:
        raise NotFound(
            f"its rows are there no more: dataset dropped by retention on {at[:10]}",
            where=digest,
            hint="`keep.datasets` says how many dataset versions are kept",
        )
    return digest, found


def _logged(factory: Factory, line: str) -> Logged:
    sealed = factory.sealed_of(line)
    parts = tuple(
        LoggedPart(
            segment=digest,
            predictions=one.records,
            first=one.first,
            last=one.last,
            parquet=str(factory.artifacts.path(sealed.blob_of(one))),
        )
        for digest, one in sealed.segments().items()
    )
    return Logged(line=line, segments=parts, open=len(lengths(factory.log_of(line))))


def _difference(factory: Factory, line: str, before: str, after: str) -> Difference:
    old_digest, old = find_result(factory, before, Dataset)
    new_digest, new = find_result(factory, after, Dataset)
    if not factory.may("view", None):  # a digest names no line: it may be another one's
        mine = {one.dataset for one in dataset_lines(factory, line)}
        for digest in {old_digest, new_digest} - mine:
            raise NotFound("this line has no such dataset", where=line, found=digest)
    for digest in (old_digest, new_digest):
        if (at := dropped_at(factory, digest)) is not None:
            raise NotFound(
                f"rows cannot be compared that are there no more: dataset dropped by retention on {at[:10]}",
                where=digest,
                hint="`keep.datasets` says how many dataset versions are kept",
            )
    old_types = {column.name: column.type for column in old.columns}
    new_types = {column.name: column.type for column in new.columns}
    old_rows, new_rows = (read_dataset(one, factory.artifacts, factory.metadata) for one in (old, new))
    key, hidden = factory.line(line).table.key, hidden_columns(factory, line)
    has_key = key is not None and old_types.get(key) == new_types.get(key, "")
    shared = {chunk.content for chunk in old.chunks} & {chunk.content for chunk in new.chunks}
    return Difference(
        line=line,
        before=old_digest,
        after=new_digest,
        rows=(old.rows, new.rows),
        added_columns=tuple(name for name in new_types if name not in old_types),
        gone_columns=tuple(name for name in old_types if name not in new_types),
        changed_types=tuple(
            f"{name}: {old_types[name]} -> {kind}"
            for name, kind in new_types.items()
            if name in old_types and old_types[name] != kind
        ),
        shared_chunks=len(shared),
        new_chunks=len(new.chunks) - len(shared),
        by_key=row_changes(old_rows, new_rows, key) if key is not None and has_key else None,
        shifts=tuple(
            msgspec.structs.replace(one, mean=None, most=None) if one.column in hidden else one
            for one in column_shifts(old_rows, new_rows)
            if one.column != key
        ),
    )
