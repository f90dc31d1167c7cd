"""One row predicted without being logged: what a request may hold, the answer with its reasons, and what would change it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import polars as pl
from msgspec.structs import replace

from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.errors import LinewrightError, RequestError
from linewright.features.facts import Category, Frequency
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns
from linewright.line.predict.example_row import columns_of_views, row_to_send
from linewright.line.predict.rows_by_series import series_known
from linewright.line.record.registry import find_model
from linewright.model.facts import Limit, Package, RequestColumn, Trained
from linewright.model.package.model import load, read_golden
from linewright.model.task_facts import has_classes
from linewright.release.promotion import limits_of
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup
from linewright.serve.rows.lookup.known_series import newest_time, with_ages
from linewright.serve.rows.lookup.series_sums import score_rows
from linewright.serve.rows.scorer import Scorer
from linewright.store.protocols import Version
from linewright.text.numbers import figure

MOST_LEVELS = 200
"""Categories that a form offers; a row may have any."""
SAMPLED = 20_000
"""Rows of the training data, the latest, that values are taken from."""
STEPS = 40
"""Values of a column that are tried, at most."""
MOST_TRIED = 5_000
"""Rows that are predicted in search of a change, at most."""
SHOWN = 12
"""Changes that are shown, at most."""


class RequestField(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a row has, for a form."""

    name: str
    type: str
    """``integer``, ``number``, ``boolean``, ``category``, ``text``, ``date``, ``datetime``, ``list`` or ``numbers``."""
    is_needed: bool
    """Whether a row without it is refused; a value may still be missing where `nullable`."""
    nullable: bool
    allowed: tuple[str, ...] = ()
    """Values that the contract allows, else those that the model knows; empty where neither lists any."""
    low: float | None = None
    high: float | None = None
    """Ends of what the contract allows."""
    example: Any = None
    looks_up: tuple[str, ...] = ()
    """Feature views whose columns the row gets as they are known of this entity."""
    view: str | None = None
    """Feature view that has the column; a row may have values for its columns instead of the entity, and is not looked up then."""


class RequestForm(msgspec.Struct, frozen=True, kw_only=True):
    """What a row that asks the champion of a line may hold."""

    line: str
    model: str
    """As LINE@VERSION."""
    label: str
    """What is predicted."""
    task: str
    classes: tuple[str, ...]
    fields: tuple[RequestField, ...]
    """The columns that the model reads, and the entities by which some of them are looked up."""


class WouldChange(msgspec.Struct, frozen=True, kw_only=True):
    """Another value of one column, and the answer with it, all else as it is."""

    column: str
    now: Any
    to: Any
    prediction: Any
    """With that value."""
    flips: bool
    """Whether it is another class; of numbers it is never so."""
    probability: float | None = None
    """Of the positive class, or of the predicted one if there are more than two; `None` of numbers."""
    distance: float | None = None
    """Share of recent rows that lie between both values; `None` where values have no order."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a row that somebody tries."""

    line: str
    model: str
    digest: str
    row: dict[str, Any]
    """As it was read."""
    answer: dict[str, Any]
    warnings: tuple[str, ...]
    """What is doubtful in the row."""
    explained: dict[str, Any] | None
    """``score``, ``score_unit``, ``base`` and ``contributions``; `None` where answers of the model cannot be explained."""
    changes: tuple[WouldChange, ...]
    """Changes of one column each: those that change the class come first, the nearest of them before; then what moves the answer most."""
    looked_at: int
    """Rows that were predicted in search of them."""
    columns: int
    """Columns whose values were tried."""


class _Served(NamedTuple):
    version: Version
    package: Package
    limits: Mapping[str, Limit]


