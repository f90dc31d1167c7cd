"""Types of columns: strict parsing of text, casting of native values, and the narrowest type that holds a column."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from typing import NamedTuple

import polars as pl

from linewright.data.spec import ColumnType
from linewright.errors import SpecError
from linewright.text.lists import read_list_text, read_numbers_text, spelled, to_list_text

DTYPES: Mapping[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "category": pl.String(),
    "text": pl.String(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us", "UTC"),
    "list": pl.String(),
    "numbers": pl.String(),
    "file": pl.String(),
}
"""How each type is held in memory; lists as their JSON text, see `text.lists`, and a file by its path, and once it is kept by its digest."""

_WHOLE = 2.0**53
TRUE = ("true", "t", "yes", "y", "1")
FALSE = ("false", "f", "no", "n", "0")

# Other common spellings of dates, tried by `infer` only; day and month are told apart by values above 12.
FORMATS = (
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
)

_YEAR = re.compile(r"(^|[/. -])[0-9]{4}($|[/. -])")
"""What all dates and times have."""
_ISO = (
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<h>[01][0-9]|2[0-3]):(?P<m>[0-5][0-9])(?::(?P<s>[0-5][0-9])(?:[.,](?P<f>[0-9]{1,9}))?)?"
    r"(?: ?(?P<zone>Z|(?P<sign>[+-])(?P<zh>[0-9]{2})(?::?(?P<zm>[0-9]{2}))?))?)?$"
)
_PLAIN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_HEAD = 1000  # values that a guess must survive before all are tried
_NEARLY_ALL = 0.95
_LEAST_VALUES = 20
LEAST_WORDS = 3
"""Words a value, on average, from which on texts may be prose."""
_LEAST_DIFFERENT = 6
_CODES = 3  # different misfits that look like codes, from which on they are codes
_CODE = r"^(?:[A-Za-z]{1,3}[-_ ]?[0-9].*|[0-9]+[-_ ]?[A-Z]{1,2})$"


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """The narrowest type that holds all values of a column, and why."""

    type: ColumnType
    because: str
    format: str | None = None
    """strptime format, where the dates are not ISO 8601."""


def cast(values: pl.Series, to: str, *, pattern: str | None = None, zone: str | None = None) -> pl.Series:
    """Turn values into a column type; what does not fit exactly becomes null.

    Examples
    --------
    >>> cast(pl.Series(["1", "+2", "3.0", None]), "integer").to_list()
    [1, 2, None, None]
    >>> cast(pl.Series(["2020-07-01 12:00", "2020-07-01T12:00:00Z"]), "datetime", zone="Europe/Paris").dt.hour().to_list()
    [10, 12]
    """
    return cast_all(values.to_frame(), [Typing(to, pattern, zone)]).to_series()


class Typing(NamedTuple):
    """What a column becomes, as `cast` says it."""

    to: str
    pattern: str | None = None
    zone: str | None = None


def cast_all(frame: pl.DataFrame, wanted: Sequence[Typing]) -> pl.DataFrame:
    """Turn each column of a table into a type, as `cast` does; all at once takes half the time of one by one."""
    typed = frame.select(
        # By its place, never by its name, which may be "*" or look like a pattern.
        _typed(pl.nth(number), values, one).cast(DTYPES[one.to]).alias(values.name)
        for number, (values, one) in enumerate(zip(frame.iter_columns(), wanted, strict=True))
    )
    numbers = pl.col(pl.Float64)
    if all(map(all, typed.select(numbers.is_finite().all()).rows())):
        return typed
    return typed.with_columns(pl.when(numbers.is_finite()).then(numbers))


def _typed(column: pl.Expr, values: pl.Series, wanted: Typing) -> pl.Expr:
    to, pattern, zone = wanted
    known_zone(zone)
    if values.dtype == pl.Null:
        return pl.lit(None, dtype=DTYPES[to])
    if values.dtype != pl.String:
        return _from_native(column, values.dtype, to, zone)
    if to == "datetime" and not pattern and _are_plain(values):
        return _plain_instant(column, zone)
    return _from_text(column, to, pattern, zone)


@lru_cache(maxsize=64)
def known_zone(zone: str | None) -> None:
    """Raise `SpecError` where there is no such time zone."""
    try:
        pl.Series([datetime(2020, 1, 1)]).dt.replace_time_zone(zone or "UTC")  # noqa: DTZ001 -- naive on purpose
    except pl.exceptions.PolarsError as error:
        raise SpecError(
            "there is no such time zone",
            where="table.zone",
            found=zone,
            allowed="IANA names, e.g. Europe/Paris",
        ) from error


def infer(values: pl.Series) -> Inferred:
    """Find the narrowest type that holds every value of a column.

    All values decide, not a sample. Digits with a leading zero ("007") and whole numbers too long for 64 bits are
    codes, thus a category. Only "true" and "false" are booleans: "Yes" keeps its spelling as a category.

    Examples
    --------
    >>> infer(pl.Series(["1", "2.5", None])).type, infer(pl.Series(["007", "8"])).type
    ('number', 'category')
    >>> infer(pl.Series(["12/31/2020", "1/2/2021"])).format
    '%m/%d/%Y'
    """
    if not isinstance(values.dtype, (pl.String, pl.Null)):
        return _infer_native(values)
    text = values.drop_nulls()
    if text.is_empty():
        return Inferred(type="category", because="no values")
    looks = _infer_number(text) or _infer_boolean(text) or _infer_time(text)
    return looks or _infer_words(text)


def infer_most(values: pl.Series) -> Inferred:
    """Find the type as `infer` does, but where all but a few texts are numbers or times, let the few not decide.

    A bad cell among thousands of numbers makes no names of them. At least 95 % of at least 20 values have to read as the
    type, and at least 6 different ones: of few, a word may be one more. Codes stay a category: digits with leading
    zeros, whole numbers that are each row's own with hardly a gap, and those beside three different ones such as "C123".

    Examples
    --------
    >>> numbers = [str(i % 40) for i in range(99)]
    >>> infer_most(pl.Series([*numbers, "oops"])).type, infer_most(pl.Series([*numbers, "A1", "B2", "C3"])).type
    ('integer', 'category')
    """
    exact = infer(values)
    if exact.type not in {"category", "text"} or values.dtype != pl.String:
        return exact
    text = values.drop_nulls()
    some = text.gather_every(max(1, len(text) // _HEAD))
    tried = (
        [mask for mask in _READINGS if mask(some).sum() >= 0.9 * len(some)]
        if len(text) >= _LEAST_VALUES
        else []
    )
    if not tried:
        return exact
    reads = max((mask(text) for mask in tried), key=pl.Series.sum)
    fit = text.filter(reads)
    found = infer(fit)
    if found.type == "category" or len(fit) < _NEARLY_ALL * len(text) or fit.n_unique() < _LEAST_DIFFERENT:
        return exact
    codes = text.filter(~reads & text.str.contains(_CODE)).n_unique()
    if codes >= _CODES or (found.type == "integer" and _is_numbering(fit)):
        return exact
    return Inferred(type=found.type, because=f"{len(fit):,} of {len(text):,} values fit", format=found.format)


def _is_numbering(text: pl.Series) -> bool:
    number = cast(text, "integer").to_numpy()
    return text.is_unique().all() and bool(number.max() - number.min() < 1.1 * len(number))


def _from_text(text: pl.Expr, to: str, pattern: str | None, zone: str | None) -> pl.Expr:
    match to:
        case "integer":
            return text.cast(pl.Int64, strict=False)
        case "number":
            return text.cast(pl.Float64, strict=False)
        case "boolean":
            low = text.str.to_lowercase()
            return pl.when(low.is_in(TRUE)).then(True).when(low.is_in(FALSE)).then(False)
        case "date" if pattern:
            return text.str.to_date(pattern, strict=False)
        case "date":
            iso = pl.when(text.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")).then(text)
            return iso.str.to_date("%Y-%m-%d", strict=False)
        case "datetime" if pattern:
            return _instant_by_format(text, pattern, zone)
        case "datetime":
            return _instant(text, zone)
        case "list":
            return text.map_batches(_list_texts, return_dtype=pl.String())
        case "numbers":
            return text.map_batches(_numbers_texts, return_dtype=pl.String())
        case _:
            return text


def _list_cells(lists: pl.Series) -> pl.Series:
    cells = (None if one is None else to_list_text(spelled(one.to_list())) for one in lists)
    return pl.Series(lists.name, list(cells), dtype=pl.String)


def _list_texts(text: pl.Series) -> pl.Series:
    return pl.Series(
        text.name, [None if one is None else read_list_text(one) for one in text], dtype=pl.String
    )


def _numbers_texts(text: pl.Series) -> pl.Series:
    return pl.Series(
        text.name, [None if one is None else read_numbers_text(one) for one in text], dtype=pl.String
    )


def _from_native(column: pl.Expr, dtype: pl.DataType, to: str, zone: str | None) -> pl.Expr:
    nothing = pl.lit(None, dtype=DTYPES[to])
    if to == "list" and isinstance(dtype, pl.List):
        return column.map_batches(_list_cells, return_dtype=pl.String())
    if dtype.is_nested() or dtype == pl.Binary:
        return nothing
    if to in {"category", "text"}:
        if dtype.is_float():
            # As an endpoint spells them: a whole number has no decimals.
            is_whole = (column == column.round()) & (column.abs() < _WHOLE)
            return (
                pl.when(is_whole)
                .then(column.cast(pl.Int64, strict=False).cast(pl.String))
                .otherwise(column.cast(pl.String))
            )
        return column.dt.to_string("iso") if dtype.is_temporal() else column.cast(pl.String)
    if to in {"date", "datetime"}:
        return _time_from_native(column, dtype, to, zone) if dtype.is_temporal() else nothing
    if to == "boolean" and dtype == pl.Boolean:
        return column
    return _number_from_native(column, dtype, to) if dtype.is_numeric() else nothing


def _number_from_native(column: pl.Expr, dtype: pl.DataType, to: str) -> pl.Expr:
    if to == "number":
        return column.cast(pl.Float64)
    if to == "boolean":
        return pl.when(column.is_in([0, 1])).then(column == 1)
    whole = column.cast(pl.Int64, strict=False)
    return whole if dtype.is_integer() else pl.when(whole.cast(dtype, strict=False) == column).then(whole)


def _time_from_native(column: pl.Expr, dtype: pl.DataType, to: str, zone: str | None) -> pl.Expr:
    if dtype == pl.Date:
        return column if to == "date" else _zoned(column.cast(pl.Datetime("us")), zone)
    if not isinstance(dtype, pl.Datetime):
        return pl.lit(None, dtype=DTYPES[to])
    if to == "date":
        return pl.when(column == column.dt.truncate("1d")).then(column.dt.date())
    micros = column.cast(pl.Datetime("us", dtype.time_zone))
    return micros.dt.convert_time_zone("UTC") if dtype.time_zone else _zoned(micros, zone)


def _zoned(naive: pl.Expr, zone: str | None) -> pl.Expr:
    local = naive.dt.replace_time_zone(zone or "UTC", ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def _are_plain(text: pl.Series) -> bool:
    """Return whether all times are spelled to the second, as most are; they take a tenth of the time to read."""
    return bool(text.str.contains(_PLAIN).all())


def _plain_instant(text: pl.Expr, zone: str | None) -> pl.Expr:
    spaced = text.str.replace("T", " ", literal=True)
    return _zoned(spaced.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"), zone)


def _instant(text: pl.Expr, zone: str | None) -> pl.Expr:
    """ISO 8601, put together from its parts: a naive part is in `zone`, an offset is taken off."""
    parts = text.str.extract_groups(_ISO).struct

    def part(name: str) -> pl.Expr:
        return parts.field(name).cast(pl.Int64, strict=False).fill_null(0)

    micros = parts.field("f").str.pad_end(6, "0").str.head(6).cast(pl.Int64, strict=False).fill_null(0)
    day = parts.field("date").str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))
    local = day + pl.duration(
        hours=part("h"), minutes=part("m"), seconds=part("s"), microseconds=micros, time_unit="us"
    )
    offset = pl.duration(hours=part("zh"), minutes=part("zm"), time_unit="us")
    ahead = pl.when(parts.field("sign") == "-").then(-offset).otherwise(offset)
    return (
        pl.when(parts.field("zone").is_null())
        .then(_zoned(local, zone))
        .otherwise(_zoned(local - ahead, None))
    )


def _instant_by_format(text: pl.Expr, pattern: str, zone: str | None) -> pl.Expr:
    if "%z" in pattern:
        return text.str.to_datetime(pattern, strict=False, time_unit="us", time_zone="UTC")
    return _zoned(text.str.to_datetime(pattern, strict=False, time_unit="us"), zone)


def _infer_native(values: pl.Series) -> Inferred:
    dtype = values.dtype
    rules: tuple[tuple[bool, ColumnType], ...] = (
        (dtype == pl.Boolean, "boolean"),
        (dtype.is_integer(), "integer"),
        (isinstance(dtype, pl.Decimal) and dtype.scale == 0, "integer"),
        (dtype.is_numeric(), "number"),
        (dtype == pl.Date, "date"),
        (dtype == pl.Datetime, "datetime"),
        (dtype == pl.Time, "category"),
    )
    found: ColumnType | None = next((name for holds, name in rules if holds), None)
    if found is None:
        raise SpecError(
            f"column {values.name!r} has a type that the table cannot hold yet",
            found=str(dtype),
            allowed=", ".join(DTYPES),
            hint="name the columns that you need in `contract`, or turn it into one of these in `table.sql`",
        )
    return Inferred(type=found, because=f"the source says {dtype}")


def _infer_number(text: pl.Series) -> Inferred | None:
    if not _all(text, lambda some: cast(some, "number").is_not_null()):
        return None
    if text.str.contains("^[+-]?0[0-9]").any():
        return _infer_words(text, "digits with leading zeros are codes")
    whole = cast(text, "integer")
    if whole.null_count() == 0:
        return Inferred(type="integer", because=f"all {len(text):,} values are whole numbers")
    if text.str.contains("^[+-]?[0-9]+$").all():
        return _infer_words(text, "digits too long for a number are codes")
    return Inferred(type="number", because=f"all {len(text):,} values are numbers")


def _infer_boolean(text: pl.Series) -> Inferred | None:
    if not _all(text, lambda some: some.str.to_lowercase().is_in(["true", "false"])):
        return None
    return Inferred(type="boolean", because=f"all {len(text):,} values are true or false")


def _infer_time(text: pl.Series) -> Inferred | None:
    if not _YEAR.search(text[0]):  # all forms have one: most columns of words are known by their first value
        return None
    if _all(text, lambda some: cast(some, "date").is_not_null()):
        return Inferred(type="date", because=f"all {len(text):,} values are ISO 8601 dates")
    if _all(text, lambda some: cast(some, "datetime").is_not_null()):
        return Inferred(type="datetime", because=f"all {len(text):,} values are ISO 8601 times")
    fitting = [pattern for pattern in FORMATS if _all(text, lambda some, p=pattern: _fits(some, p))]
    if len(fitting) == 1:
        of: ColumnType = "datetime" if "%H" in fitting[0] else "date"
        return Inferred(type=of, because=f"all {len(text):,} values read as {fitting[0]}", format=fitting[0])
    return None


def _fits(text: pl.Series, pattern: str) -> pl.Series:
    # chrono reads "%Y" from two digits too ("13" as the year 13), so the number of digits is checked here.
    four = text.str.contains(_YEAR.pattern)
    return four & cast(text, "datetime" if "%H" in pattern else "date", pattern=pattern).is_not_null()


def words_in(text: pl.Series) -> int:
    """Return how many words texts have together."""
    return int(text.str.count_matches(r"\S+").cast(pl.Int64).sum())


def _infer_words(text: pl.Series, because: str = "") -> Inferred:
    distinct, words = text.n_unique(), words_in(text) / len(text)
    shape = f"{distinct:,} different values among {len(text):,}"
    is_prose = distinct > len(text) / 2 and distinct > 50 and words >= LEAST_WORDS
    if is_prose:
        return Inferred(type="text", because=f"{shape}, {words:.0f} words each")
    return Inferred(type="category", because=f"{because}; {shape}" if because else shape)


def _all(text: pl.Series, holds: Callable[[pl.Series], pl.Series]) -> bool:
    return bool(holds(text.head(_HEAD)).all()) and bool(holds(text).all())


_READINGS: tuple[Callable[[pl.Series], pl.Series], ...] = (
    lambda text: cast(text, "number").is_not_null(),
    lambda text: cast(text, "date").is_not_null(),
    lambda text: cast(text, "datetime").is_not_null(),
    *(partial(_fits, pattern=pattern) for pattern in FORMATS),
)
