"""Counting rows into cells: once for the reference, then for what serves, by the same code.

A column is a 1-d array: float64 with NaN for missing (numbers, booleans, times as numbers), or object with texts and
`None` (categories). Counting is a stream of batches; what is held does not grow with the rows.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Conflict
from linewright.store.values import digest_of
from linewright.watch.facts import Counts, Reference, Summary, Window

Column = npt.NDArray[Any]
MAX_EDGES = 9
MAX_VALUES = 50
PREDICTION = "prediction"


def reference_of(
    package: str,
    columns: Mapping[str, Column],
    prediction: Column,
    *,
    seen: Mapping[str, Collection[str]] | None = None,
    breaches: Mapping[str, int] | None = None,
) -> Reference:
    """Return how rows that the model has not been trained on are spread.

    Examples
    --------
    >>> columns = {"age": np.arange(20.0), "sex": np.array(["f", "m", None, "f"] * 5, dtype=object)}
    >>> reference = reference_of("sha256:00", columns, np.linspace(0, 1, 20))
    >>> [summary.counts.counts for summary in reference.columns]
    [(2, 2, 2, 2, 2, 2, 2, 2, 2, 2), (10, 5)]
    """
    known = seen or {}
    return Reference(
        package=package,
        n=len(prediction),
        columns=tuple(summarise(name, columns[name], seen=known.get(name)) for name in sorted(columns)),
        prediction=summarise(PREDICTION, prediction),
        breaches=dict(breaches or {}),
    )


def summarise(name: str, column: Column, *, seen: Collection[str] | None = None) -> Summary:
    """Return the cells of a column, and how its rows fall into them.

    Examples
    --------
    >>> summarise("claims", np.array([0.0] * 90 + [1.0, 2.0] * 5)).edges
    (1.0,)
    """
    if column.dtype == object:
        cells = Summary(
            name=name, kind="category", values=_frequent(column, seen), counts=Counts(name=name, counts=())
        )
    else:
        cells = Summary(name=name, kind="number", edges=_edges(column), counts=Counts(name=name, counts=()))
    return msgspec.structs.replace(cells, counts=_count(cells, column, seen))


def _frequent(column: Column, seen: Collection[str] | None) -> tuple[str, ...]:
    found = Counter(
        value for value in column.tolist() if isinstance(value, str) and (seen is None or value in seen)
    )
    return tuple(sorted(found, key=lambda value: (-found[value], value))[:MAX_VALUES])


def _edges(column: Column) -> tuple[float, ...]:
    """Return the deciles, ties merged; a value that at least a tenth of the rows share has a bin of its own."""
    values, counts = np.unique(column[np.isfinite(column)], return_counts=True)
    if len(values) == 0:
        return ()
    if len(values) == 1:  # so that any other value shows
        around = float(values[0]), math.nextafter(float(values[0]), math.inf)
        return tuple(edge for edge in around if math.isfinite(edge))
    total = counts.sum()
    # where a bin ends, the next value begins the next one
    deciles = values[np.searchsorted(np.cumsum(counts), total * np.arange(1, 10) / 10, side="right")]
    after_ties = values[1:][counts[:-1] >= total / 10]
    ties = values[counts >= total / 10]
    edges = np.unique(np.concatenate([deciles, ties, after_ties]))
    return _fewest(edges[edges > values[0]], values, counts)


def _fewest(
    edges: npt.NDArray[np.float64], values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]
) -> tuple[float, ...]:
    """Drop edges until there are at most 9, each time the one that parts the fewest rows."""
    while len(edges) > MAX_EDGES:
        rows = np.bincount(np.searchsorted(edges, values, side="right"), counts, len(edges) + 1)
        edges = np.delete(edges, np.argmin(rows[:-1] + rows[1:]))
    return tuple(edges.tolist())


def _count(cells: Summary, column: Column, seen: Collection[str] | None) -> Counts:
    if cells.kind == "category":
        return _count_texts(cells, column, seen)
    here = np.asarray(column, dtype=np.float64)
    here = here[~np.isnan(here)]
    bins = np.searchsorted(np.asarray(cells.edges), here, side="right")
    counts = np.bincount(bins, minlength=len(cells.edges) + 1)
    return Counts(name=cells.name, counts=tuple(counts.tolist()), missing=len(column) - len(here))


def _count_texts(cells: Summary, column: Column, seen: Collection[str] | None) -> Counts:
    found = Counter(column.tolist())
    listed = {value: found.pop(value, 0) for value in cells.values}
    missing = sum(rows for value, rows in found.items() if not isinstance(value, str))
    unseen = sum(
        rows
        for value, rows in found.items()
        if seen is not None and isinstance(value, str) and value not in seen
    )
    return Counts(
        name=cells.name,
        counts=tuple(listed.values()),
        missing=missing,
        unseen=unseen,
        other=found.total() - missing - unseen,
    )


def cells_of(cells: Summary, column: Column, seen: Collection[str] | None = None) -> npt.NDArray[np.int64]:
    """Return the cell of each row: that of its bin or listed value, then one for other values, missing ones and ones never seen.

    Examples
    --------
    >>> cells = summarise("x", np.array(["a", "a", "b"], dtype=object))
    >>> cells_of(cells, np.array(["b", "c", None], dtype=object), {"a", "b"}).tolist()
    [1, 4, 3]
    """
    listed = len(cells.counts.counts)
    if cells.kind == "category":
        places = {value: place for place, value in enumerate(cells.values)}

        def cell(value: object) -> int:
            if not isinstance(value, str):
                return listed + 1
            is_new = seen is not None and value not in seen
            return places.get(value, listed + 2 if is_new else listed)

        return np.array([cell(value) for value in column.tolist()], dtype=np.int64)
    numbers = np.asarray(column, dtype=np.float64)
    bins = np.searchsorted(np.asarray(cells.edges), numbers, side="right")
    return np.where(np.isnan(numbers), listed + 1, bins)


class Tally:
    """Counts the rows of one window as they come, in the cells of a reference.

    Examples
    --------
    >>> reference = reference_of("sha256:00", {"x": np.arange(10.0)}, np.arange(10.0))
    >>> tally = Tally(reference)
    >>> tally.add({"x": np.array([0.5, np.nan])}, np.array([3.0, 4.0]))
    >>> window = tally.window("claims", "2026-11-25T01:00:00.000000Z", "2026-11-25T02:00:00.000000Z")
    >>> window.n, window.columns[0].missing
    (2, 1)
    """

    def __init__(self, reference: Reference, *, seen: Mapping[str, Collection[str]] | None = None) -> None:
        self._reference, self._seen, self._n = reference, seen or {}, 0
        self._columns = [_none(summary) for summary in reference.columns]
        self._prediction = _none(reference.prediction)
        self._breaches: Counter[str] = Counter()

    def add(
        self,
        columns: Mapping[str, Column],
        prediction: Column,
        *,
        breaches: Mapping[str, int] | None = None,
    ) -> None:
        """Count a batch."""
        self._n += len(prediction)
        self._columns = [
            _sum(before, self._counted(cells, columns.get(cells.name), len(prediction)))
            for before, cells in zip(self._columns, self._reference.columns, strict=True)
        ]
        self._prediction = _sum(self._prediction, _count(self._reference.prediction, prediction, None))
        self._breaches.update(breaches or {})

    def _counted(self, cells: Summary, column: Column | None, rows: int) -> Counts:
        if column is None:
            return msgspec.structs.replace(_none(cells), missing=rows)
        return _count(cells, column, self._seen.get(cells.name))

    def window(self, line: str, start: str, end: str) -> Window:
        """Return what was counted so far, as the window from `start` until before `end`."""
        return Window(
            line=line,
            package=self._reference.package,
            reference=digest_of(self._reference),
            start=start,
            end=end,
            n=self._n,
            columns=tuple(self._columns),
            prediction=self._prediction,
            breaches=dict(self._breaches),
        )


def pooled(windows: Sequence[Window]) -> Window:
    """Return windows of one line and reference as one, from the first start to the last end."""
    first = windows[0]
    if len({(window.line, window.reference) for window in windows}) > 1:
        raise Conflict(
            "windows of different references cannot be added",
            where=first.line,
            hint="pool the windows of one model",
        )
    breaches: Counter[str] = Counter()
    for window in windows:
        breaches.update(window.breaches)
    return msgspec.structs.replace(
        first,
        start=min(window.start for window in windows),
        end=max(window.end for window in windows),
        n=sum(window.n for window in windows),
        columns=tuple(_total(each) for each in zip(*(window.columns for window in windows), strict=True)),
        prediction=_total([window.prediction for window in windows]),
        breaches=dict(breaches),
    )


def _total(parts: Sequence[Counts]) -> Counts:
    total = parts[0]
    for part in parts[1:]:
        total = _sum(total, part)
    return total


def _sum(left: Counts, right: Counts) -> Counts:
    return Counts(
        name=left.name,
        counts=tuple(a + b for a, b in zip(left.counts, right.counts, strict=True)),
        missing=left.missing + right.missing,
        other=left.other + right.other,
        unseen=left.unseen + right.unseen,
    )


def _none(cells: Summary) -> Counts:
    return Counts(name=cells.name, counts=(0,) * len(cells.counts.counts))
