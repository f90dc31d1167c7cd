"""Whether what is kept of a source is what it has: counts and digests of parts of it, which the source computes, lead to the rows that differ."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import msgspec
import polars as pl

from linewright.data.facts import SourceHistory
from linewright.data.history.read import HistoryIncrement, Reading, store_increment
from linewright.data.history.read_position import TIMES, cursor_numbers, first_cursor
from linewright.data.history.versions import (
    DELETED,
    DIGEST,
    HALF,
    KNOWN,
    HistoryStore,
    newest,
    newest_versions,
    read_versions,
    types_of,
)
from linewright.data.read.spill import Spool
from linewright.data.read.sql.column_types import ColumnType
from linewright.data.read.sql.sql_reader import result_of
from linewright.data.spec import SqlSource
from linewright.errors import NotFound, RequestError

MOST_KEYS = 20
"""Keys that are named of each kind of difference."""
_CELL = "linewright_cell"
_CELLS = 20_000
"""Parts that a source is looked at in, about: days of the cursor, and in each the same spans of keys."""
_TRIES = 5
_MOST = 2**62
_MOST_CELLS = 1_000
"""Parts that are asked for by name; of more, the whole source is looked at."""
_DAY = 86_400_000_000


class DifferentRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that differ in one way."""

    rows: int
    keys: tuple[str, ...] = ()
    """The first of them, as texts."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """How a source and what is kept of it differ."""

    source: str
    rows: int
    """Rows of the source."""
    kept: int
    """Rows that were kept of it."""
    unread: int
    """Rows that are new or changed, and that the next read asks for: nothing is wrong with them."""
    missed: DifferentRows
    """Rows that the source has and that were never kept, and the next read would not ask for."""
    changed: DifferentRows
    """Rows that have changed without a higher cursor."""
    deleted: DifferentRows
    """Rows that the source has no more."""
    repaired: bool
    """Whether the history has been given what was missed, changed and deleted."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing differs but what the next read asks for."""
        return not (self.missed.rows or self.changed.rows or self.deleted.rows)


