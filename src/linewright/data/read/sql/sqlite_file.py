"""Queries on files of SQLite, whose columns have the types that are declared."""

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from linewright.data.read.sql.column_types import INTEGER, NUMBER, TEXT, ColumnType, decimal, no_value, typed
from linewright.data.read.sql.database import (
    Database,
    DatabaseQuery,
    QueryResult,
    refuse_twins,
)
from linewright.data.read.sqlite_query import Row, declared_types, run_query
from linewright.data.spec import SqliteSource
from linewright.errors import LinewrightError, RequestError
from linewright.text.quoting import double_quoted
from linewright.text.suggest import near_file

_WHOLE = decimal(38, 0)
_TYPES: Mapping[str, ColumnType] = {
    "DATE": ColumnType(kind="date"),
    "DATETIME": ColumnType(kind="datetime"),
    "TIMESTAMP": ColumnType(kind="datetime"),
    "TIME": ColumnType(kind="time"),
    "BOOLEAN": ColumnType(kind="boolean"),
    "BOOL": ColumnType(kind="boolean"),
    "NUM": _WHOLE,  # how SQLite calls a cast to a decimal
}
_PARTS = (
    ("INT", INTEGER),
    ("CHAR", TEXT),
    ("CLOB", TEXT),
    ("TEXT", TEXT),
    ("JSON", TEXT),
    ("UUID", TEXT),
    ("REAL", NUMBER),
    ("FLOA", NUMBER),
    ("DOUB", NUMBER),
    ("NUMERIC", NUMBER),  # it is held as a float, whatever its digits
    ("DECIMAL", NUMBER),
)
"""Parts of other names that say the type, the first one that is found; https://www.sqlite.org/datatype3.html."""
_PYTHON: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "decimal": (int,),
    "boolean": (int,),
    "number": (int, float),
}
"""What values of a column may be; those of the others are texts."""
_OWN = "linewright_"
"""Columns of whole numbers that `data.history` computes have such names."""
_DIGEST_BYTES = 4
"""SQLite adds whole numbers up to 2**63 - 1: those of the digests of 2**31 rows."""


def _digest(*values: Any) -> int:
    """Return a number for the values of a row."""
    return int.from_bytes(blake2b(ascii(values).encode(), digest_size=_DIGEST_BYTES).digest(), "little")


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"linewright_digest": _digest}
"""What other databases have, and `data.history` asks for."""


class SqliteFile(Database):
    """Asks a file of SQLite."""

    port = 0
    tables = "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite!_%' escape '!' order by 1 limit 100"

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Open the file to read it, as one state, without a way to other files."""
        path = Path(query.addresses[0])
        if not path.is_file():
            raise RequestError(
                "this is not a file" if path.exists() else "the file does not exist",
                where=f"{query.where}.at",
                found=query.url.database,
                allowed="a database file",
                hint=near_file(path, written=query.url.database)
                or f"paths start from the factory's folder: {path}",
            )
        said = SqliteSource(sqlite=str(path), query=query.sql, limits=query.limits)
        with _with_own_words(query):
            declared = declared_types(path, said, query.where, functions=_FUNCTIONS)
            types = {name: _type(name, kind, query) for name, kind in declared}
            with run_query(path, said, query.where, functions=_FUNCTIONS) as (names, rows):
                refuse_twins(names, query.where)
                yield QueryResult(types=types, frames=_frames(rows, types, query))

    def moment(self, at: datetime, of: ColumnType) -> str:
        """Return it to the second: times are compared as texts, and .5 would stand before .500."""
        return super().moment(at.replace(microsecond=0), of)

    def text_since(self, name: str, least: str) -> str:
        """Compare bytes, whatever the collation of the column is."""
        return f"{name} collate binary >= {self.literal(least)} or {name} not glob '[!-~]*'"

    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return a part of the BLAKE2 of the values."""
        return f"cast(linewright_digest({', '.join(map(double_quoted, types))}) as integer)"

    def day(self, column: str) -> str:
        """Return the days from 1970."""
        return f"cast(julianday(date({double_quoted(column)})) - 2440587.5 as integer)"

    def span(self, column: str, first: int, width: int) -> str:
        """Return it by the division of whole numbers."""
        return f"(cast({double_quoted(column)} as integer) - {first}) / {width}"

    def quoted(self, table: str) -> str:
        """Return a name in quotes; a dot in it is a part of it."""
        return double_quoted(table)


@contextmanager
def _with_own_words(query: DatabaseQuery) -> Generator[None]:
    """Let errors name the words of this kind of source."""
    try:
        yield
    except LinewrightError as error:
        for word, own in (("query", "sql"), ("sqlite", "at")):
            if error.where == f"{query.where}.{word}":
                error.where = f"{query.where}.{own}"
        raise


def _type(name: str, declared: str, query: DatabaseQuery) -> ColumnType:
    bare = re.sub(r"\s*\(.*", "", declared)
    if not bare and name.startswith(_OWN):
        return INTEGER
    if bare in _TYPES:
        return _TYPES[bare]
    for part, of in _PARTS:
        if part in bare:
            return of
    quoted = double_quoted(name)
    if bare == "BLOB":
        raise query.type_error(name, "blob, or none that is declared", f"cast({quoted} as text) as {quoted}")
    said = declared.lower() or "none that is declared"
    raise query.type_error(name, said, f"cast({quoted} as text) as {quoted}, or as integer or real")


def _frames(
    answer: Iterator[Sequence[Row]], types: dict[str, ColumnType], query: DatabaseQuery
) -> Iterator[pl.DataFrame]:
    for rows in answer:
        columns = zip(types.items(), zip(*rows, strict=True), strict=True)
        yield pl.DataFrame([_column(name, values, of, query) for (name, of), values in columns])


def _column(name: str, values: Sequence[Any], of: ColumnType, query: DatabaseQuery) -> pl.Series:
    where, expected = f"{query.where}.sql", _PYTHON.get(of.kind, (str,))
    for value in values:
        if value is not None and not isinstance(value, expected):
            raise no_value(name, of, str(value), where=where, text="text")
    if of.kind in {"integer", "number"}:
        return pl.Series(name, values, dtype=of.dtype, strict=False)
    texts = [value if value is None else str(value).replace("T", " ") for value in values]
    return typed(name, values if of.kind == "text" else texts, of, where=where, text="text")
