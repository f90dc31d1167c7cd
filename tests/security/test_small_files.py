"""A small file cannot take all memory, or the time of whoever reads it: each of these is refused, or read within bounds.

Class of "decompression bomb" (CWE-409): what is small on disk is large in memory.
"""

import bz2
import gzip
import io
import json
import sys
import textwrap
import zipfile
from pathlib import Path

import commands
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from linewright.data.read.reader import fingerprint
from linewright.data.read.source import open_source, read_source, whole
from linewright.data.spec import FileSource
from linewright.errors import RequestError
from linewright.model.imported.mlflow import describe
from linewright.model.pictures import decoded

MEMORY = 1_200
"""MiB that a process which reads a bomb may have at its highest; 150 of them are its libraries."""

SOURCE = "linewright.data.read.source"
"""What the process that reads has imported when it is forked."""

READ = """\
    import json, sys
    from pathlib import Path
    from time import monotonic
    from linewright.data.read.source import open_source, whole
    from linewright.data.spec import FileSource
    from linewright.errors import LinewrightError

    began, said = monotonic(), "read"
    try:
        source = open_source("s", FileSource.model_validate(json.loads(sys.argv[2])), Path(sys.argv[1]))
        for _ in source.batches():
            pass
        if sys.argv[3] == "whole":
            whole(source)
    except LinewrightError as error:
        said = str(error)
    # Not `ru_maxrss`: that begins with what the process which started this one took.
    told = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in told if line.startswith("VmHWM")) >> 10
    print(json.dumps({"said": said, "memory": memory, "seconds": monotonic() - began}))
"""


def outcome(folder: Path, *, holds: str = "", **source: object) -> dict[str, object]:
    """Read a source in a process of its own; a process that is killed, or takes too long, fails the test."""
    program = [sys.executable, "-c", textwrap.dedent(READ), str(folder), json.dumps(source), holds]
    done = commands.run(program, of=commands.programs(SOURCE), text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["memory"] < MEMORY, found
    return found


def bomb(folder: Path, letter: bytes, mib: int) -> Path:
    """Write a file that unpacks to so many MiB of a letter: the same packed piece again and again."""
    file = folder / "bomb.csv.gz"
    file.write_bytes(gzip.compress(letter * 2**20, mtime=0) * mib)
    return file


def test_a_parquet_of_one_long_text_again_and_again(tmp_path):
    """3.4 KB held 300 GB: rows a batch were guessed from what they take after their encodings."""
    one = pa.array(["x" * 1_000_000])
    first = pa.DictionaryArray.from_arrays(pa.array([0] * 300_000, pa.int32()), one)
    second = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 150_000, pa.int32()), pa.array(["u", "v"]))
    table = pa.table({"a": first, "b": second})
    pq.write_table(table, tmp_path / "big.parquet", compression="zstd", store_schema=False)
    assert (tmp_path / "big.parquet").stat().st_size < 4_000

    found = outcome(tmp_path, file="big.parquet")

    assert "the file unpacks to more than 500 times its size" in found["said"]
    assert "sources.s.limits.ratio" in found["said"]


def test_a_parquet_whose_long_texts_come_late(tmp_path):
    """What the first rows take says nothing of the others; the dictionary does."""
    long = pa.array(["y", "x" * 1_000_000])
    codes = pa.array([0] * 200_000 + [1] * 100_000, pa.int32())
    pq.write_table(
        pa.table({"a": pa.DictionaryArray.from_arrays(codes, long)}),
        tmp_path / "late.parquet",
        compression="zstd",
        store_schema=False,
    )

    found = outcome(tmp_path, file="late.parquet")

    assert "500 times its size" in found["said"]


def test_a_parquet_of_constant_rows(tmp_path):
    """300 million equal rows took 2 MB on disk, and 3.5 GB in memory."""
    some = pa.table({"a": pa.array([1] * 1_000_000, pa.int64()), "b": pa.array([0.5] * 1_000_000)})
    with pq.ParquetWriter(tmp_path / "rows.parquet", some.schema, compression="zstd") as file:
        for _ in range(101):
            file.write_table(some)

    found = outcome(tmp_path, file="rows.parquet")

    assert "there are more than 100,000,000 rows" in found["said"]
    assert "sources.s.limits.rows" in found["said"]


