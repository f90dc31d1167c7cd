"""Apply an encoder: named columns in, one float32 matrix out.

What turns values into features, in training, batch scoring and serving alike; a row's result never depends on the rows beside
it. `features.encode_rows` does the same for values that come one by one.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, TypeVar, assert_never

import numpy as np
from numpy.typing import NDArray

from linewright.errors import Corrupt, RequestError
from linewright.features.facts import (
    Arithmetic,
    Boolean,
    Category,
    DatePart,
    Elapsed,
    Encoder,
    Encoding,
    Frequency,
    HistoryItem,
    Number,
    PicturePart,
    Raw,
    SeriesPart,
    Text,
    TextPart,
    Window,
)
from linewright.features.history import HistoryReader
from linewright.features.pair_arithmetic import together
from linewright.features.series import Layout, encode_series
from linewright.features.text import TextReader
from linewright.text.lists import read_numbers
from linewright.text.steps import are_sayable, every_in

MISSING = int(np.iinfo(np.int64).min)
"""The instant that means "no value"; numpy reads it as NaT."""

RARE_CODE, MISSING_CODE, FIRST_CODE = 0, 1, 2
"""Codes of `Category`: rare and unseen values, missing values, the first of its levels."""

_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_MINUTE = 60_000_000
LARGEST = float(np.finfo(np.float32).max)
"""What a number beyond the range of float32 becomes."""
_TEXTS_AT_ONCE = 65_536
_TWO_TO_63 = 2.0**63


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """A column of numbers; booleans are 0 and 1."""

    values: NDArray[np.float64]
    """Shape (n,); missing is NaN."""


@dataclass(frozen=True, kw_only=True)
class Levels:
    """A column of categories: each distinct value once, and a code a row."""

    codes: NDArray[np.int32]
    """Shape (n,); indices into `levels`, -1 for missing."""
    levels: Sequence[str]
    """In any order, each once. They need not occur in `codes`."""


@dataclass(frozen=True, kw_only=True)
class Instants:
    """A column of dates or times. A date is its midnight in UTC."""

    micros: NDArray[np.int64]
    """Shape (n,); microseconds since 1970 in UTC, `MISSING` for missing."""


Values = Numbers | Levels | Instants
Columns = Mapping[str, Values]

V = TypeVar("V", Numbers, Levels, Instants)


class Reader(Protocol):
    """Turns the texts of a column, or the pictures that its digests stand for, into numbers."""

    missing: NDArray[np.float32]
    """The numbers of no value, shape (1, width)."""

    def read(self, values: Sequence[str], /) -> NDArray[np.float32]:
        """Return the numbers of values, shape (n, width)."""
        ...


Readers = Mapping[str, Reader | HistoryReader]
"""By column."""


def encode(encoder: Encoder, columns: Columns, readers: Readers = MappingProxyType({})) -> NDArray[Any]:
    """Encode `columns`, one matrix column an encoding.

    Examples
    --------
    >>> encoder = Encoder(encodings=(Number(column="age"), Category(column="make", levels=("Ford", "Fiat"))))
    >>> columns = {
    ...     "age": Numbers(values=np.array([31.0, np.nan, 1e300])),
    ...     "make": Levels(codes=np.array([1, -1, 0], dtype=np.int32), levels=["Opel", "Fiat"]),
    ... }
    >>> encode(encoder, columns).tolist()
    [[31.0, 3.0], [nan, 1.0], [3.4028234663852886e+38, 0.0]]
    """
    n = _length(encoder.columns, columns)
    if encoder.is_raw:
        return _raw(encoder, columns, n)
    matrix = np.empty((n, len(encoder.encodings)), dtype=np.float32)
    all_readers: Readers = {
        **{text.column: _reader_of(text) for text in encoder.texts if text.column not in readers},
        **readers,
        **histories_of(encoder),
    }
    fill(matrix, encoder, group_places(encoder, range(len(encoder.encodings))), columns, all_readers)
    return matrix


def histories_of(encoder: Encoder) -> dict[str, HistoryReader]:
    """Return what reads the histories of an encoder, by column."""
    return {
        one.column: HistoryReader(one.items)
        for one in encoder.encodings
        if isinstance(one, HistoryItem) and one.place == 0
    }


@lru_cache(maxsize=4)
def _reader_of(text: Text) -> TextReader:
    # Few, for one holds a megabyte: a table is encoded in many parts, and an endpoint keeps those of its models.
    return TextReader(text)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Places of matrix columns, by what fills them; made once for an encoder of more than a thousand."""

    alone: tuple[int, ...]
    """Each is filled by itself."""
    of_series: tuple[int, ...]
    read: Mapping[str, tuple[slice | list[int], slice | list[int]]]
    """By the column whose texts, pictures or histories are read: which of their numbers are taken, and the places that they go to."""


