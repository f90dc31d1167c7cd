import hashlib
import io
import struct
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from linewright.data.dataset.version import CHUNK_ROWS, content_digest, read_dataset, write_dataset
from linewright.data.facts import Column, Dataset
from linewright.data.read.spill import Spool, is_ascending
from linewright.engine.context import Context
from linewright.errors import Corrupt, NotFound
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.metadata.sql import SqlMetadata
from linewright.store.values import canonical_json

KINDS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (pl.Int64, st.integers(-(2**63), 2**63 - 1)),
    "number": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False)),
    "boolean": (pl.Boolean, st.booleans()),
    "category": (pl.String, st.text(max_size=3)),
    "date": (pl.Date, st.dates()),
    "datetime": (pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
}
COLUMNS = [Column(name=name, type=name) for name in KINDS]


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    height = draw(st.integers(0, 12))
    return pl.DataFrame(
        [
            pl.Series(name, draw(st.lists(st.none() | values, min_size=height, max_size=height)), dtype=dtype)
            for name, (dtype, values) in KINDS.items()
        ]
    )


def write(context: Context, frame: pl.DataFrame, *order: str) -> Dataset:
    columns = [Column(name=name, type="integer") for name in frame.columns]
    return write_dataset(frame, columns, order, context.artifacts, context.metadata)


@given(frames())
def test_what_was_written_is_read_again(lasting, frame):
    """Values, types and missing values of every kind survive, bit for bit."""
    dataset = write_dataset(frame, COLUMNS, (), lasting.artifacts, lasting.metadata)
    back = read_dataset(dataset, lasting.artifacts, lasting.metadata)

    assert_frame_equal(frame, back, check_exact=True)
    assert content_digest(frame) == content_digest(back)


@given(frames(), st.integers(0, 11), st.sampled_from(list(KINDS)))
def test_the_content_digest_sees_every_cell(frame, row, name):
    """A changed cell is a changed dataset; a null is not the value that stands in its place."""
    if row >= frame.height:
        return
    blank = {"integer": 0, "number": 0.0, "boolean": False, "category": "", "date": date(1970, 1, 1)}
    value = blank.get(name, datetime(1970, 1, 1, tzinfo=UTC))
    other = frame.with_columns(
        pl.Series(name, [*frame[name][:row], value, *frame[name][row + 1 :]], dtype=frame[name].dtype)
    )
    same = frame[name][row] == value and str(frame[name][row]) == str(value)

    assert same is (content_digest(frame) == content_digest(other))


def test_the_content_digest_does_not_see_how_the_table_lies_in_memory():
    """Chunks, slices and what stands in a null's place are accidents."""
    frame = pl.DataFrame({"a": ["x", None, "y"], "n": [1, None, 3]})
    parts = pl.concat([frame[:1], frame[1:]], rechunk=False)
    sliced = pl.concat([frame, frame]).slice(3)
    masked = pl.DataFrame({"a": ["x", "hidden", "y"], "n": [1, 99, 3]}).with_columns(
        pl.when(pl.Series([True, False, True])).then(pl.all())
    )

    assert {content_digest(frame)} == {content_digest(other) for other in (parts, sliced, masked)}


def test_text_cannot_flow_from_one_cell_to_the_next():
    """["ab", "c"] and ["a", "bc"] are different columns."""
    assert content_digest(pl.DataFrame({"a": ["ab", "c"]})) != content_digest(
        pl.DataFrame({"a": ["a", "bc"]})
    )


