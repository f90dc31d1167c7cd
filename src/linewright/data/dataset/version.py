"""Dataset versions: immutable tables in chunks, equal when their content is."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet

from linewright.data.dataset.blobs import blobs_of, instead_of, link_of
from linewright.data.facts import Chunk, Column, Dataset
from linewright.data.pieces import in_one_piece, rows_at
from linewright.data.types import DTYPES
from linewright.errors import Corrupt, NotFound
from linewright.store.protocols import Artifacts, Metadata, MetadataReader
from linewright.store.values import canonical_json

CHUNK_ROWS = 16_384
_BAND_ROWS = 8 * CHUNK_ROWS
"""Rows that are taken from a table in another order at once, at least; of a large one more, since each band may come from all of it."""
_MOST_BANDS = 64
_FEW_ROWS = 4 * CHUNK_ROWS
"""Rows that are looked at together, or kept where they lie in order."""
_HEAD = 1024
# Part of every content digest: our words, since a library's names for its types may change.
_TYPE_WORDS: Mapping[pl.DataType, str] = {
    pl.Int64(): "int64",
    pl.Float64(): "float64",
    pl.Boolean(): "boolean",
    pl.String(): "text",
    pl.Date(): "date",
    pl.Datetime("us", "UTC"): "instant",
}

_ZEROS: Mapping[pl.DataType, Any] = {pl.String(): "", pl.Boolean(): False}
_BYTES = {"i": "<i8", "f": "<f8", "b": "u1"}
_AT_ONCE = 2
"""Chunks that are kept at once: one is made while another waits for the disk."""


def write_dataset(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    order: Sequence[str],
    artifacts: Artifacts,
    metadata: Metadata,
    *,
    release: Callable[[], None] = lambda: None,
) -> Dataset:
    """Keep a table as a dataset version.

    Rows are sorted by `order`, ties in the order they came. Chunks that are already kept are not written again: a
    dataset that grew at its end shares all full chunks with the one before. Chunks whose bytes were lost or changed are.
    """
    frame = frame.select([pl.col(column.name).cast(DTYPES[column.type]) for column in columns])
    chunks: list[Chunk] = []

    def kept(rows: pl.DataFrame) -> tuple[Chunk, dict[str, str]]:
        return _keep_chunk(rows, artifacts, metadata)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for band in _in_order(frame, order, release):
            done = list(pool.map(kept, band.iter_slices(CHUNK_ROWS) if band.height else ()))
            chunks += [chunk for chunk, _ in done]
            if new := {key: blob for _, links in done for key, blob in links.items()}:
                metadata.link(new)
            release()
    return Dataset(columns=tuple(columns), rows=frame.height, order=tuple(order), chunks=tuple(chunks))


def _in_order(
    frame: pl.DataFrame, order: Sequence[str], release: Callable[[], None]
) -> Iterator[pl.DataFrame]:
    """Give the rows in order, in parts of whole chunks; a copy of all of them is never made."""
    if not order or _is_ordered(frame, order):
        release()
        yield from frame.iter_slices(_FEW_ROWS)
        return
    places = _places(frame, order).to_numpy()
    release()
    band = max(_BAND_ROWS, -(-frame.height // (_MOST_BANDS * CHUNK_ROWS)) * CHUNK_ROWS)
    for start in range(0, frame.height, band):
        yield rows_at(frame, places[start : start + band], release)


def _places(frame: pl.DataFrame, order: Sequence[str]) -> pl.Series:
    return frame.select(pl.arg_sort_by(order, nulls_last=True, maintain_order=True)).to_series()


def _is_ordered(frame: pl.DataFrame, order: Sequence[str]) -> bool:
    """Return whether the rows lie in order, by looks at some at a time, each with the first of the next ones."""
    starts = range(0, frame.height, _FEW_ROWS)
    return all(_places(frame.slice(start, _FEW_ROWS + 1), order).is_sorted() for start in starts)


def read_dataset(
    dataset: Dataset, artifacts: Artifacts, metadata: MetadataReader, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return the rows of a dataset, in its order."""
    types = {column.name: DTYPES[column.type] for column in dataset.columns}
    names = list(types) if columns is None else list(columns)
    unknown = [name for name in names if name not in types]
    if unknown:
        raise NotFound("the dataset has no such column", found=", ".join(unknown), allowed=", ".join(types))
    schema = pl.Schema({name: types[name] for name in names})
    parts = [_read_chunk(chunk, schema, artifacts, metadata) for chunk in dataset.chunks]
    return in_one_piece(parts) if parts else pl.DataFrame(schema=schema)


