"""Columns of a database as texts become columns in their types: each value exactly, or it is refused with its column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from linewright.errors import SpecError

Kind = Literal[
    "integer", "unsigned", "number", "decimal", "boolean", "date", "datetime", "instant", "time", "text"
]
_TO_SECOND = "%Y-%m-%d %H:%M:%S"
_LENGTH = 19
"""Letters of a time that is spelled to the second, as most are: without a look for a fraction they take a tenth of the time."""
_MOST_DIGITS = 38


@dataclass(frozen=True, kw_only=True)
class ColumnType:
    """What a column of a query becomes."""

    kind: Kind
    precision: int = 0
    """Digits of a decimal number, and how many of them are after the point."""
    scale: int = 0

    @property
    def dtype(self) -> pl.DataType:
        """How it is held in memory."""
        if self.kind == "decimal":
            return pl.Decimal(self.precision, self.scale)
        return _DTYPES[self.kind]


_DTYPES: Mapping[str, pl.DataType] = {
    "integer": pl.Int64(),
    "unsigned": pl.UInt64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    "instant": pl.Datetime("us", "UTC"),
    "time": pl.Time(),
    "text": pl.String(),
}
_TRUE, _FALSE = ("t", "1", "true"), ("f", "0", "false")
TEXT, INTEGER, NUMBER = ColumnType(kind="text"), ColumnType(kind="integer"), ColumnType(kind="number")


def decimal(precision: int, scale: int) -> ColumnType:
    """Return the type of numbers with so many digits: whole ones of up to 18 digits are integers; of more than 38 digits, the nearest number.

    Examples
    --------
    >>> decimal(10, 2).dtype, decimal(18, 0).dtype, decimal(40, 2).dtype
    (Decimal(precision=10, scale=2), Int64, Float64)
    """
    if scale == 0 and precision <= 18:
        return INTEGER
    if not 0 <= scale <= precision <= _MOST_DIGITS:
        return NUMBER
    return ColumnType(kind="decimal", precision=precision, scale=scale)


def typed(
    name: str, texts: Sequence[str | None] | pl.Series, of: ColumnType, *, where: str, text: str = "text"
) -> pl.Series:
    """Return texts of a database as a column.

    NaN becomes null, as in all sources. Infinite numbers stay.

    Examples
    --------
    >>> typed("x", ["1.50", None], decimal(10, 2), where="").to_list()
    [Decimal('1.50'), None]
    """
    column = pl.Series(name, texts, dtype=pl.String)
    values = _cast(column, of)
    if values.null_count() > column.null_count():
        lost = values.is_null() & column.is_not_null()
        first = column.filter(lost)[0]
        if (
            of.kind == "decimal"
            and first.lower() == "nan"
            and not (column.filter(lost).str.to_lowercase() != "nan").any()
        ):
            return values
        raise no_value(name, of, first, where=where, text=text)
    return values


_WORDS = {"instant": "time", "datetime": "time", "unsigned": "integer", "decimal": "number"}


def no_value(name: str, of: ColumnType, found: str, *, where: str, text: str) -> SpecError:
    """Return what to say of a value that a column of its type cannot hold."""
    if found in {"infinity", "-infinity"} or found.startswith("0000-00-00"):
        instead = f"nullif({name}, '{found}') as {name}, or cast({name} as {text}) as {name}"
    else:
        instead = f"cast({name} as {text}) as {name}, or leave its row out"
    return SpecError(
        f"column {name!r} has a value that no {_WORDS.get(of.kind, of.kind)} of a table can be",
        where=where,
        found=found[:80],
        hint=f"write {instead} in the query",
    )


def _cast(column: pl.Series, of: ColumnType) -> pl.Series:
    match of.kind:
        case "boolean":
            return (
                column.to_frame()
                .select(
                    pl.when(pl.nth(0).is_in(_TRUE))
                    .then(True)
                    .when(pl.nth(0).is_in(_FALSE))
                    .then(False)
                    .alias(column.name)
                )
                .to_series()
            )
        case "date":
            return column.str.to_date("%Y-%m-%d", strict=False)
        case "datetime":
            return column.str.to_datetime(_format_of(column), time_unit="us", strict=False)
        case "instant":
            plain = column.str.strip_suffix("+00")
            return plain.str.to_datetime(_format_of(plain), time_unit="us", strict=False, time_zone="UTC")
        case "time":
            return column.str.to_time("%H:%M:%S%.f", strict=False)
        case "text":
            return column
        case _:
            return column.cast(of.dtype, strict=False)


def _format_of(times: pl.Series) -> str:
    return _TO_SECOND if (times.str.len_bytes() == _LENGTH).all() else f"{_TO_SECOND}%.f"