def request_form(factory: Factory, line: str) -> RequestForm:
    """Return what a row that asks the champion of a line may hold, with one that it knows as the example."""
    served = _served(factory, line)
    package, example = served.package, dict[str, Any]()
    known = _known_fields(factory, served)
    with suppress(LinewrightError):  # without its golden rows a form has no example
        example = row_to_send(factory, package, read_golden(package, factory.artifacts.get).rows)
    levels = {
        one.column: one.levels for one in package.encoder.encodings if isinstance(one, Category | Frequency)
    }
    hidden = hidden_columns(factory, served.version.line)
    of_views = columns_of_views(package)
    looks_up = {
        name: tuple(view.view for view in package.views if name in view.entity)
        for name in dict.fromkeys(name for view in package.views for name in view.entity)
    }
    columns = {column.name: column for column in package.columns}
    read = [column for column in package.columns if column.role == "feature"]
    carried = [columns[name] for name in looks_up if name in columns and columns[name] not in read]
    fields = (
        *(one for one in known if one.name not in package.encoder.columns),
        *(
            next((one for one in known if one.name == each.name), None)
            or _field(each, served.limits.get(each.name), levels.get(each.name, ()), example.get(each.name))
            for each in (*carried, *read)
        ),
    )
    fields = tuple(
        replace(
            one,
            is_needed=one.is_needed and one.name not in of_views and columns[one.name] not in carried,
            nullable=one.nullable or one.name in of_views,
            looks_up=looks_up.get(one.name, ()),
            view=of_views.get(one.name),
        )
        for one in fields
    )
    return RequestForm(
        line=line,
        model=f"{line}@{served.version.version}",
        label=package.label,
        task=package.task,
        classes=package.classes if has_classes(package.task) else (),
        fields=tuple(replace(one, allowed=(), example=None) if one.name in hidden else one for one in fields),
    )


def _known_fields(factory: Factory, served: _Served) -> tuple[RequestField, ...]:
    """Return the fields of a series whose newest values are known: its name; its values and their time may be left empty."""
    package, window = served.package, served.package.encoder.window
    if window is None or (values := series_known(factory, served.version.line).read()) is None:
        return ()
    columns = {column.name: column for column in package.columns}
    if not values.names or not {*values.keys, window.time, window.recent} <= columns.keys():
        return ()
    newest = newest_time(values, 0)
    examples = {window.time: newest if window.known else None, window.recent: None}
    examples |= dict(zip(values.keys, values.names[0], strict=True))
    allowed = {
        key: tuple(islice(sorted({name[place] for name in values.names}), MOST_LEVELS))
        for place, key in enumerate(values.keys)
    }
    return tuple(
        RequestField(
            name=name,
            type=columns[name].type,
            is_needed=False,
            nullable=True,
            allowed=allowed.get(name, ()),
            example=example,
        )
        for name, example in examples.items()
    )


def _field(column: RequestColumn, limit: Limit | None, levels: Sequence[str], example: Any) -> RequestField:
    known = limit.allowed if limit is not None and limit.allowed else levels
    return RequestField(
        name=column.name,
        type=column.type,
        is_needed=not column.optional,
        nullable=column.nullable,
        allowed=tuple(islice(known, MOST_LEVELS)),
        low=limit.min if limit else None,
        high=limit.max if limit else None,
        example=example,
    )


