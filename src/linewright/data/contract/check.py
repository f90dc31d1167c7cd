"""The data contract: what a table promises, and what happens to the rows that break the promise."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, overload

import msgspec
import numpy as np
import polars as pl

from linewright.data.breach_text import as_details, breach_in_words, hint_of, without_personal
from linewright.data.column_roles import unnamed_stamps
from linewright.data.contract.pattern import misspelt
from linewright.data.contract.references import absent, ragged_references, referred_values
from linewright.data.contract.sql_checks import answers, on_whole
from linewright.data.facts import MASK, Breach, BreachKind, Column, RowSql, Scalar
from linewright.data.read.batches import Ragged, fields_of
from linewright.data.read.source import Raw, Source
from linewright.data.read.spill import Spool, is_ascending
from linewright.data.spec import ColumnRule, DataSpec, OnBreach
from linewright.data.table.build import Part, Table
from linewright.data.types import cast
from linewright.errors import ContractBreach, SpecError

_BOUNDED = ("integer", "number", "date", "datetime")
_SHOWN = 8  # allowed values that a breach lists
_NONE = pl.Series(dtype=pl.Boolean)
_SLICE = 16_384  # quarantined rows turned into records at a time


_Figures = dict[str, Scalar | tuple[str, ...]]
Forgotten = Callable[[pl.Series], np.ndarray]
"""Says of values of a column which are those of somebody who is forgotten."""


class Quarantined(Sequence[dict[str, Any]]):
    """Rows that a contract kept out, as `facts.Quarantine` describes them; held as JSON, read one by one."""

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        self._lines = lines

    def __len__(self) -> int:
        """How many there are."""
        return len(self._lines)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, index: slice) -> "Quarantined": ...

    def __getitem__(self, index: int | slice) -> "dict[str, Any] | Quarantined":
        """Return one, or some, in the order of the table."""
        if isinstance(index, slice):
            return Quarantined(self._lines[index])
        return msgspec.json.decode(self._lines[index])

    def to_bytes(self) -> bytes:
        """Return all as JSON lines."""
        return b"".join(line + b"\n" for line in self._lines)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A table after its contract was applied."""

    frame: pl.DataFrame
    """The rows that may go on."""
    columns: tuple[Column, ...]
    breaches: tuple[Breach, ...]
    quarantined: Quarantined
    """The rows kept out, and those that stop the run."""
    rows_read: int
    """All rows of the table, and those of its sources that no table could hold."""
    stop: str | None
    """Why the run may not go on, in a sentence; `None` if it may."""
    row_sql: RowSql | None = None
    """What of the SQL that made the table can be carried out on one row; `None` where there is none."""
    release: Callable[[], None] = lambda: None
    """Frees the memory that rows in files have come to take; they are read again as they are used."""


def check(
    table: Table,
    data: DataSpec,
    referred: Sequence[Raw] = (),
    *,
    scratch: Path | None = None,
    heard: Callable[[int], None] = lambda _: None,
    forgotten: Forgotten | None = None,
) -> Checked:
    """Apply the contract to a table, in one pass over its parts.

    A row that breaks several rules is quarantined once, for the first in the order of the columns. Uniqueness comes
    last, among the rows that are left: the first row of a repeated value stays. A missing label breaks nothing.
    Rows whose number of fields is not that of the header have no place in the table: they are quarantined, or stop
    the run, even where a breach only warns.
    """
    known = referred_values([*table.sources, *referred], data, table.rules)
    sifting = _Sifting(table, data, known, Spool(scratch), forgotten)
    for part in table.parts():
        sifting.take(part)
        heard(sifting.rows)
    frame = sifting.finish()
    breaches = [
        *sifting.breaches(),
        *ragged_references(referred),
        *_row_count(frame.height, sifting.rows, data),
        *answers(frame, data.contract),
    ]
    breaches = [without_personal(one, data.contract.personal) for one in breaches]
    quarantined = sifting.quarantined()
    rows_read = sifting.rows + sum(len(ragged) for _, ragged in sifting.ragged_rows())
    return Checked(
        frame=frame,
        columns=table.columns,
        breaches=tuple(breaches),
        quarantined=quarantined,
        rows_read=rows_read,
        stop=_stop(breaches, len(quarantined), rows_read, data),
        row_sql=table.row_sql,
        release=sifting.kept.release,
    )


