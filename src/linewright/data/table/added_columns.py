"""Columns that come to the rows of a table from elsewhere, of what each row says: those of feature views."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.spec import ColumnRule, ColumnType, DataSpec
from linewright.data.types import Typing, cast_all
from linewright.errors import SpecError
from linewright.text.suggest import listed, nearest


class AddedColumns(Protocol):
    """What adds columns to the rows of a table."""

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Type of each column that is added."""
        ...

    @property
    def reads(self) -> Mapping[str, str]:
        """Columns of the table that it reads, each with what asks for it, for messages."""
        ...

    @property
    def entities(self) -> Collection[str]:
        """Columns of the table that say whom or what a row is about."""
        ...

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the columns that are added to some rows, in their order.

        Parameters
        ----------
        rows
            The columns of `reads`, in their types.
        """
        ...


def added_rules(
    added: AddedColumns, columns: Sequence[str], rules: Mapping[str, ColumnRule], data: DataSpec
) -> dict[str, ColumnRule]:
    """Return the rules of the columns that are added: those of the contract, else their types."""
    for name in added.types:
        if name in columns:
            raise SpecError(
                f"the table has a column {name!r} already",
                where="features",
                found=name,
                hint="rename it in the feature view, or leave it out of the table in table.sql",
            )
    for name, view in added.reads.items():
        if name not in columns:
            near = nearest(name, columns)
            raise SpecError(
                f"the table has no column {name!r}, which {view} needs",
                where="features",
                found=name,
                allowed=listed(columns),
                hint=(f"did you mean {near!r}? if so, " if near else "")
                + f"make it in table.sql: {near or 'x'} as {name}",
            )
        if name not in rules:
            raise SpecError(
                f"the contract does not name the column {name!r}, which {view} needs",
                where="contract.columns",
                found=name,
                hint="add it to contract.columns",
            )
    time = str(data.table.time)
    if rules[time].type not in {"date", "datetime"}:
        raise SpecError(
            "features are of the moment of a row, and its time is a number",
            where="table.time",
            found=f"{time}: {rules[time].type}",
            allowed="a column of dates or times",
            hint="make a time of it in table.sql",
        )
    contract = data.contract.columns
    return {name: contract.get(name) or ColumnRule(type=kind) for name, kind in added.types.items()}


def with_added(
    batches: Callable[[], Iterable[Batch]],
    added: AddedColumns,
    rules: Mapping[str, ColumnRule],
    data: DataSpec,
) -> Callable[[], Iterator[Batch]]:
    """Return batches of rows with the columns that are added to them."""
    names = list(added.reads)
    types = [Typing(rules[name].type, rules[name].format, data.zone_of(name)) for name in names]

    def read() -> Iterator[Batch]:
        for batch in batches():
            made = added.of(cast_all(batch.frame.select(names), types))
            yield replace(batch, frame=batch.frame.hstack(made))

    return read
