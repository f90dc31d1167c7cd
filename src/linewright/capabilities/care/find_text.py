"""Whether a text stands in a file as a word, also if it is packed, in columns, or in pages."""

import sqlite3
import tarfile
import zipfile
from collections.abc import Collection, Iterator
from contextlib import closing
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from linewright.data.read.file.compression import packing, unpack
from linewright.text.whole_words import WholeWords

SHORTEST = 5
"""Characters of a text that can be looked for: shorter ones stand everywhere for something else."""
_BLOCK = 1 << 20
_HEAD = 512
_MOST_BYTES = 1 << 34
"""What may come out of one packed file."""
_DEEPEST = 3
"""How many packings one inside the other are opened."""
_CLOSED = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"ORC", b"Obj\x01", b"\x04\x22\x4d\x18")
"""What files begin with whose content is packed in a way that is not read here."""
_PAGED = 250
"""Characters of a row of SQLite from which it may be cut by the end of a page."""


class Unsearched(Exception):  # noqa: N818 -- the file is named to people, not raised to them
    """A file is packed in a way that is not read here, damaged, or too large when it is unpacked."""


class TextSearch:
    """Looks for a text in files, and notes those that it cannot look into."""

    def __init__(self, text: str) -> None:
        self._words = WholeWords({text}) if len(text) >= SHORTEST else None
        self.unsearched: list[str] = []

    def among(self, paths: Collection[Path]) -> Iterator[Path]:
        """Give those of some files in which it stands, sorted."""
        for path in sorted(paths):
            if self._words is not None and path.is_file():
                try:
                    if _stands_in(path, self._words):
                        yield path
                except (FileNotFoundError, PermissionError):
                    continue
                except Unsearched:
                    self.unsearched.append(str(path))


def _stands_in(path: Path, words: WholeWords) -> bool:
    with path.open("rb") as file:
        return _in_file(file, words) or (
            file.seek(0) == 0 and file.read(16) == b"SQLite format 3\0" and _in_long_rows(path, words)
        )


def _in_file(file: BinaryIO, words: WholeWords, depth: int = 0) -> bool:
    head = cast("BufferedReader", file).peek(_HEAD)
    if head.startswith(_CLOSED) or depth > _DEEPEST:
        raise Unsearched
    if head.startswith((b"PAR1", b"ARROW1")):
        body, read = file.read(), pl.read_parquet if head.startswith(b"PAR1") else pl.read_ipc
        try:
            return any(map(words.are_in, _values(read(body))))
        except pl.exceptions.PolarsError:  # damaged
            return words.are_in(body)
    if head[257:262] == b"ustar" or packing(head) is not None:
        try:
            return any(_in_file(one, words, depth + 1) for one in _unpacked(file, head))
        except (OSError, EOFError, ValueError, RuntimeError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise Unsearched from error
    return _in_blocks(file, words)


def _unpacked(file: BinaryIO, head: bytes) -> Iterator[BinaryIO]:
    kind = packing(head)
    if head[257:262] == b"ustar":
        with tarfile.open(fileobj=file) as archive:
            yield from (cast("BinaryIO", one) for member in archive if (one := archive.extractfile(member)))
    elif kind == "ZIP or Excel":
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as one:
                    yield cast("BinaryIO", one)
    elif kind is not None:
        with unpack(kind, file) as one:
            yield one


def _in_blocks(file: BinaryIO, words: WholeWords) -> bool:
    kept, left = b"", _MOST_BYTES
    while block := file.read(_BLOCK):
        if words.are_in(kept + block):
            return True
        kept, left = (kept + block)[-words.longest - 2 :], left - len(block)
        if left < 0:
            raise Unsearched
    return False


def _values(frame: pl.DataFrame) -> Iterator[str | bytes]:
    for column in frame.iter_columns():
        while isinstance(column.dtype, pl.List | pl.Array):
            column = column.explode()  # noqa: PLW2901 -- what is in the lists
        if isinstance(column.dtype, pl.Struct):
            yield from _values(column.struct.unnest())
        elif column.dtype == pl.Binary:
            yield from column.drop_nulls()
        else:
            yield from column.unique().cast(pl.String, strict=False).drop_nulls()


def _in_long_rows(path: Path, words: WholeWords) -> bool:
    """Return whether it stands in a row that may lie in several pages, whose bytes are not one after the other."""
    try:
        at = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(at, uri=True, timeout=10.0)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            database.text_factory = bytes
            made = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
            for (name,) in database.execute(made).fetchall():
                table = _quoted(name)
                columns = [_quoted(one[1]) for one in database.execute(f"PRAGMA table_info({table})")]
                size = " + ".join(f"coalesce(length({one}), 0)" for one in columns)
                rows = database.execute(f"SELECT * FROM {table} WHERE {size} > {_PAGED}")  # noqa: S608 -- quoted
                if any(words.are_in(cell) for row in rows for cell in row if isinstance(cell, bytes)):
                    return True
    except sqlite3.Error as error:
        raise Unsearched from error
    return False


def _quoted(name: bytes) -> str:
    return '"' + name.decode().replace('"', '""') + '"'
