"""Parquet files of sealed segments of a prediction log: a person can query them, and they give back each record to the byte.

A row has the fields of a `Prediction` as columns, the row and the answer as the JSON that they were; put together again they
are the payload. The records of one request of many rows are as many rows of one offset, and the first of them has what stood around
the rows of that request. Where they are not the payload (a record of another form), that is kept beside them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import IO, Annotated, Any, Literal, NamedTuple, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet

from linewright.serve.log.ids import ids_from
from linewright.serve.log.records import count_of, is_many, row_texts
from linewright.serve.log.segments import HEADER_BYTES, Frame
from linewright.store.clock import text_of

BATCH_RECORDS = 2_048
BATCH_BYTES = 4 * 2**20
"""Where a row group ends, by what comes first: so much is in memory when one is written or read, and at most one record more."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Cells(msgspec.Struct, frozen=True, kw_only=True):
    """A `Prediction`, field by field, whose row and answer stay the text that they are."""

    id: str
    version: _Int64 = 1
    line: str
    site: str | None = None
    generation: _Int64
    model: _Int64
    digest: str
    arm: Literal["champion", "canary", "shadow"] = "champion"
    at: str
    key: str | None
    unit: str | None = None
    subject: str | None = None
    row: msgspec.Raw
    answer: msgspec.Raw
    threshold: float | None
    durability: Literal["buffered", "durable"] = "buffered"
    via: Literal["endpoint", "batch", "replay"] = "endpoint"
    known: str | None = None
    features: msgspec.Raw = msgspec.Raw()


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """A `Predictions`, field by field in its order, whose answers stay the texts that they are."""

    many: int
    first: str
    version: _Int64 = 1
    line: str
    site: str | None = None
    generation: _Int64
    model: _Int64
    digest: str
    arm: Literal["champion"] = "champion"
    at: str
    keys: tuple[str | None, ...] | None
    request: msgspec.Raw
    answers: tuple[msgspec.Raw, ...]
    threshold: float | None
    durability: Literal["buffered", "durable"] = "buffered"
    via: Literal["endpoint", "batch"] = "endpoint"


class _Around(NamedTuple):
    """What a request has beside its rows."""

    before: str
    between: str
    after: str
    """Its text before the first row, between two, and behind the last."""
    is_keyed: bool
    """Whether each record has a key, be it null."""


_TYPES: Mapping[str, pa.DataType] = {
    "id": pa.string(),
    "version": pa.int64(),
    "line": pa.string(),
    "site": pa.string(),
    "generation": pa.int64(),
    "model": pa.int64(),
    "digest": pa.string(),
    "arm": pa.string(),
    "at": pa.timestamp("us", tz="UTC"),
    "key": pa.string(),
    "unit": pa.string(),
    "subject": pa.string(),
    "row": pa.string(),
    "answer": pa.string(),
    "threshold": pa.float64(),
    "durability": pa.string(),
    "via": pa.string(),
    "known": pa.string(),
    "features": pa.string(),
}
_LEFT_OUT = ("known", "features")
"""The last of them, which other records leave out: files that are older have no such columns."""
_SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        *(pa.field(name, kind) for name, kind in _TYPES.items()),
        pa.field("payload", pa.binary()),
        pa.field("request", pa.string()),
    ]
)
_REPEATING = [
    "version",
    "line",
    "site",
    "generation",
    "model",
    "digest",
    "arm",
    "threshold",
    "durability",
    "via",
]
_DECODER, _REQUESTS = msgspec.json.Decoder(_Cells), msgspec.json.Decoder(_Request)
_AROUND = msgspec.json.Decoder(_Around)
_ENCODER = msgspec.json.Encoder()


class Written(NamedTuple):
    """What was written to a Parquet file."""

    records: int
    first: str
    last: str
    """When the earliest and the latest were received; empty where none says it."""


# Writing


def write_segment(frames: Iterable[Frame], file: IO[bytes]) -> Written:
    """Write the frames of a segment as Parquet; one row group is in memory at a time."""
    records, times = 0, list[int]()
    with pyarrow.parquet.ParquetWriter(
        file, _SCHEMA, compression="zstd", use_dictionary=cast("Any", _REPEATING), write_page_checksum=True
    ) as writer:
        for batch in _batches(frames):
            rows = [row for frame in batch for row in _rows_of(frame)]
            records += sum(count_of(frame.payload) for frame in batch)
            known = [*times, *(each["at"] for each in rows if "at" in each)]
            times = [min(known), max(known)] if known else []
            writer.write_table(pa.Table.from_pylist(rows, _SCHEMA))
    first, last = map(_text, times) if times else ("", "")
    return Written(records, first, last)


