"""Reading the newer rows of a source, and what its history then says."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path

import msgspec
import polars as pl

from linewright.data.facts import SourceHistory, Unreturned
from linewright.data.history.read_position import (
    TIMES,
    ReadPosition,
    cursor_numbers,
    first_cursor,
    highest_of,
    lag_of,
    position_after,
)
from linewright.data.history.versions import (
    DELETED,
    DIGEST,
    HALF,
    KNOWN,
    HistoryStore,
    append,
    columns_of,
    key_of,
    newest,
    newest_versions,
    read_versions,
    schema_of,
    types_of,
)
from linewright.data.read.batches import BATCH, refuse_patterns
from linewright.data.read.source import Source
from linewright.data.read.spill import DerivedRows, RowParts, Spool, is_ascending, scratch_of
from linewright.data.read.sql.address import url_of
from linewright.data.read.sql.column_types import ColumnType
from linewright.data.read.sql.database import Database, DatabaseQuery, OpenTransactions
from linewright.data.read.sql.sql_reader import Rows, digest_of_parts, query_of, result_of
from linewright.data.spec import SqlSource
from linewright.errors import Conflict, RequestError, SpecError, Transient
from linewright.store.clock import later
from linewright.store.values import digest_of
from linewright.text.database_url import DatabaseUrl
from linewright.text.suggest import listed, nearest

_TRIES = 40
"""How often a read is begun again since another process has kept one meanwhile: a worker may do so many times in a row."""
_MANY = 1_000
"""Rows from which on it pays to ask first whether any of them differs, and to note that they need not be read again."""
_LAST = "linewright_last"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- of times in UTC, as databases have them


@dataclass(frozen=True, kw_only=True)
class HistoryIncrement:
    """What a source has that its history does not have; nothing is kept yet."""

    history: SourceHistory
    """As it will be; without the chunks of `versions`, the rows and the fingerprint, unless nothing is new."""
    before: str | None
    """Digest of the history whose chunks it has; `None` if it begins."""
    versions: RowParts
    """The rows that are new or changed."""
    rows_read: int
    """Rows that the source gave."""
    key: str
    is_news: bool
    """Whether there is anything to keep."""


def query_digest(spec: SqlSource) -> str:
    """Return the digest of what a history is of, whatever database it comes from."""
    query = {"sql": spec.sql.strip().rstrip(";"), "key": spec.key, "cursor": spec.cursor, "known": spec.known}
    return digest_of(query)


def source_digest(spec: SqlSource, url: DatabaseUrl) -> str:
    """Return the digest of what makes a history: another query, database, key, cursor or known time begins another one."""
    return digest_of({"query": query_digest(spec), "place": f"{url.scheme}://{url.place}"})


def definition_of(name: str, spec: SqlSource, root: Path) -> str:
    """Return the digest of what makes a history, from the definition of a source."""
    return source_digest(spec, url_of(spec, root, f"sources.{name}"))


def read_increment(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> HistoryIncrement:
    """Ask a source for rows that its history does not have."""
    reading = Reading.of(name, spec, root, store, now)
    found, types = newest(reading.source, store.metadata), reading.types()
    if found is not None:
        reading = reading.after(found[1])
    if found is not None and types_of(found[1]) == types:
        return reading.newer(*found)
    return reading.whole(found, types)


def read_current_rows(
    name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str
) -> tuple[Source, str]:
    """Read the newer rows of a source, keep them, and return the rows that it has by now with their fingerprint.

    A process that is killed meanwhile leaves the history as it was, or as it is to be.
    """
    history, rows = _bring_up_to_date(name, spec, root, store, now)
    return _source(name, spec, rows, _row_schema(history)), history.fingerprint


def keep_newer(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> SourceHistory:
    """Read the newer rows of a source, keep them, and return its history."""
    increment = read_increment(name, spec, root, store, now)
    if not increment.is_news:  # most reads, for which the rows that are kept need not be looked at
        return increment.history
    return _bring_up_to_date(name, spec, root, store, now)[0]


def read_versions_of_source(
    name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str
) -> tuple[Source, str]:
    """Read the newer rows of a source, keep them, and return all versions of its rows with their fingerprint.

    The versions have the columns `KNOWN` and `DELETED` besides.
    """
    history, _ = _bring_up_to_date(name, spec, root, store, now)
    return _of_versions(name, spec, history, _all_versions(history, store, root)), _versions_digest(history)


def read_versions_until(
    name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str
) -> tuple[Source, str]:
    """Read the newer rows of a source, keep them, and return all versions of its rows with the moment of this read.

    The read is kept even if it found nothing, so that each version that is read later is known after that moment, as far as the
    source does not say otherwise.
    """
    history, _ = _bring_up_to_date(name, spec, root, store, now, is_kept_without_news=True)
    return _of_versions(name, spec, history, _all_versions(history, store, root)), history.at


def preview_versions(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> Source:
    """Return all versions of a source's rows, those of now too, as `read_versions_of_source` does; nothing is kept."""
    found = read_increment(name, spec, root, store, now)
    versions = _all_versions(found.history, store, root, more=found.versions)
    return _of_versions(name, spec, found.history, versions)


