"""The slice of rows in which what an alert found is worst: rows of before the champion served, and those of the windows that showed it."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import polars as pl

from linewright.errors import Conflict
from linewright.features.encode import Columns, Levels, Numbers
from linewright.features.learn import to_columns
from linewright.line.factory import Factory
from linewright.line.loop.performance import scores_of
from linewright.line.loop.reference import arrays, broken_rows, predictions, rows_before, seen_by
from linewright.line.loop.watched import OF_ROWS, Cell, cells_of_summary
from linewright.line.spec import LineSpec
from linewright.line.split_rows import label_text
from linewright.line.steps.explained_inputs import inputs_of
from linewright.model.explain.inputs import Input
from linewright.model.explain.slices import Parts, parts_of
from linewright.model.explanation_text import where_in_words
from linewright.model.facts import Condition
from linewright.model.package.model import Model, load
from linewright.model.tasks import task
from linewright.serve.facts import Prediction
from linewright.serve.rows.scorer import Scorer
from linewright.store.protocols import Version
from linewright.store.values import digest_of
from linewright.watch.facts import (
    Alerted,
    Confirmations,
    Counts,
    Monitor,
    Performance,
    Reference,
    Summary,
    Watched,
    Window,
)
from linewright.watch.histograms import cells_of
from linewright.watch.worst_slice import FEWEST, Codes, Divided, Estimated, Worst, worst_rise, worst_shift

MOST = 10_000
"""Rows of either side that are looked at: of more, so many at random."""
_OF_DATA: frozenset[Monitor] = frozenset({"drift", "missing", "unseen", "prediction", "contract"})
T = TypeVar("T")


class SliceEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class AlertSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The slice of rows in which what an alert found is worst."""

    conditions: tuple[Condition, ...]
    where: tuple[str, ...]
    """The conditions in words; all of them hold."""
    within: SliceEstimate
    """The shift, or the rise of the loss, in the slice."""
    elsewhere: SliceEstimate
    """The same of all other rows."""
    more: SliceEstimate
    """By how much it is larger in the slice."""
    then: int
    now: int
    """Rows of the slice that it was measured on."""
    cells: tuple[Cell, ...] = ()
    """How all rows of the slice are spread, if the alert is about how a column is spread."""


class WorstSlice(msgspec.Struct, frozen=True, kw_only=True):
    """Where what an alert found is worst."""

    alert: str
    line: str
    column: str | None
    """The column that the alert is about; `None` if it is about the answers, or about none."""
    measure: Literal["psi", "loss"] | None
    """``psi``: how far a column or the answers moved. ``loss``: by how much the loss of a row rose. `None` if the monitor looks at no rows."""
    loss: str
    """Name of the loss; empty for ``psi``."""
    then: int
    """Rows of before that were looked at."""
    now: int
    """Rows of the windows that showed it."""
    looked_at: int
    """Slices that were looked at, on one half of the rows; what is said of the worst is from the other half."""
    fewest: int
    """Rows that each half of a slice must have, before and now."""
    worst: AlertSlice | None
    """`None` if no slice has enough rows."""


class _Compared(NamedTuple):
    """Rows of before and of now, in slices."""

    divided: Sequence[Divided]
    parts: Sequence[Parts]


def worst_slice(factory: Factory, alert: Alerted) -> WorstSlice:
    """Find the slice in which what an alert found is worst."""
    if alert.monitor not in OF_ROWS:
        return _result(alert, measure=None)
    spec = factory.line(alert.line)
    versions = factory.metadata.versions(alert.line)
    champion = next((one for one in versions if one.digest == alert.package), None)
    if champion is None:
        raise Conflict("the model that the alert is about is not registered", found=alert.package)
    model = load(champion.digest, factory.artifacts.get, factory.features_of)
    seed = factory.context.seed(digest_of(["worst slice", alert.id]))
    if alert.monitor in _OF_DATA:
        return _shifted(factory, spec, alert, champion, model, seed=seed)
    return _worse(factory, spec, alert, champion, model, seed=seed)


