"""Sheets of Excel files, in a separate process: a small file can ask for all memory, and then this process ends and not another.

``python -m linewright.plugins.excel FILE SHEET IS_NAMED MOST CHANNEL``
"""

import posixpath
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from linewright.engine.child import Channel, parent

_BLOCK = 1 << 20
"""Characters that are sent at once, about."""
_CELL = 20_000
"""Bytes that a cell with a formula takes at most, about: formulas have up to 8,192 letters."""
_UNCALCULATED = re.compile(
    rb'<c r="([A-Z]+[0-9]+)"(?![^>]*\bt="str")[^>]*>\s*<f[^>]*(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
_MOST_ROWS = 1 << 20
"""Most rows that a sheet can have in Excel."""
_ROW = re.compile(rb"<([\w.-]+:)?sheetData")
_MOST_WHOLE = 2.0**53
"""Numbers below are whole where they look so."""


def main(file: str, sheet: str, is_named: str, most: str, word: str) -> None:
    """Send the names of the columns, then the rows with the number of each in the sheet, then that all was sent; or what is wrong."""
    channel = parent(word)
    channel.send({"ready": True})
    try:
        with CalamineWorkbook.from_path(file) as workbook:
            _send_sheet(file, workbook, sheet if is_named == "yes" else None, int(most), channel)
    except PasswordError:
        channel.send({"wrong": "it is locked by a password"})
    except (CalamineError, OSError, ValueError) as error:
        channel.send({"wrong": f"it is damaged: {error}"})


def _send_sheet(file: str, workbook: Any, sheet: str | None, most: int, channel: Channel) -> None:
    names = list(workbook.sheet_names)
    if not names or (sheet is not None and sheet not in names):
        channel.send({"sheets": names})
        return
    place = names.index(sheet) if sheet is not None else 0
    if (because := _unreadable(file, place)) is not None:
        channel.send(because)
        return
    found = workbook.get_sheet_by_name(sheet if sheet is not None else names[0])
    if found.height > _MOST_ROWS:
        channel.send({"too_many": _MOST_ROWS})
        return
    if found.width > most:
        channel.send({"columns": found.width})
        return
    rows = enumerate(found.iter_rows(), 1)
    channel.send({"names": _header(rows)})
    block: list[Any] = []
    size = 0
    for number, row in rows:
        texts = [_text(value) for value in row]
        if any(text is not None for text in texts):
            block.append((number, texts))
            size += sum(len(text or "") + 8 for text in texts)
        if size > _BLOCK:
            channel.send({"rows": block})
            block, size = [], 0
    channel.send({"rows": block, "is_last": True})


def _unreadable(file: str, number: int) -> dict[str, Any] | None:
    """Return what is wrong with a sheet, from 0, before memory holds it: it has too many rows, or a formula that nobody has calculated."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open(_sheet_in(archive, number)) as sheet:
            held, row, rows = b"", b"<row", 0
            while block := sheet.read(_BLOCK):
                row = b"<" + (found[1] or b"") + b"row" if (found := _ROW.search(block)) else row
                rows += (held[1 - len(row) :] + block).count(row)
                if rows > _MOST_ROWS + 1:  # one may be `rowBreaks`
                    return {"too_many": _MOST_ROWS}
                held = held[-_CELL:] + block
                if b"<f" in held and (cell := _UNCALCULATED.search(held)):
                    because = f"cell {cell[1].decode()} has a formula without a value: save it by a program that calculates"
                    return {"wrong": because}
    except (
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        IndexError,
        ET.ParseError,
        NotImplementedError,
    ):
        pass  # of another kind, or damaged, which its reader says
    return None


def _sheet_in(archive: zipfile.ZipFile, number: int) -> str:
    """Return the name of the member that has a sheet."""
    said, links = (
        ET.fromstring(archive.read(f"xl/{name}"))  # noqa: S314 -- in a process that may have little memory
        for name in ("workbook.xml", "_rels/workbook.xml.rels")
    )
    sheet = [one for one in said.iter() if one.tag.rpartition("}")[2] == "sheet"][number]
    link = next(text for name, text in sheet.items() if name.endswith("}id"))
    targets = {one.get("Id"): one.get("Target", "") for one in links}
    return posixpath.join("/xl", targets[link])[1:]


def _header(rows: Iterator[tuple[int, Sequence[Any]]]) -> list[str]:
    """Return the names in the first row of the sheet that has a value."""
    texts = ([(_text(value) or "").strip() for value in row] for _, row in rows)
    return next((names for names in texts if any(names)), [])


def _text(value: Any) -> str | None:
    """Return a value as a CSV file would have it."""
    match value:
        case "" | None:
            return None
        case str():
            return value
        case bool():
            return str(value).lower()
        case float() if value.is_integer() and abs(value) < _MOST_WHOLE:
            return str(int(value))
        case int() | float():
            return repr(value)
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return repr(value.total_seconds())
        case _:
            return str(value)


if __name__ == "__main__":
    main(*sys.argv[1:])