def test_the_content_digest_is_of_these_bytes():
    """Every stored chunk is found by it: whoever changes the form makes all datasets unreadable."""
    frame = pl.DataFrame(
        {"i": [None, 1], "x": [None, 0.5], "b": [None, True], "s": [None, "é"], "d": [None, date(1970, 1, 3)]}
    ).with_columns(pl.Series("t", [None, datetime(1970, 1, 1, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC")))
    words = {"i": "int64", "x": "float64", "b": "boolean", "s": "text", "d": "date", "t": "instant"}
    there = b"\x40"  # the second of two rows, high bit first
    values = (
        struct.pack("<qq", 0, 1),
        struct.pack("<dd", 0, 0.5),
        b"\0\1",
        struct.pack("<qq", 0, 2) + "é".encode(),
        struct.pack("<qq", 0, 2),
        struct.pack("<qq", 0, 0),
    )
    head = canonical_json({"rows": 2, "columns": [list(item) for item in words.items()]})
    expected = hashlib.sha256(head + b"".join(there + part for part in values)).hexdigest()

    assert f"sha256:{expected}" == content_digest(frame)


def test_rows_are_sorted_and_ties_keep_their_order(context):
    """The same rows in another order are the same dataset, as far as the line says what order means."""
    times = [2, 1, 2, None, 1] * 1000
    frame = pl.DataFrame({"t": times, "v": range(5000)})
    dataset = write(context, frame, "t")
    expected = sorted(range(5000), key=lambda row: times[row] or 3)

    assert expected == read_dataset(dataset, context.artifacts, context.metadata)["v"].to_list()
    assert dataset == write(context, frame.sort("t", maintain_order=True), "t")
    assert dataset != write(context, frame)


def test_a_dataset_that_grew_shares_its_full_chunks(context):
    """Appending a day must not store a year again."""
    frame = pl.DataFrame({"v": range(2 * CHUNK_ROWS + 10)})
    before = write(context, frame[: 2 * CHUNK_ROWS + 5])
    blobs = len(list(context.artifacts.digests()))
    after = write(context, frame)

    assert [CHUNK_ROWS, CHUNK_ROWS, 10] == [chunk.rows for chunk in after.chunks]
    assert before.chunks[:2] == after.chunks[:2]
    assert blobs + 1 == len(list(context.artifacts.digests()))
    assert frame.equals(read_dataset(after, context.artifacts, context.metadata))


def test_columns_are_read_in_the_order_asked(context):
    """Reading two of two hundred columns is cheap."""
    dataset = write(context, pl.DataFrame({"a": [1], "b": [2], "c": [3]}))

    assert [(3, 1)] == read_dataset(dataset, context.artifacts, context.metadata, ["c", "a"]).rows()
    with pytest.raises(NotFound, match=r"no such column.*'d'.*a, b, c"):
        read_dataset(dataset, context.artifacts, context.metadata, ["d"])


def test_an_empty_dataset_has_columns(context):
    """It can be read like any other."""
    dataset = write(context, pl.DataFrame(schema={"a": pl.Int64}))

    assert (0, ()) == (dataset.rows, dataset.chunks)
    assert pl.DataFrame(schema={"a": pl.Int64}).equals(
        read_dataset(dataset, context.artifacts, context.metadata)
    )


def _parquet(frame: pl.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.write_parquet(sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    "blob",
    [b"no parquet", _parquet(pl.DataFrame({"a": [1]})), _parquet(pl.DataFrame({"a": ["1", "2"]}))],
    ids=["junk", "rows", "types"],
)
def test_a_chunk_that_is_not_what_the_dataset_says_is_refused(context, blob):
    """A link that points elsewhere must not become training data."""
    digest = context.artifacts.put(blob)
    frame = pl.DataFrame({"a": [1, 2]})
    content = content_digest(frame)
    context.metadata.link({f"chunk:{content}": digest})
    dataset = write(context, frame)

    with pytest.raises(Corrupt, match="chunk"):
        read_dataset(dataset, context.artifacts, context.metadata)


@pytest.mark.parametrize("harm", ["lost", "changed"])
@pytest.mark.parametrize("is_upgraded", [False, True], ids=["same library", "another library"])
def test_a_chunk_whose_bytes_were_lost_is_written_again(tmp_path, context, monkeypatch, harm, is_upgraded):
    """Equality is of rows: a newer Parquet library writes other bytes for them, and that is no contradiction."""
    kept = replace(context, artifacts=LocalArtifacts(tmp_path))
    frame = pl.DataFrame({"a": [1, 2, 3]})
    dataset = write(kept, frame)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    path.chmod(0o600)
    path.unlink() if harm == "lost" else path.write_bytes(b"junk")
    if is_upgraded:
        written = pyarrow.parquet.write_table
        monkeypatch.setattr(
            pyarrow.parquet,
            "write_table",
            lambda table, sink, **options: written(table, sink, **{**options, "compression": "snappy"}),
        )

    again = write(kept, frame)

    assert dataset == again == write(kept, frame)
    assert frame.equals(read_dataset(again, kept.artifacts, kept.metadata))


def test_a_chunk_that_is_nowhere_is_missed(context):
    """A dataset from another factory cannot be read here."""
    dataset = write(context, pl.DataFrame({"a": [1]}))
    with SqlMetadata("sqlite://") as empty, pytest.raises(NotFound, match="nowhere"):
        read_dataset(dataset, context.artifacts, empty)


@given(frames(), st.integers(1, 4))
def test_rows_are_put_in_order_band_by_band(lasting, frame, band):
    """A table that is larger than memory is sorted without a copy of it; ties stay as they came."""
    order = ("date", "integer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("linewright.data.dataset.version._BAND_ROWS", band)
        patch.setattr("linewright.data.dataset.version.CHUNK_ROWS", 1)
        dataset = write_dataset(frame, COLUMNS, order, lasting.artifacts, lasting.metadata)
    back = read_dataset(dataset, lasting.artifacts, lasting.metadata)

    assert_frame_equal(frame.sort(order, nulls_last=True, maintain_order=True), back, check_exact=True)


@given(st.lists(frames(), min_size=1, max_size=4))
def test_rows_that_are_spooled_to_files_come_back_and_leave_nothing_behind(frames_of_rows):
    """What is too large for memory lies in files without a name, which end with the process however it ends."""
    with TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "scratch", held=0)
        for rows in frames_of_rows:
            spool.add(rows)

        assert [] == list(Path(folder, "scratch").iterdir() if Path(folder, "scratch").exists() else ())
        assert_frame_equal(pl.concat(frames_of_rows), spool.frame(), check_exact=True)

        is_kept = pl.Series([row % 3 > 0 for row in range(spool.frame().height)], dtype=pl.Boolean)
        spool.filter(is_kept)

        assert_frame_equal(pl.concat(frames_of_rows).filter(is_kept), spool.frame(), check_exact=True)


@given(st.lists(st.lists(st.integers(0, 20)), max_size=6), st.sampled_from([0, 40, None]))
def test_rows_in_files_are_put_in_order_without_a_table_of_all_of_them(keys_of_parts, held):
    """A source larger than memory is kept in the order of its key; ties stay as they came."""
    parts = [pl.DataFrame({"key": keys}, schema={"key": pl.Int64}) for keys in keys_of_parts]
    whole = pl.concat([pl.DataFrame(schema={"key": pl.Int64}), *parts]).with_row_index("came")
    with TemporaryDirectory() as folder:
        spool, start = Spool(Path(folder), held=held), 0
        for part in parts:
            spool.add(whole.slice(start, part.height))
            start += part.height
        spool.sort("key")
        got = pl.concat([whole.clear(), *spool.parts()])

        assert_frame_equal(whole.sort("key", maintain_order=True), got)
        assert whole.height == spool.height
        assert got["key"].is_unique().all() == is_ascending(spool, "key")


def test_rows_in_files_take_memory_only_while_they_are_looked_at(tmp_path):
    """A pass over a table of any size leaves no more of it in memory than a few parts."""
    spool = Spool(tmp_path, held=1 << 20)
    for start in range(0, 5_000_000, 250_000):
        spool.add(pl.DataFrame({"x": np.arange(start, start + 250_000)}))
    frame, before = spool.frame(), mapped_bytes()

    assert 5_000_000 * 4_999_999 // 2 == frame["x"].sum()
    assert mapped_bytes() - before > 30_000_000
    spool.release()
    assert mapped_bytes() - before < 10_000_000
    assert 5_000_000 * 4_999_999 // 2 == sum(part["x"].sum() for part in spool.parts())
    assert mapped_bytes() - before < 10_000_000


def mapped_bytes() -> int:
    """Bytes of files that this process has mapped into memory, those of a file system in memory too."""
    status = Path("/proc/self/status").read_text()
    return sum(int(status.partition(f"{name}:")[2].split()[0]) for name in ("RssFile", "RssShmem")) * 1024
