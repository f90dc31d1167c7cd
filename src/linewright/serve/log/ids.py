"""Ids of predictions: UUIDs as text, as the number that an index has of them, and in a row."""

import re
import uuid

_PLAIN = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""How an id is written by us; it may be asked for in other spellings."""
_COUNTED = 24
"""Characters before the last group, the 48 bits by which ids of one request follow each other."""
_HALF = 2**47


def is_id(text: str) -> bool:
    """Return whether a text has the form of a prediction's id."""
    return number_of(text) is not None


def number_of(text: str) -> bytes | None:
    """Return an id as its 16 bytes, or `None` where it has not the form of one."""
    if _PLAIN.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    try:
        return uuid.UUID(text).bytes
    except ValueError:
        return None


def id_of(number: bytes) -> str:
    """Return an id as it is written.

    Examples
    --------
    >>> id_of(number_of("018F0000-0000-7000-8000-0000000000FF"))
    '018f0000-0000-7000-8000-0000000000ff'
    """
    text = number.hex()  # a tenth of what a UUID as a value takes
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def first_of_many(made: str) -> str:
    """Return a new id as one that others can follow: with room for 2**47 in its last 48 bits."""
    return f"{made[:_COUNTED]}{int(made[_COUNTED:], 16) % _HALF:012x}"


def ids_from(first: str, n: int) -> list[str]:
    """Return an id and the `n` - 1 that follow it.

    Examples
    --------
    >>> ids_from("018f0000-0000-7000-8000-0000000000ff", 2)
    ['018f0000-0000-7000-8000-0000000000ff', '018f0000-0000-7000-8000-000000000100']
    """
    shared, last = first[:_COUNTED], int(first[_COUNTED:], 16)
    return [f"{shared}{number:012x}" for number in range(last, last + n)]


def number_after(first: bytes, place: int) -> bytes:
    """Return the number of the id that is `place` behind another.

    Examples
    --------
    >>> number_after(bytes(16), 258).hex()[-4:]
    '0102'
    """
    return (int.from_bytes(first) + place).to_bytes(16)


def place_after(first: bytes, number: bytes) -> int:
    """Return how far an id is behind another; below 0 where it is before it."""
    return int.from_bytes(number) - int.from_bytes(first)