def try_row(factory: Factory, line: str, row: Mapping[str, Any]) -> Tried:
    """Answer one row by the champion of a line, say why, and find what would change the answer.

    Nothing is logged. Numbers and booleans may be written as text, as a form has them.
    """
    served = _served(factory, line)
    # When the row happened says in which part of a dataset it will be; of one that is not logged nobody asks.
    limits = tuple(replace(limit, is_time=False) for limit in served.limits.values())
    scorer = Scorer(load(served.version.digest, factory.artifacts.get), limits)
    types = {each.name: each.type for each in served.package.columns}
    asked = {name: _typed(value, types.get(name, "text")) for name, value in row.items()}
    series = series_known(factory, served.version.line)
    filled = series.fill([asked], served.package, now=factory.now(), place=_place)
    with closing(FeatureLookup(factory.state, now=factory.now)) as known:
        known.refresh(served.package.views)
        of_views = known.fill(filled.rows, served.package.views, now=factory.now(), place=_place)
    asked = dict(cast("Mapping[str, Any]", of_views.rows[0]))
    x, answers = score_rows(scorer, of_views.rows, _place)
    answer, name = answers[0], f"{line}@{served.version.version}"
    if (newest := filled.newest.get(0)) is not None:
        answer |= {"newest": newest.newest, "age": newest.age}
    try:
        explained = scorer.explain(x, [answer], name=name, rows=[asked])[0]
    except RequestError as error:
        if error.details.get("not_explained") is None:
            raise
        explained = None
    changes, looked_at, columns = _changes(factory, served, scorer, asked, answer, explained)
    return Tried(
        line=line,
        model=name,
        digest=served.version.digest,
        row=asked,
        answer=answer,
        warnings=(
            *of_views.warnings.get(0, ()),
            *with_ages(scorer.warnings(x, [asked], of_views.unknown), filled.newest).get(0, ()),
        ),
        explained=explained,
        changes=changes,
        looked_at=looked_at,
        columns=columns,
    )


def _served(factory: Factory, line: str) -> _Served:
    version = find_model(factory, line)
    limits = limits_of(factory.metadata, version.line, version.version)
    package = factory.metadata.get(version.digest, Package)
    return _Served(version, package, {limit.column: limit for limit in limits})


def _place(_row: int, column: str) -> str:
    return column