def lists(folder: Path, values: pa.Array, **options: object) -> Path:
    """Write a file of a hundred rows with a list of one value, and of one row with a list of all others."""
    offsets = pa.array([*range(101), len(values)], pa.int32())
    one = pa.ListArray.from_arrays(offsets, values)
    file = folder / "bomb.parquet"
    pq.write_table(pa.table({"a": range(101), "l": one}), file, compression="zstd", **options)
    assert file.stat().st_size < 100_000
    return file


def test_a_parquet_of_one_list_of_numbers(tmp_path):
    """2.9 KB held a row of 300 million zeros, which took 9 GB before anything was counted."""
    lists(tmp_path, pa.repeat(pa.scalar(0), 50_000_000))
    assert "more than 500 times its size" in outcome(tmp_path, file="bomb.parquet")["said"]


def test_a_parquet_of_one_list_of_texts(tmp_path):
    """The text is there once, and the list has next to nothing for each of its values."""
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), pa.array(["x" * 1_000_000]))
    lists(tmp_path, text)
    assert (
        "the lists of a row have texts of 4,900,000,000 bytes"
        in outcome(tmp_path, file="bomb.parquet")["said"]
    )


def test_a_parquet_of_one_list_of_texts_that_go_on_from_the_one_before(tmp_path):
    """They have no dictionary that says how long they are."""
    encoding = {"l.list.element": "DELTA_BYTE_ARRAY"}
    lists(tmp_path, pa.array(["x" * 1_000_000] * 600), use_dictionary=False, column_encoding=encoding)
    assert "more than 500 times its size" in outcome(tmp_path, file="bomb.parquet")["said"]


def test_a_list_whose_chunk_says_that_it_is_short(tmp_path):
    """A page is decoded whole, whatever the footer says, so the pages are asked."""
    many = 50_000_000
    file = lists(tmp_path, pa.repeat(pa.scalar(0), many), write_statistics=False, data_page_size=1 << 30)
    whole_file, said = file.read_bytes(), varint(many)
    footer = len(whole_file) - 8 - int.from_bytes(whole_file[-8:-4], "little")
    assert said in whole_file[footer:]
    file.write_bytes(whole_file[:footer] + whole_file[footer:].replace(said, varint(1 << 21)))
    assert "more than 500 times its size" in outcome(tmp_path, file="bomb.parquet")["said"]


def varint(number: int) -> bytes:
    """Return a number as Thrift writes it."""
    number, found = number << 1, bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes(found) + bytes([number])


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None])
def test_honest_lists_are_read(tmp_path, encoding):
    """In many row groups, of all kinds of lists, with and without a dictionary."""
    texts = [[f"text {i}", None] if i % 7 else None for i in range(1_000)]
    names = ["t.list.element"]
    deep = [[[f"{i}"]] for i in range(1_000)]
    table = pa.table({"t": texts, "n": [[i] * (i % 5) for i in range(1_000)], "d": deep, "s": ["a"] * 1_000})
    packed = {"use_dictionary": False, "column_encoding": dict.fromkeys(names, encoding)}
    options = packed if encoding else {"dictionary_pagesize_limit": 1_000}  # beyond that, texts are plain
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300, data_page_size=500, **options)

    found = read_source("s", FileSource(file="a.parquet"), tmp_path)

    assert pl.from_arrow(table).equals(found.frame)


@pytest.mark.parametrize("text", ["x" * 100_000, "x" * (17 << 20)], ids=["many", "one"])
def test_a_text_of_parquet_is_no_longer_than_a_row_may_be(tmp_path, text):
    """A row of a file has at most 16 MiB, whatever its format: longer ones are refused by their size."""
    pl.DataFrame({"a": [text] * 3, "b": [1, 2, 3]}).write_parquet(tmp_path / "a.parquet")

    said = outcome(tmp_path, file="a.parquet")["said"]

    assert (said == "read") if len(text) < 16 << 20 else ("there is a text of 17,825,792 bytes" in str(said))


