"""Excel files: one sheet, every value as text, as a CSV file has it; a child process reads it."""

import os
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from linewright.data.read.batches import BATCH, VIEW, Batch
from linewright.data.read.limits import FREE, most_held, swollen, too_many_columns, too_many_rows
from linewright.data.spec import FileSource
from linewright.engine.child import Child, ChildEnded, end_in_words
from linewright.errors import LinewrightError, RequestError, SpecError
from linewright.text.suggest import listed, nearest

_ZIP, _OLD = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MEMBERS = frozenset({"xl/workbook.xml", "xl/workbook.bin"})
_OPEN = b"application/vnd.oasis.opendocument.spreadsheet"
_Rows = list[tuple[int, list[str | None]]]
_START_S, _SILENT_S = 60.0, 600.0
_BLOCK = 1 << 20


def is_excel(path: Path) -> bool:
    """Return whether a file is a workbook: of Excel, also an old one, or of OpenDocument."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head.startswith(_ZIP):
        return head == _OLD
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            is_open = "mimetype" in names and archive.getinfo("mimetype").file_size == len(_OPEN)
            return bool(_MEMBERS & names) or (is_open and archive.read("mimetype") == _OPEN)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False  # who reads it as something else says what is wrong with it


class _KeptRows:
    """Rows of a sheet with their numbers, in a file without a name: it goes with this, or with the process."""

    def __init__(self) -> None:
        self._file, path = tempfile.mkstemp(prefix="linewright-sheet-")
        Path(path).unlink()
        weakref.finalize(self, os.close, self._file)
        self._blocks: list[tuple[int, int]] = []
        self._end = 0

    def add(self, rows: Sequence[Any]) -> None:
        """Add some rows at the end."""
        data = msgspec.json.encode(rows)
        os.pwrite(self._file, data, self._end)
        self._blocks.append((self._end, len(data)))
        self._end += len(data)

    def __iter__(self) -> Iterator[tuple[int, list[str | None]]]:
        for start, length in self._blocks:
            yield from msgspec.json.decode(os.pread(self._file, length, start), type=_Rows)


@dataclass(frozen=True, kw_only=True)
class ExcelSheet:
    """A sheet whose first row with a value names the columns."""

    where: str
    """Place in the line file, for messages."""
    columns: tuple[str, ...]
    rows: _KeptRows = field(repr=False, compare=False)
    size: int
    """How many bytes of text a batch is made of, about."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows that have a value, as text."""
        rows: list[list[str | None]] = []
        size, is_empty = 0, True
        for _, row in self.rows:
            rows.append(row)
            size += sum(len(text or "") + VIEW for text in row)
            if size >= self.size:
                yield self._batch(rows)
                rows, size, is_empty = [], 0, False
        if rows or is_empty:
            yield self._batch(rows)

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give the number of each row in the sheet; none is ragged."""
        return ((number, 1, False) for number, _ in self.rows)

    def _batch(self, rows: list[list[str | None]]) -> Batch:
        schema: dict[str, type[pl.String]] = dict.fromkeys(self.columns, pl.String)
        return Batch(frame=pl.DataFrame(rows, schema=schema, orient="row"))


def open_excel(path: Path, spec: FileSource, where: str, *, size: int = BATCH) -> ExcelSheet:
    """Read a sheet, with the names in its first row."""
    if find_spec("python_calamine") is None:
        raise RequestError(
            "Excel files are not read here",
            where=where,
            found=path.name,
            hint="pip install 'linewright[excel]', or save the sheet as CSV",
        )
    _refuse_swollen(path, spec, where)
    names: list[str] = []
    rows, count = _KeptRows(), 0
    left = max(FREE, int(spec.limits.ratio * path.stat().st_size))
    for said in _said(path, spec, where):
        if "names" in said:
            names = said["names"]
            _refuse_names(names, path, where)
        some = said.get("rows", ())
        count += len(some)
        left -= sum(len(text or "") + 1 for _, row in some for text in row)
        if count > spec.limits.rows:
            raise too_many_rows(where, spec.limits.rows)
        if left < 0:
            raise swollen(where, path.name, spec.limits.ratio)
        rows.add(some)
    return ExcelSheet(where=where, columns=tuple(names), rows=rows, size=size)


def _refuse_swollen(path: Path, spec: FileSource, where: str) -> None:
    """Refuse a workbook by what comes out of it: it says so beforehand, which is not believed."""
    if not zipfile.is_zipfile(path):
        return  # of an old Excel, which packs nothing
    left = max(FREE, int(spec.limits.ratio * path.stat().st_size))
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > left:
                raise swollen(where, path.name, spec.limits.ratio)
            for member in members:
                said, member.file_size = member.file_size, left + 1  # up to which it is read
                with archive.open(member) as file:
                    while block := file.read(_BLOCK):
                        left, said = left - len(block), said - len(block)
                        if left < 0:
                            raise swollen(where, path.name, spec.limits.ratio)
                        if said < 0:
                            raise _damaged(path, where, f"{member.filename} is larger than the file says")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise _damaged(path, where, f"it is damaged: {error}") from error


def _refuse_names(names: Sequence[str], path: Path, where: str) -> None:
    if not names:
        raise RequestError(
            "the sheet is empty", where=where, found=path.name, hint="`sheet` names another one"
        )
    twice = next((name for name in names if not name or names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(
            "two columns have the same name" if twice else "a column has no name",
            where=where,
            found=f"{path.name}: {twice}" if twice else path.name,
            hint="name each column in the first row of the sheet",
        )


def _said(path: Path, spec: FileSource, where: str) -> Iterator[dict[str, Any]]:
    """Give what the child says of a sheet, up to the end of it."""
    words = [str(path), spec.sheet or "", "no" if spec.sheet is None else "yes", str(spec.limits.columns)]
    most = most_held()
    try:
        with Child(
            "linewright.plugins.excel", words, memory=most, shows_errors=False, gives_way=False
        ) as child:
            child.receive(idle_s=_START_S)
            while True:
                said = child.receive(idle_s=_SILENT_S)
                _refuse(said, path, spec, where)
                yield said
                if said.get("is_last"):
                    return
    except ChildEnded as ended:
        because = end_in_words(ended.end)
        if ended.end.how == "memory":
            because = f"it takes more than {most / 2**30:.1f} GiB of memory"
        raise _damaged(path, where, because) from ended


def _refuse(said: dict[str, Any], path: Path, spec: FileSource, where: str) -> None:
    match said:
        case {"wrong": str() as because}:
            raise _damaged(path, where, because)
        case {"too_many": int() as most}:
            raise RequestError(
                f"there are more than {most:,} rows, which no sheet of Excel has",
                where=where,
                found=path.name,
                allowed=f"up to {most:,} rows",
                hint="look what is in it; if it is honest, save the rows as CSV or Parquet",
            )
        case {"columns": int()}:
            raise too_many_columns(where, path.name, spec.limits.columns)
        case {"sheets": sheets}:
            near = nearest(spec.sheet, sheets) if spec.sheet else None
            raise SpecError(
                "the file has no such sheet",
                where=f"{where}.sheet",
                found=spec.sheet,
                allowed=listed(sheets),
                hint=f"did you mean {near!r}?" if near else "",
            )
        case _:
            pass


def _damaged(path: Path, where: str, because: str) -> LinewrightError:
    return RequestError(
        f"the Excel file cannot be read: {because}",
        where=where,
        found=path.name,
        hint="save the sheet as CSV",
    )