def _typed(value: Any, kind: str) -> Any:
    """Return a text of a form as a value of its column; what is not such a value stays as it is, and is refused by its name."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text:
        return None
    if kind == "numbers":
        return value if text.startswith("[") else f"[{text}]"
    if kind == "list":
        parts = text.splitlines() if "\n" in value else text.split(",")  # an item may have a comma
        return value if text.startswith("[") else [one.strip() for one in parts if one.strip()]
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), value)
    if kind not in {"integer", "number"}:
        return value
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        number = float(text)
        return number if math.isfinite(number) else value
    return value


# What would change the answer


class _Candidate(NamedTuple):
    column: str
    value: Any
    distance: float | None


def _changes(  # noqa: PLR0917 -- what is known of one answer
    factory: Factory,
    served: _Served,
    scorer: Scorer,
    row: Mapping[str, Any],
    answer: Mapping[str, Any],
    explained: Mapping[str, Any] | None,
) -> tuple[tuple[WouldChange, ...], int, int]:
    package = served.package
    if package.encoder.listed:
        return (), 0, 0  # any other history is another question
    hidden = hidden_columns(factory, served.version.line)
    names = [one.name for one in package.columns if one.role == "feature" and one.name not in hidden]
    if explained is not None and "contributions" in explained:
        weight = _weights(explained["contributions"], answer["prediction"])
        names.sort(key=lambda name: -weight.get(name, 0.0))
    frame = _recent(factory, package, names[: MOST_TRIED // 4])
    candidates = list(islice(_candidates(frame, row), MOST_TRIED))
    if not candidates:
        return (), 0, 0
    rows = [{**row, one.column: one.value} for one in candidates]
    answers = scorer.answers(scorer.matrix(rows, place=_place))
    is_number = not has_classes(package.task)
    parts_ = [
        WouldChange(
            column=one.column,
            now=row.get(one.column),
            to=one.value,
            prediction=got["prediction"],
            flips=not is_number and got["prediction"] != answer["prediction"],
            probability=None if is_number else _probability(got, package.classes),
            distance=one.distance,
        )
        for one, got in zip(candidates, answers, strict=True)
    ]
    tried = len({one.column for one in candidates})
    return tuple(_told(parts_, answer, package)), len(candidates), tried


def _weights(contributions: Mapping[str, Any], predicted: object) -> dict[str, float]:
    """Return how much each column contributed; of several classes, to the predicted one."""
    of_class = contributions.get(str(predicted))
    found: Mapping[str, Any] = of_class if isinstance(of_class, dict) else contributions
    return {name: abs(float(value)) for name, value in found.items()}


def _probability(answer: Mapping[str, Any], classes: Sequence[str]) -> float:
    if "probabilities" not in answer:
        return float(answer["score"])
    named = classes[-1] if len(classes) == 2 else answer["prediction"]
    return float(answer["probabilities"][named])


def _told(found: Sequence[WouldChange], answer: Mapping[str, Any], package: Package) -> Iterator[WouldChange]:
    """Give one change a column: of those that change the class the nearest, else what moves the answer most."""
    is_number = not has_classes(package.task)
    was = float(answer["prediction"]) if is_number else _probability(answer, package.classes)

    def moved(one: WouldChange) -> float:
        return abs((float(one.prediction) if is_number else one.probability or 0.0) - was)

    by_column: dict[str, WouldChange] = {}
    for one in found:
        best = by_column.get(one.column)
        if best is None or _order(one, moved(one)) < _order(best, moved(best)):
            by_column[one.column] = one
    ordered = sorted(by_column.values(), key=lambda one: _order(one, moved(one)))
    yield from islice((one for one in ordered if one.flips or moved(one) > 0), SHOWN)


def _order(one: WouldChange, moved: float) -> tuple[bool, float, float]:
    # A category has no distance: it counts as half of all rows.
    distance = 0.5 if one.distance is None else one.distance
    return (not one.flips, distance if one.flips else 0.0, -moved)


def _recent(factory: Factory, package: Package, names: Sequence[str]) -> pl.DataFrame:
    """Return the latest rows of what the model was trained from, in the columns that its dataset has; empty where they are gone."""
    trained = factory.metadata.get(package.trained, Trained)
    dataset = factory.metadata.get(trained.dataset, Dataset)
    there = {each.name for each in dataset.columns}
    chunks, rows = list[Any](), 0
    for chunk in reversed(dataset.chunks):
        if rows >= SAMPLED:
            break
        chunks.insert(0, chunk)
        rows += chunk.rows
    some = replace(dataset, chunks=tuple(chunks), rows=rows)
    try:
        frame = read_dataset(
            some, factory.artifacts, factory.metadata, [name for name in names if name in there]
        )
    except LinewrightError:
        return pl.DataFrame()
    return frame.tail(SAMPLED)


def _candidates(frame: pl.DataFrame, row: Mapping[str, Any]) -> Iterator[_Candidate]:
    """Give values that recent rows have, of one column after the other."""
    for column in frame.iter_columns():
        values = column.drop_nulls()
        if values.dtype.is_numeric():
            yield from _numbers(values, row.get(column.name))
        elif values.dtype.is_temporal():
            steps = values.sort().gather(_places(len(values))).unique(maintain_order=True)
            for value in steps:
                yield _Candidate(column.name, _spelled(value), None)
        elif values.dtype == pl.Boolean or (values.n_unique() <= MOST_LEVELS):
            often = values.value_counts(sort=True)[column.name].to_list()
            for value in often[:STEPS]:
                if value != row.get(column.name):
                    yield _Candidate(column.name, value, None)


def _numbers(values: pl.Series, now: Any) -> Iterator[_Candidate]:
    ordered = values.sort().to_numpy()
    is_whole = values.dtype.is_integer()
    is_known = isinstance(now, int | float) and not isinstance(now, bool)
    here = np.searchsorted(ordered, float(now)) / max(1, len(ordered)) if is_known else None
    for value in dict.fromkeys(ordered[_places(len(ordered))].tolist()):
        to = int(value) if is_whole else figure(value, 4)
        if to != now and (is_whole or math.isfinite(to)):
            rank = np.searchsorted(ordered, value) / max(1, len(ordered))
            yield _Candidate(values.name, to, None if here is None else float(abs(rank - here)))


def _places(n: int) -> list[int]:
    """Return places that part `n` ordered values into equal steps, both ends among them."""
    return sorted({round(step * (n - 1) / (STEPS - 1)) for step in range(STEPS)}) if n else []


def _spelled(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.isoformat()[:19]}Z"
    return value.isoformat() if isinstance(value, date) else str(value)