def test_honest_parquet_is_read_in_few_batches(tmp_path):
    """What keeps bombs out must not cut an honest table into crumbs, nor change a value of it."""
    rows = 300_000
    frame = pl.DataFrame(
        {
            "id": [f"row {i}" for i in range(rows)],
            "kind": ["red", "green", "blue"] * (rows // 3),
            "x": [i / 7 for i in range(rows)],
            "note": [None, "some words"] * (rows // 2),
        }
    )
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=50_000)

    source = open_source("s", FileSource(file="a.parquet"), tmp_path)

    assert whole(source).frame.equals(frame)
    assert len(list(source.batches())) <= 10


@pytest.mark.parametrize("way", ["gzip", "bzip2", "zip"])
def test_a_packed_file_of_one_line_without_end(tmp_path, way):
    """4 MB unpacked to one line of 4 GB, which was read whole to say what is wrong with it."""
    if way == "gzip":
        file = bomb(tmp_path, b"x", 4096)
    elif way == "bzip2":
        file = tmp_path / "bomb.bz2"
        file.write_bytes(bz2.compress(b"x" * 2**20) * 4096)
    else:
        file = tmp_path / "bomb.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("a.csv", "w") as inside:
            for _ in range(512):
                inside.write(b"x" * 2**20)
    assert file.stat().st_size < 5 << 20

    found = outcome(tmp_path, file=file.name)

    assert "a row is longer than 16 MiB" in found["said"]


def test_a_line_without_end_after_sound_rows(tmp_path):
    """The rows before it are read; the error that explains it must not read it whole."""
    header = gzip.compress(b"a,b\n" + b"1,2\n" * 1000, mtime=0)
    (tmp_path / "a.csv.gz").write_bytes(header + gzip.compress(b"x" * 2**20, mtime=0) * 2048)

    found = outcome(tmp_path, file="a.csv.gz")

    assert "a row is longer than 16 MiB" in found["said"]


def test_a_line_without_end_that_is_no_text(tmp_path):
    """The same, where the error is about the encoding."""
    (tmp_path / "a.csv.gz").write_bytes(
        gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"\xff" * 2**20, mtime=0) * 2048
    )

    found = outcome(tmp_path, file="a.csv.gz")

    assert "line 2 cannot be decoded" in found["said"] or "longer than 16 MiB" in found["said"]


def test_short_rows_without_end(tmp_path):
    """1.5 MB of gzip held 393 million rows, which took more than a minute to be read."""
    (tmp_path / "a.csv.gz").write_bytes(
        gzip.compress(b"a,b\n", mtime=0) + gzip.compress(b"1,2\n" * 2**18, mtime=0) * 600
    )

    found = outcome(tmp_path, file="a.csv.gz", limits={"rows": 2_000_000})

    assert "there are more than 2,000,000 rows" in found["said"]


def test_rows_have_a_limit_with_a_key(tmp_path):
    """The limit holds for each format, and is raised where the file is honest."""
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 11)
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 11)
    pl.DataFrame({"a": [1] * 11}).write_parquet(tmp_path / "a.parquet")

    for name in ("a.csv", "a.jsonl", "a.parquet"):
        few = FileSource.model_validate({"file": name, "limits": {"rows": 10}})
        with pytest.raises(RequestError, match="more than 10 rows") as caught:
            read_source("s", few, tmp_path)
        assert "sources.s.limits.rows" in caught.value.hint
        enough = FileSource.model_validate({"file": name, "limits": {"rows": 11}})
        assert 11 == read_source("s", enough, tmp_path).rows
        assert fingerprint(few, tmp_path) == fingerprint(FileSource(file=name), tmp_path)


@pytest.mark.parametrize("columns", [100_000, 1_000_000])
def test_a_csv_of_too_many_columns(tmp_path, columns):
    """A header of a million names took more than a minute."""
    (tmp_path / "a.csv").write_text(",".join(f"c{i}" for i in range(columns)) + "\n")

    found = outcome(tmp_path, file="a.csv")

    assert "there are more than 10,000 columns" in found["said"]
    assert "sources.s.limits.columns" in found["said"]


@pytest.mark.parametrize("a_line", [200_000, 100], ids=["one line", "many lines"])
def test_json_lines_of_too_many_names(tmp_path, a_line):
    """Each object may bring names of its own; the table would have a column for each of 200,000."""
    with (tmp_path / "a.jsonl").open("w") as file:
        for start in range(0, 200_000, a_line):
            file.write(json.dumps({f"c{i}": 1 for i in range(start, start + a_line)}) + "\n")

    found = outcome(tmp_path, file="a.jsonl")

    assert "there are more than 10,000 columns" in found["said"]


def test_a_parquet_of_too_many_columns(tmp_path):
    """The same for Parquet, before any of it is read."""
    pq.write_table(pa.table({f"c{i}": [1] for i in range(10_001)}), tmp_path / "a.parquet")

    assert "more than 10,000 columns" in outcome(tmp_path, file="a.parquet")["said"]