def group_places(encoder: Encoder, places: Iterable[int]) -> Places:
    """Part places of the matrix of an encoder, for `fill`."""
    alone: list[int] = []
    of_series: list[int] = []
    read: dict[str, tuple[list[int], list[int]]] = {}
    for j in places:
        encoding = encoder.encodings[j]
        if isinstance(encoding, SeriesPart):
            of_series.append(j)
        elif isinstance(encoding, TextPart | PicturePart | HistoryItem):
            parts, taken = read.setdefault(encoding.column, ([], []))
            parts.append(len(taken) if isinstance(encoding, HistoryItem) else encoding.part)
            taken.append(j)
        else:
            alone.append(j)
    return Places(
        alone=tuple(alone),
        of_series=tuple(of_series),
        read={name: (_side_by_side(parts), _side_by_side(taken)) for name, (parts, taken) in read.items()},
    )


def fill(
    matrix: NDArray[np.float32], encoder: Encoder, places: Places, columns: Columns, readers: Readers
) -> None:
    """Set some columns of the matrix of an encoder, shape (n, len(encoder.encodings)); see `encode`."""
    for j in places.alone:
        matrix[:, j] = encode_one(encoder.encodings[j], columns)
    if places.of_series:
        at = _side_by_side(list(places.of_series))
        matrix[:, at] = _series_parts(encoder, columns)[:, at]
    # The numbers of a text or a picture come of it together, whichever of them are read.
    for name, (wanted, into) in places.read.items():
        column, reader = _values(columns, name, Levels), readers.get(name)
        if reader is None:
            raise Corrupt("nothing says how these values become numbers", where=f"column {name!r}")
        if isinstance(reader, HistoryReader):
            length = wanted.stop if isinstance(wanted, slice) else len(wanted)
            matrix[:, into] = reader.read(column.levels, length=length).take(column.codes, axis=0)
            continue
        for part, some in _in_parts(column):
            # The row for missing stands last, where the code -1 finds it.
            numbers = np.concatenate([reader.read(some.levels), reader.missing])
            matrix[part, into] = numbers[:, wanted].take(some.codes, axis=0)


FARTHEST = 1e30
"""Largest number of a series; squares of it are finite."""


def layout_of(window: Window) -> Layout:
    """Return the places of the numbers of a forecast in an encoded row."""
    return Layout(horizon=len(window.steps), season=window.season, known=len(window.known))


def _series_parts(encoder: Encoder, columns: Columns) -> NDArray[np.float32]:
    window = encoder.window
    if window is None:
        raise Corrupt("an encoder does not say how the values of a series are read", where="features")
    at = _times(columns, window)
    values = _numbers_of(columns, window.recent, window.length, is_newest=True)
    _refuse_rows(
        np.asarray(np.isnan(values).all(axis=1)),
        "a row has no recent value, so nothing is known of its series",
        window.recent,
        "at least one number, the newest last",
    )
    horizon = len(window.steps)
    known = [_numbers_of(columns, name, horizon, is_newest=False) for name in window.known]
    ahead = np.concatenate([*known, np.empty((len(at), 0))], axis=1)
    return encode_series(values, ahead, at, layout_of(window))


def _times(columns: Columns, window: Window) -> NDArray[np.int64]:
    time = columns[window.time]
    if isinstance(time, Instants):
        at, is_missing = time.micros, time.micros == MISSING
    else:
        numbers = _values(columns, window.time, Numbers).values
        at, is_missing = np.nan_to_num(numbers).astype(np.int64), np.isnan(numbers)
    allowed = "the time of the newest value in " + window.recent
    _refuse_rows(is_missing, "a row does not say when its newest value was", window.time, allowed)
    every, ahead = every_in(window.steps), len(window.steps)
    _refuse_rows(
        ~are_sayable(at, every, ahead),
        "the times of the steps ahead cannot be said",
        window.time,
        f"a time whose {ahead} steps of {every} end in the years 1 to 9999"
        if isinstance(time, Instants)
        else f"a number whose {ahead} steps end at 2^53",
    )
    return at


def _refuse_rows(is_wrong: NDArray[np.bool_], what: str, column: str, allowed: str) -> None:
    if len(rows := np.flatnonzero(is_wrong)):
        row = int(rows[0])
        raise _refusal(what, row, column, allowed=allowed)


def _refusal(what: str, row: int, column: str, *, allowed: str, found: object = None) -> RequestError:
    """Return what is wrong with a value; readers of requests name its place by the details."""
    return RequestError(
        what,
        where=f"row {row}, column {column!r}",
        found=found,
        allowed=allowed,
        details={"row": row, "column": column},
    )


