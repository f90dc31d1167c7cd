"""Sheets of Excel files, in a separate process: a small file can ask for all memory, and then this process ends and not another.

``python -m linewright.plugins.excel FILE SHEET IS_NAMED MOST CHANNEL``
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError

from linewright.engine.child import Channel, parent

_BLOCK = 1 << 20
"""Characters that are sent at once, about."""
_MOST_WHOLE = 2.0**53
"""Numbers below are whole where they look so."""


def main(file: str, sheet: str, is_named: str, most: str, word: str) -> None:
    """Send the names of the columns, then the rows with the number of each in the sheet, then that all was sent; or what is wrong.

    Parameters
    ----------
    sheet, is_named
        Name of the sheet, which counts if the other is ``yes``; else the first sheet is read.
    most
        Columns that it may have.
    """
    channel = parent(word)
    channel.send({"ready": True})
    try:
        with CalamineWorkbook.from_path(file) as workbook:
            _send_sheet(workbook, sheet if is_named == "yes" else None, int(most), channel)
    except PasswordError:
        channel.send({"wrong": "it is locked by a password"})
    except (CalamineError, OSError, ValueError) as error:
        channel.send({"wrong": f"it is damaged: {error}"})


def _send_sheet(workbook: Any, sheet: str | None, most: int, channel: Channel) -> None:
    names = list(workbook.sheet_names)
    if not names or (sheet is not None and sheet not in names):
        channel.send({"sheets": names})
        return
    found = workbook.get_sheet_by_name(sheet if sheet is not None else names[0])
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
