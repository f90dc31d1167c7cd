"""The one table of a line: sources joined by SQL, each column in its contract's type."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from linewright.data.breach_text import as_details
from linewright.data.column_roles import declared_columns, named_columns
from linewright.data.facts import Breach, Column, RowSql
from linewright.data.read.batches import Batch, Held, Ragged, ahead, refuse_patterns
from linewright.data.read.source import Raw, Source, clean, whole
from linewright.data.spec import ColumnRule, DataSpec
from linewright.data.table.added_columns import AddedColumns, added_rules, with_added
from linewright.data.table.good_labels import unlabelled, without_label
from linewright.data.table.survival_labels import timed, with_one_label
from linewright.data.types import LEAST_WORDS, Typing, cast, cast_all, infer, known_zone, words_in
from linewright.errors import ContractBreach, SpecError
from linewright.text.lists import spelled, to_list_text, to_numbers_text
from linewright.text.suggest import listed, nearest

_ORDERED = ("integer", "number", "date", "datetime")


class Part(NamedTuple):
    """Some rows of a table, in order. Row i of `found` and `frame` is the same row."""

    start: int
    """How many rows of the table come before."""
    found: pl.DataFrame
    """The columns that the line uses, as they were found."""
    frame: pl.DataFrame
    """The same in their types; null where there is no value, and where the value found does not fit the type."""
    unused: pl.DataFrame
    """Columns that the contract does not name."""
    ragged: tuple[Ragged, ...]
    """Rows of the source that no table can hold."""
    is_served: bool = False
    """Whether the rows came from the prediction log."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows that a line works on, part by part, so that not all need be in memory at once."""

    rules: Mapping[str, ColumnRule]
    """What each column may hold: the contract, what the column's part in the line demands, else what was inferred."""
    sources: tuple[Source | Raw, ...]
    is_joined: bool
    """Whether SQL made the rows, so that they have no line in a file."""
    data: DataSpec
    batches: Callable[[], Iterable[Batch]]
    """The rows as found, each time the same ones in the same order."""
    served: pl.DataFrame
    """Rows of the prediction log whose truth is known, in their types."""
    labelled: pl.DataFrame
    """Rows whose label people gave: it is that of rows of the sources that have none."""
    row_sql: RowSql | None = None
    """What of the SQL can be carried out on one row; `None` where there is no SQL."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Name and type of each column, in the table's order."""
        return tuple(
            Column(name=name, type=rule.type, nullable=rule.may_lack, format=rule.format)
            for name, rule in self.rules.items()
        )

    def parts(self) -> Iterator[Part]:
        """Iterate over the rows: those of the sources, then those of the log that no source holds.

        A row of the log is known by its key, where the table has one, else by what it says.
        """
        start, served, used = 0, self.served, list(self.rules)
        schema: pl.Schema | None = None
        for batch in ahead(iter(self.batches())):
            found = batch.frame.select(used)
            found, frame = self._with_labels(found, self._typed(found))
            yield Part(start, found, frame, batch.frame.drop(used), batch.ragged)
            start, schema = start + frame.height, found.schema
            if served.height:
                served = served.join(
                    frame, on=self._identity(), how="anti", nulls_equal=True, maintain_order="left"
                )
        if served.height and schema is not None:
            found = served.select(pl.col(name).cast(kind, strict=False) for name, kind in schema.items())
            yield Part(start, found, served, pl.DataFrame(), (), is_served=True)

    def found(self, rows: np.ndarray) -> pl.DataFrame:
        """Return rows (from 0, ascending) as they were found; all parts are read once more."""
        parts = [
            part.found[rows[(rows >= part.start) & (rows < part.start + part.found.height)] - part.start]
            for part in self.parts()
        ]
        return pl.concat(parts)

    def _typed(self, found: pl.DataFrame) -> pl.DataFrame:
        return cast_all(
            found,
            [Typing(rule.type, rule.format, self.data.zone_of(name)) for name, rule in self.rules.items()],
        )

    def _identity(self) -> list[str]:
        key = self.data.table.key
        return [key] if key else [name for name in self.rules if name != self.data.label.column]

    def _with_labels(self, found: pl.DataFrame, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return rows as found and in their types, with the labels that people gave to those that have none."""
        if not self.labelled.height:
            return found, frame
        label, names = self.data.label.column, self._identity()
        types = frame.select(*names, label).schema.items()
        known = self.labelled.select(pl.col(name).cast(kind, strict=False) for name, kind in types)
        known = known.unique(names, keep="last", maintain_order=True)  # of rows that occur twice, the last
        given = frame.select(names).join(known, on=names, how="left", nulls_equal=True, maintain_order="left")
        lacks = frame[label].is_null()
        labels = given[label].zip_with(lacks, frame[label])
        shown = labels.cast(found[label].dtype, strict=False).zip_with(lacks, found[label])
        return found.with_columns(shown), frame.with_columns(labels)


def build_table(
    sources: Sequence[Source | Raw],
    data: DataSpec,
    served: Sequence[Mapping[str, Any]] = (),
    labelled: pl.DataFrame | None = None,
    *,
    added: AddedColumns | None = None,
) -> Table:
    """Join the sources and put each column in its type.

    With `table.sql`, the text columns of a source are first cast to the narrowest type that holds all their values;
    columns that the contract calls category or text stay text, so that their spelling is kept, and so do dates that
    are not ISO 8601. The SQL sees the sources and nothing else: no files, no network, no extensions, UTC.
    """
    known_zone(data.table.zone)
    source = _only(sources) if data.table.sql is None else None
    if source is None:
        raws = [whole(one) if isinstance(one, Source) else one for one in sources]
        frames = {raw.name: _typed(raw, data) for raw in raws}
        sources, rows = (
            raws,
            Raw(name="", frame=_carried_out(str(data.table.sql), frames, data), is_text=False),
        )
    else:
        frames, rows = {}, source
    columns, batches = rows.columns, rows.batches
    if data.anomaly is not None and data.label.column not in columns:
        columns, batches = [*columns, data.label.column], unlabelled(batches, data.label.column)
        if isinstance(rows, Raw):
            rows = replace(rows, frame=without_label(rows.frame, data.label.column))
            batches = rows.batches
    named = dict(named_columns(data))
    more_columns = () if added is None else tuple(added.types)
    _refuse_unknown(named | _named_event(data), [*columns, *more_columns], data)
    if data.label.event is not None:
        gone = {data.label.event, data.label.start}
        columns, batches = [name for name in columns if name not in gone], timed(batches, data.label)
        if isinstance(rows, Raw):
            rows = replace(rows, frame=with_one_label(rows.frame, data.label))
            batches = rows.batches
    contract = data.contract.columns
    declared = declared_columns(data)
    used = [name for name in columns if not contract or name in declared]
    inferred = _inferred(batches, [name for name in used if name not in contract], data, source)
    rules = {name: _demanded(name, contract.get(name) or inferred[name], data) for name in used}
    row_sql = _row_sql(frames, rows.frame, rules, data) if isinstance(rows, Raw) and frames else None
    if added is not None:
        of_added = added_rules(added, columns, rules, data)
        batches = with_added(batches, added, rules, data)
        rules |= {name: _demanded(name, rule, data) for name, rule in of_added.items()}
    for name, rule in rules.items():
        _refuse_unsuited(name, rule, data)
    more = _read_served(served, rules, data, added) if served else pl.DataFrame()
    given = pl.DataFrame() if labelled is None or not set(rules) <= set(labelled.columns) else labelled
    return Table(
        rules=rules,
        sources=tuple(sources),
        is_joined=source is None,
        data=data,
        batches=batches,
        served=more,
        labelled=given,
        row_sql=row_sql,
    )


def _row_sql(
    frames: Mapping[str, pl.DataFrame], table: pl.DataFrame, rules: Mapping[str, ColumnRule], data: DataSpec
) -> RowSql:
    from linewright.data.table.row_columns import Wanted, row_sql_of  # noqa: PLC0415 -- DuckDB takes a while to import

    named = dict(named_columns(data))
    zoned = {name for name in rules if data.zone_of(name) not in {None, "UTC"}}
    wanted = [
        Wanted(name=name, type=rule.type, is_zoned=name in zoned, is_feature=name not in named)
        for name, rule in rules.items()
    ]

    def missing(source: str) -> tuple[str, ...]:
        return data.sources[source].missing_texts

    return row_sql_of(str(data.table.sql), frames, table, wanted, _Reader(rules, data), missing=missing)


@dataclass(frozen=True)
class _Reader:
    """Puts columns in the types of the table, see `rowwise.Reader`."""

    rules: Mapping[str, ColumnRule]
    data: DataSpec

    def of_request(self, name: str, values: Sequence[Any]) -> pl.Series:
        return _served_column(name, values, self.rules[name], self.data)

    def of_table(self, found: pl.DataFrame) -> pl.DataFrame:
        rules = [(name, self.rules[name]) for name in found.columns]
        return cast_all(
            found, [Typing(rule.type, rule.format, self.data.zone_of(name)) for name, rule in rules]
        )

    def carried_out(self, sql: str, source: str, frame: pl.DataFrame) -> pl.DataFrame:
        return _carried_out(sql, {source: frame}, self.data)


def _read_served(
    rows: Sequence[Mapping[str, Any]],
    rules: Mapping[str, ColumnRule],
    data: DataSpec,
    added: AddedColumns | None,
) -> pl.DataFrame:
    """Return rows of the log; those that lack a column that is added have it as of their time."""
    if added is None:
        return read_served(rows, rules, data)
    lacks = {name: f"\0{name}" for name in added.types}
    marked = [{**row, **{mark: name not in row for name, mark in lacks.items()}} for row in rows]
    frame = read_served(marked, {**rules, **dict.fromkeys(lacks.values(), ColumnRule(type="boolean"))}, data)
    made = added.of(frame.select(list(added.reads)))
    return frame.with_columns(
        frame[name].zip_with(~frame[mark], made[name].cast(frame[name].dtype)) for name, mark in lacks.items()
    ).drop(lacks.values())


def read_served(
    rows: Sequence[Mapping[str, Any]], rules: Mapping[str, ColumnRule], data: DataSpec
) -> pl.DataFrame:
    """Return rows of JSON values in the types of the table; of rows with one key, the last."""
    columns = [
        _served_column(name, [row.get(name) for row in rows], rule, data) for name, rule in rules.items()
    ]
    frame = pl.DataFrame(columns)
    return frame if data.table.key is None else frame.unique(data.table.key, keep="last", maintain_order=True)


def _served_column(name: str, values: Sequence[Any], rule: ColumnRule, data: DataSpec) -> pl.Series:
    text = pl.Series(name, [_as_text(value, rule.type) for value in values], dtype=pl.String)
    zone = data.zone_of(name)
    typed = cast(text, rule.type, pattern=rule.format, zone=zone)
    if rule.format is not None:
        # A request may spell times as ISO 8601, whatever the file does.
        typed = typed.zip_with(typed.is_not_null(), cast(text, rule.type, zone=zone))
    return typed


def _as_text(value: Any, to: str) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        if to == "numbers":
            return to_numbers_text(value)
        return to_list_text(spelled(value))
    if isinstance(value, float) and value.is_integer() and to != "number":
        return str(int(value))
    return None if value is None else str(value)


def _only(raws: Sequence[Source | Raw]) -> Source | Raw:
    if len(raws) != 1:
        raise SpecError(
            f"{len(raws)} sources become one table by SQL only",
            where="table.sql",
            found=", ".join(raw.name for raw in raws),
            hint="join them, e.g. sql: select * from a join b using (id)",
        )
    return raws[0]


def _carried_out(sql: str, frames: Mapping[str, pl.DataFrame], data: DataSpec) -> pl.DataFrame:
    from linewright.data.table.sql import select  # noqa: PLC0415 -- DuckDB takes a while to import

    result = select(
        sql,
        {name: frame.to_arrow() for name, frame in frames.items()},
        where="table.sql",
        allowed="; ".join(f"{name}({listed(frame.columns)})" for name, frame in frames.items()),
        limits=data.table.limits,
    )
    _refuse_twins(result.column_names)
    refuse_patterns(result.column_names, "table.sql")
    try:
        frame = pl.DataFrame(pl.from_arrow(result))
    except pl.exceptions.PolarsError as error:
        raise SpecError(
            f"a column has a type that the table cannot hold: {error}",
            where="table.sql",
            found=str(result.schema),
        ) from error
    # SQL may make blanks and empty texts anew; they mean the same in every table, and in a request row.
    return clean(frame, ("",))


def _refuse_twins(names: Sequence[str]) -> None:
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise SpecError(
            f"the SQL gives the same column twice: {', '.join(map(repr, twins))}",
            where="table.sql",
            hint="list the columns, rename with AS, or join with USING",
        )


def _typed(raw: Raw, data: DataSpec) -> pl.DataFrame:
    if not raw.is_text:
        return raw.frame
    return raw.frame.with_columns(
        _narrow(raw.frame[name], data) for name, dtype in raw.frame.schema.items() if dtype == pl.String
    )


def _narrow(text: pl.Series, data: DataSpec) -> pl.Series:
    rule = data.contract.columns.get(text.name)
    if rule is not None and rule.type in {"category", "text"}:
        return text
    inferred = infer(text)
    if inferred.format or (inferred.type == "boolean" and rule is None and text.name == data.label.column):
        return text
    values = cast(text, inferred.type)
    has_offsets = text.str.contains(r"[0-9]:[0-9]{2}.*(Z|[+-][0-9:]+)$").any()
    # A time without an offset stays naive, so that `table.zone` can still say where it is.
    return values.dt.replace_time_zone(None) if inferred.type == "datetime" and not has_offsets else values


def _named_event(data: DataSpec) -> dict[str, str]:
    parts = {"label.event": data.label.event, "label.start": data.label.start}
    return {name: where for where, name in parts.items() if name is not None}


def _refuse_unknown(named: Mapping[str, str], columns: Sequence[str], data: DataSpec) -> None:
    unknown = [_unknown(name, where, columns) for name, where in named.items() if name not in columns]
    if len(unknown) > 1:
        unknown[0].details = {**unknown[0].details, "errors": [error.to_json() for error in unknown]}
    if unknown:
        raise unknown[0]
    missing = [name for name in data.contract.columns if name not in columns]
    if missing:
        breaches = [Breach(column=name, kind="lacking", failed=1, rows=1, action="stop") for name in missing]
        raise ContractBreach(
            f"the table lacks {len(missing)} of the columns that the contract names: {', '.join(map(repr, missing))}",
            where=f"contract.columns.{missing[0]}",
            allowed=listed(columns),
            hint=_nearest(missing[0], columns),
            details={"findings": as_details(breaches)},
        )


def _unknown(name: str, where: str, columns: Sequence[str]) -> SpecError:
    return SpecError(
        f"the table has no column {name!r}",
        where=where,
        found=name,
        allowed=listed(columns),
        hint=_nearest(name, columns),
        details={"lacking": name},
    )


def _nearest(name: str, columns: Sequence[str]) -> str:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return "the file has one column: say its separator, e.g. separator: ';'"
    near = nearest(name, columns)
    return f"did you mean {near!r}?" if near else "name a column of the table, or make it in table.sql"


def _demanded(name: str, rule: ColumnRule, data: DataSpec) -> ColumnRule:
    """Return the rule with what the column's part in the line demands of it."""
    demands: dict[str, object] = {}
    if name in {data.table.key, data.table.time}:
        demands["nullable"] = False
    if name == data.table.key:
        demands["unique"] = True
    if name == data.table.weight:
        demands |= {"nullable": False, "min": max(rule.min, 0) if isinstance(rule.min, (int, float)) else 0}
    if data.recommend is not None and name in {data.table.group, data.label.column}:
        demands["nullable"] = False  # an event is of a user and an item
    if data.forecast is not None and name in data.table.groups:
        demands["nullable"] = False
    if demands and (rule.on_breach or data.contract.on_breach) == "warn":
        demands["on_breach"] = "quarantine"  # the line relies on these: a warning would let the row in
    if data.recommend is None and name in {data.label.column, *(data.label.columns or ())}:
        demands["nullable"] = True  # a row without a label is unlabelled, not wrong
    return rule.model_copy(update=demands)


def _inferred(
    batches: Callable[[], Iterable[Batch]], names: Sequence[str], data: DataSpec, source: Source | Raw | None
) -> dict[str, ColumnRule]:
    """Return the narrowest type of each of these columns; all values of texts that decide are in memory at once."""
    if not names:
        return {}
    is_text = source is not None and source.is_text
    empty, texts = _deciding(batches, names, is_text=is_text)
    held = Held(source.parts[0].where if isinstance(source, Source) else "table")
    deciding = [held(batch.frame.select(texts)) for batch in batches()] if texts else []
    found = pl.concat(deciding) if deciding else empty
    return {
        name: _narrowest(found[name] if name in texts else empty[name], data, is_text=is_text)
        for name in names
    }


def _deciding(
    batches: Callable[[], Iterable[Batch]], names: Sequence[str], *, is_text: bool
) -> tuple[pl.DataFrame, list[str]]:
    """Return the columns without rows, and those whose values decide the type.

    A type of the source decides by itself. Text of a source that has types is prose or a category: few words a value are a category.
    """
    words, values, empty = dict[str, int](), dict[str, int](), pl.DataFrame()
    for batch in batches():
        if not words:
            empty = batch.frame.select(names).clear()
            words = {name: 0 for name, dtype in empty.schema.items() if dtype == pl.String}
            values = dict(words)
            if is_text or not words:
                return empty, list(words)
        for name in words:
            text = batch.frame[name]
            words[name] += words_in(text)
            values[name] += len(text) - text.null_count()
    return empty, [name for name in words if words[name] >= LEAST_WORDS * values[name] > 0]


def _narrowest(found: pl.Series, data: DataSpec, *, is_text: bool) -> ColumnRule:
    inferred = infer(found)
    # Where the source or the SQL says that it is text, text that looks like numbers stays text; and a class is
    # answered as it is spelled in the data, so that a label of text is no boolean.
    is_label = inferred.type == "boolean" and found.name == data.label.column
    if (data.label.event is not None or data.anomaly is not None) and found.name == data.label.column:
        return ColumnRule(type="category")
    if found.dtype == pl.String and (is_label or not (is_text or inferred.type == "text")):
        return ColumnRule(type="category")
    return ColumnRule(type=inferred.type, format=inferred.format)


def _refuse_unsuited(name: str, rule: ColumnRule, data: DataSpec) -> None:
    numbers = ("integer", "number")
    for part, wanted in (("time", _ORDERED), ("known", _ORDERED), ("weight", numbers)):
        if name == getattr(data.table, part) and rule.type not in wanted:
            raise SpecError(
                f"column {name!r} cannot be the {part}: its type is {rule.type}",
                where=f"table.{part}",
                found=rule.type,
                allowed=", ".join(wanted),
                hint="say its type (and format) in contract.columns, or make it in table.sql",
            )
