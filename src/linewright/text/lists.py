"""Lists of texts or of numbers, such as the items of a history: one cell of a table holds one as its JSON text, so that equal lists are equal texts."""

import math
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

NO_ITEMS = "[]"
"""A label that says that nothing was taken."""
MOST_ITEMS = 10_000
"""Items of one list."""
_TEXTS = msgspec.json.Decoder(list[str])
_DECODER = msgspec.json.Decoder(list[str | int | float | bool | None])


def to_list_text(items: Iterable[str]) -> str:
    """Return a list of texts as the text that stands for it.

    Examples
    --------
    >>> to_list_text(["85123A", "22423"])
    '["85123A","22423"]'
    """
    return msgspec.json.encode(list(items)).decode()


def read_list(text: str) -> list[str]:
    """Return the texts of a list; see `to_list_text`.

    Examples
    --------
    >>> read_list('["a", 7, 1.0, null, " b "]')
    ['a', '7', '1', 'b']
    """
    try:
        return spelled(_DECODER.decode(text))
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def read_spelled(text: str) -> list[str]:
    """Return the texts of a list that `to_list_text` wrote; quicker than `read_list`.

    Examples
    --------
    >>> read_spelled('["a","b"]')
    ['a', 'b']
    """
    return _TEXTS.decode(text)


def spelled(values: Sequence[str | float | None]) -> list[str]:
    """Return scalars as a CSV file spells them, without those that are missing."""
    if len(values) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS:,} items")
    if set(map(type, values)) == {str}:
        return [text for value in values if (text := cast("str", value).strip())]
    return [text for value in values if (text := _spelled(value))]


def read_list_text(text: str) -> str | None:
    """Return the text of a list as `to_list_text` writes it; `None` if it is not one.

    Examples
    --------
    >>> read_list_text('["a", 7]'), read_list_text("a")
    ('["a","7"]', None)
    """
    try:
        return to_list_text(read_list(text))
    except ValueError:
        return None


_NUMBERS = msgspec.json.Decoder(list[float | None])


def to_numbers_text(values: Iterable[float | None]) -> str:
    """Return numbers as the text that stands for them; one that is missing, `None` or NaN, is ``null``.

    Examples
    --------
    >>> to_numbers_text([1.0, float("nan"), 2.5])
    '[1.0,null,2.5]'
    """
    return msgspec.json.encode(list(values)).decode()


def read_numbers(text: str) -> list[float]:
    """Return the numbers of a list, NaN for one that is missing.

    Examples
    --------
    >>> read_numbers("[1, null, 2.5]")
    [1.0, nan, 2.5]
    """
    try:
        values = _NUMBERS.decode(text)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if len(values) > MOST_ITEMS:
        raise ValueError(f"at most {MOST_ITEMS:,} numbers")
    if not all(one is None or math.isfinite(one) for one in values):
        raise ValueError("finite numbers")
    return [math.nan if one is None else one for one in values]


def read_numbers_text(text: str) -> str | None:
    """Return the text of numbers as `to_numbers_text` writes it; `None` if it is not such a list.

    Examples
    --------
    >>> read_numbers_text("[1, 2]"), read_numbers_text("a")
    ('[1.0,2.0]', None)
    """
    try:
        return to_numbers_text(read_numbers(text))
    except ValueError:
        return None


def _spelled(value: str | float | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value).strip()
