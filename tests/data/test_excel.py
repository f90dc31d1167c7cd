"""Sheets of Excel files."""

import zipfile
from collections.abc import Iterable
from datetime import date, datetime
from itertools import chain, repeat
from pathlib import Path

import pytest
from workbook import write_workbook

from linewright.capabilities.drafts.write import new_line
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.source import open_source, read_source
from linewright.data.spec import FileLimits, FileSource, SourceSpec
from linewright.data.types import infer_most
from linewright.errors import RequestError, SpecError
from linewright.testing.sources import SourceContract, Texts, Write

pytestmark = pytest.mark.usefixtures("processes")
pytest.importorskip("python_calamine")


class TestExcel(SourceContract):
    @pytest.fixture
    def write(self) -> Write:
        def write(root: Path, texts: Texts) -> SourceSpec:
            write_workbook(root / "a.xlsx", {"Sheet1": [tuple(texts), *zip(*texts.values(), strict=True)]})
            return FileSource(file="a.xlsx")

        return write


ROWS = [
    ("id", "price", "count", "ok", "day", "seen", "note"),
    ("007", 0.1 + 0.2, 12, True, date(2024, 5, 1), datetime(2024, 5, 1, 12, 30), "a\nb"),
    (None, None, None, None, None, None, None),
    ("008", 1e300, -3, False, date(1999, 12, 31), datetime(2024, 5, 2, 0, 0, 1), None),
]


def test_values_keep_what_they_are(tmp_path):
    """Numbers to the last digit, dates, times and truth as a CSV file would spell them; a code stays one."""
    write_workbook(tmp_path / "a.xlsx", {"prices": ROWS}, first_row=3)
    source = open_source("a", FileSource(file="a.xlsx"), tmp_path)
    (batch,) = source.batches()

    assert [
        ("007", "0.30000000000000004", "12", "true", "2024-05-01", "2024-05-01T12:30:00", "a\nb"),
        ("008", "1e+300", "-3", "false", "1999-12-31", "2024-05-02T00:00:01", None),
    ] == batch.frame.rows()
    assert ["category", "number", "integer", "boolean", "date", "datetime"] == [
        infer_most(batch.frame[name]).type for name in ROWS[0][:-1]
    ]
    assert [4, 6] == source.lines([0, 1])


@pytest.mark.parametrize(
    ("cell", "is_read"),
    [
        ("<f>A2*2</f>", False),
        ("<f>A2*2</f><v/>", False),
        ('<f t="shared" si="0"/><v></v>', False),
        ("<f>A2*2</f><v>2</v>", True),
    ],
)
def test_a_formula_that_nobody_has_calculated_is_no_empty_value(tmp_path, cell, is_read):
    """Programs that write files without a spreadsheet leave its value out. What stands in other sheets does not matter."""
    write_workbook(tmp_path / "values.xlsx", {"a": [["id", "x"], [1, 2]], "b": [["id", "x"], [1, 2]]})
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(tmp_path / "values.xlsx") as values, zipfile.ZipFile(path, "w") as archive:
        for name in values.namelist():
            body = values.read(name).decode()
            if name.endswith("sheet2.xml"):
                body = body.replace('<c r="B2"><v>2</v></c>', f'<c r="B2">{cell}</c>')
            archive.writestr(name, body)

    def rows(sheet: str) -> list[tuple[str, ...]]:
        return read_source("a", FileSource(file="a.xlsx", sheet=sheet), tmp_path).frame.rows()

    assert [("1", "2")] == rows("a")
    if is_read:
        assert [("1", "2")] == rows("b")
        return
    with pytest.raises(RequestError, match="cell B2 has a formula without a value"):
        rows("b")


def test_a_sheet_is_chosen_by_its_name(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"first": [("x",), (1,)], "second": [("y",), (2,)], "empty": []})

    def names(sheet: str | None) -> tuple[str, ...]:
        return open_source("a", FileSource(file="a.xlsx", sheet=sheet), tmp_path).columns

    assert ("x",) == names(None) == names("first")
    assert ("y",) == names("second")
    with pytest.raises(SpecError, match=r"no such sheet.*first, second, empty.*did you mean 'second'"):
        names("secnd")
    with pytest.raises(RequestError, match="the sheet is empty"):
        names("empty")
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(SpecError, match="only an Excel file has sheets"):
        open_source("a", FileSource(file="a.csv", sheet="first"), tmp_path)


def test_columns_have_names_of_their_own(tmp_path):
    for names, says in ((("x", "x"), "same name"), (("x", None, None, "y"), "no name")):
        write_workbook(tmp_path / "a.xlsx", {"a": [names, (1, 2, 3, 4)]})
        with pytest.raises(SpecError, match=says):
            open_source("a", FileSource(file="a.xlsx"), tmp_path)


