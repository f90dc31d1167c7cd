"""JSON lines, one object a line, or a list of objects: every value as text, as a CSV file has it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from linewright.data.read.batches import BATCH, VIEW, Batch
from linewright.data.read.file.encoding import explained, open_text, size_in_words, text_head
from linewright.data.read.limits import FREE, swollen, too_many_columns, too_many_rows
from linewright.data.spec import FileSource
from linewright.errors import RequestError, SpecError

_CELL = 4
"""Bytes of text that a cell counts for, at least, when a batch is measured: what an object lacks is a cell too."""
_OBJECT = re.compile(r'\s*\{\s*["}]')
_BLANK, _READ = re.compile(r"[ \t\r\n]*"), 1 << 16
_ARRAY = re.compile(r"\s*\[\s*\{")


@dataclass(frozen=True, kw_only=True)
class JsonLines:
    """A file of one JSON object a line."""

    path: Path
    spec: FileSource
    where: str
    """Place in the line file, for messages."""
    columns: tuple[str, ...]
    """Names of all fields, in the order in which they come; an object may lack any."""
    size: int
    """How many bytes a batch is made of, about."""
    is_list: bool = False
    """Whether the objects stand in one list, on any lines."""

    def batches(self) -> Iterator[Batch]:
        """Give the rows with every value as it is spelled; a field that an object lacks is null."""
        rows: list[Mapping[str, str | None]] = []
        size, is_empty = 0, True
        # Objects may lack nearly all of the fields: a cell takes memory all the same.
        cells = len(self.columns)
        left = max(FREE, int(self.spec.limits.ratio * self.path.stat().st_size))
        for _, length, row in self._rows():
            rows.append(row)
            size += max(length, _CELL * cells)
            left -= VIEW * cells
            if left < 0:
                raise swollen(self.where, self.path.name, self.spec.limits.ratio)
            if size >= self.size:
                yield self._batch(rows)
                rows, size, is_empty = [], 0, False
        if rows or is_empty:
            yield self._batch(rows)

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give the line of each row; none is ragged."""
        return ((number, 1, False) for number, _, _ in self._rows())

    def rows(self) -> Iterator[Mapping[str, str | None]]:
        """Give each row, by the names of its fields."""
        return (row for _, _, row in self._rows())

    def _batch(self, rows: Sequence[Mapping[str, str | None]]) -> Batch:
        return Batch(
            frame=pl.DataFrame(
                [pl.Series(name, [row.get(name) for row in rows], dtype=pl.String) for name in self.columns]
            )
        )

    def _rows(self) -> Iterator[tuple[int, int, Mapping[str, str | None]]]:
        """Each row with its line and the length of its text."""
        with explained(self.path, self.spec, self.where), open_text(self.path, self.spec) as text:
            found = self._in_list(text) if self.is_list else self._in_lines(text)
            for rows, (number, line) in enumerate(found, 1):
                if rows > self.spec.limits.rows:
                    raise too_many_rows(self.where, self.spec.limits.rows)
                yield number, len(line), self._row(line, number)

    def _in_lines(self, text: TextIO) -> Iterator[tuple[int, str]]:
        number = 0
        while line := text.readline(self.size + 1):
            number += 1
            if len(line) > self.size:
                raise self._wrong(number, f"a row is longer than {size_in_words(self.size)}")
            if not line.isspace():
                yield number, line

    def _in_list(self, text: TextIO) -> Iterator[tuple[int, str]]:
        """Give the text of each object of a list, with its line; no more of the file is held than one object and what is read at once."""
        left = _Rest(text, self.size)
        left.skip()
        sign = left.sign()
        while sign != "]":
            number, found = left.number, left.value()
            if found is None:
                raise self._wrong(number, "this is not JSON", left.shown() or "the end of the file")
            yield number, found
            sign = left.sign()
            if sign == ",":
                left.skip()
                # Behind a comma comes an object, so that a list that ends there is none.
                sign = left.sign().replace("]", "")
            elif sign != "]":
                raise self._wrong(
                    left.number, "no comma between two objects", left.shown() or "the end of the file"
                )
        left.skip()
        if left.sign():
            raise self._wrong(left.number, "more than one list", left.shown())

    def _row(self, line: str, number: int) -> Mapping[str, str | None]:
        try:
            found = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            raise self._wrong(number, f"this is not JSON: {error}") from error
        if not isinstance(found, _Fields):
            raise self._wrong(number, "this is not an object", line.strip()[:80])
        row = {name.strip(): _text(value) for name, value in found}
        if "\\ud" in line.lower() and not _is_unicode(row):
            raise self._wrong(number, "half a character (a lone surrogate)", line.strip()[:80])
        if len(row) < len(found):
            raise self._wrong(number, "the same field twice", line.strip()[:80])
        nested = next((name for name, value in found if isinstance(value, (list, tuple))), None)
        if nested is not None:
            raise self._wrong(number, f"field {nested!r} holds other values", line.strip()[:80])
        return row

    def _wrong(self, number: int, what: str, found: str | None = None) -> RequestError:
        return RequestError(
            what,
            where=f"{self.where}: {self.path.name}, line {number}",
            found=found,
            allowed="one object a line, or a list of objects, whose values are text, numbers, true, false or null",
        )


