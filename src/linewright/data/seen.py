"""A column as it was seen: its type, its values in that type, and the counts that everything else rests on."""

import re
from dataclasses import dataclass

import polars as pl

from linewright.data.types import cast, infer
from linewright.errors import SpecError

UNUSABLE = "unusable"
"""Stands for the type of a column that no table can hold yet, such as lists in Parquet."""

NUMBERS = frozenset({"integer", "number"})
TIMES = frozenset({"date", "datetime"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A column in its type."""

    name: str
    type: str
    format: str | None
    """strptime format of dates that are not ISO 8601."""
    because: str
    """Why it has that type."""
    values: pl.Series
    found: pl.Series
    """The values as they were read: text, or native types."""
    distinct: int
    """Different values; missing ones are not counted."""

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return self.values.null_count()

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return len(self.values) - self.missing

    @property
    def is_unique(self) -> bool:
        """Whether each row has a value of its own."""
        return not self.missing and self.distinct == len(self.values)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its name, in small letters."""
        return words_of(self.name)


def see(values: pl.Series) -> Seen:
    """Find the type of a column and count what it holds; all rows count.

    Examples
    --------
    >>> column = see(pl.Series("Age", ["31", "47", None, "31"]))
    >>> column.type, column.distinct, column.missing
    ('integer', 2, 1)
    """
    try:
        found = infer(values)
    except SpecError as error:
        return Seen(
            name=values.name,
            type=UNUSABLE,
            format=None,
            because=error.what,
            values=values,
            found=values,
            distinct=0,
        )
    typed = cast(values, found.type, pattern=found.format)
    return Seen(
        name=values.name,
        type=found.type,
        format=found.format,
        because=found.because,
        values=typed,
        found=values,
        distinct=typed.drop_nulls().n_unique(),
    )


def see_all(frame: pl.DataFrame) -> dict[str, Seen]:
    """Return each column as it was seen, by name, in the order of the table."""
    return {name: see(frame[name]) for name in frame.columns}


def as_declared(name: str, kind: str, values: pl.Series) -> Seen:
    """Return a column that is in the type that a contract gives it already."""
    return Seen(
        name=name,
        type=kind,
        format=None,
        because="the contract says so",
        values=values,
        found=values,
        distinct=values.drop_nulls().n_unique(),
    )


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a column's name, in small letters.

    Examples
    --------
    >>> words_of("customerID"), words_of("screening_date"), words_of("PAY_0")
    (('customer', 'id'), ('screening', 'date'), ('pay', '0'))
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    return tuple(part.lower() for part in parts)


def percent(share: float) -> str:
    """Write a share for people; what is not all does not read as all.

    Examples
    --------
    >>> percent(0.2408), percent(0.99999), percent(1.0), percent(0.00001)
    ('24.1 %', '99.9 %', '100 %', '0.1 %')
    """
    if share in {0.0, 1.0}:
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"