def test_a_file_that_would_take_all_memory_ends_its_own_process(tmp_path):
    """Two cells in opposite corners span a table of 17 thousand million; a text in each of many cells stands there once."""
    write_workbook(tmp_path / "corners.xlsx", {"a": [("x",)]})
    with zipfile.ZipFile(tmp_path / "corners.xlsx") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    members[sheet] = members[sheet].replace(b"</sheetData>", far)
    with zipfile.ZipFile(tmp_path / "corners.xlsx", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(RequestError, match=r"more than .* GiB of memory|cannot be read"):
        open_source("a", FileSource(file="corners.xlsx", limits=FileLimits(columns=20_000)), tmp_path)


def test_limits_are_kept_to(tmp_path, monkeypatch):
    write_workbook(tmp_path / "a.xlsx", {"a": [("x", "y"), *[("text " * 9, "b")] * 3_000]})
    for limits, says in (
        (FileLimits(rows=2_999), "more than 2,999 rows"),
        (FileLimits(columns=1), "more than 1 columns"),
    ):
        with pytest.raises(RequestError, match=says):
            list(open_source("a", FileSource(file="a.xlsx", limits=limits), tmp_path).batches())
    monkeypatch.setattr("linewright.data.read.file.excel_file.FREE", 1_000)
    spec = FileSource(file="a.xlsx", limits=FileLimits(ratio=2))
    with pytest.raises(RequestError, match="unpacks to more than 2 times its size"):
        list(open_source("a", spec, tmp_path).batches())


def _with_sheet(path: Path, body: Iterable[bytes], *, lies: bool = False) -> None:
    """Write a workbook with another body of its sheet; if it `lies`, the sheet is said to have 100 bytes."""
    write_workbook(path, {"a": [("x",)]})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            with archive.open(name, "w") as member:
                member.writelines(body if name == _SHEET else [data])
    if lies:
        data = bytearray(path.read_bytes())
        at = data.rindex(_SHEET.encode()) - 46  # of its entry in the directory at the end
        data[at + 24 : at + 28] = (100).to_bytes(4, "little")
        path.write_bytes(data)


_SHEET = "xl/worksheets/sheet1.xml"
_HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row><c><v>1</v></c></row>'


@pytest.mark.parametrize("lies", [False, True])
def test_rows_that_no_sheet_has_are_refused_before_they_are_read(tmp_path, lies):
    """A file of 0.2 MB holds millions of rows, within the ratio: reading them takes minutes and a gigabyte."""
    block = b"<row><c><v>1</v></c><c><v>0</v></c></row>" * 1_000
    _with_sheet(tmp_path / "a.xlsx", chain([_HEAD], repeat(block, 1_500)), lies=lies)

    with pytest.raises(RequestError, match=r"1,048,576 rows|larger than the file says") as refused:
        open_source("a", FileSource(file="a.xlsx"), tmp_path)

    assert lies == ("larger" in str(refused.value))
    assert "CSV" in refused.value.hint


@pytest.mark.parametrize("lies", [False, True])
def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path, lies):
    """As a packed CSV or Parquet file is: by what comes out of it, not by what it says."""
    _with_sheet(tmp_path / "a.xlsx", chain([_HEAD], repeat(b" " * (1 << 20), 300)), lies=lies)

    with pytest.raises(
        RequestError, match=r"unpacks to more than 500 times its size|larger than the file says"
    ):
        open_source("a", FileSource(file="a.xlsx"), tmp_path)


def test_an_honest_large_sheet_is_read(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"a": [("x", "y"), *((n, n % 7) for n in range(200_000))]})

    assert 200_000 == sum(
        b.frame.height for b in open_source("a", FileSource(file="a.xlsx"), tmp_path).batches()
    )


@pytest.mark.parametrize("cut", [0.5, 0.7])
def test_a_damaged_file_is_refused(tmp_path, cut):
    write_workbook(tmp_path / "a.xlsx", {"a": [("x",), (1,)]})
    data = (tmp_path / "a.xlsx").read_bytes()
    at = int(cut * len(data))
    (tmp_path / "a.xlsx").write_bytes(data[:at] + bytes(200) + data[at + 200 :])
    (tmp_path / "b.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(5_000))
    for name in ("a.xlsx", "b.xls"):
        with pytest.raises(RequestError, match=r"damaged|cannot be read"):
            list(open_source("a", FileSource(file=name), tmp_path).batches())


def test_a_line_is_made_of_a_sheet(tmp_path):
    rows = [
        (f"K{number}", number % 7, date(2024, 1, 1 + number % 28), ["no", "yes"][number % 2])
        for number in range(60)
    ]
    write_workbook(tmp_path / "a.xlsx", {"a": [("id", "calls", "day", "left"), *rows]})
    made = new_line(
        tmp_path, "leavers", tmp_path / "a.xlsx", GivenRoles(label="left", positive="yes", key="id")
    )

    assert 60 == made.rows
    assert 'leavers: {file: "a.xlsx"}' in (tmp_path / "lines" / "leavers.yaml").read_text()


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    write_workbook(tmp_path / "a.xlsx", {"a": [("x",), (1,)]})
    monkeypatch.setattr("linewright.data.read.file.excel_file.find_spec", lambda _: None)
    with pytest.raises(RequestError, match=r"pip install 'linewright\[excel\]'"):
        open_source("a", FileSource(file="a.xlsx"), tmp_path)
