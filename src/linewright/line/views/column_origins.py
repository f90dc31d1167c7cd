"""Which columns of sources the columns of a line's table are made of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from linewright.data.facts import Dataset, Ingested
from linewright.data.spec import table_sources
from linewright.features.facts import NO_TIME, FeatureViews, ViewFacts, ViewRead
from linewright.features.views.aggregates import Aggregate, read_aggregate, read_condition
from linewright.line.spec import LineSpec
from linewright.store.protocols import MetadataReader

How = Literal["same", "expression", "window", "rows"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a source that a column of a table is made of."""

    source: str
    """As in the line file; of a feature view, its name."""
    column: str
    how: How
    """
    - ``same``: it is that column;
    - ``expression``: `table.sql` computes it;
    - ``window``: the feature view computes it from the column;
    - ``rows``: the column says which rows of the feature view count, as its time or key does.
    """
    says: str = ""
    """The expression, or what the view computes; empty if it is that column."""


def views_in(metadata: MetadataReader, ingested: Ingested) -> tuple[ViewRead, ...]:
    """Return the feature views whose columns the rows have that were read."""
    return () if ingested.views is None else metadata.get(ingested.views, FeatureViews).views


def origins(
    spec: LineSpec, ingested: Ingested, dataset: Dataset, views: Sequence[ViewFacts]
) -> Mapping[str, tuple[Origin, ...]]:
    """Return which columns of sources each column of a table is made of, as far as that is known.

    Of a line that recommends or forecasts, and of a join in SQL but for what a request sends too, it is not.
    """
    of_views = {column: made for view in views for column, made in view_origins(view).items()}
    if spec.recommend is not None or spec.forecast is not None:
        return of_views
    sql, names = ingested.row_sql, list(table_sources(spec))
    found = dict[str, tuple[Origin, ...]]()
    if sql is not None and sql.source:
        for one in sql.expressions:
            found[one.name] = tuple(
                Origin(source=sql.source, column=column, how="expression", says=one.sql)
                for column in one.reads
            )
    elif sql is None and spec.table.sql is None and len(names) == 1:
        own = (one.name for one in dataset.columns if one.name not in of_views)
        found = {name: (Origin(source=names[0], column=name, how="same"),) for name in own}
    return {**found, **of_views}


def view_origins(view: ViewFacts) -> Mapping[str, tuple[Origin, ...]]:
    """Return which columns of its source each column of a feature view is made of."""
    time = None if view.time == NO_TIME else view.time
    selecting = [*view.entity, time, view.known, view.key, view.deleted]
    where = () if view.where is None else read_condition(view.where).columns
    rows = list(dict.fromkeys(one for one in (*selecting, *where) if one is not None))
    return {
        one.name: tuple(
            Origin(source=view.view, column=column, how=how, says=one.text)
            for how, columns in _by_use(source_columns(one), rows)
            for column in columns
        )
        for one in (read_aggregate(column.name, column.text) for column in view.columns)
    }


def _by_use(computed: Sequence[str], rows: Sequence[str]) -> Iterator[tuple[How, Sequence[str]]]:
    yield "window", computed
    yield "rows", [one for one in rows if one not in computed]


def source_columns(aggregate: Aggregate) -> tuple[str, ...]:
    """Return the columns of the source that a column of a view is computed from, besides those that say which rows count."""
    return () if aggregate.argument is None else aggregate.argument.columns