def _shifted(
    factory: Factory, spec: LineSpec, alert: Alerted, champion: Version, model: Model, *, seed: int
) -> WorstSlice:
    windows = _windows(factory, alert)
    records = _some(_logged(factory, alert, windows), seed)
    before = rows_before(factory, spec, champion)
    frame = _some_rows(before.tested if alert.monitor == "prediction" else before.recent, seed)
    if not records or frame.is_empty():
        return _result(alert, measure="psi", then=frame.height, now=len(records))
    scorer, encoder = _scorer(model), model.package.encoder
    then, now = to_columns(frame, encoder.columns), scorer.read([one.row for one in records])
    answers = (
        (scorer.columns(then), [one.answer for one in records]) if alert.monitor == "prediction" else None
    )
    summary = _summary(factory, alert, windows)
    codes = _codes(alert, (then, now), answers, summary=summary, spec=spec, model=model)
    if codes is None:
        return _result(alert, measure="psi", then=frame.height, now=len(records))
    compared = _compared(model, then, now, without=alert.column)
    cells = max(int(one.max(initial=0)) for one in codes) + 1
    worst, looked_at = worst_shift(compared.divided, *codes, cells, seed=seed)
    shown = () if worst is None else _cells(worst, compared, codes, alert, summary)
    return _result(
        alert,
        measure="psi",
        then=frame.height,
        now=len(records),
        looked_at=looked_at,
        worst=_slice_of(worst, compared, shown),
    )


def _worse(
    factory: Factory, spec: LineSpec, alert: Alerted, champion: Version, model: Model, *, seed: int
) -> WorstSlice:
    package, rules = model.package, task(model.package.task)
    found = _some(_labelled(factory, alert), seed)
    tested = rows_before(factory, spec, champion).tested
    frame = _some_rows(tested.filter(pl.col(package.label).is_not_null()), seed)
    if not found or frame.is_empty():
        return _result(alert, measure="loss", loss=rules.loss_name, then=frame.height, now=len(found))
    scorer = _scorer(model)
    then, now = to_columns(frame, package.encoder.columns), scorer.read([one.row for one, _ in found])

    def losses(labels: Sequence[str], answers: Sequence[Mapping[str, Any]]) -> np.ndarray:
        names = package.classes or package.encoder.listed
        return rules.row_loss(rules.target(labels, names), scores_of(answers, package))

    compared = _compared(model, then, now, without=None)
    worst, looked_at = worst_rise(
        compared.divided,
        losses(label_text(frame, package.label), scorer.columns(then)),
        losses([label for _, label in found], [one.answer for one, _ in found]),
        seed=seed,
    )
    return _result(
        alert,
        measure="loss",
        loss=rules.loss_name,
        then=frame.height,
        now=len(found),
        looked_at=looked_at,
        worst=_slice_of(worst, compared, ()),
    )


# Rows


def _scorer(model: Model) -> Scorer:
    return Scorer(model, answered=True)


def _windows(factory: Factory, alert: Alerted) -> list[Watched]:
    """Return the windows that showed an alert about data, oldest first, and the one before them if there is one."""
    closed = factory.metadata.events(Watched, line=alert.line)
    showed = [
        place
        for place, one in enumerate(closed)
        if alert.since <= one.start and one.at <= alert.at and one.package == alert.package and one.n
    ]
    return closed[max(0, showed[0] - 1) : showed[-1] + 1] if showed else []


def _logged(factory: Factory, alert: Alerted, windows: Sequence[Watched]) -> Iterable[Prediction]:
    """Give the answers of the model of an alert in the windows that showed it."""
    if not windows:
        return
    before = windows[0].position if windows[0].start < alert.since else {}
    found = factory.labels_of(alert.line).labelled(
        known_by=factory.now(), after=before, until=windows[-1].position
    )
    for record, _ in found:
        if record.digest == alert.package and record.row and record.is_judged and record.at >= alert.since:
            yield record


