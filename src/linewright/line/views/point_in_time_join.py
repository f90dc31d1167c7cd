"""Point-in-time join: rows of a table get the columns of feature views, of each row as they were known at its time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import polars as pl

from linewright.data.spec import ColumnType
from linewright.features.views.records import aggregates_of
from linewright.features.views.windows import Ints, values_at
from linewright.line.views.read_events import LONG_AGO, ViewEvents, spelled, to_series


@dataclass(frozen=True)
class ViewColumns:
    """Adds the columns of views to rows, as `data.table.added_columns.AddedColumns` says."""

    views: Sequence[ViewEvents]
    time: str
    """Column of the table with the time of a row."""

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Type of each column of the views."""
        return {
            column.name: cast("ColumnType", column.type) for one in self.views for column in one.facts.columns
        }

    @property
    def entities(self) -> frozenset[str]:
        """The entities of the views."""
        return frozenset(name for one in self.views for name in one.facts.entity)

    @property
    def reads(self) -> Mapping[str, str]:
        """The entities of the views, and the time."""
        entities = {
            name: f"feature view {one.facts.view!r}"
            for one in reversed(self.views)
            for name in one.facts.entity
        }
        return {self.time: "each feature view", **entities}

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the columns of the views of some rows; null for a row without a time, or whose entity is absent."""
        moments = moments_of(rows[self.time])
        return pl.DataFrame([series for one in self.views for series in columns_at(one, rows, moments)])


def moments_of(times: pl.Series) -> Ints:
    """Return dates or times in microseconds since 1970, UTC; a date counts as its start, and a missing one as `LONG_AGO`."""
    micros = times.cast(pl.Datetime("us")).to_physical()
    return cast("Ints", micros.fill_null(LONG_AGO).cast(pl.Int64).to_numpy())


def columns_at(view: ViewEvents, rows: pl.DataFrame, moments: Ints) -> list[pl.Series]:
    """Return the columns of a view of some rows, each at its moment."""
    named = rows.select(spelled(rows[name]) for name in view.facts.entity)
    slices = view.events.slices(view.numbers_of(named))
    found = values_at(view.events, slices, moments, aggregates_of(view.facts))
    return [to_series(name, values) for name, values in found.items()]
