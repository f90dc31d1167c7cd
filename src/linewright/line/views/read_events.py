"""The rows of the source of a view become events, as its columns are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from linewright.data.pieces import in_one_piece
from linewright.data.read.batches import Held
from linewright.data.read.push_reader import read_sent
from linewright.data.read.source import Source, open_source
from linewright.data.spec import KNOWN, ColumnType
from linewright.data.types import cast as cast_values
from linewright.data.types import infer, known_zone
from linewright.errors import SpecError
from linewright.features.facts import ViewFacts
from linewright.features.spec import ViewSpec
from linewright.features.views.aggregates import Kind
from linewright.features.views.records import KEY
from linewright.features.views.windows import Events, Flags, Ints, Values, events_of, values_of
from linewright.line.retention.forgotten_rows import AreForgotten
from linewright.line.views.sources import placed
from linewright.store.clock import instant_of, micros_of

_KINDS: Mapping[str, Kind] = {
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "category": "category",
    "text": "category",
}
_LARGEST = 2**53
CALENDAR = micros_of("0001-01-01T00:00:00Z"), micros_of("9999-12-31T23:59:59.999999Z")
"""First and last moment that has a date, in microseconds since 1970."""
LONG_AGO = -(2**62)
"""Moment of a row of a table without a time, in microseconds: before all events, so that nothing was known but what holds at all times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewEvents:
    """A view with its rows."""

    facts: ViewFacts
    events: Events
    entities: pl.DataFrame
    """Different entities in the order of their numbers: a text column for each of `ViewFacts.entity`, of that name."""
    rows: int
    """Rows of the source."""

    @property
    def newest(self) -> str | None:
        """When the newest row that counts happened, UTC."""
        return newest_instant(self.events.time)

    @property
    def newest_known(self) -> str | None:
        """When the row that was known last could be known, UTC."""
        return newest_instant(self.events.known)

    def numbers_of(self, rows: pl.DataFrame) -> Ints:
        """Return the number of the entity of each row, -1 for one that no row of the source is about."""
        return _numbers(rows, self.entities)


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewRows:
    """The rows of a view in the order of their positions: those of its source, then those that were sent besides. Shape (rows,)."""

    facts: ViewFacts
    entities: pl.DataFrame
    """As in `ViewEvents`."""
    rows: int
    """Of the source and sent, before those were left out that were never known."""
    entity: Ints
    time: Ints
    known: Ints
    key: Ints | None
    is_deletion: Flags | None
    is_left_out: Flags
    columns: dict[str, Values]
    is_sent: Flags | None
    """Whether each was sent besides those of the source; `None` for a view without `push`."""

    def numbers_of(self, rows: pl.DataFrame) -> Ints:
        """Return the number of the entity of each row, as `ViewEvents.numbers_of` does."""
        return _numbers(rows, self.entities)

    def about(self, numbers: Ints) -> "ViewRows":
        """Return all that tells of some entities: their rows, and those with keys of these; of others not all."""
        wanted = np.zeros(self.entities.height + 1, dtype=np.bool_)  # behind the last: no entity
        wanted[numbers[numbers >= 0]] = True
        those = wanted[self.entity]
        if self.key is not None:
            those |= np.isin(self.key, self.key[those])
        return self._at(np.flatnonzero(those))

    def events(self, *, read_by: int | None = None, is_last: bool = False) -> Events:
        """Return the events."""
        if read_by is not None:
            is_read = self.known <= read_by
            return self._at(
                np.flatnonzero(is_read if self.is_sent is None else is_read | self.is_sent)
            ).events()
        return events_of(
            entity=self.entity,
            time=self.time,
            known=self.known,
            key=self.key,
            is_deletion=self.is_deletion,
            is_left_out=self.is_left_out,
            columns=self.columns if is_last else dict(self.columns),
            entities=self.entities.height,
            argsort=lambda numbers: pl.Series(numbers).arg_sort().to_numpy().astype(np.int64),
        )

    def _at(self, places: Ints) -> "ViewRows":
        return replace(
            self,
            entity=self.entity[places],
            time=self.time[places],
            known=self.known[places],
            key=None if self.key is None else self.key[places],
            is_deletion=None if self.is_deletion is None else self.is_deletion[places],
            is_left_out=self.is_left_out[places],
            columns={name: one.at(places) for name, one in self.columns.items()},
            is_sent=None if self.is_sent is None else self.is_sent[places],
        )