def _batches(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    batch: list[Frame] = []
    size = records = 0
    for frame in frames:
        batch.append(frame)
        size, records = size + len(frame.payload), records + count_of(frame.payload)
        if records >= BATCH_RECORDS or size >= BATCH_BYTES:
            yield batch
            batch, size, records = [], 0, 0
    if batch:
        yield batch


def _rows_of(frame: Frame) -> list[dict[str, Any]]:
    return _rows_of_request(frame) if is_many(frame.payload) else [_row_of(frame)]


def _row_of(frame: Frame) -> dict[str, Any]:
    try:
        cells = _DECODER.decode(frame.payload)
        row = {name: getattr(cells, name) for name in _TYPES}
        row["at"] = _micros(cells.at)
        row["row"], row["answer"] = bytes(cells.row).decode(), bytes(cells.answer).decode()
        row["features"] = bytes(cells.features).decode() or None
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return {"offset": frame.offset, "payload": frame.payload}
    is_whole = _payload([row[name] for name in _TYPES]) == frame.payload
    return {"offset": frame.offset, **row, "payload": None if is_whole else frame.payload}


def _rows_of_request(frame: Frame) -> list[dict[str, Any]]:
    try:
        told = _REQUESTS.decode(frame.payload)
        texts = [bytes(text) for text in row_texts(told.request)]
        ids, keys = ids_from(told.first, told.many), told.keys or [None] * told.many
        shared = {name: getattr(told, name, None) for name in _TYPES} | {"at": _micros(told.at)}
        rows = [
            {
                "offset": frame.offset,
                **shared,
                "id": identity,
                "key": key,
                "row": text.decode(),
                "answer": bytes(answer).decode(),
            }
            for identity, key, text, answer in zip(ids, keys, texts, told.answers, strict=True)
        ]
        around = _around(bytes(told.request), texts, is_keyed=told.keys is not None)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return [{"offset": frame.offset, "payload": frame.payload}]
    is_whole = _payload_of_request([[row[name] for name in _TYPES] for row in rows], around) == frame.payload
    rows[0] |= {"request": msgspec.json.encode(around).decode()} if is_whole else {"payload": frame.payload}
    return rows


def _around(request: bytes, texts: Sequence[bytes], *, is_keyed: bool) -> _Around:
    """Return what stands around the rows of a request, where it is the same between all of them; else it does not fit."""
    start = request.index(texts[0])
    end = start + len(texts[0])
    between = request[end : request.index(texts[1], end)] if len(texts) > 1 else b""
    rows = len(between.join(texts))
    before, after = request[:start], request[start + rows :]
    return _Around(before.decode(), between.decode(), after.decode(), is_keyed)


def _micros(at: str) -> int:
    return (datetime.fromisoformat(at).astimezone(UTC) - _EPOCH) // _MICROSECOND


# Reading


def read_groups(parquet: pyarrow.parquet.ParquetFile, segment: str, start: int = 0) -> Iterator[list[Frame]]:
    """Iterate over the frames of a segment by row groups, from the group that holds the position `start`."""
    for number in range(parquet.num_row_groups):
        if parquet.metadata.row_group(number).column(0).statistics.max >= start:
            yield _frames(parquet.read_row_group(number, use_threads=False), segment)


def _frames(table: pa.Table, segment: str) -> list[Frame]:
    table = table.set_column(table.schema.get_field_index("at"), "at", table.column("at").cast(pa.int64()))
    for name in _LEFT_OUT:
        if name not in table.column_names:
            place = 1 + list(_TYPES).index(name)
            table = table.add_column(place, name, pa.nulls(len(table), pa.string()))
    if "request" not in table.column_names:  # written when each frame held one record
        table = table.append_column("request", pa.nulls(len(table), pa.string()))
    offsets, *columns, payloads, requests = (column.to_pylist() for column in table.itercolumns())
    cells = list(zip(*columns, strict=True))
    frames: list[Frame] = []
    for offset, rows in groupby(range(len(offsets)), key=offsets.__getitem__):
        first, *others = rows
        if (data := payloads[first]) is None:
            around = requests[first]
            data = (
                _payload(cells[first])
                if around is None
                else _payload_of_request([cells[row] for row in (first, *others)], _AROUND.decode(around))
            )
        frames.append(Frame(segment, offset, offset + HEADER_BYTES + len(data), data))
    return frames


def _payload(cells: Sequence[Any]) -> bytes:
    """Put a record together from the values of its columns, in their order."""
    found = dict(zip(_TYPES, cells, strict=True))
    found["at"] = _text(found["at"])
    found["row"], found["answer"] = msgspec.Raw(found["row"]), msgspec.Raw(found["answer"])
    if found["features"] is not None:
        found["features"] = msgspec.Raw(found["features"])
    for name in _LEFT_OUT:
        if found[name] is None:
            del found[name]
    return _ENCODER.encode(found)


def _payload_of_request(cells: Sequence[Sequence[Any]], around: _Around) -> bytes:
    """Put the records of a request together from the values of their columns."""
    columns = dict(zip(_TYPES, zip(*cells, strict=True), strict=True))
    shared: dict[str, Any] = {
        name: columns[name][0] for name in _Request.__struct_fields__ if name in columns
    }
    shared["at"] = _text(shared["at"])
    request = around.before + around.between.join(columns["row"]) + around.after
    return _ENCODER.encode(
        _Request(
            many=len(cells),
            first=columns["id"][0],
            keys=columns["key"] if around.is_keyed else None,
            request=msgspec.Raw(request.encode()),
            answers=tuple(msgspec.Raw(text.encode()) for text in columns["answer"]),
            **shared,
        )
    )


def _text(micros: int) -> str:
    return text_of(_EPOCH + timedelta(microseconds=micros))