def _numbers_of(columns: Columns, name: str, length: int, *, is_newest: bool) -> NDArray[np.float64]:
    """Return the numbers of each row, padded with NaN: at the front if the newest come last, else behind."""
    column = _values(columns, name, Levels)
    found = np.full((len(column.levels) + 1, length), np.nan)
    for level, text in enumerate(column.levels):
        values = read_numbers(text)
        if max(map(abs, filter(math.isfinite, values)), default=0.0) > FARTHEST:
            raise _refusal(
                "a number is too large to say what comes after it",
                _first_with(column, level),
                name,
                allowed=f"at most {FARTHEST:g}",
            )
        if not is_newest and len(values) != length:
            raise _refusal(
                "what is known ahead is a number for each step",
                _first_with(column, level),
                name,
                found=f"{len(values)} numbers",
                allowed=f"{length} numbers, the next step first",
            )
        kept = values[-length:] if is_newest else values[:length]
        place = slice(length - len(kept), length) if is_newest else slice(0, len(kept))
        found[level, place] = kept
    return found.take(column.codes, axis=0)


def _first_with(column: Levels, level: int) -> int:
    return int((column.codes == level).argmax())


def _side_by_side(places: list[int]) -> slice | list[int]:
    """Return places as a slice if they follow each other: columns are copied in a tenth of the time."""
    is_slice = places == list(range(places[0], places[0] + len(places)))
    return slice(places[0], places[-1] + 1) if is_slice else places


def _in_parts(column: Levels) -> Iterator[tuple[slice, Levels]]:
    """Part a column of very many texts by rows, so that the numbers of all of them are never held beside the matrix."""
    if len(column.levels) <= _TEXTS_AT_ONCE:
        yield slice(None), column
        return
    for start in range(0, len(column.codes), _TEXTS_AT_ONCE):
        part = slice(start, start + _TEXTS_AT_ONCE)
        used, places = np.unique(column.codes[part], return_inverse=True)
        known = used[used >= 0]
        codes = (places - (len(used) - len(known))).astype(np.int32)
        yield part, Levels(codes=codes, levels=[column.levels[int(i)] for i in known])


RAW_DTYPES: Mapping[str, type] = {
    "float": np.float32,
    "double": np.float64,
    "int64": np.int64,
    "bool": np.bool_,
    "string": object,
}
"""How the fields of raw rows are held."""


def raw_dtype(encoder: Encoder) -> np.dtype[Any]:
    """Return the form of the rows of an encoder of `Raw` columns."""
    raws = [encoding for encoding in encoder.encodings if isinstance(encoding, Raw)]
    return np.dtype([(f"x{i}", RAW_DTYPES[raw.dtype]) for i, raw in enumerate(raws)])


def _raw(encoder: Encoder, columns: Columns, n: int) -> NDArray[Any]:
    rows = np.empty(n, dtype=raw_dtype(encoder))
    for i, encoding in enumerate(encoder.encodings):
        if isinstance(encoding, Raw):
            rows[f"x{i}"] = _as_it_is(encoding, columns)
    return rows


def _as_it_is(raw: Raw, columns: Columns) -> NDArray[Any]:
    if raw.dtype == "string":
        column = _values(columns, raw.column, Levels)
        # The text for missing stands last, where the code -1 finds it.
        return np.array([*column.levels, raw.missing], dtype=object).take(column.codes)
    values = _values(columns, raw.column, Numbers).values
    match raw.dtype:
        case "float":
            return _saturate(values)
        case "double":
            return values
        case "int64" | "bool":
            return _whole(raw, values)
        case _:
            assert_never(raw.dtype)


def _whole(raw: Raw, values: NDArray[np.float64]) -> NDArray[np.float64]:
    fits = (np.abs(values) < _TWO_TO_63) & (values == np.floor(values))
    if raw.dtype == "bool":
        fits &= (values == 0) | (values == 1)
    if not fits.all():
        row = int(fits.argmin())
        raise _refusal(
            "the model cannot read this value",
            row,
            raw.column,
            found="no value" if np.isnan(values[row]) else float(values[row]),
            allowed="true or false" if raw.dtype == "bool" else "a whole number",
        )
    return values


def _length(names: Sequence[str], columns: Columns) -> int:
    lengths = {name: _rows(columns[name]) for name in names if name in columns}
    first = next(iter(lengths.values()), 0)
    for name, rows in lengths.items():
        if rows != first:
            raise RequestError(
                "columns of different lengths", where=f"column {name!r}", found=rows, allowed=f"{first} rows"
            )
    return first