def read_events(
    view: ViewSpec,
    root: Path,
    *,
    source: Source | None = None,
    sent: Source | None = None,
    with_keys: bool = False,
    forgotten: Mapping[str, AreForgotten],
) -> ViewEvents:
    """Read the rows of a view, and say which of them count when."""
    rows = read_rows(view, root, source=source, sent=sent, with_keys=with_keys, forgotten=forgotten)
    return ViewEvents(
        facts=rows.facts, events=rows.events(is_last=True), entities=rows.entities, rows=rows.rows
    )


def read_rows(
    view: ViewSpec,
    root: Path,
    *,
    source: Source | None = None,
    sent: Source | None = None,
    with_keys: bool = False,
    forgotten: Mapping[str, AreForgotten],
) -> ViewRows:
    """Read the rows of a view."""
    with placed(view, root):
        of_source = source or open_source(view.view, view.source, root)
        if view.sent is None:
            return _read(view, of_source, None, forgotten, with_keys=with_keys)
        besides = sent or read_sent("push", view.sent, root)[0]
        return _read(view, of_source, besides, forgotten, with_keys=with_keys)


def newest_instant(micros: Ints) -> str | None:
    """Return the newest of some moments as an instant, UTC; `None` if there are none but `LONG_AGO`. Those beyond the calendar count as its ends.

    Examples
    --------
    >>> newest_instant(np.array([1_000_002, -5])), newest_instant(np.array([LONG_AGO]))
    ('1970-01-01T00:00:01.000002Z', None)
    """
    newest = int(micros.max(initial=LONG_AGO))
    return None if newest == LONG_AGO else instant_of(int(np.clip(newest, *CALENDAR)))


def spelled(values: pl.Series) -> pl.Series:
    """Return the texts by which entities are compared: as an endpoint spells what is sent."""
    return cast_values(values, "category")


def to_series(name: str, values: Values) -> pl.Series:
    """Return a column of a view as polars has it."""
    numbers = pl.Series(name, values.numbers, nan_to_null=True)
    match values.kind:
        case "number":
            return numbers
        case "integer":
            return numbers.cast(pl.Int64)
        case "boolean":
            return numbers.cast(pl.Boolean)
        case "category":
            return pl.Series(name, values.words, dtype=pl.String).gather(numbers.cast(pl.UInt32)).alias(name)


