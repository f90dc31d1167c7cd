"""The label of a line that looks for anomalies: rows are good unless a label says otherwise."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace

import polars as pl

from linewright.data.read.batches import Batch
from linewright.data.spec import LabelSpec
from linewright.text.good_and_faulty import good_and_faulty


def unlabelled(batches: Callable[[], Iterable[Batch]], column: str) -> Callable[[], Iterator[Batch]]:
    """Return batches of rows with a label column that has no value."""

    def read() -> Iterator[Batch]:
        for batch in batches():
            yield replace(batch, frame=without_label(batch.frame, column))

    return read


def without_label(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Return rows with one more column, which has no value."""
    return frame.with_columns(pl.lit(None, dtype=pl.String).alias(column))


def with_good(frame: pl.DataFrame, label: LabelSpec) -> pl.DataFrame:
    """Return rows whose label is a text in each of them; those without a label are good.

    Examples
    --------
    >>> rows = pl.DataFrame({"state": ["faulty", None, "good"]})
    >>> with_good(rows, LabelSpec(column="state"))["state"].to_list()
    ['faulty', 'good', 'good']
    """
    said = frame[label.column].cast(pl.String)
    different: Collection[str] = said.drop_nulls().unique().sort().to_list()
    good, _ = good_and_faulty(different, label.positive, has_gaps=said.null_count() > 0)
    return frame.with_columns(said.fill_null(good))
