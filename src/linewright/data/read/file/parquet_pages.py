"""How many values the lists of a Parquet file have, as the headers of its pages say: pyarrow tells it only by decoding them.

It decodes the pages of a chunk until they have as many values as the chunk says. So what is added up here bounds what that takes.
Headers are in the compact protocol of Apache Thrift; all but some numbers of them is skipped.
"""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
"""Types of pages."""
_BY_DICTIONARY, _BY_PREFIX, _BY_DELTA = frozenset({2, 8}), 7, frozenset({6, 7})
"""Encodings of texts in a dictionary; that go on from the text before; that pyarrow cannot keep as a dictionary."""
_FOOTER: Mapping[int, Any] = {4: [{1: [{3: {5: int, 9: int, 11: int}}]}]}
_PAGE: Mapping[int, Any] = {1: int, 2: int, 3: int, 5: {1: int, 2: int}, 8: {1: int, 4: int}}
"""What is read, by the numbers of fields: a list is one of structs."""
_NUMBERS, _LIST, _STRUCT = frozenset({4, 5, 6}), 9, 12
_DEEPEST, _LARGEST, _TAIL = 16, 1 << 62, 8


@dataclass(kw_only=True)
class Held:
    """What the chunk of a column holds at most."""

    values: int = 0
    text: int = 0
    """Bytes of its texts."""
    is_delta: bool = False
    """Whether pyarrow cannot keep its texts as a dictionary."""


def held_by(file: BinaryIO, leaves: Collection[int]) -> list[list[Held]]:
    """Return what some leaves of the schema, by number, hold in each row group."""
    end = file.seek(0, os.SEEK_END)
    file.seek(end - _TAIL)
    file.seek(end - _TAIL - int.from_bytes(file.read(4), "little"))
    found, walked = list[list[Held]](), 0
    try:
        for group in _struct(file, _FOOTER)[4]:
            found.append([])
            for leaf in leaves:
                held, size = _walk(file, group[1][leaf][3])
                found[-1].append(held)
                walked += size
                if walked > end:
                    raise ValueError("chunks of columns overlap")
    except (KeyError, IndexError) as error:
        raise ValueError("a header lacks a field") from error
    return found


def _walk(file: BinaryIO, chunk: Mapping[int, int]) -> tuple[Held, int]:
    """Add up the pages of a chunk, as far as pyarrow goes; also return how many bytes they take."""
    began = at = chunk[11] if 0 < chunk.get(11, 0) < chunk[9] else chunk[9]
    held, by_dictionary, dictionary = Held(), 0, 0
    while held.values < chunk[5]:
        file.seek(at)
        page = _struct(file, _PAGE)
        kind, size, packed = page[1], page[2], page[3]
        at = file.tell() + packed
        if kind == _DICTIONARY:
            dictionary = max(dictionary, size)
        elif kind in {_DATA, _DATA_2}:
            values, encoding = (page[5][1], page[5][2]) if kind == _DATA else (page[8][1], page[8][4])
            if min(values, size) < 0:
                raise ValueError("a page has a negative size")
            held.values += values
            held.is_delta |= encoding in _BY_DELTA
            by_dictionary += values if encoding in _BY_DICTIONARY else 0
            held.text += values * size if encoding == _BY_PREFIX else size
        if packed < 0:
            raise ValueError("a page has a negative size")
    held.text += by_dictionary * dictionary
    return held, at - began


def _struct(file: BinaryIO, wanted: Mapping[int, Any], depth: int = 0) -> dict[int, Any]:
    """Read a struct; return the fields that are wanted."""
    if depth > _DEEPEST:
        raise ValueError("a header is too deep")
    found, number = dict[int, Any](), 0
    while head := _byte(file):
        number, kind = number + (head >> 4) if head >> 4 else _number(file), head & 15
        match wanted.get(number):
            case None:
                if kind > 2:  # the others are a boolean, which has no more bytes
                    _skip(file, kind, depth)
            case list(of) if kind == _LIST:
                size, item = _size_of_list(file)
                if item != _STRUCT:
                    raise ValueError("a header has a list of another kind")
                found[number] = [_struct(file, of[0], depth + 1) for _ in range(size)]
            case Mapping() as of if kind == _STRUCT:
                found[number] = _struct(file, of, depth + 1)
            case type() if kind in _NUMBERS:
                found[number] = _number(file)
            case _:
                raise ValueError("a header has a field of another kind")
    return found


def _skip(file: BinaryIO, kind: int, depth: int) -> None:
    """Read what is not wanted: each value but a boolean in a struct has a byte at least, so it ends with the file."""
    if depth > _DEEPEST:
        raise ValueError("a header is too deep")
    match kind:
        case 1 | 2 | 3:
            _byte(file)
        case 4 | 5 | 6:
            _varint(file)
        case 7 | 8:
            file.seek(8 if kind == 7 else _varint(file), os.SEEK_CUR)
        case 9 | 10:
            size, item = _size_of_list(file)
            for _ in range(size):
                _skip(file, item, depth + 1)
        case 11:
            size = _varint(file)
            kinds = _byte(file) if size else 0
            for _ in range(size):
                _skip(file, kinds >> 4, depth + 1)
                _skip(file, kinds & 15, depth + 1)
        case 12:
            _struct(file, {}, depth + 1)
        case _:
            raise ValueError("a header has a field of no kind")


def _size_of_list(file: BinaryIO) -> tuple[int, int]:
    head = _byte(file)
    return head >> 4 if head >> 4 < 15 else _varint(file), head & 15


def _number(file: BinaryIO) -> int:
    found = _varint(file)
    return (found >> 1) ^ -(found & 1)


def _varint(file: BinaryIO) -> int:
    found = 0
    for shift in range(0, 70, 7):
        byte = _byte(file)
        found |= (byte & 127) << shift
        if byte < 128:
            break
    if found > _LARGEST:
        raise ValueError("a header has too large a number")
    return found


def _byte(file: BinaryIO) -> int:
    found = file.read(1)
    if not found:
        raise ValueError("a header goes on after the end")
    return found[0]