def _read(
    view: ViewSpec,
    source: Source,
    sent: Source | None,
    forgotten: Mapping[str, AreForgotten],
    *,
    with_keys: bool,
) -> ViewRows:
    known_zone(view.zone)
    frame, types = _typed(view, source, forgotten)
    is_sent = None
    if sent is not None:
        frame, types, is_sent = _with_sent(view, frame, types, sent, forgotten)
    formats = {name: form for name, (_, form) in types.items()}
    view.refuse_source({name: kind for name, (kind, _) in types.items()})
    kinds: dict[str, Kind] = {name: _KINDS[types[name][0]] for name in view.inputs}

    entities, entity = _entities(frame.select(view.entities))
    time, has_time = (
        (np.full(frame.height, LONG_AGO, dtype=np.int64), np.ones(frame.height, dtype=np.bool_))
        if view.holds_always
        else to_micros(frame[view.time], formats[view.time], view.zone)
    )
    known, is_known = (
        (time, has_time)
        if view.known is None
        else to_micros(frame[view.known], formats[view.known], view.zone)
    )
    key = None if view.key is None else _codes(frame[view.key])
    deletions = [_flags(frame[name], name) for name in view.deletions]
    is_deletion = np.logical_or.reduce(deletions) if deletions else None
    values = {name: _values(frame[name], kinds[name]) for name in view.inputs}
    keys = {KEY: _values(frame[view.key], "category")} if with_keys and view.key is not None else {}
    rows = frame.height
    del frame
    arguments = {one.argument.text: one.argument for one in view.aggregates if one.argument is not None}
    left_out = ~has_time
    if view.condition is not None:
        left_out |= values_of(view.condition, values).numbers != 1
    columns = keys | {text: values_of(argument, values) for text, argument in arguments.items()}
    del values
    if not is_known.all():  # what was never known corrects nothing
        there = np.flatnonzero(is_known)
        entity, time, known, left_out = entity[there], time[there], known[there], left_out[there]
        key = None if key is None else key[there]
        is_deletion = None if is_deletion is None else is_deletion[there]
        columns = {name: one.at(there) for name, one in columns.items()}
        is_sent = None if is_sent is None else is_sent[there]
    return ViewRows(
        facts=view.facts(kinds),
        entities=entities,
        rows=rows,
        entity=entity,
        time=time,
        known=known,
        key=key,
        is_deletion=is_deletion,
        is_left_out=left_out,
        columns=columns,
        is_sent=is_sent,
    )


_Types = Mapping[str, tuple[ColumnType, str | None]]
"""Type of each column, and the format of its dates and times."""


def _typed(
    view: ViewSpec, source: Source, forgotten: Mapping[str, AreForgotten]
) -> tuple[pl.DataFrame, _Types]:
    """Return what the view reads of its source, and its types."""
    wanted = list(dict.fromkeys([*view.named.values(), *view.deletions, *view.inputs]))
    columns = source.columns
    if not set(wanted) <= set(columns):
        view.refuse_source({name: view.suiting_type(name) for name in columns})
    if view.holds_always and view.time in source.columns:
        raise SpecError(
            f"`time: {view.time}` says that rows hold at all times, and the source has a column of this name",
            where="time",
            hint="rename the column in the query of the source",
        )
    frame = _frame(source, [name for name in wanted if name in source.columns], forgotten)
    return frame, {name: _type(frame[name], view, is_text=source.is_text) for name in frame.columns}


def _with_sent(
    view: ViewSpec, frame: pl.DataFrame, types: _Types, sent: Source, forgotten: Mapping[str, AreForgotten]
) -> tuple[pl.DataFrame, _Types, Flags]:
    """Return rows of the source with those that were sent behind them, in common types, and which were sent."""
    view.refuse_source({name: kind for name, (kind, _) in types.items()})
    there = [name for name in frame.columns if name in sent.columns]
    other = _frame(sent, list(dict.fromkeys([*there, KNOWN])), forgotten)
    nothing = pl.Series([None] * other.height, dtype=pl.String)
    columns = {
        name: other[KNOWN] if name == view.known else other[name] if name in there else nothing
        for name in frame.columns
    }
    of_sent = {name: _type(column.alias(name), view, is_text=True) for name, column in columns.items()}
    try:
        view.refuse_source({name: kind for name, (kind, _) in of_sent.items()})
    except SpecError as error:
        of_error: dict[str, Any] = error.to_parts()
        of_error["what"] = f"in the rows that were sent: {error.what}"
        raise SpecError(**of_error) from error
    joined, found = list[pl.Series](), dict[str, tuple[ColumnType, str | None]]()
    for name, column in columns.items():
        (kind, form), (sent_kind, sent_form) = types[name], of_sent[name]
        common = _common_type(view, name, [(frame[name], kind), (column, sent_kind)])
        both = _cast(frame[name], common, form, view), _cast(column, common, sent_form, view)
        joined.append(pl.concat(one.alias(name) for one in both))
        found[name] = common, None
    is_sent = np.arange(frame.height + other.height) >= frame.height
    return pl.DataFrame(joined), found, is_sent