def breach(checked: Checked, quarantine: str | None = None) -> ContractBreach:
    """Return the error for a table that may not go on, with every breach in its `details`."""
    stopping = next(
        (hint for one in checked.breaches if one.action == "stop" and (hint := hint_of(one))), None
    )
    todo = stopping or "mend the data, or the rule in contract.columns"
    return ContractBreach(
        str(checked.stop),
        where="contract.rows" if stopping else "contract",
        hint=todo,
        details={
            "findings": as_details(checked.breaches),
            "quarantine": quarantine,
            "quarantined": len(checked.quarantined),
            "rows": checked.rows_read,
        },
    )


@dataclass
class _Broken:
    """One rule, and how many rows break it."""

    column: str
    kind: BreachKind
    action: OnBreach
    figures: _Figures = field(default_factory=_Figures)
    failed: int = 0
    first: str = ""
    row: int = 0
    """Number of the first row that breaks it, from 0."""

    def count(self, rows: np.ndarray, found: pl.Series) -> None:
        """Count rows that break the rule, with their values; the first of all is remembered."""
        if not self.failed:
            self.row, self.first = int(rows[0]), "" if found[0] is None else str(found[0])[:200]
        self.failed += len(rows)


@dataclass(frozen=True)
class _Caught:
    """Some rows that were kept out."""

    rows: np.ndarray
    """Their numbers in the table, from 0."""
    rules: np.ndarray
    """The number of the rule that caught each."""
    found: pl.DataFrame


class _Place(NamedTuple):
    """Where a row starts: file, if the source is several, and line, if the file has lines."""

    file: str | None = None
    line: int | None = None

    def to_record(self) -> dict[str, Any]:
        return {"line": self.line} if self.file is None else {"file": self.file, "line": self.line}


_NOWHERE = _Place()


