"""A column as it was seen: its type, its values in that type, and the counts that everything else rests on."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl

from linewright.data.read.locate import Where
from linewright.data.types import cast, infer, infer_most
from linewright.errors import SpecError

UNUSABLE = "unusable"
"""Stands for the type of a column that no table can hold yet, such as lists in Parquet."""


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
        return self.found.null_count()

    @property
    def present(self) -> int:
        """How many rows have a value of the type."""
        return len(self.values) - self.values.null_count()

    @cached_property
    def counts(self) -> pl.DataFrame:
        """The different values, ascending, as `value`, and in how many `rows` each stands; missing ones are not counted."""
        return self.values.drop_nulls().alias("value").value_counts(name="rows").sort("value")

    @property
    def ends(self) -> tuple[Any, Any]:
        """The smallest and the largest value; `None` if the column has no values."""
        return self.values.min(), self.values.max()

    def where(self, rows: pl.Series) -> "Seen":
        """Return the column as it is in some of its rows."""
        values = self.values.filter(rows)
        return replace(
            self, values=values, found=self.found.filter(rows), distinct=values.drop_nulls().n_unique()
        )

    @property
    def misfits(self) -> pl.Series:
        """The values that are not of the type, in the order of the rows, as text."""
        is_one = self.values.is_null() & self.found.is_not_null()
        return self.found.filter(is_one).cast(pl.String)

    @property
    def is_unique(self) -> bool:
        """Whether each row has a value of its own."""
        return not self.missing and self.distinct == len(self.values)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its name, in small letters."""
        return words_of(self.name)


def see(values: pl.Series, *, is_name: bool = False) -> Seen:
    """Find the type of a column and count what it holds; all rows count.

    Examples
    --------
    >>> column = see(pl.Series("Age", ["31", "47", None, "31"]))
    >>> column.type, column.distinct, column.missing
    ('integer', 2, 1)
    """
    try:
        found = infer(values) if is_name else infer_most(values)
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


def see_all(frame: pl.DataFrame, *, names: Collection[str | None] = ()) -> dict[str, Seen]:
    """Return each column as it was seen, by name, in the order of the table; `names` are those that name things."""
    return {name: see(frame[name], is_name=name in names) for name in frame.columns}


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


def misfits_of(column: Seen, where: Where) -> dict[str, int | str]:
    """Return which values of a column are not of its type; nothing where all are.

    Examples
    --------
    >>> column = see(pl.Series("age", [str(i % 40) for i in range(99)] + ["oops"]))
    >>> misfits_of(column, lambda _, texts: "line 101")
    {'bad': 1, 'of': 100, 'different': 1, 'type': 'integer', 'first': 'oops', 'place': 'line 101'}
    """
    misfits = column.misfits
    if misfits.is_empty():
        return {}
    many, first = len(misfits), misfits[0]
    figures = {"bad": many, "of": column.present + many, "different": misfits.n_unique()}
    return {**figures, "type": column.type, "first": first[:40], "place": where(column.name, [first])}
