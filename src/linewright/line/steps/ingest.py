"""The steps ``ingest`` and ``split``: from sources to a dataset version whose rows are split."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import msgspec
import numpy as np
import polars as pl

from linewright.data.dataset.event_time import moments
from linewright.data.dataset.served_rows import Logged
from linewright.data.dataset.split import identities, split
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import AnnotatedRows, Column, Dataset, Ingested, Split
from linewright.data.ingest import GivenLabels, ingest
from linewright.data.read.source import Source
from linewright.data.spec import ColumnRule
from linewright.data.table.build import read_served
from linewright.errors import ContractBreach, SpecError
from linewright.features.facts import FeatureViews, ViewRead
from linewright.line.check.contradictions import contradictions_of, refuse
from linewright.line.check.dataset_checks import before_of, recalled
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_views
from linewright.line.predict.sql_columns import rows_with_made
from linewright.line.retention.forgotten_rows import are_forgotten, forgotten_in_view
from linewright.line.run_context import LIVE, Work, missing_texts
from linewright.line.spec import LineSpec
from linewright.line.steps.tasks.forecast_labels import settle
from linewright.line.views.point_in_time_join import ViewColumns
from linewright.line.views.read_events import ViewEvents, read_events
from linewright.line.views.sources import SENT, VIEW
from linewright.model.facts import Package, RequestColumn
from linewright.model.pictures import check_picture
from linewright.serve.rows.body.reader import converter

ANSWERED_AT = "\0answered at"
"""No column of a table has such a name."""


def ingest_step(work: Work) -> Ingested:
    """Read the sources, check the contract, keep a dataset version."""
    factory = work.factory
    try:
        served = [] if work.as_of is None else served_rows(factory, work.spec, work.as_of)
        views = opened_views(work)
        ingested = ingest(
            factory.context,
            work.spec,
            factory.root,
            served,
            factory.scratch,
            forgotten=are_forgotten(factory, work.spec.line),
            labels=given_labels(work),
            check_file=check_picture,
            opened=work.once(LIVE, dict),
            added=ViewColumns(views, str(work.spec.table.time)) if views else None,
        )
    except (SpecError, ContractBreach) as error:
        if error.details.get("quarantine"):
            error.hint = f"see the rows: linewright datasets {work.spec.line} --quarantine; then {error.hint}"
        raise recalled(error, before_of(factory, work.spec.line)) from error
    if views:
        read = tuple(
            ViewRead(
                facts=one.facts,
                rows=one.rows,
                entities=one.entities.height,
                newest=one.newest,
                newest_known=one.newest_known,
            )
            for one in views
        )
        kept = factory.metadata.keep(FeatureViews(views=read))
        ingested = msgspec.structs.replace(ingested, views=kept)
    if work.spec.forecast is not None:
        settle(work, ingested.dataset, work.spec.forecast)
    return ingested


def opened_views(work: Work) -> list[ViewEvents]:
    """Return the feature views of a line with their rows."""
    opened: Mapping[str, Source] = work.once(LIVE, dict)
    root = work.factory.root
    return [
        read_events(
            view,
            root,
            source=opened.get(VIEW + view.view),
            sent=opened.get(SENT + view.view),
            forgotten=forgotten_in_view(work.factory, view.view),
        )
        for view in read_views(root, work.spec.features)
    ]


def given_labels(work: Work) -> GivenLabels | None:
    """Return the rows of a line that people labelled; `None` if there are none. Those of people who are forgotten are empty."""
    if work.annotated is None:
        return None
    metadata = work.metadata
    annotated = metadata.get(work.annotated.annotated, AnnotatedRows)
    rows = read_dataset(metadata.get(annotated.dataset, Dataset), work.factory.artifacts, metadata)
    has_label = pl.col(work.spec.label.column).is_not_null()
    if work.spec.label.column not in rows.columns:
        return None
    return GivenLabels(annotated=work.annotated.annotated, rows=rows.filter(has_label))


def served_rows(
    factory: Factory, spec: LineSpec, as_of: str, *, is_known: bool = True
) -> list[dict[str, Any]]:
    """Return the rows that were answered and whose label was known at an instant, with it; or those without one.

    A line that explores has none: what was taken of lists favours the model that showed them. They are valued by their
    propensities (`line.release.off_policy`).
    """
    if is_known and spec.recommend is not None and spec.recommend.explore:
        return []
    label, time, name = spec.label.column, spec.table.time, spec.table.key
    read = _time_reader(spec)
    found = [
        (record, truth)
        for record, truth in factory.labels_of(spec.line).labelled(known_by=as_of)
        if (truth is not None) == is_known and (is_known or record.at <= as_of) and not record.is_sum
    ]
    rows: list[dict[str, Any]] = []
    is_text = cache(partial(_has_key_of_text, factory))
    for row, (record, truth) in zip(
        rows_with_made(factory, [record for record, _ in found]), found, strict=True
    ):
        at = {} if time is None or _is_read(read, row.get(time)) else {time: record.at}
        # Who sends a picture may have no key for it; a row that is learned from has one.
        key = {name: record.id} if name and row.get(name) is None and is_text(record.digest) else {}
        rows.append({**row, **at, **key, label: truth.label if truth else None, ANSWERED_AT: record.at})
    return rows


def _has_key_of_text(factory: Factory, package: str) -> bool:
    """Return whether the keys of rows that a model predicted are texts, as the id of a prediction is."""
    read = factory.metadata.get(package, Package)
    return any(one.name == read.key and one.type in {"text", "category"} for one in read.columns)


def _time_reader(spec: LineSpec) -> Callable[[object], Any]:
    """Return what reads a time as the endpoint does, which says in its answer where the time of the answer counts."""
    name = spec.table.time or ""
    rule = spec.contract.columns.get(name) or ColumnRule(type="datetime")
    column = RequestColumn(name=name, type=rule.type, format=rule.format)
    return converter(column, frozenset(missing_texts(spec)))


def _is_read(read: Callable[[object], Any], value: object) -> bool:
    try:
        return read(value) is not None
    except (ValueError, TypeError, OverflowError):
        return False


def in_types_of(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], spec: LineSpec) -> pl.DataFrame:
    """Return rows of JSON values in the types of a dataset's columns, with when they were answered as one more column.

    Of rows with one key the last is taken.
    """
    rules = {
        column.name: ColumnRule.model_validate(
            {"type": column.type, "nullable": column.nullable, "format": column.format}
        )
        for column in columns
    }
    return read_served(rows, {**rules, ANSWERED_AT: ColumnRule(type="datetime")}, spec)


def answered(work: Work) -> pl.DataFrame:
    """Return the answered rows of a retraining as `in_types_of` has them; none where it is no retraining. The log is read once a run."""

    def read() -> pl.DataFrame:
        rows = [] if work.as_of is None else served_rows(work.factory, work.spec, work.as_of)
        return in_types_of(work.dataset.columns, rows, work.spec)

    return work.once("answered", read)


def _logged(work: Work) -> Logged:
    frame = answered(work)
    return Logged(
        identities=identities(frame.drop(ANSWERED_AT), work.spec),
        at=moments(frame[ANSWERED_AT]),
        since=work.shift,
    )


def moments_of_rows(work: Work) -> np.ndarray | None:
    """Return when each row of a retraining happened, shape (n,), as far as it is known; `None` where it is no retraining.

    Where no column says it, rows that were answered happened then, and the others before them.
    """
    if work.as_of is None:
        return None
    frame, time = work.rows.frame, work.spec.table.time
    if work.split.by == "time":
        return moments(frame[str(time)])
    return _logged(work).moments_of(identities(frame, work.spec))


def split_step(work: Work) -> Split:
    """Part the rows into training and test."""
    refuse(contradictions_of(work))
    return split(
        work.factory.context,
        work.ingested.dataset,
        work.dataset,
        work.spec.train.split,
        work.spec,
        as_of=work.as_of,
        times_enough=work.times_enough,
        logged=None if work.as_of is None else _logged(work),
    )