@dataclass
class _Sifting:
    """A table on its way through the contract."""

    table: Table
    data: DataSpec
    known: Mapping[str, pl.Series]
    """The values that columns with `references` may have."""
    kept: Spool
    forgotten: Forgotten | None = None
    rows: int = 0
    served: int = 0
    """How many of the rows, the last ones, came from the prediction log."""
    rules: int = 0
    """How many rules were numbered; they are numbered in the order of the columns."""
    broken: dict[int, _Broken] = field(default_factory=dict[int, _Broken])
    new: dict[str, str] = field(default_factory=dict[str, str])
    """The first value of each column that the contract does not name."""
    caught: list[_Caught] = field(default_factory=list[_Caught])
    numbers: list[Any] = field(default_factory=list[Any])
    """Numbers of the rows that were kept, as ranges or arrays, if a rule of the whole table will ask for them."""
    ragged: list[Ragged] = field(default_factory=list[Ragged])

    def take(self, part: Part) -> None:
        """Apply the rules of single rows to the next part."""
        caught = np.full(part.frame.height, -1)
        passed = self._passed_over(part)
        rules = list(_row_rules(part, self.table, self.data, self.known))
        for number, (rule, broken) in enumerate(rules):
            if broken.any():
                rows = broken.fill_null(value=False).to_numpy() & ~passed
                if not rows.any():
                    continue
                found = part.found[rule.column].filter(pl.Series(rows))
                self.broken.setdefault(number, rule).count(part.start + np.flatnonzero(rows), found)
                if rule.action != "warn":  # rows that stop the run are shown like those that are kept out
                    caught[rows & (caught < 0)] = number
        is_caught = caught >= 0
        is_kept = ~is_caught & ~passed
        if is_caught.any():
            rows = part.start + np.flatnonzero(is_caught)
            self.caught.append(_Caught(rows, caught[is_caught], part.found.filter(pl.Series(is_caught))))
        self.kept.add(part.frame if is_kept.all() else part.frame.filter(pl.Series(is_kept)))
        if self._unique():
            everyone = range(part.start, part.start + part.frame.height)
            self.numbers.append(everyone if is_kept.all() else part.start + np.flatnonzero(is_kept))
        for column in part.unused.iter_columns():
            self.new[column.name] = self.new.get(column.name) or first_text(column)
        self.ragged += part.ragged
        self.rules = len(rules)
        self.rows += part.frame.height
        self.served += part.frame.height if part.is_served else 0

    def _passed_over(self, part: Part) -> np.ndarray:
        """Return which rows are about somebody who is forgotten, as the value was found or as it was read."""
        subject = self.data.table.subject
        if self.forgotten is None or subject is None:
            return np.zeros(part.frame.height, dtype=bool)
        return self.forgotten(part.found[subject]) | self.forgotten(part.frame[subject])

    def finish(self) -> pl.DataFrame:
        """Apply the rules of the whole table, and return the rows that keep all rules."""
        frame = self.kept.frame()
        for name, action in self._unique():
            values = frame[name]
            if not values.null_count() and is_ascending(self.kept, name):
                continue
            repeated = (values.is_not_null() & ~values.is_first_distinct()).to_numpy()
            if not repeated.any():
                continue
            rows, number = np.concatenate(self.numbers), self.rules
            found = self.table.found(rows[repeated])
            rule = _Broken(name, "unique", action)
            rule.count(rows[repeated], found[name])
            self.broken[number], self.rules = rule, number + 1
            if action != "warn":
                self.caught.append(_Caught(rows[repeated], np.full(found.height, number), found))
                self.kept.filter(pl.Series(~repeated))
                frame, self.numbers = self.kept.frame(), [rows[~repeated]]
        return frame

    def _unique(self) -> list[tuple[str, OnBreach]]:
        default = self.data.contract.on_breach
        return [(name, rule.on_breach or default) for name, rule in self.table.rules.items() if rule.unique]

    def breaches(self) -> list[Breach]:
        """Return what did not hold: rules in the order of the columns, then new columns, then rows of another form."""
        found = [
            Breach(
                column=one.column,
                kind=one.kind,
                figures=one.figures,
                failed=one.failed,
                rows=self.rows,
                first=one.first,
                action=one.action,
                line=self._places.get(one.row, _NOWHERE).line,
                file=self._places.get(one.row, _NOWHERE).file,
            )
            for _, one in sorted(self.broken.items())
        ]
        return [*found, *self._new_columns(), *self._ragged_breaches()]

    def _new_columns(self) -> Iterator[Breach]:
        if self.data.on_new_column == "ignore":
            return
        rows, expected = self.rows - self.served, unnamed_stamps(self.data)
        for name, first in self.new.items():
            if name in expected:
                continue
            yield Breach(
                column=name,
                kind="not-named",
                failed=rows,
                rows=rows,
                first=first,
                action=self.data.on_new_column,
            )

    def ragged_rows(self) -> list[tuple[Source | Raw, Sequence[Ragged]]]:
        """Return the rows that no table can hold, by source; sources without any are left out."""
        if not self.table.is_joined:
            return [(self.table.sources[0], self.ragged)] if self.ragged else []
        return [(one, one.ragged) for one in self.table.sources if isinstance(one, Raw) and one.ragged]

    @cached_property
    def _ragged_places(self) -> list[tuple[Source | Raw, Sequence[Ragged], list[_Place]]]:
        """Rows that no table can hold, by source, with where each starts: the files are read once more for it."""
        found: list[tuple[Source | Raw, Sequence[Ragged], list[_Place]]] = []
        for source, ragged in self.ragged_rows():
            places = map(_Place, source.ragged_files(), source.ragged_lines())
            left = [one for one in zip(ragged, places, strict=True) if not self._is_forgotten(one[0])]
            if left:
                found.append((source, [row for row, _ in left], [place for _, place in left]))
        return found

    def _is_forgotten(self, row: Ragged) -> bool:
        """Return whether a row that no table can hold has a field that names somebody who is forgotten."""
        return self.forgotten is not None and bool(self.forgotten(pl.Series(fields_of(row.text))).any())

    def _ragged_breaches(self) -> Iterator[Breach]:
        for source, ragged, places in self._ragged_places:
            rows = source.rows if isinstance(source, Raw) else self.rows - self.served + len(ragged)
            yield Breach(
                column="",
                kind="fields",
                figures={"expected": ragged[0].expected, "source": source.name},
                failed=len(ragged),
                rows=rows,
                first=ragged[0].text[:200],
                action="stop" if self.data.contract.on_breach == "stop" else "quarantine",
                line=places[0].line,
                file=places[0].file,
            )
            cut = (one for one in zip(ragged, places, strict=True) if one[0].is_cut)
            yield from (_broken_off(source.name, row, rows, place) for row, place in cut)

    def _ragged_records(self) -> Iterator[dict[str, Any]]:
        for source, ragged, places in self._ragged_places:
            for row, place in zip(ragged, places, strict=True):
                yield {
                    "source": source.name,
                    **place.to_record(),
                    "row": None,
                    "column": "",
                    "kind": "fields",
                    "figures": {"expected": row.expected, "source": source.name},
                    "found": row.fields,
                    "values": {"text": row.text},
                }

    def quarantined(self) -> Quarantined:
        """Return all rows that were kept out, in the order of the table."""
        return Quarantined(
            [msgspec.json.encode(record) for record in chain(self._ragged_records(), self._records())]
        )

    def _records(self) -> Iterator[dict[str, Any]]:
        if not self.caught:
            return
        rows = np.concatenate([one.rows for one in self.caught])
        rules = np.concatenate([one.rules for one in self.caught])
        found = pl.concat([one.found for one in self.caught])
        order = np.argsort(rows, kind="stable")
        source = None if self.table.is_joined else self.table.sources[0].name
        for start in range(0, len(order), _SLICE):
            some = order[start : start + _SLICE]
            cells = found[some].to_dicts()
            for row, rule, values in zip(rows[some].tolist(), rules[some].tolist(), cells, strict=True):
                plain = {name: _plain(value) for name, value in values.items()}
                broken = self.broken[rule]
                yield {
                    "source": source,
                    **self._places.get(row, _NOWHERE).to_record(),
                    "row": row + 1,
                    "column": broken.column,
                    "kind": broken.kind,
                    "figures": broken.figures,
                    "found": plain[broken.column],
                    "values": plain,
                }

    @cached_property
    def _places(self) -> dict[int, "_Place"]:
        """Where each row starts that is shown, if a file has it."""
        if self.table.is_joined:
            return {}
        shown = {one.row for one in self.broken.values()}.union(*(one.rows.tolist() for one in self.caught))
        of_file = sorted(row for row in shown if row < self.rows - self.served)
        if not of_file:
            return {}
        source = self.table.sources[0]
        return dict(zip(of_file, map(_Place, source.files(of_file), source.lines(of_file)), strict=True))


