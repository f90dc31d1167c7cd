"""The versions of rows that a source history has, in Parquet chunks that never change."""

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import chain
from typing import NamedTuple, cast

import polars as pl

from linewright.data.dataset.blobs import instead_of
from linewright.data.facts import HistoryChunk, HistoryColumn, SourceHistory
from linewright.data.read.spill import RowParts
from linewright.data.read.sql.column_types import ColumnType, Kind
from linewright.data.spec import VERSION_DELETED, VERSION_KNOWN
from linewright.errors import NotFound
from linewright.store.protocols import Artifacts, Metadata, MetadataReader

DIGEST, KNOWN, DELETED = "linewright_digest", VERSION_KNOWN, VERSION_DELETED
"""Columns that a version has besides: a digest of its values that the source computed, when it came to be known, and
whether it says that the row is gone."""
HALF = 2**30
"""By which digests are halved, since a sum of whole ones would not fit."""
CHUNK_ROWS = 1 << 17
"""Versions of a chunk, at most."""
_FEWER = 2
"""Chunks are joined until each has at least so many times the versions of the next one, so that many small reads leave few chunks."""


class HistoryStore(NamedTuple):
    """Where histories are kept."""

    artifacts: Artifacts
    metadata: Metadata


def key_of(source: str, number: int) -> str:
    """Return the key under which `Metadata.settled` has the history of that number, by the digest of the source's definition."""
    return f"history:{source}:{number}"


def newest(source: str, metadata: MetadataReader) -> tuple[str, SourceHistory] | None:
    """Return the history of a source that is in force, with its digest; `None` if nothing was read yet."""
    low, high = 0, 1
    while metadata.settled(key_of(source, high)) is not None:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if metadata.settled(key_of(source, middle)) is not None else (low, middle)
    digest = metadata.settled(key_of(source, low)) if low else None
    return None if digest is None else (digest, metadata.get(digest, SourceHistory))


def known_at(
    history: SourceHistory, at: str, metadata: MetadataReader, *, says_known: bool = False
) -> SourceHistory:
    """Return the history whose columns the source had at an instant."""
    while history.first > at and history.before is not None:
        history = metadata.get(history.before, SourceHistory)
    if history.first > at and not says_known:
        raise NotFound(
            "nothing of the source had been read by then",
            found=at,
            allowed=f"{history.first} and later",
            hint="where a column has the time at which a row came to be known, name it by `known`",
        )
    return history


def types_of(history: SourceHistory) -> dict[str, ColumnType]:
    """Return the types of the source's columns, by name, in order."""
    return {
        one.name: ColumnType(kind=cast("Kind", one.kind), precision=one.precision, scale=one.scale)
        for one in history.columns
    }


def columns_of(types: dict[str, ColumnType]) -> tuple[HistoryColumn, ...]:
    """Return types as a history has them."""
    return tuple(
        HistoryColumn(name=name, kind=of.kind, precision=of.precision, scale=of.scale)
        for name, of in types.items()
    )


def schema_of(types: dict[str, ColumnType]) -> dict[str, pl.DataType]:
    """Return the types in memory of a version's columns."""
    return {
        **{name: of.dtype for name, of in types.items()},
        DIGEST: pl.Int64(),
        KNOWN: pl.Datetime("us", "UTC"),
        DELETED: pl.Boolean(),
    }


def read_versions(
    history: SourceHistory, store: HistoryStore, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Give the versions, chunk by chunk, in the order in which they came; `columns` are all unless said."""
    for chunk in history.chunks:
        yield _read(chunk, store, columns)


def newest_versions(
    history: SourceHistory,
    key: str,
    store: HistoryStore,
    *,
    also: Sequence[str] = (),
    more: RowParts | None = None,
    known_by: str | None = None,
) -> pl.DataFrame:
    """Return the newest version of each row, deletions too: the columns `key`, DIGEST, DELETED, and ``place`` among all versions."""
    schema = schema_of(types_of(history))
    names = list(dict.fromkeys((key, *also, DIGEST, KNOWN, DELETED)))
    parts = [pl.DataFrame(schema={name: schema[name] for name in names})]
    parts += read_versions(history, store, names)
    parts += [] if more is None else [part.select(names) for part in more.parts()]
    rows = pl.concat(parts).with_row_index("place")
    if known_by is not None:
        rows = rows.filter(pl.col(KNOWN) <= pl.lit(known_by).str.to_datetime(time_unit="us", time_zone="UTC"))
    rows = rows.filter(pl.col(key).is_last_distinct())
    return rows if KNOWN in also else rows.drop(KNOWN)


def append(
    chunks: Sequence[HistoryChunk], versions: RowParts, store: HistoryStore
) -> tuple[HistoryChunk, ...]:
    """Keep versions after those of some chunks, and return the chunks of all; the last small ones are joined."""
    chunks = list(chunks)
    before: list[pl.DataFrame] = []
    rows = versions.height
    while chunks and chunks[-1].rows < _FEWER * rows and chunks[-1].rows + rows <= CHUNK_ROWS:
        last = chunks.pop()
        before.insert(0, _read(last, store, None))
        rows += last.rows
    whole = _whole_chunks(chain(before, versions.parts()))
    return (*chunks, *(put_versions(part, store.artifacts) for part in whole))


def _whole_chunks(parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Give the same rows in parts of `CHUNK_ROWS`; the last one may have fewer, and at least one."""
    held: list[pl.DataFrame] = []
    for part in parts:
        held.append(part)
        while sum(one.height for one in held) >= CHUNK_ROWS:
            joined = pl.concat(held)
            yield joined.head(CHUNK_ROWS)
            held = [joined.slice(CHUNK_ROWS)]
    if sum(one.height for one in held):
        yield pl.concat(held)


def put_versions(versions: pl.DataFrame, artifacts: Artifacts) -> HistoryChunk:
    """Keep versions as a chunk."""
    sink = BytesIO()
    versions.write_parquet(sink, compression="zstd")
    return HistoryChunk(blob=artifacts.put(sink.getvalue()), rows=versions.height)


def read_blob(blob: str, artifacts: Artifacts, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return the versions that a blob has; `columns` are all unless said."""
    return pl.read_parquet(BytesIO(artifacts.get(blob)), columns=list(columns) if columns else None)


def _read(chunk: HistoryChunk, store: HistoryStore, columns: Sequence[str] | None) -> pl.DataFrame:
    return read_blob(instead_of(chunk.blob, store.metadata) or chunk.blob, store.artifacts, columns)
