import bz2
import csv
import gzip
import io
import json
import lzma
import os
import sqlite3
import tempfile
import threading
import time
import zipfile
from contextlib import closing, suppress
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.data.read.file.csv_file import open_csv
from linewright.data.read.reader import fingerprint, reader_of
from linewright.data.read.source import Raw, open_source, read_source
from linewright.data.spec import FileSource, FilesSource, SqliteSource
from linewright.errors import RequestError, SpecError


def read(folder: Path, text: str | bytes, name: str = "a.csv", **options: object) -> Raw:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_source("a", FileSource(file=name, **options), folder)


def database(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "a.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def query(folder: Path, sql: str) -> Raw:
    return read_source("a", SqliteSource(sqlite="a.db", query=sql), folder)


def test_csv_fields_stay_text(tmp_path):
    """Nothing is guessed while reading: "007" and "1.50" are what the file says."""
    raw = read(tmp_path, "id,price,on\n007,1.50,2020-01-01\n8,NaN,true\n")

    assert [("007", "1.50", "2020-01-01"), ("8", "NaN", "true")] == raw.frame.rows()
    assert raw.is_text


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\n1,x y\n2,\n",
        b"\xef\xbb\xbfa,b\n1,x y\n2,\n",
        b"a,b\r\n1,x y\r\n2,\r\n",
        b"a,b\r1,x y\r2,\r",
        b" a , b\n 1, x y \n\n2 ,  \n",
        b'"a","b"\n"1","x y"\n2,""',
        gzip.compress(b"a,b\n1,x y\n2,\n", mtime=0),
    ],
    ids=["plain", "bom", "crlf", "cr", "blanks", "quoted", "gzip"],
)
def test_the_same_table_however_it_is_written(tmp_path, text):
    """A byte order mark, line ends, blanks and packing are accidents of the program that wrote the file."""
    raw = read(tmp_path, text)

    assert pl.DataFrame({"a": ["1", "2"], "b": ["x y", None]}).equals(raw.frame)


def test_gzip_is_known_by_its_content(tmp_path):
    """Files lose and gain endings on their way."""
    raw = read(tmp_path, gzip.compress(b"a\n1\n", mtime=0), name="a.csv")

    assert [("1",)] == raw.frame.rows()
    assert [("1",)] == read(tmp_path, b"a\n1\n", name="b.csv.gz").frame.rows()


def zipped(data: bytes, *names: str) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return memory.getvalue()


PACKED = {
    "none": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    "zip": lambda data: zipped(data, "inside/a.csv"),
}


@pytest.mark.parametrize("packing", PACKED)
def test_a_packed_file_is_read_as_what_it_holds(tmp_path, packing):
    """Packing is known by the content, and damage is told, not read as fewer rows."""
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000))
    packed = PACKED[packing](text)

    assert [("0", "0"), ("4999", "24990001")] == read(tmp_path, packed).frame[[0, -1]].rows()
    if packing != "none":
        for damaged in (packed[:-20], packed[:200]):
            with pytest.raises(RequestError, match=r"damaged.*found 'a\.csv'"):
                read(tmp_path, damaged)


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (zipped(b"a\n1\n", "a.csv", "b.csv"), "holds 2 files, not one"),
        (zipped(b"x", "[Content_Types].xml", "word/document.xml"), "a document, not a table"),
        (gzip.compress(bz2.compress(b"a\n1\n"), mtime=0), "packed twice"),
        (gzip.compress(b"PAR1" * 9, mtime=0), "packed Parquet"),
    ],
)
def test_a_packed_file_that_is_no_table_is_refused(tmp_path, packed, says):
    """What to do about it differs, so each is said."""
    with pytest.raises(RequestError, match=says):
        read(tmp_path, packed)


def test_a_name_that_looks_like_a_packing_is_text(tmp_path):
    """Two letters are no proof."""
    assert {"BZh9": ["1"]} == read(tmp_path, b"BZh9\n1\n").frame.to_dict(as_series=False)


TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from(',;\t|"\n\r\u2028 {}[]\\'), st.characters(exclude_categories=["Cs", "Cc"])
    ),
    max_size=8,
).map(str.strip)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=30),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    packing=st.sampled_from(list(PACKED)),
    is_json=st.booleans(),
    size=st.integers(400, 2000),
)
def test_any_texts_come_back_from_any_dialect(  # noqa: PLR0917 -- hypothesis gives them by name
    tmp_path_factory, rows, separator, end, encoding, packing, is_json, size
):
    """Whatever a program may have written into a value is that value again, as a whole and batch by batch."""
    folder = tmp_path_factory.mktemp("any")
    if is_json:
        text = "".join(json.dumps({"a": a, "b": b}, ensure_ascii=len(a) > 3) + end for a, b in rows)
    else:
        memory = io.StringIO()
        # Python leaves a lone CR without quotes where lines end with LF, which other readers then take for a line end.
        quoting = csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL
        writer = csv.writer(memory, delimiter=separator, lineterminator=end, quoting=quoting)
        writer.writerows([("a", "b"), *rows])
        text = memory.getvalue()
    raw = read(
        folder, PACKED[packing](text.encode(encoding)), encoding=encoding, separator=separator, missing=()
    )
    spec = FileSource(file="a.csv", encoding=encoding, separator=separator, missing=())
    batches = list(open_source("a", spec, folder, size=size).batches())

    assert rows == raw.frame.rows()
    assert raw.frame.equals(pl.concat([batch.frame for batch in batches]))


def test_json_lines_are_text_like_a_csv_file(tmp_path):
    """Numbers stay as they are spelled, since a column may turn into something else a million lines on."""
    raw = read(
        tmp_path,
        '{"id": "007", "n": 1.50, "on": true}\n\n{"n": null, " more ": " x "}\r\n{"n": 12345678901234567890, "id": ""}',
        name="a.jsonl",
    )

    assert {
        "id": ["007", None, None],
        "n": ["1.50", None, "12345678901234567890"],
        "on": ["true", None, None],
        "more": [None, "x", None],
    } == raw.frame.to_dict(as_series=False)
    assert raw.is_text
    assert [1, 3, 4] == raw.lines(range(3))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1}\n\n{"a": 1,}\n', r"line 3: this is not JSON"),
        ('{"a": 1}\n{"a": {"b": 1}}\n', r"line 2: field 'a' holds other values"),
        ('{"a": []}\n', r"line 1: field 'a' holds other values"),
        ('{"a": 1}\n5\n', "line 2: this is not an object"),
        ('{"a": 1, "a": 2}\n', "line 1: the same field twice"),
        ('{"a": "\\ud800"}\n', "line 1: half a character"),
        ('{"": 1}\n', "a field has no name"),
        ('{\n "a": 1\n}\n', "line 1: this is not JSON"),
        ('[{"a": 1},\n 5]', "line 2: this is not an object"),
        ('[{"a": 1}\n {"a": 2}]', "line 2: no comma between two objects"),
        ('[{"a": 1},\n\n{"a": }]', "line 3: this is not JSON"),
        ('[{"a": 1},]', "line 1: this is not JSON"),
        ('[{"a": 1}', "line 1: no comma between two objects: found 'the end of the file'"),
        ('[{"a": 1}]\n[]', "line 2: more than one list"),
        ('{"a": 1}\n{"a": ' + "[" * 10_000, "line 2: this is not JSON"),
    ],
)
def test_json_that_is_no_table_is_refused_by_its_line(tmp_path, text, says):
    """A person must find the record."""
    with pytest.raises(RequestError, match=says):
        read(tmp_path, text, name="a.jsonl")


def test_a_list_of_objects_is_a_table(tmp_path):
    """As programs write it, on one line or on many; rows keep their lines, and objects may be larger than what is read at once."""
    rows = [{"file": f"a/{k}.png", "label": "x" * (k % 3), "n": k / 4} for k in range(5_000)]
    rows[7]["label"] = "y" * 200_000
    one = read(tmp_path, json.dumps(rows), name="a.json")
    many = read(tmp_path, "\n" + json.dumps(rows, indent=2), name="b.json")
    empty = read(tmp_path, '[{"a": null}\n]', name="c.json")

    assert one.frame.rows() == many.frame.rows()
    assert ["file", "label", "n"] == one.frame.columns
    assert ("a/4999.png", "x", "1249.75") == one.frame.row(4_999)
    assert 200_000 == len(one.frame["label"][7])
    assert [1, 3, 8] == [one.lines([5])[0], *many.lines([0, 1])]
    assert [(None,)] == empty.frame.rows()


