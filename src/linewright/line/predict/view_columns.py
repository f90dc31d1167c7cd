"""Rows of a file with the columns of feature views that they do not bring: of each row, as they were known at its time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.errors import RequestError
from linewright.features.spec import ViewSpec
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_view
from linewright.line.predict.input_file import Handed, HandedPart, line_as_served
from linewright.line.retention.forgotten_rows import forgotten_in_view
from linewright.line.views.point_in_time_join import columns_at
from linewright.line.views.read_events import LONG_AGO, ViewEvents, read_events, to_micros
from linewright.line.views.sources import open_view
from linewright.model.facts import Package, RequestColumn
from linewright.store.clock import micros_of


@dataclass(frozen=True, kw_only=True)
class _WithViews(Handed):
    """The rows of a file, with the columns of views behind them."""

    inner: Handed
    views: Sequence[ViewEvents]
    made: tuple[str, ...]
    time: RequestColumn | None
    """`None`: of now."""
    zone: str | None
    now: int
    """Microseconds since 1970."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.inner.columns, *self.made)

    def parts(self) -> Iterator[HandedPart]:
        for part in self.inner.parts():
            yield part._replace(frame=part.frame.hstack(self._made_of(part.frame)))

    def _made_of(self, frame: pl.DataFrame) -> list[pl.Series]:
        moments = np.full(frame.height, self.now, dtype=np.int64)
        if self.time is not None:
            moments, is_known = to_micros(frame[self.time.name], self.time.format, self.zone)
            moments = np.where(is_known, moments, LONG_AGO)
        return [
            series
            for view in self.views
            for series in columns_at(view, frame, moments)
            if series.name in self.made
        ]


def with_views(factory: Factory, line: str, handed: Handed, package: Package) -> Handed:
    """Return the rows of a file with the columns of views that the model reads and the file has not.

    The views are computed as the model has learned them, from what their sources hold now. Without a column of the time, of now.
    """
    made = [
        column.name
        for view in package.views
        for column in view.columns
        if column.name in package.encoder.columns and column.name not in handed.columns
    ]
    if not made:
        return handed
    for view in package.views:
        lacking = [name for name in view.entity if name not in handed.columns]
        if lacking and any(column.name in made for column in view.columns):
            raise RequestError(
                f"the file lacks {lacking[0]!r}, by which feature view {view.view!r} is looked up",
                where=str(handed.file),
                found=", ".join(handed.columns),
                hint="add it, or the columns of the view",
            )
    spec, _ = line_as_served(factory, line)
    time = next((one for one in package.columns if one.name == spec.table.time), None)
    says = ""
    if time is not None and time.name not in handed.columns:
        says = f"the file has no column {time.name!r}, so features are those of now"
    return _WithViews(
        handed.file,
        handed.source,
        "; ".join(filter(None, (handed.note, says))),
        inner=handed,
        views=[
            read_events(
                view,
                factory.root,
                source=open_view(view, factory),
                forgotten=forgotten_in_view(factory, view.view),
            )
            for facts in package.views
            for view in [ViewSpec.of(facts, read_view(factory.root, facts.view))]
            if any(column.name in made for column in facts.columns)
        ],
        made=tuple(made),
        time=None if says else time,
        zone=spec.table.zone,
        now=micros_of(factory.now()),
    )
