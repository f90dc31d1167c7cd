"""Packed files: gzip, bzip2, xz, Zstandard, or a ZIP of one file, each known by its content, whatever the ending."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from linewright.data.read.limits import FREE

_HEAD = 16
_BLOCK = 1 << 20
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "ZIP or Excel",
}


class Unpackable(Exception):  # noqa: N818 -- said to people as a `RequestError`, with the place that the file has for them
    """A packed file that cannot be unpacked, and why."""

    def __init__(self, what: str, hint: str = "copy it again") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class Swollen(Unpackable):
    """A packed file that holds too many times its own size."""

    def __init__(self, ratio: float) -> None:
        super().__init__(f"the file unpacks to more than {ratio:g} times its size", "look what is in it")
        self.ratio = ratio


@contextmanager
def open_unpacked(path: Path, ratio: float) -> Generator[BinaryIO, None, None]:
    """Open a file for reading what is packed in it, or the file itself."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(0)
        kind = packing(head)
        if kind is None:
            yield file
            return
        try:
            with unpack(kind, file) as unpacked:
                yield cast("BinaryIO", _Counted(unpacked, ratio, path.stat().st_size))
        except (
            OSError,
            EOFError,
            zlib.error,
            lzma.LZMAError,
            zipfile.BadZipFile,
            NotImplementedError,
        ) as error:
            raise Unpackable(f"the {kind} file is damaged: {error}") from error


class _Counted(io.BufferedIOBase):
    """What comes out of a packed file, as long as it is not too much."""

    def __init__(self, file: BinaryIO, ratio: float, size: int) -> None:
        self._file, self._ratio = file, ratio
        self._left = max(FREE, int(ratio * size))

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        return self._taken(self._file.read(-1 if size is None else size))

    def read1(self, size: int = -1, /) -> bytes:
        return self._taken(self._file.read(_BLOCK if size < 0 else size))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._taken(self._file.readline(-1 if size is None else size))

    def _taken(self, some: bytes) -> bytes:
        self._left -= len(some)
        if self._left < 0:
            raise Swollen(self._ratio)
        return some


def packing(head: bytes) -> str | None:
    r"""Return how a file that begins so is packed; `None` where it is not.

    Examples
    --------
    >>> packing(b"PK\x03\x04"), packing(b"BZh,price")
    ('ZIP or Excel', None)
    """
    if head.startswith(b"BZh") and head[4:10] not in {b"1AY&SY", b"\x17rE8P\x90"}:
        return None
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)


@contextmanager
def _open_zip(file: BinaryIO) -> Generator[BinaryIO, None, None]:
    with zipfile.ZipFile(file) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        names = [member.filename for member in members]
        if "[Content_Types].xml" in names:
            raise Unpackable("the file is a document, not a table", hint="")
        if len(members) != 1:
            raise Unpackable(f"the ZIP file holds {len(members)} files, not one", hint="unpack it")
        if members[0].flag_bits & 1:
            raise Unpackable("the ZIP file is locked by a password", hint="unpack it")
        with archive.open(members[0]) as unpacked:
            yield cast("BinaryIO", unpacked)


def unpack(kind: str, file: BinaryIO) -> AbstractContextManager[BinaryIO]:
    """Open what is packed in a file in the way that `packing` tells."""
    match kind:
        case "gzip":
            return cast("BinaryIO", gzip.open(file))
        case "bzip2":
            return cast("BinaryIO", bz2.open(file))
        case "xz":
            return cast("BinaryIO", lzma.open(file))
        case "ZIP or Excel":
            return _open_zip(file)
        case _:
            stream = pa.CompressedInputStream(file, "zstd")
            return cast("BinaryIO", io.BufferedReader(cast("io.RawIOBase", stream), _BLOCK))