def content_digest(frame: pl.DataFrame) -> str:
    """Return a digest of names, types, which values are there, and the values; of nothing else.

    The types are those of `types.DTYPES`. How the table lies in memory, what stands in a missing value's place and who wrote the file do not matter.

    Examples
    --------
    >>> a = pl.DataFrame({"x": [1, None, 3]})
    >>> content_digest(a) == content_digest(pl.concat([a[:1], a[1:]], rechunk=False))
    True
    >>> content_digest(a) == content_digest(a.rename({"x": "y"}))
    False
    """
    head = {
        "rows": frame.height,
        "columns": [[name, _TYPE_WORDS[dtype]] for name, dtype in frame.schema.items()],
    }
    hashed = hashlib.sha256(canonical_json(head))
    for column in frame.iter_columns():
        # Most columns of a chunk lack nothing, and polars takes longer to begin than to look at so few rows.
        gaps = column.null_count()
        is_there = column.is_not_null().to_numpy() if gaps else np.ones(len(column), bool)
        for part in (np.packbits(is_there), *_value_bytes(column)):
            hashed.update(part.data)
    return "sha256:" + hashed.hexdigest()


def _value_bytes(column: pl.Series) -> tuple[np.ndarray, ...]:
    """Values as little-endian bytes, a missing one as zero or as empty text; text with its lengths before it."""
    plain = column.cast(pl.Int64) if column.dtype.is_temporal() else column
    if column.null_count():
        plain = plain.fill_null(_ZEROS.get(column.dtype, 0))
    if column.dtype != pl.String:
        values = plain.to_numpy()
        return (values.astype(_BYTES[values.dtype.kind], copy=False),)
    text: Any = plain.to_arrow()
    _, ends, letters = text.buffers()
    places = np.frombuffer(ends, "<i8")[text.offset : text.offset + len(text) + 1]
    return np.diff(places), np.frombuffer(letters, "u1")[places[0] : places[-1]]


def _keep_chunk(
    rows: pl.DataFrame, artifacts: Artifacts, metadata: MetadataReader
) -> tuple[Chunk, dict[str, str]]:
    """Return the chunk with the link from its content to its blob, where there is none yet."""
    content = content_digest(rows)
    chunk = Chunk(content=content, rows=rows.height)
    links = list(blobs_of(content, metadata))
    if any(_get(blob, artifacts) is not None for blob in links):
        return chunk, {}
    blob = _put(rows, artifacts)
    # Another version of the Parquet library writes other bytes for the same rows: a link beside those that were lost.
    return chunk, {} if blob in links else {link_of(content, len(links)): blob}


def _put(rows: pl.DataFrame, artifacts: Artifacts) -> str:
    sink = pa.BufferOutputStream()
    pyarrow.parquet.write_table(
        rows.to_arrow(),
        sink,
        compression="zstd",
        use_dictionary=cast("Any", _repeating(rows)),  # names may be given, whatever its types say
        write_page_checksum=True,
    )
    return artifacts.put(sink.getvalue().to_pybytes())


def _repeating(rows: pl.DataFrame) -> list[str]:
    """Name the columns whose values repeat; of others a dictionary is larger, and slower to write, than the values."""
    head = rows.head(_HEAD)
    return [column.name for column in head.iter_columns() if column.n_unique() <= head.height // 2]


def read_chunk(
    chunk: Chunk, columns: Sequence[Column], artifacts: Artifacts, metadata: MetadataReader
) -> pl.DataFrame:
    """Return the rows of one chunk of a dataset."""
    schema = pl.Schema({column.name: DTYPES[column.type] for column in columns})
    return _read_chunk(chunk, schema, artifacts, metadata)


def put_emptied(rows: pl.DataFrame, those: pl.Series, artifacts: Artifacts) -> str:
    """Keep rows of a chunk of which some are empty, all their values missing, so that the others are where they were; return the blob."""
    gone = pl.when(those).then(None)
    return _put(rows.select(gone.otherwise(pl.col(name)).alias(name) for name in rows.columns), artifacts)


def _get(blob: str, artifacts: Artifacts) -> bytes | None:
    """Return the bytes, verified; `None` where they were lost."""
    try:
        return artifacts.get(blob)
    except (NotFound, Corrupt):
        return None


def _read_chunk(
    chunk: Chunk, schema: pl.Schema, artifacts: Artifacts, metadata: MetadataReader
) -> pl.DataFrame:
    links = list(blobs_of(chunk.content, metadata))
    if (instead := instead_of(chunk.content, metadata)) is not None:
        links.append(instead)
    if not links:
        raise NotFound("a chunk of the dataset is nowhere", found=chunk.content, hint="run the line again")
    # Where every blob was lost, the first one's error says how.
    blob = next((blob for blob in links if _get(blob, artifacts) is not None), links[0])
    data = artifacts.get(blob)
    try:
        table = pyarrow.parquet.read_table(
            pa.BufferReader(data), columns=schema.names(), use_threads=False, page_checksum_verification=True
        )
    except pa.ArrowException as error:
        raise Corrupt(f"a chunk is no Parquet file: {error}", where=blob) from error
    frame = cast("pl.DataFrame", pl.from_arrow(table))
    if frame.height != chunk.rows or frame.schema != schema:
        raise Corrupt(
            "a chunk does not hold what the dataset says",
            where=blob,
            found=f"{frame.height} rows of {dict(frame.schema)}",
            allowed=f"{chunk.rows} rows of {dict(schema)}",
            hint="restore it from a backup",
        )
    return frame