def _row_rules(
    part: Part, table: Table, data: DataSpec, known: Mapping[str, pl.Series]
) -> Iterator[tuple[_Broken, pl.Series]]:
    """Give each rule of single rows, the same ones in the same order for each part, and which rows break it.

    A null means that the row breaks nothing; `_NONE`, that no row does.
    """
    for name, rule in table.rules.items():
        action = rule.on_breach or data.contract.on_breach
        values, found = part.frame[name], part.found[name]
        # What counts of missing values rule out is not looked for row by row.
        gaps = found.null_count()
        unfit = values.is_null() & found.is_not_null() if values.null_count() > gaps else _NONE
        yield _Broken(name, "type", action, {"type": rule.type}), unfit
        if rule.is_gap_a_breach:
            missing = "warn" if rule.may_lack else action
            yield _Broken(name, "missing", missing), found.is_null() if gaps else _NONE
        for kind, figures, outside in _bounds(values, rule):
            yield _Broken(name, kind, action, figures), outside
        if rule.pattern is not None:
            wrong = misspelt(values, found, rule.pattern)
            yield _Broken(name, "pattern", action, {"pattern": rule.pattern}), wrong
        if name in known:
            yield (
                _Broken(name, "references", action, {"references": rule.references}),
                absent(values, known[name]),
            )