def _rows(values: Values) -> int:
    match values:
        case Numbers():
            return len(values.values)
        case Levels():
            return len(values.codes)
        case Instants():
            return len(values.micros)
        case _:
            assert_never(values)


def encode_one(encoding: Encoding, columns: Columns) -> NDArray[np.float32]:
    """Return one column of the matrix, shape (n,), of all but texts; see `encode`."""
    match encoding:
        case Number() | Boolean():
            return _saturate(_values(columns, encoding.column, Numbers).values)
        case Category():
            return _codes(encoding, _values(columns, encoding.column, Levels))
        case Frequency():
            return _shares(encoding, _values(columns, encoding.column, Levels))
        case DatePart():
            return _part(encoding.part, _values(columns, encoding.column, Instants).micros)
        case Elapsed():
            return _elapsed(encoding, columns)
        case Arithmetic():
            left, right = (
                _saturate(_values(columns, name, Numbers).values)
                for name in (encoding.column, encoding.other)
            )
            return together(encoding.operation, left, right)
        case Raw() | TextPart() | PicturePart() | HistoryItem() | SeriesPart():
            raise RequestError(
                "a raw column has no place in a matrix, and texts, pictures and histories are read at once",
                where=f"column {encoding.column!r}",
            )
        case _:
            assert_never(encoding)


def _values(columns: Columns, name: str, form: type[V]) -> V:
    values = columns.get(name)
    if isinstance(values, form):
        return values
    if values is None:
        raise RequestError("a column that the model reads is absent", where=f"column {name!r}")
    raise RequestError(
        "the column has another form than the model was trained on",
        where=f"column {name!r}",
        found=type(values).__name__,
        allowed=form.__name__,
    )


def _saturate(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.clip(values, -LARGEST, LARGEST).astype(np.float32)


def _codes(encoding: Category, column: Levels) -> NDArray[np.float32]:
    code = _index(encoding.levels)
    # The entry for missing stands last, where the code -1 finds it.
    table = [code.get(level, RARE_CODE - FIRST_CODE) + FIRST_CODE for level in column.levels]
    return np.array([*table, MISSING_CODE], dtype=np.float32).take(column.codes)


def _shares(encoding: Frequency, column: Levels) -> NDArray[np.float32]:
    index, shares = _index(encoding.levels), (*encoding.shares, 0.0)
    table = [shares[index.get(level, -1)] for level in column.levels]
    return np.array([*table, encoding.missing], dtype=np.float32).take(column.codes)


@lru_cache(maxsize=512)
def _index(levels: tuple[str, ...]) -> Mapping[str, int]:
    # Kept from call to call: for a request of one row, building it would be most of the work.
    return {level: i for i, level in enumerate(levels)}


def _part(part: str, micros: NDArray[np.int64]) -> NDArray[np.float32]:
    wave = _WAVES.get(part)
    whole = _whole_part("hour" if wave is not None else part, micros)
    values = whole.astype(np.float32) if wave is None else wave.take(whole)
    values[micros == MISSING] = np.nan
    return values


_CLOCK = 2 * np.pi * np.arange(24) / 24
_WAVES = {
    name: of(times * _CLOCK).astype(np.float32)
    for name, of, times in (
        ("hour_sin", np.sin, 1),
        ("hour_cos", np.cos, 1),
        ("hour_sin2", np.sin, 2),
        ("hour_cos2", np.cos, 2),
    )
}
"""By part, its value at each hour: tables, so that a request of one row has the bits of a whole table."""


def _whole_part(part: str, micros: NDArray[np.int64]) -> NDArray[np.int64]:
    # Floor division and modulo, so that instants before 1970 have parts like any other.
    match part:
        case "month":
            return micros.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64) % 12 + 1
        case "day":
            days = micros.astype("datetime64[us]").astype("datetime64[D]")
            return (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
        case "weekday":
            return (micros // _DAY + 3) % 7
        case "hour":
            return micros // _HOUR % 24
        case "minute":
            return micros // _MINUTE % 60
        case _:
            raise RequestError(
                "unknown part of a date", found=part, allowed="month, day, weekday, hour, minute, hour_sin, …"
            )


def _elapsed(encoding: Elapsed, columns: Columns) -> NDArray[np.float32]:
    # Doubles hold whole microseconds of the years 1685 to 2255 exactly, and cannot overflow outside of them.
    end = _micros(_values(columns, encoding.column, Instants))
    start = encoding.origin if encoding.since is None else _micros(_values(columns, encoding.since, Instants))
    return ((end - start) / _DAY).astype(np.float32)


def _micros(column: Instants) -> NDArray[np.float64]:
    micros = column.micros.astype(np.float64)
    micros[column.micros == MISSING] = np.nan
    return micros
