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
from linewright.serve.rows.body.scalars import INT64, MAX_TEXT, spell
from linewright.text.lists import MOST_ITEMS, read_list, read_numbers, spelled, to_list_text, to_numbers_text

_TEXT_OR_NONE = frozenset({str, NoneType})
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
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
    if not -INT64 <= value < INT64:
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


def _list(value: object) -> str | None:
    if type(value) is list:
        check_all_carried(cast("list[object]", value))
        return to_list_text(spelled(cast("list[Any]", value)))
    if type(value) is str and (text := value.strip()):
        return to_list_text(read_list(text))
    return _blank(value)


def _list_of_numbers(value: object) -> str | None:
    if type(value) is list:
        numbers = [None if one is None else _number(one) for one in cast("list[object]", value)]
        if len(numbers) > MOST_ITEMS:
            raise Excess(f"at most {MOST_ITEMS:,} numbers")
        return to_numbers_text(numbers)
    if type(value) is str and (text := value.strip()):
        return to_numbers_text(read_numbers(text))
    return _blank(value)


def is_digest(value: str) -> bool:
    """Return whether a text has the form of a digest."""
    return _DIGEST.fullmatch(value) is not None


def _digest(value: object) -> str | None:
    if type(value) is str and is_digest(value):
        return value
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
        _integer, _numbers, "an integer", {"type": "integer", "minimum": -INT64, "maximum": INT64 - 1}
    ),
    "number": Kind(_number, _numbers, "a finite number", {"type": "number"}),
    "boolean": Kind(_boolean, _numbers, "true or false", {"type": "boolean"}),
    "category": Kind(_text, _levels, "a text", {"type": "string", "maxLength": MAX_TEXT}),
    "file": Kind(
        _digest, _levels, "a picture in base64, or the digest of one that was sent before", {"type": "string"}
    ),
    "text": Kind(_text, _levels, "a text", {"type": "string", "maxLength": MAX_TEXT}),
    "list": Kind(
        _list,
        _levels,
        f'a list of at most {MOST_ITEMS:,} texts, e.g. ["a", "b"]',
        {"type": "array", "items": {"type": ["string", "number"]}, "maxItems": MOST_ITEMS},
    ),
    "numbers": Kind(
        _list_of_numbers,
        _levels,
        f"a list of at most {MOST_ITEMS:,} numbers, e.g. [1, 2.5, null]",
        {"type": "array", "items": {"type": ["number", "null"]}, "maxItems": MOST_ITEMS},
    ),
    "date": Kind(_date, _instants, "a date, e.g. 2026-01-31", {"type": "string", "format": "date"}),
    "datetime": Kind(
        _datetime, _instants, "a time, e.g. 2026-01-31T12:00:00Z", {"type": "string", "format": "date-time"}
    ),
}
"""By column type."""