def _cast(values: pl.Series, kind: ColumnType, form: str | None, view: ViewSpec) -> pl.Series:
    if kind == "datetime":
        micros, there = to_micros(values, form, view.zone)
        times = pl.Series(micros).cast(pl.Datetime("us", "UTC"))
        return times.set(~pl.Series(there), None)
    if values.name in view.deletions:
        return pl.Series(_flags(values, values.name))
    return cast_values(values, kind)


def _common_type(view: ViewSpec, name: str, parts: Sequence[tuple[pl.Series, ColumnType]]) -> ColumnType:
    """Return the type that a column has in all parts; of whole numbers and others it is number, of texts and others text."""
    if name in {view.time, view.known}:
        return "datetime"
    if name in view.deletions:
        return "boolean"
    if name in {*view.entities, view.key}:
        return "category"
    kinds: list[ColumnType] = [kind for values, kind in parts if values.null_count() < values.len()]
    if len({*kinds}) < 2:
        return kinds[0] if kinds else view.suiting_type(name)
    if "category" in kinds or "text" in kinds:
        return "category"
    if {*kinds} == {"number", "integer"}:
        return "number"
    raise SpecError(
        f"{name!r} is a {kinds[0]} in the source and a {kinds[1]} in the rows that were sent",
        where="push",
        found=kinds[1],
        allowed=kinds[0],
        hint="make one of the other in the query of the source, or send the rows to another name",
    )


def _frame(source: Source, names: Sequence[str], forgotten: Mapping[str, AreForgotten]) -> pl.DataFrame:
    """Return columns of a source, without the rows of those who are forgotten."""
    held, frames = Held(source.parts[0].where), list[pl.DataFrame]()
    are_theirs = {name: of for name, of in forgotten.items() if name in source.columns}
    for batch in source.batches():
        if batch.ragged:
            one = batch.ragged[0]
            raise SpecError(
                "a row has another number of fields than the header",
                where="source",
                found=one.fields,
                allowed=str(one.expected),
                hint="put fields that hold a separator into quotes",
            )
        frame = batch.frame.select(list(dict.fromkeys([*names, *are_theirs])))
        for name, of in are_theirs.items():
            frame = frame.filter(~of(frame[name]))
        frames.append(held(frame.select(names)))
    return in_one_piece(frames)


def _type(values: pl.Series, view: ViewSpec, *, is_text: bool) -> tuple[ColumnType, str | None]:
    if values.null_count() == values.len():
        return view.suiting_type(values.name), None
    found = infer(values)
    # Text of a source with types stays text if it looks like numbers, as in a line's table.
    if values.dtype == pl.String and not is_text and found.type not in {"date", "datetime"}:
        return "category", None
    return found.type, found.format


def to_micros(values: pl.Series, form: str | None, zone: str | None) -> tuple[Ints, Flags]:
    """Return times in microseconds, and which there are; a date counts as its start."""
    if form is not None and not any(part in form for part in ("%H", "%I", "%T")):
        values, form = cast_values(values, "date", pattern=form), None
    typed = cast_values(values, "datetime", pattern=form, zone=zone)
    there = typed.is_not_null().to_numpy()
    return typed.to_physical().fill_null(0).to_numpy(), there


def _codes(values: pl.Series) -> Ints:
    """Return numbers of values, one for each different one; each row without one gets another number."""
    different = values.drop_nulls().unique().sort()
    frame = pl.DataFrame({"value": different, "number": np.arange(len(different))})
    codes = values.to_frame("value").join(frame, on="value", how="left", maintain_order="left")["number"]
    own = pl.Series(np.arange(len(values)) + len(different))
    return cast("Ints", codes.fill_null(own).cast(pl.Int64).to_numpy())