def _labelled(factory: Factory, alert: Alerted) -> Iterable[tuple[Prediction, str]]:
    """Give its answers in the time that showed it, each with its label."""
    kinds = dict(factory.metadata.find(alert.evidence))
    feedback = factory.labels_of(alert.line)
    if kinds.get(alert.evidence) == "performance":
        shown = factory.metadata.get(alert.evidence, Performance)
        start, end, arrived = shown.start, shown.end, shown.arrived
    else:
        windows = factory.metadata.get(alert.evidence, Confirmations).windows
        start, end, arrived = windows[0].start, windows[-1].end, False
    after, until = _positions(factory, alert.line, start, end)
    found = (
        feedback.arrived(start, end)
        if arrived
        else feedback.labelled(known_by=factory.now(), after=after, until=until)
    )
    for record, label in found:
        is_then = arrived or start <= record.at < end
        if (
            label is not None
            and is_then
            and record.digest == alert.package
            and record.row
            and record.is_judged
        ):
            yield record, str(label.label)


def _positions(
    factory: Factory, line: str, start: str, end: str
) -> tuple[Mapping[str, int] | None, Mapping[str, int] | None]:
    """Return between which positions of the log the windows of a time are; the whole log if none was closed then."""
    closed = factory.metadata.events(Watched, line=line)
    then = [place for place, one in enumerate(closed) if one.start < end and start < one.end]
    if not then:
        return None, None
    return closed[then[0] - 1].position if then[0] else None, closed[then[-1]].position


def _some(found: Iterable[T], seed: int) -> list[T]:
    """Return all, or of very many some at random: algorithm R of Vitter (1985)."""
    chance, kept = random.Random(seed), list[T]()  # noqa: S311 -- draws rows, and guards nothing
    for number, one in enumerate(found):
        if number < MOST:
            kept.append(one)
        elif (place := chance.randrange(number + 1)) < MOST:
            kept[place] = one
    return kept


