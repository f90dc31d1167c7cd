"""Files of text, packed or not: their encoding, and what is wrong with one that cannot be read."""

import codecs
import io
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from linewright.data.read.file.compression import Swollen, Unpackable, open_unpacked, packing
from linewright.data.read.file.parquet_file import PARQUET
from linewright.data.read.limits import swollen
from linewright.data.spec import FileSource
from linewright.errors import RequestError, SpecError

FORMATS = "CSV, JSON lines (each packed or not), Parquet or Excel"
_FOREIGN = {
    b"SQLite format 3": "a SQLite database; write {sqlite: FILE, query: SELECT …}",
    b"%PDF": "a PDF",
    PARQUET: "packed Parquet; unpack it",
}
_HEAD = 1 << 16


@contextmanager
def open_text(path: Path, spec: FileSource) -> Generator[TextIO, None, None]:
    """Open a file for reading text with the line ends that it has; a byte order mark is not part of the text."""
    known = "utf-8-sig" if codecs.lookup(spec.encoding).name == "utf-8" else spec.encoding
    with (
        open_unpacked(path, spec.limits.ratio) as file,
        io.TextIOWrapper(file, encoding=known, newline="") as text,
    ):
        yield text


@contextmanager
def explained(path: Path, spec: FileSource, where: str) -> Generator[None, None, None]:
    """Say what is wrong with a file that turns out to be damaged, or not in its encoding."""
    try:
        yield
    except UnicodeDecodeError as error:
        line = undecodable_line(path, spec)
        raise not_in_encoding(path, spec, where, line) from error
    except Swollen as error:
        raise swollen(where, path.name, error.ratio) from error
    except Unpackable as error:
        raise RequestError(error.what, where=where, found=path.name, hint=error.hint) from error


def known_encoding(spec: FileSource, where: str) -> str:
    """Return the usual name of the encoding."""
    try:
        name = codecs.lookup(spec.encoding).name
    except LookupError as error:
        raise SpecError(
            "there is no such encoding",
            where=f"{where}.encoding",
            found=spec.encoding,
            allowed="names that Python knows, e.g. utf-8, cp1252, latin-1, utf-16",
        ) from error
    return "utf-8" if name == "utf-8-sig" else name


def text_head(path: Path, spec: FileSource, where: str) -> str:
    """Return the beginning of a file of text."""
    encoding = known_encoding(spec, where)
    with open_unpacked(path, spec.limits.ratio) as file:
        head = file.read(_HEAD)
    refuse_foreign(head, where, path.name)
    if b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise RequestError(
            "the file is not text: it has zero bytes",
            where=where,
            found=path.name,
            allowed=FORMATS,
            hint="if it is UTF-16 (some spreadsheets write it), say encoding: utf-16",
        )
    text = head.decode(encoding, "replace").lstrip("\ufeff")
    if not text.strip():
        raise RequestError("the file is empty", where=where, found=path.name, allowed="a header and rows")
    return text


def refuse_foreign(head: bytes, where: str, found: str) -> None:
    """Refuse what begins as files of other kinds do."""
    what = next((what for magic, what in _FOREIGN.items() if head.startswith(magic)), None)
    if packing(head):
        what = "packed twice; unpack it once"
    if what:
        raise RequestError(f"the file is {what}", where=where, found=found, allowed=FORMATS)


def not_in_encoding(path: Path, spec: FileSource, where: str, line: int | None) -> RequestError:
    """Return what to say of a file that is not in its encoding."""
    return RequestError(
        f"the file is not {spec.encoding}" + (f": line {line} cannot be decoded" if line else ""),
        where=where,
        found=path.name,
        hint="name the file's encoding, e.g. encoding: cp1252",
    )


def undecodable_line(path: Path, spec: FileSource, *, most: int | None = None) -> int | None:
    """Find the first line that is not in the encoding."""
    name = codecs.lookup(spec.encoding).name
    if name.startswith(("utf-16", "utf-32")):
        return None
    decoder = codecs.getincrementaldecoder(name)()
    lines, looked_at = 1, 0
    with open_unpacked(path, spec.limits.ratio) as file:
        while most is None or looked_at < most:
            block = file.read(_HEAD)
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                # What the decoder had kept of the block before is part of a character, and has no line end.
                return lines + bytes(error.object[: error.start]).count(b"\n")
            if not block:
                return None
            lines += block.count(b"\n")
            looked_at += len(block)
    return None


def size_in_words(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size >> 20} MiB" if size >> 20 else f"{size} bytes"
