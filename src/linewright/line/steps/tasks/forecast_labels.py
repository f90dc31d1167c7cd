"""What came of forecasts that were logged: newer values say it, so that no feedback is needed."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
import polars as pl

from linewright.data.dataset.event_time import moments
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.data.spec import RECENT, UNTIL, ForecastSpec
from linewright.data.table.series_rows import Steps, steps_of
from linewright.errors import NotFound, RequestError
from linewright.line.run_context import Work
from linewright.line.spec import LineSpec
from linewright.line.split_rows import label_text
from linewright.model.facts import Package
from linewright.serve.facts import Prediction
from linewright.serve.feedback.parse import MAX_LABELS
from linewright.serve.rows.body.reader import converter
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.text.lists import read_numbers, to_list_text
from linewright.text.steps import every_in, step_numbers


def steps_in(frame: pl.DataFrame, line: LineSpec, spec: ForecastSpec) -> Steps:
    """Return how the values of a dataset of series follow each other."""
    time = str(line.table.time)
    frame = frame.drop_nulls(UNTIL)
    apart = moments(frame[UNTIL]) - moments(frame[time])
    return steps_of(
        spec, float(np.median(apart)) / spec.horizon, is_number=not frame[time].dtype.is_temporal()
    )


def settle(work: Work, dataset: str, spec: ForecastSpec) -> int:
    """Keep what came of forecasts that were logged, as far as a dataset version tells of all their steps; return how many.

    A forecast that has a label already keeps it.
    """
    factory, time = work.factory, str(work.spec.table.time)
    feedback = factory.labels_of(work.spec.line)
    waiting: dict[str, list[Prediction]] = {}
    for record, label in feedback.labelled(known_by=factory.now()):
        if label is None and record.row:
            waiting.setdefault(record.digest, []).append(record)
    if not waiting:
        return 0
    frame = read_dataset(work.metadata.get(dataset, Dataset), factory.artifacts, work.metadata)
    came = _came(work, frame, spec)
    kept = 0
    known = lru_cache(1)(
        partial(KnownSeries, get=factory.artifacts.get)
    )  # sums of a day are of the same values
    for digest, records in waiting.items():
        package = work.metadata.get(digest, Package)
        window = package.encoder.window
        column = next((one for one in package.columns if one.name == time), None)
        if window is None or column is None:  # the time had another name then, so its rows do not tell it
            continue
        read = converter(column, frozenset(package.missing))
        labels: list[dict[str, Any]] = []
        for record in records:
            values = _values_of(work, record, package, came, known)
            at = read(record.row.get(time))
            start = int(step_numbers(np.array([at], dtype=np.int64), every_in(window.steps))[0])
            ahead = [values.get(start + step) for step in range(1, len(window.steps) + 1)]
            if values and start + len(window.steps) <= max(values) and any(one is not None for one in ahead):
                labels.append({"id": record.id, "label": ahead})
        for begin in range(0, len(labels), MAX_LABELS):
            kept += feedback.accept(labels[begin : begin + MAX_LABELS], package=package)["accepted"]
    return kept


def _values_of(
    work: Work,
    record: Prediction,
    package: Package,
    came: Mapping[str, dict[int, float]],
    known: Callable[[str], KnownSeries],
) -> dict[int, float]:
    """Return what came of the series of an answer by the number of the step; of a sum where each of its series has a value."""
    digest = record.answer.get("values")
    if digest is None:
        return came.get(_series_of(work, record.row), {})
    try:
        names = known(digest).names_of_parts(record.row, package)
    except (NotFound, RequestError):  # kept no longer: nobody knows which series it was made of
        return {}
    is_one = len(work.spec.table.groups) == 1
    parts = [came.get(name[0] if is_one else to_list_text(name), {}) for name in names]
    steps = set(parts[0]).intersection(*parts[1:]) if parts else set[int]()
    return {step: sum(part[step] for part in parts) for step in sorted(steps)}


def _series_of(work: Work, row: Mapping[str, Any]) -> str:
    """Return the series of a row that was logged, as rows of the dataset name it."""
    table = work.spec.table
    if len(table.groups) > 1:
        return table.group_of(row) or ""
    return "" if table.group is None else str(row.get(table.group))


def _came(work: Work, frame: pl.DataFrame, spec: ForecastSpec) -> dict[str, dict[int, float]]:
    """Return the values of each series by the number of their step."""
    table, label = work.spec.table, work.spec.label.column
    frame = frame.drop_nulls([label, UNTIL])
    every = steps_in(frame, work.spec, spec).every
    numbers = step_numbers(moments(frame[str(table.time)]).astype(np.int64), every).tolist()
    names = (
        [""] * frame.height if table.group is None else [str(one) for one in label_text(frame, table.group)]
    )
    came: dict[str, dict[int, float]] = {}
    for name, at, recent, ahead in zip(names, numbers, frame[RECENT], frame[label], strict=True):
        values = read_numbers(recent)
        both = [*values, *read_numbers(ahead)]
        own = came.setdefault(name, {})
        for place, value in enumerate(both, start=at - len(values) + 1):
            if not np.isnan(value):
                own[place] = value
    return came