def _some_rows(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame if frame.height <= MOST else frame.sample(MOST, seed=seed)


# Cells and slices


def _summary(factory: Factory, alert: Alerted, windows: Sequence[Watched]) -> Summary | None:
    """Return how the column of an alert, or the answers, were spread before; `None` if its monitor counts other cells."""
    if alert.monitor == "contract" or not windows:
        return None
    window = factory.metadata.get(windows[-1].window, Window)
    reference = factory.metadata.get(window.reference, Reference)
    if alert.column is None:
        return reference.prediction
    return next((one for one in reference.columns if one.name == alert.column), None)


def _codes(
    alert: Alerted,
    columns: tuple[Columns, Columns],
    answers: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None,
    *,
    summary: Summary | None,
    spec: LineSpec,
    model: Model,
) -> tuple[Codes, Codes] | None:
    """Return the cell of each row that the monitor of an alert counts; `None` if it cannot be known any more."""
    if alert.monitor == "contract":
        broken = [broken_rows(one, spec.contract).get(alert.column or "") for one in columns]
        then, now = (None if one is None else np.where(one, 0, 1).astype(np.int64) for one in broken)
        return None if then is None or now is None else (then, now)
    if summary is None:
        return None
    if answers is not None:
        said = [predictions(one, model.package) for one in answers]
    else:
        found = [arrays(one, model).get(summary.name) for one in columns]
        said = [one for one in found if one is not None]
    if len(said) != 2:
        return None
    seen = seen_by(model.package.encoder).get(summary.name)
    then, now = (_watched(cells_of(summary, one, seen), summary, alert.monitor) for one in said)
    return then, now


def _watched(codes: Codes, summary: Summary, monitor: Monitor) -> Codes:
    """Return the cells that a monitor counts: all, or one that it looks at and the rest."""
    other = len(summary.counts.counts)
    if monitor == "missing":
        return np.where(codes == other + 1, 0, 1)
    if monitor == "unseen":
        return np.where(codes == other + 1, -1, np.where(codes == other + 2, 0, 1))
    return np.where(codes > other, -1, codes)


def _compared(model: Model, then: Columns, now: Columns, *, without: str | None) -> _Compared:
    """Divide rows by each column that the model reads, but for one: numbers at fifths of before, categories by the most frequent."""
    encoder = model.package.encoder
    both = [
        _joined(before, after)
        for before, after in zip(inputs_of(encoder, then), inputs_of(encoder, now), strict=True)
        if before.name != without
    ]
    rows = _rows_of(then)
    is_then = np.arange(rows + _rows_of(now)) < rows
    parts = [parts_of(one, is_then) for one in both]
    return _Compared(
        divided=[
            Divided(
                then=one.codes[:rows].astype(np.int64),
                now=one.codes[rows:].astype(np.int64),
                parts=len(one.conditions),
            )
            for one in parts
        ],
        parts=parts,
    )


def _rows_of(columns: Columns) -> int:
    values = next(iter(columns.values()))
    match values:
        case Numbers(values=numbers):
            return len(numbers)
        case Levels(codes=codes):
            return len(codes)
        case _:
            return len(values.micros)


def _joined(then: Input, now: Input) -> Input:
    """Return what a column says of the rows of before, and then of those of now."""
    if then.kind != "category":
        return replace(then, values=np.concatenate([then.values, now.values]))
    levels = tuple(dict.fromkeys([*then.levels, *now.levels]))
    place = {level: float(code) for code, level in enumerate(levels)}
    moved = np.array([*(place[level] for level in now.levels), np.nan])
    is_known = ~np.isnan(now.values)
    codes = np.where(is_known, now.values, -1).astype(np.intp)
    return replace(then, values=np.concatenate([then.values, moved[codes]]), levels=levels)


def _cells(
    worst: Worst, compared: _Compared, codes: tuple[Codes, Codes], alert: Alerted, summary: Summary | None
) -> tuple[Cell, ...]:
    """Return how all rows of the slice are spread, for monitors that compare how a column or the answers are spread."""
    if summary is None or alert.monitor not in {"drift", "prediction"}:
        return ()
    divided, listed = compared.divided[worst.column], len(summary.counts.counts)
    rows = [
        np.bincount(code[(part == worst.part) & (code >= 0)], minlength=listed + 1).tolist()
        for code, part in zip(codes, (divided.then, divided.now), strict=True)
    ]
    then, now = (Counts(name=summary.name, counts=tuple(one[:listed]), other=one[listed]) for one in rows)
    return cells_of_summary(summary, then, now)


def _slice_of(worst: Worst | None, compared: _Compared, cells: tuple[Cell, ...]) -> AlertSlice | None:
    if worst is None:
        return None
    conditions = (compared.parts[worst.column].conditions[worst.part],)
    return AlertSlice(
        conditions=conditions,
        where=tuple(where_in_words(conditions)),
        within=_estimate(worst.within),
        elsewhere=_estimate(worst.elsewhere),
        more=_estimate(worst.more),
        then=worst.then,
        now=worst.now,
        cells=cells,
    )


def _estimate(one: Estimated) -> SliceEstimate:
    return SliceEstimate(value=one.value, low=one.low, high=one.high)


def _result(
    alert: Alerted,
    *,
    measure: Literal["psi", "loss"] | None,
    loss: str = "",
    then: int = 0,
    now: int = 0,
    looked_at: int = 0,
    worst: AlertSlice | None = None,
) -> WorstSlice:
    return WorstSlice(
        alert=alert.id,
        line=alert.line,
        column=alert.column,
        measure=measure,
        loss=loss,
        then=then,
        now=now,
        looked_at=looked_at,
        fewest=FEWEST,
        worst=worst,
    )