def test_names_take_the_place_of_the_header(tmp_path):
    """A file that somebody else writes may have bad names, or none."""
    named = read(tmp_path, "a,a,\n1,2,3\n4\n", names=("x", "y", "z"))
    bare = read(tmp_path, "1,2,3\n4,5,6\n7\n", name="b.csv", names=("x", "y", "z"), header=False)

    assert (["x", "y", "z"], [("1", "2", "3")]) == (named.frame.columns, named.frame.rows())
    assert [2] == named.lines([0])
    assert [("1", "2", "3"), ("4", "5", "6")] == bare.frame.rows()
    assert ([1, 2], [3]) == (bare.lines([0, 1]), bare.ragged_lines())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ("x",)}, r"sources\.a\.names: there are 1 names, and the header of a\.csv has 2 fields"),
        ({"names": ("x", "x")}, "names have the same name twice"),
        ({"names": ("x", " ")}, "column 2 of names has no name"),
        ({"header": False}, r"needs names.*names: \[c1, c2\]"),
    ],
)
def test_names_that_cannot_be_are_refused(tmp_path, options, says):
    """The place in the line file is named, and how it could be."""
    with pytest.raises(SpecError, match=says):
        read(tmp_path, "1,2\n3,4\n", **options)
    with pytest.raises(SpecError, match="only a CSV file gets its names"):
        read(tmp_path, '{"a": 1}', **options)


def test_numbers_with_a_decimal_comma_are_numbers_where_it_is_said(tmp_path):
    """What a point means beside decimal commas is not guessed: such a value fits no number. Dates stay dates."""
    text = "a;b;c\n1,5;01.02.2024;1.234\n-2;-200,0;x, y\n"

    said = read(tmp_path, text, separator=";", decimal=",", missing=("", "-200,0"))
    plain = read(tmp_path, text, separator=";")
    lines = read(tmp_path, '{"a": 1.5}', decimal=",")

    assert [("1.5", "01.02.2024", "1,234"), ("-2", None, "x, y")] == said.frame.rows()
    assert ("1,5", "01.02.2024", "1.234") == plain.frame.row(0)
    assert ("1.5",) == lines.frame.row(0)


def test_a_line_end_in_quotes_survives_the_end_of_a_batch(tmp_path):
    """Where a batch ends must not be seen in a value."""
    for length in range(60, 125):
        (tmp_path / "a.csv").write_text(f'a\nx\n"{"z" * length}\r\nend"\n1\n', newline="")
        source = open_source("a", FileSource(file="a.csv"), tmp_path, size=128)

        frame = pl.concat([batch.frame for batch in source.batches()])

        assert ["x", f"{'z' * length}\r\nend", "1"] == frame["a"].to_list()