def reconcile(
    name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str, *, repairs: bool = False
) -> Reconciliation:
    """Compare a source with what is kept of it."""
    reading = Reading.of(name, spec, root, store, now)
    found = newest(reading.source, store.metadata)
    if found is None:
        raise NotFound(
            "nothing of the source was read yet", where=f"sources.{name}", hint="run the line first"
        )
    if types_of(found[1]) != reading.types():
        raise RequestError(
            "the query gives other columns than were read",
            where=f"sources.{name}.sql",
            hint="run the line first",
        )
    return _Comparison.of(reading.after(found[1]), *found).result(name, root, repairs=repairs)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    reading: Reading
    before: str
    history: SourceHistory
    types: dict[str, ColumnType]
    stored: pl.DataFrame
    """The newest versions that are no deletions: key, cursor, digest, place and cell."""
    first: int
    """The lowest key, and how many keys a span has; 0 where keys are no numbers."""
    width: int
    spans: int
    """Spans of each day."""

    @classmethod
    def of(cls, reading: Reading, before: str, history: SourceHistory) -> "_Comparison":
        types = types_of(history)
        stored = newest_versions(history, reading.key, reading.store, also=[reading.cursor])
        stored = stored.filter(~pl.col(DELETED))
        days, keys = _days(stored[reading.cursor], types[reading.cursor]), stored[reading.key]
        first, width, spans, cells = 0, 0, 1, days
        if _are_short(keys):
            keys = keys.cast(pl.Int64)
            first, last = cast("int", keys.min()), cast("int", keys.max())
            # Keys rise with time in most tables: of the spans of a day nearly all are empty then.
            wanted = min(_CELLS, stored.height)
            spans = max(1, wanted // days.n_unique())
            for _ in range(_TRIES):
                width = -(-(last - first + 1) // spans)
                cells = days * spans + ((keys - first) // width).clip(0, spans - 1)
                if (found := cells.n_unique()) >= wanted // 2 or spans >= _CELLS:
                    break
                spans = min(_CELLS, spans * -(-wanted // found))
        return cls(
            reading=reading,
            before=before,
            history=history,
            types=types,
            stored=stored.with_columns(cells.alias(_CELL)),
            first=first,
            width=width,
            spans=spans,
        )

    def result(self, name: str, root: Path, *, repairs: bool) -> Reconciliation:
        """Look for what differs, and keep it where that is wanted."""
        rows, differing = self._differing_cells()
        there = self._rows_of(differing)
        key = self.reading.key
        here = (
            self.stored.filter(pl.col(_CELL).is_in(list(differing))) if differing is not None else self.stored
        )
        both = there.join(self.stored.select(key, pl.col(DIGEST).alias("stored")), on=key, how="left")
        is_unread = self._is_unread(both)
        is_new = pl.col("stored").is_null()
        is_changed = (pl.col(DIGEST) != pl.col("stored")) & (pl.col(DIGEST) >= 0)
        other = both.filter(is_new | is_changed)
        unread = other.filter(is_unread.filter(both.select(is_new | is_changed).to_series()))
        other = other.join(unread, on=key, how="anti")
        missed, changed = other.filter(is_new), other.filter(~is_new)
        deleted = here.join(there, on=key, how="anti")
        is_repaired = repairs and bool(missed.height or changed.height or deleted.height)
        if is_repaired or (self.history.unreturned is not None and deleted.is_empty()):
            self._repair(other if is_repaired else other.clear(), deleted, root)
        return Reconciliation(
            source=name, rows=rows, kept=self.stored.height, unread=unread.height,
            missed=_named(missed[key]), changed=_named(changed[key]), deleted=_named(deleted[key]), repaired=is_repaired,
        )  # fmt: skip

    def _differing_cells(self) -> tuple[int, set[int] | None]:
        """Return how many rows the source has, and which parts of it differ from what is kept; `None`: all, or too many to name."""
        wrapped = self.reading.database.wrapped
        inner = wrapped(
            self.reading.query.sql, gives=f"{self._cell_sql} as {_CELL}, {self._digest_sql} as {DIGEST}"
        )
        sums = f"cast(count(*) as decimal(38, 0)) as n, cast(sum({DIGEST}) as decimal(38, 0)) as digests"
        found = self._ask(wrapped(inner, gives=f"{_CELL}, {sums}", group=_CELL))
        there = {cell: (int(n), int(digests)) for cell, n, digests in found.iter_rows()}
        parts = pl.col(DIGEST) // HALF, pl.col(DIGEST) % HALF
        here = self.stored.group_by(_CELL).agg(
            pl.len(), *(part.sum().name.suffix(str(n)) for n, part in enumerate(parts))
        )
        stored = {cell: (n, high * HALF + low) for cell, n, high, low in here.iter_rows()}
        cells = {
            int(cell)
            for cell in there.keys() | stored.keys()
            if cell is not None and there.get(cell) != stored.get(cell)
        }
        return sum(n for n, _ in there.values()), None if len(cells) > _MOST_CELLS else cells

    def _rows_of(self, cells: set[int] | None) -> pl.DataFrame:
        """Return key, cursor, digest and part of the rows in some parts, and of all that the next read asks for."""
        database, reading = self.reading.database, self.reading
        columns = (database.column(name) for name in dict.fromkeys((reading.key, reading.cursor)))
        gives = f"{', '.join(columns)}, {self._digest_sql} as {DIGEST}, {self._cell_sql} as {_CELL}"
        sql = database.wrapped(reading.query.sql, gives=gives)
        if cells is None:
            return self._ask(sql)
        if not cells:
            return self._ask(database.wrapped(sql, "1 = 0"))
        return self._ask(database.wrapped(sql, self._in_cells(cells)))

    def _in_cells(self, cells: set[int]) -> str:
        condition = f"{_CELL} in ({', '.join(map(str, sorted(cells)))})"
        since = self._since
        if since is None or not self._has_days:
            return "1 = 1"
        # A row that was changed since the parts were counted may be in another one by now.
        return f"{condition} or {_CELL} >= {int(since) // _DAY * self.spans}"

    def _repair(self, other: pl.DataFrame, deleted: pl.DataFrame, root: Path) -> None:
        reading, key, history = self.reading, self.reading.key, self.history
        parts: list[pl.DataFrame] = []
        if other.height:
            sql = reading.digested(reading.query.sql, self.types)
            sql = reading.database.wrapped(sql, gives=f"*, {self._cell_sql} as {_CELL}")
            cells = other[_CELL].unique()
            if len(cells) <= _MOST_CELLS:
                sql = reading.database.wrapped(sql, f"{_CELL} in ({', '.join(map(str, cells))})")
            rows = reading.rows_of(sql)
            rows = rows.filter(pl.col(key).is_in(other[key].implode())).drop(_CELL)
            last = newest_versions(history, key, reading.store, also=[KNOWN])
            parts.append(reading.versions_of(rows, self.types, after=last))
        if deleted.height:
            everything = pl.concat(read_versions(history, reading.store), rechunk=False)
            gone = everything[deleted["place"].sort()]
            now = pl.lit(reading.now).str.to_datetime(time_unit="us", time_zone="UTC")
            parts.append(gone.with_columns(now.alias(KNOWN), pl.lit(value=True).alias(DELETED)))
        versions = Spool(None)
        for part in parts:
            versions.add(part)
        # Rows that are gone may have had the highest cursor: what is written below it from now on would never be asked for.
        left = self.stored.join(deleted, on=key, how="anti")
        before = msgspec.structs.replace(history, highest=None) if deleted.height else history
        position = reading.position([left[reading.cursor], other[reading.cursor]], self.types, before)
        after = msgspec.structs.replace(
            history, number=history.number + 1, at=reading.now, highest=position.highest, since=position.since, open=dict(position.open), looked=position.looked,
            unreturned=None,
        )  # fmt: skip
        increment = HistoryIncrement(
            history=after,
            before=self.before,
            versions=versions,
            rows_read=versions.height,
            key=key,
            is_news=True,
        )
        store_increment(increment, reading.store, root)

    @property
    def _since(self) -> float | None:
        of = self.types[self.reading.cursor]
        return first_cursor(self.history, of, self.reading.lag(of))

    @property
    def _has_days(self) -> bool:
        return self.types[self.reading.cursor].kind in TIMES

    def _is_unread(self, rows: pl.DataFrame) -> pl.Series:
        since = self._since
        if since is None:
            return pl.Series([True] * rows.height, dtype=pl.Boolean)
        return cursor_numbers(rows[self.reading.cursor]) >= since

    @property
    def _digest_sql(self) -> str:
        return self.reading.database.row_digest(self.types)

    @property
    def _cell_sql(self) -> str:
        database, cursor = self.reading.database, self.reading.cursor
        day = f"({database.day(cursor)})" if self._has_days else "0"
        if not self.width:
            return f"{day} * {self.spans}"
        span = database.span(self.reading.key, self.first, self.width)
        last = self.spans - 1
        # Not all databases have LEAST and GREATEST.
        return f"{day} * {self.spans} + case when {span} < 0 then 0 when {span} > {last} then {last} else {span} end"

    def _ask(self, sql: str) -> pl.DataFrame:
        with result_of(self.reading.database, replace(self.reading.query, sql=sql)) as answer:
            return pl.concat([answer.empty, *answer.frames])


def _are_short(keys: pl.Series) -> bool:
    """Return whether keys are whole numbers that databases can count with.

    Examples
    --------
    >>> [_are_short(pl.Series(keys, dtype=pl.UInt64)) for keys in ([1, 2], [2**63], [])]
    [True, False, False]
    """
    if not keys.dtype.is_integer() or not len(keys):
        return False
    return -_MOST < cast("int", keys.min()) <= cast("int", keys.max()) < _MOST


def _days(values: pl.Series, of: ColumnType) -> pl.Series:
    if of.kind not in TIMES:
        return pl.Series([0] * len(values), dtype=pl.Int64)
    return cursor_numbers(values) // _DAY


def _named(keys: pl.Series) -> DifferentRows:
    return DifferentRows(
        rows=len(keys), keys=tuple(str(key) for key in keys.sort().head(MOST_KEYS).to_list())
    )
