"""The rows that were pushed to a source, which lie in the state folder."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from linewright.data.read.batches import Held, refuse_patterns
from linewright.data.read.limits import too_many_columns, too_many_rows
from linewright.data.read.reader import Cursor
from linewright.data.read.source import Source
from linewright.data.read.sqlite_query import Query
from linewright.data.spec import KNOWN, PushSource
from linewright.errors import RequestError
from linewright.store.pushed_rows import MOST_READ_COLUMNS, Columns, PushedRow, PushedRows
from linewright.store.values import digest_of

_TYPES: tuple[tuple[frozenset[type], pl.DataType], ...] = (
    (frozenset({bool}), pl.Boolean()),
    (frozenset({int}), pl.Int64()),
    (frozenset({int, float}), pl.Float64()),
)
"""What a column of such values becomes; any other is of texts, or of nulls alone."""
_TIME = pl.Datetime("us", "UTC")


class PushReader:
    """Reads the rows that were pushed to a source; see `data.read.reader.SourceReader`.

    Who reads a source for which nothing was pushed opens it: from then on the endpoint takes rows.
    """

    def open(
        self, name: str, spec: PushSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Return the rows as they are now; they are in memory as a whole. `since` leaves none out."""
        del size, since
        return self.read(name, spec, root)[0]

    def read(self, name: str, spec: PushSource, root: Path) -> tuple[Source, str]:
        """Return the rows as they are now, with their fingerprint."""
        where = f"sources.{name}"
        _refuse_none(spec, root, where)
        return _read(name, spec, root, where)

    def fingerprint(self, spec: PushSource, root: Path, where: str) -> str:
        """Return a digest of the rows, of which none is parsed."""
        _refuse_none(spec, root, where)
        return fingerprint_of_sent(spec, root, where)

    def columns(self, name: str, spec: PushSource, root: Path) -> tuple[str, ...]:
        """Return nothing: the rows name the columns."""
        del name, spec, root
        return ()


def read_sent(place: str, spec: PushSource, root: Path) -> tuple[Source, str]:
    """Return rows that count besides others, with their fingerprint; there may be none."""
    return _read(place, spec, root, place)


def fingerprint_of_sent(spec: PushSource, root: Path, where: str) -> str:
    """Return the fingerprint that `read_sent` returns."""
    hashed = _Hashed(spec)
    for _ in hashed.noted(_rows(spec, root, where)):
        pass
    return hashed.digest()


def _read(name: str, spec: PushSource, root: Path, where: str) -> tuple[Source, str]:
    hashed = _Hashed(spec)
    rows = hashed.noted(_rows(spec, root, where))
    frame = _frame(rows, spec, where)
    refuse_patterns(tuple(frame.columns), where)
    query = Query(frame=frame, where=where)
    source = Source(
        name=name, columns=query.columns, is_text=True, parts=(query,), missing=spec.missing_texts
    )
    return source, hashed.digest()


class _Hashed:
    """A digest of rows, made while they are read."""

    def __init__(self, spec: PushSource) -> None:
        self._has_known, self._hashed = spec.known, hashlib.sha256()

    def noted(self, parts: Iterable[list[PushedRow]]) -> Iterable[list[PushedRow]]:
        """Give the rows again, some at a time."""
        for rows in parts:
            for row in rows:
                came = str(row.known) if self._has_known else ""
                self._hashed.update(f"{came} {len(row.row)} {row.row}".encode())
            yield rows

    def digest(self) -> str:
        """Return the digest."""
        return digest_of({"known": self._has_known, "rows": self._hashed.hexdigest()})


def _opened(spec: PushSource, root: Path, where: str) -> PushedRows | None:
    """Return the rows, to which others can be sent from now on; `None` outside a factory."""
    pushed, columns = PushedRows.of(root / ".linewright", spec.push), Columns(spec.key, spec.time)
    if pushed.file.parent.parent.is_dir() and not (pushed.is_open and pushed.columns == columns):
        try:
            pushed.open_for(columns)
        except RequestError as error:
            error.where = where
            raise
    return pushed if pushed.is_open else None


def _refuse_none(spec: PushSource, root: Path, where: str) -> None:
    pushed = _opened(spec, root, where)
    if pushed is None or not pushed.has_rows:
        raise RequestError(
            "no row was sent to this source yet",
            where=where,
            found=spec.push,
            hint=f"send rows to the endpoint: POST /v1/sources/{spec.push}/rows",
        )


def _rows(spec: PushSource, root: Path, where: str) -> Iterator[list[PushedRow]]:
    pushed = _opened(spec, root, where)
    return iter(()) if pushed is None else pushed.rows(newest=spec.versions == "newest")


class _Column:
    """Values of a column, some at a time. They are of one kind."""

    def __init__(self, name: str, before: int) -> None:
        self._name, self._types = name, frozenset[type]()
        self._parts = [pl.Series(name, [None] * before, dtype=pl.Null)]

    def add(self, values: Sequence[Any]) -> pl.Series:
        """Take some more values, and return them as they are held."""
        types = frozenset(map(type, values)) - {type(None)}
        self._types |= types
        self._parts.append(pl.Series(self._name, values, dtype=_type_of(types)))
        return self._parts[-1]

    def whole(self) -> pl.Series:
        """Return all values, of one type."""
        kind = _type_of(self._types)
        return pl.concat([part.cast(kind) for part in self._parts], rechunk=True)


def _type_of(types: frozenset[type]) -> pl.DataType:
    return next((kind for those, kind in _TYPES if types and types <= those), pl.String())


def _frame(parts: Iterable[list[PushedRow]], spec: PushSource, where: str) -> pl.DataFrame:
    columns, held = dict[str, _Column](), Held(where)
    came, many = [pl.Series(KNOWN, [], dtype=_TIME)], 0
    for rows in parts:
        decoded = [_DECODER.decode(row.row) for row in rows]
        for name in dict.fromkeys(name for row in decoded for name in row):
            columns.setdefault(name, _Column(name, many))
        if len(columns) > MOST_READ_COLUMNS:
            raise too_many_columns(where, spec.push, MOST_READ_COLUMNS)
        held(
            pl.DataFrame([column.add([row.get(name) for row in decoded]) for name, column in columns.items()])
        )
        came.append(pl.Series(KNOWN, [row.known for row in rows], dtype=pl.Int64).cast(_TIME))
        many += len(rows)
        if many > spec.limits.rows:
            raise too_many_rows(where, spec.limits.rows)
    frame = pl.DataFrame([column.whole() for column in columns.values()])
    return frame.with_columns(pl.concat(came)) if spec.known else frame


_DECODER: msgspec.json.Decoder[Mapping[str, Any]] = msgspec.json.Decoder(dict[str, Any])