def test_the_files_of_a_folder_are_one_source(tmp_path):
    """Columns are matched by name, files come in the order of their names, and what programs leave behind is none."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "b.csv").write_text("y,x\n3,c\n9\n")
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"x,y\na,1\n8\n7\nb,2\n"))
    (folder / "_SUCCESS").write_text("")
    (folder / ".hidden").write_text("")

    for written in ("data", "data/", "data/*.csv*", str(folder)):
        source = open_source("a", FileSource(file=written), tmp_path)
        assert [("a", "1"), ("b", "2"), ("c", "3")] == pl.concat([b.frame for b in source.batches()]).rows()
        assert [2, 5, 2] == source.lines([0, 1, 2])
        assert ["a.csv.gz", "a.csv.gz", "b.csv"] == source.files([0, 1, 2])
        assert [3, 4, 3] == source.ragged_lines()
        assert ["a.csv.gz", "a.csv.gz", "b.csv"] == source.ragged_files()


def test_files_that_do_not_go_together_are_refused(tmp_path):
    """The one that differs is named, and by what."""
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    (tmp_path / "b.csv").write_text("x,z\n1,2\n")
    (tmp_path / "c.jsonl").write_text('{"x": 1}\n')
    (tmp_path / "d.jsonl").write_text('{"y": 1}\n')
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame({"x": ["1"]}).write_parquet(tmp_path / "f.parquet")

    for written, says in (
        ("*.csv", r"b\.csv has 'z' and lacks 'y'"),
        ("[bc].*", r"not of one format.*b\.csv, c\.jsonl"),
        ("*.parquet", r"column 'x' is String in f\.parquet, and Int64 in e\.parquet"),
    ):
        with pytest.raises(RequestError, match=says):
            read_source("a", FileSource(file=written), tmp_path)
    objects = read_source("a", FileSource(file="*.jsonl"), tmp_path)
    assert [("1", None), (None, "1")] == objects.frame.rows()


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    "spec",
    [FilesSource(files="there"), FilesSource(files="there/**/*.csv"), FileSource(file="there/closed")],
    ids=["folder", "pattern", "closed"],
)
def test_a_folder_that_may_not_be_read_is_not_left_out(spec):
    with tempfile.TemporaryDirectory() as root:  # that of the test is closed to others
        closed = Path(root, "there", "closed")
        closed.mkdir(parents=True)
        for folder, mode in ((closed.parent, 0o755), (closed, 0o311), (Path(root), 0o755)):
            (folder / "a.csv").write_text("x\n1\n")
            folder.chmod(mode)
        child = os.fork()
        if not child:
            said = ""
            with suppress(OSError):
                os.setuid(65_534)
            try:
                reader_of(spec).fingerprint(spec, Path(root), "sources.a")
            except RequestError as error:
                said = str(error)
            finally:
                os._exit(not ("a folder cannot be read" in said and "there/closed" in said))

        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        closed.chmod(0o755)


@pytest.mark.parametrize("written", ["days", "days/*.csv", "**/*.csv", "days/**"])
def test_a_file_with_several_names_is_read_once(tmp_path, written):
    """A link to the newest file, and one that leads back up, of which `glob` would make forty folders."""
    days = tmp_path / "days"
    days.mkdir()
    for day in (1, 2):
        (days / f"{day}.csv").write_text(f"x\n{day}\n")
    (days / "0-newest.csv").symlink_to("2.csv")
    for name in ("up", "back"):
        (days / name).symlink_to(tmp_path)
    source = open_source("a", FileSource(file=written), tmp_path)

    assert ["1", "2"] == [x for batch in source.batches() for x in batch.frame["x"]]
    before = fingerprint(FileSource(file=written), tmp_path)
    for link in ("0-newest.csv", "up", "back"):
        (days / link).unlink()
    assert before == fingerprint(FileSource(file=written), tmp_path)


def test_the_fingerprint_of_several_files_is_of_what_they_hold_in_order(tmp_path):
    """A copied folder is the same data; the same rows in another order are not."""
    for name, contents in (("a", "12"), ("b", "12"), ("c", "21")):
        (tmp_path / name).mkdir()
        for number, content in enumerate(contents):
            (tmp_path / name / f"{number}.csv").write_text(f"x\n{content}\n")
    of = {name: fingerprint(FileSource(file=name), tmp_path) for name in "abc"}

    assert of["a"] == of["b"] != of["c"]
    assert of["a"] == fingerprint(FileSource(file="a/*.csv"), tmp_path)


def test_missing_spellings_become_null(tmp_path):
    """Each source spells "no value" in its own way, and a spelling that is not declared is a value."""
    raw = read(tmp_path, "a\n ?\nNA\n?x\nnone\n", missing=("?", "NA"))

    assert [None, None, "?x", "none"] == raw.frame["a"].to_list()


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp1252", "é"), ("utf-16", "é"), ("latin-1", "é"), ("utf-8-sig", "é")]
)
def test_other_encodings_are_read_where_declared(tmp_path, encoding, name):
    """Spreadsheets write anything but UTF-8."""
    raw = read(tmp_path, f"{name};b\nü;1\n".encode(encoding), encoding=encoding, separator=";")

    assert {name: ["ü"], "b": ["1"]} == raw.frame.to_dict(as_series=False)


def test_ragged_rows_are_set_aside_with_their_lines(tmp_path):
    """A person must find the row in the file, also below quoted line ends and blank lines."""
    raw = read(tmp_path, 'a,b\n1,2\n\n"x\ny",3\n4\n5,6\n7,8,9\n"p\r\nq\r\nr",0\n9,9\n')

    assert [("1", "2"), ("x\ny", "3"), ("5", "6"), ("p\r\nq\r\nr", "0"), ("9", "9")] == raw.frame.rows()
    assert ["4", "7,8,9"] == [row.text for row in raw.ragged]
    assert [(1, 2), (3, 2)] == [(row.fields, row.expected) for row in raw.ragged]
    assert [2, 4, 7, 9, 12] == raw.lines(range(5))
    assert [6, 8] == raw.ragged_lines()


FIELDS = st.text(alphabet='ab ",\n\r;é', max_size=5)


@settings(max_examples=150)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=1, max_size=3), max_size=8),
    blanks=st.lists(st.booleans(), min_size=8, max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_each_row_knows_the_line_on_which_it_starts(tmp_path_factory, rows, blanks, end):
    """Quarantine points at lines; a number that is off by one sends a person to the wrong record."""
    text, line, expected, ragged = "a,b", 1, [], []
    for row, blank in zip(rows, blanks, strict=False):
        text, line = text + end * (2 if blank else 1), line + (2 if blank else 1)
        record = ",".join('"' + field.replace('"', '""') + '"' for field in row)
        (expected if len(row) == 2 else ragged).append((line, row))
        line += record.replace("\r\n", "\n").count("\n") + record.replace("\r\n", "").count("\r")
        text += record
    raw = read(tmp_path_factory.mktemp("csv"), text, missing=())

    assert [tuple(field.strip() for field in row) for _, row in expected] == raw.frame.rows()
    assert [line for line, _ in expected] == raw.lines(range(raw.frame.height))
    assert [line for line, _ in ragged] == raw.ragged_lines()


@settings(max_examples=60)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=1, max_size=3), max_size=60),
    size=st.integers(100, 400),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
)
def test_batches_are_the_table_in_pieces(tmp_path_factory, rows, size, encoding):
    """A file that is larger than memory has the rows, the ragged rows and the lines that it has as a whole."""
    folder = tmp_path_factory.mktemp("csv")
    text = "".join(",".join('"' + field.replace('"', '""') + '"' for field in row) + "\n" for row in rows)
    raw = read(folder, f"a,b\n{text}".encode(encoding), encoding=encoding)
    source = open_source("a", FileSource(file="a.csv", encoding=encoding), folder, size=size)
    batches = list(source.batches())

    assert raw.frame.equals(pl.concat([batch.frame for batch in batches]))
    assert raw.ragged == tuple(row for batch in batches for row in batch.ragged)
    assert [batch.rows for batch in batches] == [batch.rows for batch in source.batches()]
    assert raw.lines(range(raw.frame.height)) == source.lines(range(raw.frame.height))
    assert raw.ragged_lines() == source.ragged_lines()


def test_ragged_rows_come_with_their_batch(tmp_path):
    """Whoever works batch by batch keeps what was set aside beside what stood around it, however far was read ahead."""
    (tmp_path / "a.csv").write_text("a,b\n" + "".join(f"{i},x\n{i}\n" for i in range(100, 500)))
    source = open_source("a", FileSource(file="a.csv"), tmp_path, size=200)

    for batch in list(source.batches())[:-1]:
        first, last = int(batch.frame["a"][0]), int(batch.frame["a"][-1])
        assert all(first - 1 <= int(row.text) <= last for row in batch.ragged)
    assert [801] == source.ragged_lines()[-1:]


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="asks Linux how far a file was read")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_is_not_read_far_ahead(tmp_path, encoding):
    """Memory is bounded by a few batches, while the first one is worked on for long."""
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 100_000, encoding=encoding)
    file = open_csv(tmp_path / "a.csv", FileSource(file="a.csv", encoding=encoding), "a", size=1000)
    before = threading.active_count()
    batches = file.batches()
    next(batches)
    time.sleep(0.2)
    opened = [
        int(line.split()[1])
        for path in Path("/proc/self/fdinfo").iterdir()
        if Path(f"/proc/self/fd/{path.name}").resolve() == tmp_path / "a.csv"
        for line in path.read_text().splitlines()
        if line.startswith("pos")
    ]

    assert max(opened) <= 16_384
    batches.close()
    assert before >= threading.active_count()


@pytest.mark.parametrize("name", ["*", "^a.*$"])
def test_a_name_that_stands_for_other_columns_is_refused(tmp_path, name):
    """Where the library of tables reads it as all columns, one would quietly become several."""
    database(tmp_path, f'create table t ("a1" int, "{name}" int)')
    query = SqliteSource(sqlite="a.db", query="select * from t")

    for source in (lambda: read(tmp_path, f"a1,{name}\n1,2\n"), lambda: read_source("a", query, tmp_path)):
        with pytest.raises(
            SpecError, match=r"cannot be named .* that stands for other columns.*another name"
        ):
            source()


@pytest.mark.slow
def test_the_lines_of_rows_are_found_beyond_the_blocks_that_hold_nothing_special(tmp_path):
    """Most of a file is read over, however its lines end; the special rows in between move all that follow."""
    for end in ("\n", "\r\n"):
        plain = f"1,2{end}" * 400_000
        raw = read(tmp_path, f'a,b{end}{plain}"x{end}y",2{end}{end}3{end}{plain}')

        assert [2, 400_001, 400_002, 400_006, 800_005] == raw.lines([0, 399_999, 400_000, 400_001, 800_000])
        assert [400_005] == raw.ragged_lines()


def test_a_row_longer_than_a_batch_is_refused(tmp_path):
    """Most such rows are a quote that is never closed."""
    with pytest.raises(RequestError, match=r"a\.csv, line 2: a row is longer than 16 MiB"):
        read(tmp_path, 'a,b\n1,"' + "x" * (1 << 25) + '"\n2,3\n')


def test_parquet_comes_in_batches(tmp_path):
    """A row group may be larger than memory."""
    frame = pl.DataFrame({"n": range(1000), "s": [f" {i % 7} " for i in range(1000)]})
    frame.with_columns(pl.col("s").cast(pl.Categorical)).write_parquet(tmp_path / "a.parquet")
    source = open_source("a", FileSource(file="a.parquet"), tmp_path, size=1000)
    batches = list(source.batches())

    assert len(batches) > 2
    assert frame.with_columns(pl.col("s").str.strip_chars()).equals(pl.concat([b.frame for b in batches]))
    assert ("n", "s") == source.columns
    assert [None] == source.lines([999])


def test_a_source_without_rows_is_one_empty_batch(tmp_path):
    """Its columns and their types are still to be known."""
    pl.DataFrame({"n": [1]}).clear().write_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("n\n")

    for name, dtype in (("a.parquet", pl.Int64), ("a.csv", pl.String)):
        (batch,) = open_source("a", FileSource(file=name), tmp_path).batches()
        assert {"n": dtype} == dict(batch.frame.schema)
        assert 0 == batch.rows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "empty"),
        (b" \n \n", "empty"),
        (b"PK\x03\x04abc", "Excel file is damaged"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x7fELF\0\0\0", "not text"),
        (b"a,b\n1,\xe9\n", r"line 2 cannot be decoded.*cp1252"),
        (b"a\xe9,b\n1,2\n", r"line 1 cannot be decoded"),
        (
            b'a,b\n1,2\n3,"4\n5,6\n',
            "a.csv, line 3: a quote opens in this row and is never closed.*Next: close it",
        ),
        (b'a,b\n"1,2\n3,4\n', "a.csv, line 2: a quote opens"),
        (b'a,"b\n1,2\n3,4\n', "a.csv, line 1: a quote opens"),
        (b'a,b\r1,"x\ry"\r"3,4\r5,6\r', "a.csv, line 4: a quote opens"),
        (b"a,,b\n1,2,3\n", "column 2 of the header has no name"),
        (b"a,b,a \n1,2,3\n", "same name twice: 'a'"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 9999, mtime=0)[:60], "gzip file is damaged"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0)[:-1] + b"\xff", "gzip file is damaged"),
        (b"PAR1 and no more", "Parquet file cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_table_is_refused_with_the_reason(tmp_path, text, says):
    """These are the files that people really hand in."""
    with pytest.raises(RequestError, match=says):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoding": "utf-9"}, "sources.a.encoding"),
        ({"separator": "é"}, "sources.a.separator"),
        ({"separator": '"'}, "sources.a.separator"),
    ],
)
def test_reading_options_that_cannot_be_are_refused(tmp_path, options, says):
    """The message names the place in the line file."""
    with pytest.raises(SpecError, match=says):
        read(tmp_path, "a,b\n1,2\n", **options)


def test_a_missing_file_names_the_nearest(tmp_path):
    """Most missing files are misspelled."""
    (tmp_path / "claims.csv").write_text("a\n1\n")

    with pytest.raises(RequestError, match=r"sources\.a\.file.*did you mean 'claims\.csv'"):
        read_source("a", FileSource(file="claim.csv"), tmp_path)
    with pytest.raises(RequestError, match=r"no such file: found 'zebra\.csv'. Next: paths start from"):
        read_source("a", FileSource(file="zebra.csv"), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="the folder has no files"):
        read_source("a", FileSource(file="empty"), tmp_path)
    with pytest.raises(RequestError, match="no file of that pattern"):
        read_source("a", FileSource(file="claims-*.csv"), tmp_path)


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    """Whether no rows are too few is for the contract to say."""
    raw = read(tmp_path, "a,b\n")

    assert (0, 2) == raw.frame.shape


def test_parquet_keeps_its_types(tmp_path):
    """Parquet says what its columns are; only its text is cleaned, and NaN is how pandas writes a missing number."""
    frame = pl.DataFrame({"n": [1, None], "x": [float("nan"), 2.5], "s": [" a ", ""], "c": ["u", "v"]})
    (tmp_path / "year=2020").mkdir()
    frame.with_columns(pl.col("c").cast(pl.Categorical)).write_parquet(tmp_path / "year=2020" / "a.parquet")

    raw = read_source("a", FileSource(file="year=2020/a.parquet"), tmp_path)

    assert pl.DataFrame({"n": [1, None], "x": [None, 2.5], "s": ["a", None], "c": ["u", "v"]}).equals(
        raw.frame
    )
    assert not raw.is_text
    assert [None, None] == raw.lines([0, 1])


def test_a_query_gives_each_column_its_type(tmp_path):
    """SQLite types values, not columns; a column of several kinds is text."""
    database(
        tmp_path,
        "create table t (i, x, s, m, n)",
        "insert into t values (1, 1.5, 'a', 1, null), (2, 2, null, 'b', null)",
    )
    raw = query(tmp_path, "select * from t order by i")

    assert [(1, 1.5, "a", "1", None), (2, 2.0, None, "b", None)] == raw.frame.rows()
    assert [pl.Int64, pl.Float64, pl.String, pl.String, pl.String] == raw.frame.dtypes


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select nope from t", r"no such column: nope.*'t'"),
        ("select 1; select 2", "one statement at a time"),
        ("delete from t", "not authorized|readonly"),
        ("attach 'other.db' as other", "not authorized"),
        ("-- nothing", "returns no table"),
        ("select i, i from t", "same name"),
        ("select x'00' as b from t", "holds bytes"),
    ],
)
def test_a_query_that_is_not_one_select_is_refused(tmp_path, sql, says):
    """A line file must not change the database that it reads."""
    database(tmp_path, "create table t (i)", "insert into t values (1)")

    with pytest.raises(SpecError, match=says):
        query(tmp_path, sql)
    assert not (tmp_path / "other.db").exists()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    """The path, not the query, is what is wrong."""
    (tmp_path / "a.db").write_text("a,b\n" * 500)

    with pytest.raises(RequestError, match=r"sources\.a\.sqlite.*not a SQLite database"):
        query(tmp_path, "select * from t")


def test_a_fingerprint_is_of_the_content(tmp_path):
    """A plan says "no changes" for a copied folder, and notices one changed byte or another way of reading."""
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "b.csv").write_text("a\n1\n")
    (tmp_path / "c.csv").write_text("a\n2\n")
    of = {name: fingerprint(FileSource(file=f"{name}.csv"), tmp_path) for name in "abc"}

    assert of["a"] == of["b"]
    assert of["a"] != of["c"]
    assert of["a"] != fingerprint(FileSource(file="a.csv", missing=("1",)), tmp_path)


def test_the_fingerprint_of_a_query_is_of_its_rows(tmp_path):
    """Other tables of a busy database may change as they like."""
    database(tmp_path, "create table t (i)", "create table u (i)", "insert into t values (1)")
    spec = SqliteSource(sqlite="a.db", query="select i from t")
    before = fingerprint(spec, tmp_path)
    database(tmp_path, "insert into u values (1)")
    between = fingerprint(spec, tmp_path)
    database(tmp_path, "update t set i = '1'")

    assert before == between
    assert between != fingerprint(spec, tmp_path)


def test_names_begin_where_a_pattern_does_whatever_folders_are_there_today(tmp_path: Path):
    """They are keys of rows: a second class may not rename those of the first."""
    found: list[list[str]] = []
    for kind in ("cat", "dog"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        (tmp_path / "pictures" / kind / "1.png").write_bytes(b"x")
        source = open_source("pets", FilesSource(files="pictures/*/*.png"), tmp_path)
        found.append([name for batch in source.batches() for name in batch.frame["name"].to_list()])

    assert [["cat/1.png"], ["cat/1.png", "dog/1.png"]] == found