class _Rest:
    """What of a text is not read yet."""

    def __init__(self, text: TextIO, most: int) -> None:
        self._text, self._most = text, most
        self._held, self._at = "", 0
        self.number = 1
        """Line of what comes next."""
        self.sign()

    def sign(self) -> str:
        """Return the character that comes after blanks, which stays; empty at the end."""
        while True:
            blank = _BLANK.match(self._held, self._at)
            self._pass(blank.end() if blank else self._at)
            if self._at < len(self._held):
                return self._held[self._at]
            self._held, self._at = self._text.read(_READ), 0
            if not self._held:
                return ""

    def skip(self) -> None:
        """Go one character on."""
        self._at += 1

    def value(self) -> str | None:
        """Return the text of the JSON value that comes, and go on behind it; `None` if there is none."""
        while True:
            try:
                _, end = _DECODER.raw_decode(self._held, self._at)
            except (ValueError, RecursionError):
                rest = len(self._held) - self._at
                more = self._text.read(max(_READ, rest)) if rest <= self._most else ""
                if not more:
                    return None
                self._held, self._at = self._held[self._at :] + more, 0
            else:
                found = self._held[self._at : end]
                self._pass(end)
                return found

    def shown(self) -> str:
        """Return the beginning, for messages."""
        return self._held[self._at : self._at + 80]

    def _pass(self, end: int) -> None:
        self.number += self._held.count("\n", self._at, end)
        self._at = end
        if end > _READ:
            self._held, self._at = self._held[end:], 0


class _Fields(list[tuple[str, Any]]):
    """The fields of one object, also those that have the same name."""


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else None


def _is_unicode(row: Mapping[str, str | None]) -> bool:
    text = "".join([*row, *filter(None, row.values())])
    return not re.search("[\ud800-\udfff]", text)


# Numbers stay as they are spelled; NaN, which is no JSON though Python writes it, is no value.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_Fields, parse_float=str, parse_int=str, parse_constant=lambda word: _CONSTANTS[word]
)
_CONSTANTS = {"NaN": None, "Infinity": "Infinity", "-Infinity": "-Infinity"}


def looks_like_json_lines(head: str) -> bool:
    """Return whether the first thing in a text is an object, or a list of objects.

    Examples
    --------
    >>> looks_like_json_lines(' {"a": 1}'), looks_like_json_lines('[{"a": 1}]'), looks_like_json_lines("{a},b")
    (True, True, False)
    """
    return bool(_OBJECT.match(head) or _ARRAY.match(head))


def is_json_lines(path: Path, spec: FileSource, where: str) -> bool:
    """Return whether the first thing in a file of text is an object, or a list of objects."""
    return looks_like_json_lines(_head(path, spec, where))


def _head(path: Path, spec: FileSource, where: str) -> str:
    with explained(path, spec, where):
        return text_head(path, spec, where)


def open_json_lines(path: Path, spec: FileSource, where: str, *, size: int = BATCH) -> JsonLines:
    """Open a file of JSON lines; it is read once for the names of its fields."""
    is_list = bool(_ARRAY.match(_head(path, spec, where)))
    found = JsonLines(path=path, spec=spec, where=where, columns=(), size=size, is_list=is_list)
    names = dict[str, None]()
    for row in found.rows():
        names |= dict.fromkeys(row)
        if len(names) > spec.limits.columns:
            raise too_many_columns(where, path.name, spec.limits.columns)
    if "" in names:
        raise SpecError("a field has no name", where=where, found=path.name, hint="give each field a name")
    return replace(found, columns=tuple(names))
