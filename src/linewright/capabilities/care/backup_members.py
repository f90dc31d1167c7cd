"""The members of a backup: files with a name, one after the other, and nothing of all else that a tar file can be.

A reader of its own, since whoever made the file chooses what a general one does: links, devices, holes that stand for terabytes,
headers without end. Each member lies whole in the file, so that what is written is never more than what is there.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

BLOCK = 512
_MOST_HEADER = 64 * 1024
"""Bytes of the names and sizes that do not fit a plain header; a path has at most 4,096."""
_PASSED = 2**20
"""Bytes that are read at a time of what is passed over."""
_RECORD = re.compile(rb"([0-9]{1,5}) (path|size)=")


class NotPlain(Exception):  # noqa: N818 -- says what was found; whoever reads makes an error of it
    """The file has something that no backup has."""


class CutOff(Exception):  # noqa: N818
    """The file ends before it should."""


class Member(NamedTuple):
    """A file in a backup."""

    name: str
    mode: int
    size: int
    data: "Content"


class Content:
    """The bytes of one member."""

    def __init__(self, file: "HashedFile", size: int) -> None:
        self._file, self._left = file, size

    def read(self, most: int = -1) -> bytes:
        """Return at most so many of the bytes that were not read yet; by default all."""
        data = self._file.read(self._left if most < 0 else min(most, self._left))
        self._left -= len(data)
        return data


class HashedFile:
    """A file that is read from its beginning to its end, with the digest of all of it, also of what was passed over."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hashed = hashlib.sha256()
        self._at = 0

    def read(self, most: int) -> bytes:
        """Return at most so many bytes."""
        data = self._file.read(most)
        self._hashed.update(data)
        self._at += len(data)
        return data

    def seek(self, offset: int) -> None:
        """Go on to a place that was not reached yet."""
        while self._at < offset and self.read(min(offset - self._at, _PASSED)):
            pass

    def digest(self) -> str:
        """Read the rest, which is padding, and return the digest."""
        if len(self.read(_PASSED)) == _PASSED:
            raise NotPlain("more after its end")
        return "sha256:" + self._hashed.hexdigest()


def members_of(file: HashedFile, size: int) -> Iterator[Member]:
    """Iterate over the members of a tar file of `size` bytes."""
    offset, more = 0, dict[bytes, str]()
    while (info := _header(file, offset, size)) is not None:
        offset += BLOCK
        length = _length(more.get(b"size"), info.size)
        if length > size - offset:
            raise CutOff(f"{info.name!r} has {length:,} bytes, of which {size - offset:,} are there")
        if info.type == tarfile.XHDTYPE:
            if more or length > _MOST_HEADER:
                raise NotPlain("a header that is too long")
            more = _records(file.read(length))
        elif info.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            yield Member(more.get(b"path", info.name), info.mode, length, Content(file, length))
            more = {}
        else:
            raise NotPlain(f"a member that is no plain file, {info.name!r}")
        offset += -(-length // BLOCK) * BLOCK


def _header(file: HashedFile, offset: int, size: int) -> tarfile.TarInfo | None:
    file.seek(offset)
    block = file.read(BLOCK)
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")  # pyright: ignore[reportArgumentType] -- bytes, as it says
    except tarfile.HeaderError as error:
        if len(block) == BLOCK and not block.strip(b"\0"):
            return None
        if offset + BLOCK > size:
            raise CutOff("it ends without its last part") from error
        raise NotPlain(str(error)) from error


def _length(said: str | None, size: int) -> int:
    if said is None:
        return size
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        raise NotPlain(f"a size of {said[:20]!r}")
    return int(said)


def _records(data: bytes) -> dict[bytes, str]:
    """Read what does not fit a plain header: a long path, or a size of more than 8 GiB."""
    found = dict[bytes, str]()
    while data:
        match = _RECORD.match(data)
        length = int(match[1]) if match else 0
        if match is None or length <= match.end() or data[length - 1 : length] != b"\n" or match[2] in found:
            raise NotPlain(f"a header with {data[:40]!r}")
        found[match[2]] = data[match.end() : length - 1].decode("utf-8", "surrogateescape")
        data = data[length:]
    return found
