"""One JSON value of a request row, by the type of its column."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import NoneType
from typing import Any, cast

import numpy as np

from linewright.features.encode import MISSING, Instants, Levels, Numbers, Values

MAX_TEXT = 65_536
"""Characters in one value."""
_INT64 = 2**63
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
"""A number as JSON spells it, of a length that a message may hold."""
_TEXT_OR_NONE = frozenset({str, NoneType})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TRUTH: Mapping[str, float] = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n", "0"), 0.0),
}
"""The words that `data.types` reads as booleans; a test compares the two."""


class Excess(ValueError):  # noqa: N818 -- reads as what is wrong
    """A value of the right type that is too large; its text says what is allowed."""


def check_carried(value: object) -> None:
    """Refuse, with `ValueError`, a value that cannot be kept beside a prediction: it must be a finite scalar."""
    if isinstance(value, str):
        _bounded(value)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        _int64(value)
    elif not isinstance(value, float) or not math.isfinite(value):
        raise ValueError("a text, a finite number, true, false or null")


def check_all_carried(values: Sequence[object]) -> None:
    """Refuse values as `check_carried` does each; texts, as keys mostly are, are looked at together."""
    if set(map(type, values)) <= _TEXT_OR_NONE:
        texts = cast("Sequence[str | None]", values)
        if max(map(len, filter(None, texts)), default=0) <= MAX_TEXT:
            return
    for value in values:
        check_carried(value)


def _bounded(text: str) -> str:
    if len(text) > MAX_TEXT:
        raise Excess(f"at most {MAX_TEXT:,} characters")
    return text.strip()


def _int64(value: int) -> int:
    if not -_INT64 <= value < _INT64:
        raise Excess("an integer of at most 64 bits")
    return value


def _integer(value: object) -> float | None:
    if type(value) is int:
        return float(_int64(value))
    if type(value) is float and value.is_integer():
        return float(_int64(int(value)))
    return _blank(value)


def _number(value: object) -> float | None:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int:
        return float(_int64(value))
    return _blank(value)


def _boolean(value: object) -> float | None:
    if type(value) is bool:
        return float(value)
    if type(value) is int and value in (0, 1):
        return float(value)
    if type(value) is str and (text := _bounded(value)):
        return _TRUTH[text.lower()] if text.lower() in _TRUTH else _blank(value)
    return _blank(value)


def _text(value: object) -> str | None:
    if type(value) is str:
        return _bounded(value) or None
    if type(value) is int:
        return str(_int64(value))
    if type(value) is bool or (type(value) is float and math.isfinite(value)):
        return spell(value)
    return _blank(value)


def _blank(value: object) -> None:
    if value is not None and not (type(value) is str and not _bounded(value)):
        raise ValueError


def _date(value: object, form: str | None) -> int | None:
    if type(value) is not str or not (text := _bounded(value)):
        return _blank(value)
    day = _parsed(text, form)
    if day is None:
        day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
    return (day.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=UTC) - _EPOCH) // _MICROSECOND


def _datetime(value: object, form: str | None) -> int | None:
    if type(value) is not str or not (text := _bounded(value)):
        return _blank(value)
    instant = _parsed(text, form) or datetime.fromisoformat(text)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // _MICROSECOND


def _parsed(text: str, form: str | None) -> datetime | None:
    try:
        return datetime.strptime(text, form) if form else None  # noqa: DTZ007 -- the callers give it its zone
    except ValueError:
        return None


def _numbers(values: list[float | None]) -> Numbers:
    return Numbers(values=np.array(values, dtype=np.float64))


def _levels(values: list[str | None]) -> Levels:
    index: dict[str, int] = {}
    codes = [-1 if value is None else index.setdefault(value, len(index)) for value in values]
    return Levels(codes=np.array(codes, dtype=np.int32), levels=list(index))


def _instants(values: list[int | None]) -> Instants:
    return Instants(
        micros=np.array([MISSING if value is None else value for value in values], dtype=np.int64)
    )


@dataclass(frozen=True)
class Kind:
    """How values of one column type are read."""

    read: Callable[..., Any]
    """Converts one JSON value, `None` for a missing one; raises `ValueError`. Dates and times also take a format."""
    to_column: Callable[[list[Any]], Values]
    allowed: str
    """What is allowed, in words."""
    schema: Mapping[str, Any]
    """JSON Schema of its plainest form."""


KINDS: Mapping[str, Kind] = {
    "integer": Kind(
        _integer, _numbers, "an integer", {"type": "integer", "minimum": -_INT64, "maximum": _INT64 - 1}
    ),
    "number": Kind(_number, _numbers, "a finite number", {"type": "number"}),
    "boolean": Kind(_boolean, _numbers, "true or false", {"type": "boolean"}),
    "category": Kind(_text, _levels, "a text", {"type": "string", "maxLength": MAX_TEXT}),
    "text": Kind(_text, _levels, "a text", {"type": "string", "maxLength": MAX_TEXT}),
    "date": Kind(_date, _instants, "a date, e.g. 2026-01-31", {"type": "string", "format": "date"}),
    "datetime": Kind(
        _datetime, _instants, "a time, e.g. 2026-01-31T12:00:00Z", {"type": "string", "format": "date-time"}
    ),
}
"""By column type."""


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
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return "an integer of more than 64 bits"
    if isinstance(value, str):
        return value if len(value) <= 100 else value[:100] + "…"
    return value if value is None or isinstance(value, (bool, int, float)) else kind_of(value)
