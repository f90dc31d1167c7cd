"""The rows of a query on a SQLite database, which is only read."""

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import polars as pl

from linewright.data.batch import Batch
from linewright.data.spec import SqliteSource
from linewright.errors import RequestError, SpecError

_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)


@dataclass(frozen=True, kw_only=True)
class Query:
    """The rows of a query, which are in memory as a whole."""

    frame: pl.DataFrame

    @property
    def columns(self) -> tuple[str, ...]:
        """Names as the query gives them."""
        return tuple(self.frame.columns)

    def batches(self) -> Iterator[Batch]:
        """Give all rows at once."""
        yield Batch(frame=self.frame)

    def starts(self) -> Iterator[tuple[int, int, bool]]:
        """Give nothing: a database has no lines."""
        return iter(())


def read_query(path: Path, spec: SqliteSource, where: str) -> Query:
    """Run the query of a source.

    Raises
    ------
    SpecError, RequestError
        If it fails, gives two columns the same name or bytes, or the file is no database.
    """
    return Query(frame=_read_sqlite(path, spec, where))


def _read_sqlite(path: Path, spec: SqliteSource, where: str) -> pl.DataFrame:
    with run_query(path, spec, where) as cursor:
        names = [str(column[0]) for column in cursor.description]
        rows = cursor.fetchall()
    if len(set(names)) < len(names):
        raise SpecError(
            "two columns have the same name",
            where=f"{where}.query",
            found=", ".join(names),
            hint="name them with AS",
        )
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pl.DataFrame(
        [_from_sqlite(name, column, where) for name, column in zip(names, columns, strict=True)]
    )


def _from_sqlite(name: str, values: Sequence[Any], where: str) -> pl.Series:
    """SQLite types values, not columns: a column of one type keeps it, a mixed one becomes text."""
    kinds = {type(value) for value in values} - {type(None)}
    if bytes in kinds:
        raise SpecError(
            f"column {name!r} holds bytes", where=f"{where}.query", hint="leave it out, or use hex(…)"
        )
    if kinds == {int}:
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


@contextmanager
def run_query(path: Path, spec: SqliteSource, where: str) -> Generator[sqlite3.Cursor, None, None]:
    """Run one SELECT, and give the cursor that its rows come from.

    The database is opened read-only, and nothing but reading is allowed to the statement.
    """

    def only_reading(action: int, *_: object) -> int:
        return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY

    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.set_authorizer(only_reading)
        try:
            cursor = connection.execute(spec.query)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _query_error(error, connection, where) from error
        # sqlite3 says by an empty description that the statement (a comment, say) returns no rows.
        if not cast("object", cursor.description):
            raise SpecError("the query returns no table", where=f"{where}.query", allowed="one SELECT")
        try:
            yield cursor
        except sqlite3.Error as error:
            raise _query_error(error, connection, where) from error


def _query_error(error: Exception, connection: sqlite3.Connection, where: str) -> RequestError:
    if "not a database" in str(error) or "malformed" in str(error):
        return RequestError(
            f"this is not a SQLite database, or it is damaged: {error}", where=f"{where}.sqlite"
        )
    connection.set_authorizer(None)
    tables = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
    ]
    return SpecError(
        f"the query fails: {error}",
        where=f"{where}.query",
        allowed="one SELECT, which changes nothing",
        hint=f"the database has {', '.join(map(repr, tables)) or 'no tables'}",
    )
