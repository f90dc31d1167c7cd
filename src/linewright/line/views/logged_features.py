"""Whether logged rows have what their feature views knew as they came: it is computed again from the sources, and compared bit by bit."""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from linewright.errors import NotFound
from linewright.features.facts import FeatureAudit, FeatureDifference, ViewFacts
from linewright.features.spec import ViewSpec
from linewright.features.views.records import aggregates_of, known_by
from linewright.features.views.windows import Events, Ints, values_at
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_view
from linewright.line.retention.forgotten_rows import forgotten_in_view
from linewright.line.views.read_events import ViewRows, read_rows
from linewright.line.views.sources import open_view
from linewright.model.facts import Package
from linewright.serve.facts import LoggedLookup, Prediction
from linewright.serve.rows.body.scalars import spell
from linewright.store.clock import micros_of

MOST_NAMED = 20
_PAGE = 2_000


class _Logged(NamedTuple):
    record: Prediction
    looked: LoggedLookup


def audit_views(factory: Factory, line: str, *, sample: int) -> FeatureAudit:
    """Compute the columns of feature views of the newest logged rows again."""
    rows, of_files = _rows(factory, line, sample)
    found = list[FeatureDifference]()
    values, behind = 0, set[str]()
    for facts, those in _by_view(factory, rows):
        one = _compared(factory, facts, those)
        found += one.differing
        values += one.values
        behind |= one.behind
    order = {record.id: place for place, record in enumerate(rows)}
    found.sort(key=lambda one: order[one.id])
    return FeatureAudit(
        line=line,
        rows=len(rows),
        values=values,
        differ=len({one.id for one in found}),
        behind=len(behind),
        first=tuple(found[:MOST_NAMED]),
        newest=rows[0].id if rows else None,
        of_files=of_files,
    )


def _rows(factory: Factory, line: str, most: int) -> tuple[list[Prediction], int]:
    """Return the newest logged rows that got columns of views, the newest first, and how many of files were passed over."""
    labels, before = factory.labels_of(line), None
    found, of_files = list[Prediction](), Counter[str]()
    while len(found) < most:
        page = [record for record, _ in labels.latest(_PAGE, before=before)]
        if not page:
            break
        before = page[-1].id
        for record in page:
            if len(found) == most:
                break
            if record.features and record.row:
                found.append(record)
            elif record.via == "batch":
                of_files[record.digest] += 1
    return found, sum(rows for digest, rows in of_files.items() if _has_views(factory, digest))


def _has_views(factory: Factory, digest: str) -> bool:
    try:
        return bool(factory.metadata.get(digest, Package).views)
    except NotFound:  # retention dropped it
        return False


def _by_view(factory: Factory, rows: Sequence[Prediction]) -> Iterator[tuple[ViewFacts, list[_Logged]]]:
    """Give rows by the view that they got columns of, as the model of their answer had learned it."""
    packages = {
        digest: factory.metadata.get(digest, Package) for digest in {record.digest for record in rows}
    }
    found: dict[ViewFacts, list[_Logged]] = {}
    for record in rows:
        for facts in packages[record.digest].views:
            looked = record.features.get(facts.view) if record.features else None
            if looked is not None and not looked.defaulted:
                found.setdefault(facts, []).append(_Logged(record, looked))
    yield from found.items()


class _Compared(NamedTuple):
    differing: list[FeatureDifference]
    values: int
    behind: set[str]


def _compared(factory: Factory, facts: ViewFacts, rows: Sequence[_Logged]) -> _Compared:
    view = ViewSpec.of(facts, read_view(factory.root, facts.view))
    forgotten = forgotten_in_view(factory, facts.view)
    read = read_rows(view, factory.root, source=open_view(view, factory), forgotten=forgotten)
    named = pl.DataFrame(
        {name: [spell(one.record.row.get(name)) for one in rows] for name in facts.entity},
        schema=dict.fromkeys(facts.entity, pl.String),
    )
    # What a row of another line had got before its person was forgotten cannot be computed again.
    is_known = np.ones(len(rows), dtype=np.bool_)
    for name in facts.entity:
        is_known &= ~forgotten[name](named[name]) if name in forgotten else True
    rows = [one for one, known in zip(rows, is_known.tolist(), strict=True) if known]
    named = named.filter(pl.Series(is_known))
    numbers = read.numbers_of(named)
    moments = np.array([micros_of(one.record.at) for one in rows], dtype=np.int64)
    mine = read.about(numbers)
    then = _values(mine.events(), numbers, moments, facts)
    differing, behind = list[FeatureDifference](), set[str]()
    for places, counted in _counted(mine, rows):
        computed = _values(counted, numbers[places], moments[places], facts)
        for column, values in computed.items():
            for place, value in zip(places, values, strict=True):
                record = rows[place].record
                if not same(record.row.get(column), value):
                    differing.append(
                        FeatureDifference(
                            id=record.id,
                            at=record.at,
                            view=facts.view,
                            column=column,
                            logged=record.row.get(column),
                            computed=value,
                        )
                    )
                elif not same(value, then[column][place]):
                    behind.add(record.id)
    return _Compared(differing, len(rows) * len(facts.columns), behind)


def _counted(mine: ViewRows, rows: Sequence[_Logged]) -> Iterator[tuple[list[int], Events]]:
    """Give the places of rows for which the same was known, with the events as they were known then."""

    def read_by(place: int) -> str | None:
        return rows[place].looked.table

    def known(place: int) -> str:
        return rows[place].looked.known

    order = sorted(range(len(rows)), key=lambda place: (read_by(place) or "", known(place)))
    for read, those in groupby(order, key=read_by):
        events = mine.events(read_by=None if read is None else micros_of(read))
        for moment, places in groupby(those, key=known):
            yield list(places), known_by(events, micros_of(moment))


def _values(events: Events, numbers: Ints, moments: Ints, facts: ViewFacts) -> Mapping[str, list[Any]]:
    found = values_at(events, events.slices(numbers), moments, aggregates_of(facts))
    return {name: column.to_list() for name, column in found.items()}


def same(logged: object, computed: object) -> bool:
    """Return whether a value that was logged is the one that was computed: of numbers each bit.

    Examples
    --------
    >>> same(3, 3.0), same(0.1 + 0.2, 0.3), same(None, 0.0), same("a", "a")
    (True, False, False, True)
    """
    if isinstance(logged, bool) or not (
        isinstance(logged, int | float) and isinstance(computed, int | float)
    ):
        return logged == computed
    return struct.pack("d", logged) == struct.pack("d", computed)