def _bring_up_to_date(
    name: str,
    spec: SqlSource,
    root: Path,
    store: HistoryStore,
    now: str,
    *,
    is_kept_without_news: bool = False,
) -> tuple[SourceHistory, RowParts]:
    for _ in range(_TRIES):
        increment = read_increment(name, spec, root, store, now)
        if is_kept_without_news and not increment.is_news:
            before = increment.history
            history = msgspec.structs.replace(before, number=before.number + 1, at=_after(before, now))
            increment = replace(increment, history=history, is_news=True)
        try:
            return store_increment(increment, store, root)
        except Conflict:  # another process has read the source meanwhile
            continue
    raise Transient(
        "other processes keep on reading the same source", where=f"sources.{name}", hint="try again"
    )


def _after(before: SourceHistory, now: str) -> str:
    """Return the moment of a read that began now and follows another one: later than that of the other, whatever the clocks say."""
    return max(now, later(before.at, 1))


def _source(name: str, spec: SqlSource, rows: RowParts, schema: pl.Schema) -> Source:
    part = Rows(rows=rows, schema=schema, where=f"sources.{name}", size=BATCH)
    return Source(name=name, columns=part.columns, is_text=False, parts=(part,), missing=spec.missing_texts)


def _of_versions(name: str, spec: SqlSource, history: SourceHistory, versions: RowParts) -> Source:
    return _source(name, spec, versions, pl.Schema(_version_schema(history)))


def _row_schema(history: SourceHistory) -> pl.Schema:
    return pl.Schema({name: of.dtype for name, of in types_of(history).items()})


def _version_schema(history: SourceHistory) -> dict[str, pl.DataType]:
    schema = schema_of(types_of(history))
    return {name: schema[name] for name in schema if name != DIGEST}


def _all_versions(
    history: SourceHistory, store: HistoryStore, root: Path, *, more: RowParts | None = None
) -> RowParts:
    names = list(_version_schema(history))
    spool = Spool(scratch_of(root))
    for part in read_versions(history, store, names):
        spool.add(part)
    for part in () if more is None else more.parts():
        spool.add(part.select(names))
    return spool


def _versions_digest(history: SourceHistory) -> str:
    return digest_of({"columns": history.columns, "versions": [one.blob for one in history.chunks]})


