"""Single JSON values: as the text that a CSV file would hold, and as messages name and show them."""

import math
import re
from collections.abc import Sequence
from typing import cast

MAX_TEXT = 65_536
"""Characters in one value."""
INT64 = 2**63
"""The smallest integer above those of 64 bits."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
"""A number as JSON spells it, of a length that a message may hold."""


def spell(value: object) -> str | None:
    """Return a scalar as the text that a CSV file would hold, or `None` for a missing value.

    Examples
    --------
    >>> spell(12), spell(12.0), spell(True), spell(" a "), spell("")
    ('12', '12', 'true', 'a', None)
    """
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str():
            return value.strip() or None
        case _:
            return str(value)


def spell_all(values: Sequence[object]) -> list[str | None]:
    """Return scalars as `spell` does each; texts, as keys mostly are, at once.

    Examples
    --------
    >>> spell_all([12, " a "]), spell_all(["b", " "])
    (['12', 'a'], ['b', None])
    """
    if set(map(type, values)) == {str}:
        return [text.strip() or None for text in cast("Sequence[str]", values)]
    return list(map(spell, values))


def as_number(value: object) -> str:
    """Return a hint that shows a number that came as a text, a number or a boolean in its right form, or nothing.

    Examples
    --------
    >>> as_number("17.50"), as_number(True), as_number("old")
    ('send 17.50, not "17.50"', 'send 1, not true', '')
    """
    match value:
        case bool():
            return "send 1, not true" if value else "send 0, not false"
        case str() if _NUMBER.fullmatch(text := value.strip()):
            return f'send {text}, not "{text}"'
        case _:
            return ""


def kind_of(value: object) -> str:
    """Name the JSON type of a value, for messages.

    Examples
    --------
    >>> kind_of([]), kind_of({}), kind_of(None), kind_of(True)
    ('a list', 'an object', 'null', 'a boolean')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def shown(value: object) -> object:
    """Return a value as a message may hold it: short, and a JSON scalar.

    Examples
    --------
    >>> shown("a" * 200) == "a" * 100 + "…", shown(float("inf")), shown([1])
    (True, 'inf', 'a list')
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not -INT64 <= value < INT64:
        return "an integer of more than 64 bits"
    if isinstance(value, str):
        return value if len(value) <= 100 else value[:100] + "…"
    return value if value is None or isinstance(value, (bool, int, float)) else kind_of(value)