def _bounds(values: pl.Series, rule: ColumnRule) -> Iterator[tuple[BreachKind, _Figures, pl.Series]]:
    if rule.min is not None:
        yield "min", _as_figure(rule.min), values < _bound(values.name, rule, rule.min)
    if rule.max is not None:
        yield "max", _as_figure(rule.max), values > _bound(values.name, rule, rule.max)
    if rule.allowed is not None:
        allowed = cast(pl.Series(rule.allowed, dtype=pl.String), rule.type, pattern=rule.format)
        shown = (MASK,) if rule.personal else rule.allowed[:_SHOWN]  # an error tells them, and goes to logs
        figures: _Figures = {"allowed": shown, "of": len(rule.allowed)}
        yield "allowed", figures, absent(values, allowed)


def _as_figure(bound: float | date | datetime) -> _Figures:
    return {"bound": str(bound) if isinstance(bound, date) else bound}


def _bound(name: str, rule: ColumnRule, bound: float | date | datetime) -> Any:
    """Return a bound in the column's own terms: days for dates, UTC for times."""
    is_time = isinstance(bound, date)
    if rule.type not in _BOUNDED or is_time != (rule.type in {"date", "datetime"}):
        raise SpecError(
            f"column {name!r} is of type {rule.type}, which has no such bound",
            where=f"contract.columns.{name}",
            found=str(bound),
            allowed="numbers for integer and number, dates for date and datetime",
        )
    if not is_time or (rule.type == "date" and not isinstance(bound, datetime)):
        return bound
    instant = bound if isinstance(bound, datetime) else datetime.combine(bound, time())
    one = cast(pl.Series([instant]), "datetime")
    return cast(one, "date")[0] if rule.type == "date" else one[0]


def first_text(values: pl.Series) -> str:
    """Return the first value that is there, as text; empty where there is none."""
    first = values.drop_nulls().head(1).to_list()
    return str(first[0])[:200] if first else ""


def _row_count(kept: int, read: int, data: DataSpec) -> list[Breach]:
    rule = data.contract.rows
    if kept < rule.min:
        kind, bound = "fewest-rows", rule.min
    elif rule.max is not None and read > rule.max:
        kind, bound = "most-rows", rule.max
    else:
        return []
    action = (rule.on_breach or on_whole(data.contract)) if kept else "stop"
    figures: _Figures = {"bound": bound, "kept": kept}
    return [Breach(column="", kind=kind, figures=figures, failed=1, rows=read, action=action)]


def _stop(breaches: list[Breach], quarantined: int, rows: int, data: DataSpec) -> str | None:
    stopping = next((breach for breach in breaches if breach.action == "stop"), None)
    caught = [breach for breach in breaches if breach.action == "quarantine"]
    worst = max(caught, key=lambda breach: breach.failed, default=None)
    if stopping is not None:
        are_too_few = stopping.kind == "fewest-rows"
        # Whether the rows would be enough without it: where few are lost, the source itself is short.
        is_cause = worst is not None and rows - quarantined + worst.failed >= data.contract.rows.min
        lost = (
            f"; most are lost to this: {breach_in_words(worst)}" if are_too_few and worst and is_cause else ""
        )
        return breach_in_words(stopping) + lost
    limit = data.contract.max_quarantined
    if worst and quarantined > limit * rows:
        return (
            f"{quarantined:,} of {rows:,} rows would be quarantined, more than max_quarantined {limit:g} allows; "
            f"most for this: {breach_in_words(worst)}"
        )
    return None


def _broken_off(source: str, row: Ragged, rows: int, place: _Place) -> Breach:
    """Say that a file ends within a row: what came after it is missing, and nothing else shows how much that is."""
    return Breach(
        column="",
        kind="broken-off",
        figures={"source": source, "fields": row.fields, "expected": row.expected},
        failed=1,
        rows=rows,
        first=row.text[:200],
        action="warn",
        line=place.line,
        file=place.file,
    )


def _plain(value: Any) -> Any:
    """Return a value of a native type as a JSON value."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else str(value)
    return value.isoformat() if isinstance(value, (date, time)) else str(value)