def _entities(rows: pl.DataFrame) -> tuple[pl.DataFrame, Ints]:
    """Return the different entities, spelled, and the number of that of each row. What is not text is spelled once for each entity."""
    different = _different(rows)
    named = different.select(spelled(one) for one in different.iter_columns())
    entities = named.unique().sort(named.columns)
    numbers = _numbers(named, entities)
    if different.width == 1 and different.dtypes[0].is_integer() and different.height:
        found = _by_place(rows.to_series(), different.to_series(), numbers)
        if found is not None:
            return entities, found
    return entities, _looked_up(rows, different.with_columns(pl.Series("\0number", numbers)))


def _different(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the different rows without nulls; whole numbers that are close together by a table of all between them, the quickest way."""
    values = rows.to_series().drop_nulls()
    if rows.width > 1 or not values.dtype.is_integer() or not len(values):
        return rows.drop_nulls().unique()
    low, high = cast("int", values.min()), cast("int", values.max())
    if high - low > 4 * len(values) or high >= 2**63:
        return rows.unique().drop_nulls()
    is_there = np.zeros(high - low + 1, dtype=np.bool_)
    is_there[(values.cast(pl.Int64) - low).to_numpy()] = True
    return pl.Series(values.name, np.flatnonzero(is_there) + low).cast(values.dtype).to_frame()


def _by_place(values: pl.Series, different: pl.Series, numbers: Ints) -> Ints | None:
    """Return the number of each whole value from a table of all between the least and the largest, the quickest way; `None` if it would be large."""
    low, high = cast("int", different.min()), cast("int", different.max())
    if high - low > 4 * len(values):
        return None
    table = np.full(high - low + 2, -1, dtype=np.int64)
    table[(different.cast(pl.Int64) - low).to_numpy()] = numbers
    return table[(values.cast(pl.Int64) - low).fill_null(high - low + 1).to_numpy()]


def _numbers(rows: pl.DataFrame, entities: pl.DataFrame) -> Ints:
    numbered = entities.with_columns(pl.Series("\0number", np.arange(entities.height)))
    return _looked_up(rows, numbered)


def _looked_up(rows: pl.DataFrame, numbered: pl.DataFrame) -> Ints:
    found = rows.join(numbered, on=rows.columns, how="left", maintain_order="left")["\0number"]
    return cast("Ints", found.fill_null(-1).cast(pl.Int64).to_numpy())


def _flags(values: pl.Series, name: str) -> Flags:
    flags = cast_values(values, "boolean")
    unread = flags.is_null() & values.is_not_null()
    if unread.any():
        raise SpecError(
            "this is neither true nor false",
            where="deleted",
            found=f"{name}: {values.filter(unread)[0]}",
            allowed="true and false, or 1 and 0",
        )
    return flags.fill_null(value=False).to_numpy()


def _values(values: pl.Series, kind: Kind) -> Values:
    if kind == "category":
        texts = cast_values(values, "category")
        words = texts.drop_nulls().unique().sort()
        numbered = pl.DataFrame({"text": words, "number": np.arange(len(words), dtype=np.float64)})
        numbers = texts.to_frame("text").join(numbered, on="text", how="left", maintain_order="left")[
            "number"
        ]
        return Values(kind=kind, numbers=_floats(numbers), words=tuple(words))
    if kind == "boolean":
        return Values(kind=kind, numbers=_floats(cast_values(values, "boolean").cast(pl.UInt8)))
    if kind == "integer" and values.len():
        whole = cast_values(values, "integer")
        largest = max(abs(cast("int", whole.min() or 0)), abs(cast("int", whole.max() or 0)))
        if largest > _LARGEST:
            raise SpecError(
                f"a whole number of {values.name!r} is too large for a feature",
                where="columns",
                found=str(largest),
                allowed="at most 2**53",
                hint="make a text of it in the query of the source",
            )
    return Values(kind=kind, numbers=_floats(cast_values(values, "number")))


def _floats(values: pl.Series) -> np.ndarray:
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()