def current_fingerprint(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> str:
    """Return the fingerprint of the rows that a source has by now; nothing is kept."""
    increment = read_increment(name, spec, root, store, now)
    if not increment.versions.height and increment.before is not None:
        return increment.history.fingerprint
    return _fingerprint(increment, store, root)


def versions_fingerprint(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> str:
    """Return the fingerprint of the versions that are kept of a source, and another one if it has newer rows; nothing is kept."""
    found = read_increment(name, spec, root, store, now)
    if found.before is not None and not found.versions.height:
        return _versions_digest(found.history)
    standing = _fingerprint(found, store, root)
    # Of a row without a digest it is not known whether it has changed.
    is_same = found.before is not None and standing == found.history.fingerprint
    return _versions_digest(found.history) if is_same else digest_of({"standing": standing})


def _fingerprint(increment: HistoryIncrement, store: HistoryStore, root: Path) -> str:
    rows = _current(increment.history, increment.key, store, root, more=increment.versions)
    return _digest_of(rows, increment.history)


def _digest_of(rows: RowParts, history: SourceHistory) -> str:
    return digest_of_parts(chain([pl.DataFrame(schema=_row_schema(history))], rows.parts()))


def store_increment(
    increment: HistoryIncrement, store: HistoryStore, root: Path
) -> tuple[SourceHistory, RowParts]:
    """Keep the news of a source in one step, and return its history and the rows that it has by now."""
    history = increment.history
    rows = _current(history, increment.key, store, root, more=increment.versions)
    if not increment.is_news:
        return history, rows
    history = msgspec.structs.replace(
        history,
        chunks=append(history.chunks, increment.versions, store),
        rows=rows.height,
        fingerprint=_digest_of(rows, history),
    )
    digest = store.metadata.keep(history)
    store.metadata.link({key_of(history.source, history.number): digest})
    return history, rows


def current_rows(
    history: SourceHistory, key: str, store: HistoryStore, root: Path, *, known_by: str | None = None
) -> pl.DataFrame:
    """Return the newest version of each row that is not deleted, in the order of the key."""
    rows = _current(history, key, store, root, known_by=known_by)
    return pl.concat([pl.DataFrame(schema=_row_schema(history)), *rows.parts()])


def _current(
    history: SourceHistory,
    key: str,
    store: HistoryStore,
    root: Path,
    *,
    more: RowParts | None = None,
    known_by: str | None = None,
) -> RowParts:
    """Return the newest version of each row that is not deleted, in the order of the key; `more` are versions after those of the history."""
    names = [column.name for column in history.columns]
    if more is not None and not history.chunks and is_ascending(more, key):  # a first read
        return DerivedRows(more, lambda part: part.select(names))
    newest_ones = newest_versions(history, key, store, more=more, known_by=known_by).filter(~pl.col(DELETED))
    places, start = newest_ones["place"], 0
    spool = Spool(scratch_of(root))
    for part in chain(read_versions(history, store), () if more is None else more.parts()):
        inside = places.filter((places >= start) & (places < start + part.height)) - start
        spool.add(part.select(names) if len(inside) == part.height else part.select(names)[inside])
        start += part.height
    if not is_ascending(spool, key):
        spool.sort(key)
    return spool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A read of a source."""

    spec: SqlSource
    database: Database
    query: DatabaseQuery
    root: Path
    store: HistoryStore
    now: str
    source: str
    seen: OpenTransactions | None
    """Who wrote before the read."""

    @classmethod
    def of(cls, name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> "Reading":
        """Begin one, by a look at who writes."""
        database, query = query_of(spec, root, f"sources.{name}")
        # Before the rows: a transaction that they do not show is open now, or begins later.
        seen = database.open_transactions(query)
        source = source_digest(spec, query.url)
        return cls(
            spec=spec,
            database=database,
            query=query,
            root=root,
            store=store,
            now=now,
            source=source,
            seen=seen,
        )

    def after(self, before: SourceHistory) -> "Reading":
        """Return the same read with a moment later than that of the read before."""
        # Records of feature views that were written from the read before lack the versions of this one: `audit features` relies on it
        # that these are known after the moment of those records.
        return replace(self, now=_after(before, self.now))

    @property
    def key(self) -> str:
        """Name of the key."""
        return str(self.spec.key)

    @property
    def cursor(self) -> str:
        """Name of the cursor."""
        return str(self.spec.cursor)

    @property
    def clock(self) -> int:
        """When it began, in microseconds from 1970."""
        if self.seen is not None and self.seen.at:
            return self.seen.at
        return (datetime.fromisoformat(self.now).replace(tzinfo=None) - _EPOCH) // timedelta(microseconds=1)

    def types(self) -> dict[str, ColumnType]:
        """Return the types of the columns as they are now, once they are found to have what is read by."""
        nothing = self.database.wrapped(self.query.sql, "1 = 0")
        with result_of(self.database, replace(self.query, sql=nothing)) as answer:
            types = dict(answer.types)
        refuse_patterns(tuple(types), f"{self.query.where}.sql")
        self._require_columns(types)
        return types

    def newer(self, digest: str, before: SourceHistory) -> HistoryIncrement:
        """Return what came since."""
        types = types_of(before)
        sql = self.digested(self.query.sql, types)
        of = types[self.cursor]
        since = first_cursor(before, of, self.lag(of))
        if since is not None:
            value = since if of.kind not in TIMES else _EPOCH + timedelta(microseconds=int(since))
            sql = self.database.since(sql, self.cursor, of, value, keeps_order=False)
        stored = newest_versions(before, self.key, self.store, also=[self.cursor, KNOWN])
        again = stored.filter(~pl.col(DELETED))
        again = again if since is None else again.filter(cursor_numbers(again[self.cursor]) >= since)
        if again.height >= _MANY and self._is_same(sql, again[DIGEST]):
            return HistoryIncrement(
                history=before,
                before=digest,
                versions=Spool(None),
                rows_read=0,
                key=self.key,
                is_news=False,
            )
        rows = self.rows_of(sql)
        stored = stored.drop(self.cursor) if self.cursor != self.key else stored
        stored = stored.rename({DIGEST: "stored"}).filter(pl.col(self.key).is_in(rows[self.key].implode()))
        same = (pl.col(DIGEST) == pl.col("stored")) & (pl.col(DIGEST) >= 0) & ~pl.col(DELETED)
        is_same = (
            rows.select(self.key, DIGEST)
            .join(stored, on=self.key, how="left", maintain_order="left")
            .select(same.fill_null(value=False))
            .to_series()
        )
        versions = Spool(None)
        versions.add(self.versions_of(rows.filter(~is_same), types, after=stored))
        position = self.position([rows[self.cursor]], types, before)
        has_moved = (position.highest, position.since) != (before.highest, before.since)
        unreturned = self._unreturned(again.join(rows, on=self.key, how="anti"), before.unreturned)
        is_news = bool(versions.height) or (rows.height >= _MANY and has_moved)
        is_news = is_news or unreturned != before.unreturned
        history = before if not is_news else msgspec.structs.replace(
            before, number=before.number + 1, at=self.now, highest=position.highest, since=position.since, open=dict(position.open), looked=position.looked,
            unreturned=unreturned,
        )  # fmt: skip
        return HistoryIncrement(
            history=history,
            before=digest,
            versions=versions,
            rows_read=rows.height,
            key=self.key,
            is_news=is_news,
        )

    def _unreturned(self, gone: pl.DataFrame, before: Unreturned | None) -> Unreturned | None:
        """Return what is found of rows that are gone: what was, where these are the same rows, or some of them."""
        if gone.is_empty():
            return before
        rows, highest = gone.height, highest_of(gone[self.cursor])
        if before is not None and highest == before.highest and rows <= before.rows:
            return before
        return Unreturned(rows=rows, highest=highest, since=self.now)

    def _is_same(self, sql: str, digests: pl.Series) -> bool:
        """Return whether a query gives as many rows, of these digests: many rows that came at once are not sent again and again."""
        sums = self.database.wrapped(
            sql,
            gives=f"cast(count(*) as decimal(38, 0)) as n, cast(sum({DIGEST}) as decimal(38, 0)) as digests",
        )
        with result_of(self.database, replace(self.query, sql=sums)) as answer:
            ((rows, total),) = pl.concat([answer.empty, *answer.frames]).iter_rows()
        high, low = (digests // HALF).sum(), (digests % HALF).sum()
        return (rows, int(total or 0)) == (len(digests), int(high) * HALF + int(low))

    def whole(
        self, found: tuple[str, SourceHistory] | None, types: dict[str, ColumnType]
    ) -> HistoryIncrement:
        """Return all rows, as the beginning of a history."""
        rows = self._spooled(self.digested(self.query.sql, types))
        self._require_values(rows)
        if not is_ascending(rows, self.key):
            rows.sort(self.key)
            self._require_different(rows)
        position = self.position((part[self.cursor] for part in rows.parts()), types, None)
        history = SourceHistory(
            source=self.source, query=query_digest(self.spec), number=found[1].number + 1 if found else 1, columns=columns_of(types), chunks=(), rows=0, fingerprint="",
            at=self.now, first=self.now, before=found[0] if found else None, highest=position.highest, since=position.since,
            open=dict(position.open), looked=position.looked,
        )  # fmt: skip
        versions = DerivedRows(rows, lambda part: self.versions_of(part, types))
        return HistoryIncrement(
            history=history, before=None, versions=versions, rows_read=rows.height, key=self.key, is_news=True
        )

    def digested(self, sql: str, types: dict[str, ColumnType]) -> str:
        """Return a query for the same rows with their digests."""
        return self.database.wrapped(sql, gives=f"*, {self.database.row_digest(types)} as {DIGEST}")

    def rows_of(self, sql: str) -> pl.DataFrame:
        """Return the rows of a query with their digests."""
        spool = self._spooled(sql)
        self._require_values(spool)
        rows = spool.frame()
        if rows[self.key].n_unique() < rows.height:
            raise self._twin(rows[self.key].filter(rows[self.key].is_duplicated())[0])
        return rows

    def _spooled(self, sql: str) -> Spool:
        spool = Spool(scratch_of(self.root))
        with result_of(self.database, replace(self.query, sql=sql, has_many=True)) as answer:
            spool.add(answer.empty)
            for frame in answer.frames:
                spool.add(frame)
        return spool

    def _require_columns(self, types: dict[str, ColumnType]) -> None:
        where = self.query.where
        for word, column in (("key", self.key), ("cursor", self.cursor), ("known", self.spec.known)):
            if column is not None and column not in types:
                close = nearest(column, list(types))
                raise SpecError(
                    "the query has no such column",
                    where=f"{where}.{word}",
                    found=column,
                    allowed=listed(list(types)),
                    hint=f"did you mean {close!r}?" if close else "",
                )
        if self.spec.known is not None and types[self.spec.known].kind not in TIMES:
            raise SpecError("this column has no times", where=f"{where}.known", found=self.spec.known)
        self.lag(types[self.cursor])

    def _require_values(self, rows: Spool) -> None:
        for word, column in (("key", self.key), ("cursor", self.cursor)):
            if gaps := sum(part[column].null_count() for part in rows.parts()):
                raise RequestError(
                    f"{gaps:,} rows have no {word}, and would not be known again, or never be read again",
                    where=f"{self.query.where}.{word}",
                    found=column,
                    hint=f"add to the query: where {column} is not null",
                )

    def _require_different(self, rows: Spool) -> None:
        """Refuse rows of one key; the rows are in its order."""
        before: pl.Series | None = None
        for part in rows.parts():
            keys = part[self.key] if before is None else pl.concat([before, part[self.key]])
            same = keys.slice(1).filter(keys.slice(1) == keys.head(max(len(keys) - 1, 0)))
            if len(same):
                raise self._twin(same[0])
            before = keys.tail(1)

    def _twin(self, key: object) -> RequestError:
        return RequestError(
            "two rows of the query have the same key",
            where=f"{self.query.where}.key",
            found=f"{self.key} {key!r}",
            hint="name a column that tells rows apart, or make one in the query",
        )

    def versions_of(
        self, rows: pl.DataFrame, types: dict[str, ColumnType], *, after: pl.DataFrame | None = None
    ) -> pl.DataFrame:
        """Return rows with their digests as versions of now."""
        read = pl.lit(datetime.fromisoformat(self.now)).cast(pl.Datetime("us", "UTC"))
        known = read
        if self.spec.known is not None:
            said = pl.col(self.spec.known)
            if types[self.spec.known].kind != "instant":
                said = said.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
            known = said.fill_null(read)
        if after is not None and self.spec.known is not None:
            last = after.select(self.key, pl.col(KNOWN).alias(_LAST))
            rows = rows.join(last, on=self.key, how="left", maintain_order="left")
            known = pl.when(known <= pl.col(_LAST)).then(read).otherwise(known)
        rows = rows.with_columns(known.alias(KNOWN), pl.lit(value=False).alias(DELETED))
        return rows.select(list(schema_of(types)))

    def position(
        self, cursors: Iterable[pl.Series], types: dict[str, ColumnType], before: SourceHistory | None
    ) -> ReadPosition:
        """Return how far the source is read with rows that have these cursors."""
        of = types[self.cursor]
        return position_after(cursors, of, clock=self.clock, seen=self.seen, before=before)

    def lag(self, of: ColumnType) -> int | None:
        """Return the lag, see `lag_of`."""
        return lag_of(
            self.spec,
            of,
            self.seen,
            is_file=not self.database.port and self.seen is not None,
            where=self.query.where,
        )