def test_json_lines_that_lack_nearly_all_fields(tmp_path):
    """One object with 10,000 names and many empty ones: 50 KB would become 80 GB of cells."""
    names = json.dumps({f"c{i}": 1 for i in range(10_000)})
    (tmp_path / "a.jsonl.gz").write_bytes(
        gzip.compress((names + "\n" + "{}\n" * 500_000).encode(), 6, mtime=0)
    )

    found = outcome(tmp_path, file="a.jsonl.gz")

    assert "limits.ratio" in found["said"]


def test_rows_that_are_all_ragged(tmp_path):
    """Each row that is set aside is kept with its text: millions of them are no rows of this table."""
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1\n" * 1_000_000)

    found = outcome(tmp_path, file="a.csv")

    assert "too many rows with another number of fields" in found["said"]


def test_what_is_held_whole_fits_into_memory(tmp_path):
    """Sources that SQL joins are held as a whole: where they do not fit, an error says it before the process ends."""
    codes = pa.array([0] * 1_000_000, pa.int32())
    table = pa.table({"a": pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 1000]))})
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    program = f"""\
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))
        from pathlib import Path
        from linewright.data.read.source import read_source
        from linewright.data.spec import FileSource
        from linewright.errors import LinewrightError
        spec = FileSource.model_validate({{"file": "a.parquet", "limits": {{"ratio": 1_000_000}}}})
        try:
            read_source("s", spec, Path({str(tmp_path)!r}))
        except LinewrightError as error:
            print(error)
    """

    words = [sys.executable, "-c", textwrap.dedent(program)]
    done = commands.run(words, of=commands.programs(SOURCE), text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "its rows take more than 0.5 GiB" in done.stdout


def test_honest_packed_files_are_read(tmp_path):
    """Real tables pack well; a limit that they meet would be a fault."""
    text = io.StringIO()
    pl.DataFrame({"a": ["same"] * 200_000, "b": [0] * 200_000}).write_csv(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))

    assert 200_000 == read_source("s", FileSource(file="a.csv.gz"), tmp_path).rows


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_texts_without_a_dictionary_are_read(tmp_path, encoding):
    """Other writers encode texts otherwise; each of these is honest, and read to the last row."""
    table = pa.table({"a": [f"row {i}" for i in range(50_000)], "b": ["red", "blue"] * 25_000})
    ways = dict.fromkeys(table.column_names, encoding)
    pq.write_table(table, tmp_path / "a.parquet", use_dictionary=False, column_encoding=ways)

    assert read_source("s", FileSource(file="a.parquet"), tmp_path).frame.equals(pl.DataFrame(table))


def test_texts_that_go_on_from_the_one_before_are_read_bit_by_bit(tmp_path):
    """The encoding DELTA_BYTE_ARRAY makes half a kilobyte of 300 MB, without a dictionary that would say so."""
    table = pa.table({"a": ["y"] * 2_000 + ["x" * 10_000] * 30_000})
    ways = {"a": "DELTA_BYTE_ARRAY"}
    pq.write_table(
        table, tmp_path / "a.parquet", use_dictionary=False, column_encoding=ways, compression="zstd"
    )

    found = outcome(tmp_path, file="a.parquet")

    assert "500 times its size" in found["said"]


def _scanned(scans: int) -> bytes:
    """Return a progressive JPEG with empty scans at its end, each of which a decoder carries out on the whole picture."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 199)).save(file, "JPEG", progressive=True)
    empty = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00\x00"
    return file.getvalue()[:-2] + empty * scans + b"\xff\xd9"


@pytest.mark.parametrize(
    "tail", ["flavors: {onnx: {data: *a3}}", "? *a3\n: 1", "x: '" + "x" * (1 << 20) + "'"]
)
def test_a_description_of_a_model_that_stands_for_gigabytes(tmp_path, tail):
    """500 bytes of aliases of lists of aliases, nine deep, took all memory; three are enough to see that they are refused."""
    lists = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 4))
    (tmp_path / "MLmodel").write_text(f"a0: &a0 [x]\n{lists if '*' in tail else ''}{tail}\n")

    with pytest.raises(RequestError, match=r"aliases|more than"):
        describe(tmp_path, where="--model")


def test_a_picture_of_scans_without_end():
    """A megabyte of them kept a thread at work for more than a minute, on 25 million pixels each; honest pictures have about ten."""
    assert decoded(_scanned(50), "picture").pixels.shape == (64, 64, 3)
    with pytest.raises(RequestError, match="too many scans"):
        decoded(_scanned(1_000), "picture")
