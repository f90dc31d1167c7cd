"""The rows of a query on a SQLite database, which is only read.

Both are untrusted: the query, and the file, whose views and tables may do more than they say. So a query may use ordinary tables
and views, and functions that are known to be harmless; SQLite's extensions, which a file can bring as virtual tables, it may not.
"""

import hashlib
import sqlite3
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any, cast

import polars as pl

from linewright.data.read.batches import BATCH, Batch, refuse_patterns
from linewright.data.read.limits import most_held, too_large, too_many_rows
from linewright.data.read.reader import Cursor
from linewright.data.read.source import Source
from linewright.data.spec import SqliteSource
from linewright.engine.machine import resident
from linewright.errors import LinewrightError, RequestError, SpecError, Transient
from linewright.store.values import digest_of
from linewright.text.quoting import double_quoted
from linewright.text.suggest import near_file

_READS = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
# https://www.sqlite.org/lang_corefunc.html, but for load_extension and those that say something of the program
_CORE = """
    -> ->> abs changes char coalesce concat concat_ws format glob hex ifnull iif if instr last_insert_rowid length like
    likelihood likely lower ltrim max min nullif octet_length printf quote random randomblob replace round rtrim sign soundex
    sqlite_version substr substring total_changes trim typeof unhex unicode unistr unistr_quote unlikely upper zeroblob
"""
# …/lang_datefunc.html, …/lang_aggfunc.html, …/windowfunctions.html, …/lang_mathfunc.html
_OF_VALUES = """
    date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
    avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power radians
    sin sinh sqrt tan tanh trunc
"""
# …/json1.html
_JSON = """
    json json_array json_array_insert json_array_length json_error_position json_extract json_group_array json_group_object
    json_insert json_object json_patch json_pretty json_quote json_remove json_replace json_set json_type json_valid
    jsonb jsonb_array jsonb_array_insert jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object
    jsonb_patch jsonb_remove jsonb_replace jsonb_set
"""
_FUNCTIONS = frozenset((_CORE + _OF_VALUES + _JSON).split())
"""What a query may call: what SQLite documents of itself. `zeroblob` and its like give no more than `_LIMITS` allows."""
_TABLES = frozenset({"sqlite_master", "sqlite_schema", "json_each", "json_tree"})
"""What a query may read beside the tables and views of the file."""
_SHADOWS = (
    "content",
    "docsize",
    "segdir",
    "segments",
    "stat",
    "config",
    "data",
    "idx",
    "node",
    "parent",
    "rowid",
)
"""What SQLite's virtual tables keep their rows in: tables of their name and such an ending."""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: BATCH,  # bytes of a text, a blob or a row: what a row of a file may have
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1 << 20,  # bytes: a line file may have no more; each table and view, too
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 500,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 100,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,  # steps of the compiled query; hundreds of joined views have thousands
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,  # its time grows with a power of it
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
Row = tuple[Any, ...]
Functions = Mapping[str, Callable[..., Any]]
_NO_FUNCTIONS: Functions = MappingProxyType({})
_BUSY_S = 5.0
"""Seconds that a process may keep others out while it writes."""
_VIEW = "linewright_described"
_STEPS = 200
"""Steps of SQLite's machine between two looks at the clock: some microseconds, or some tens of rows, which may be long."""
_LOOK_S = 0.005
"""Seconds between two looks at memory, in which a few dozen megabytes can be filled."""
_ROWS = 10_000
"""Rows that are given at once."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """The rows of a query, which are in memory as a whole."""

    frame: pl.DataFrame
    where: str
    """Place in the line file, for messages."""

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
    """Run the query of a source."""
    return Query(frame=_read_sqlite(path, spec, where), where=where)


def _read_sqlite(path: Path, spec: SqliteSource, where: str) -> pl.DataFrame:
    with run_query(path, spec, where) as (names, answer):
        if len(set(names)) < len(names):
            raise SpecError(
                "two columns have the same name",
                where=f"{where}.query",
                found=", ".join(names),
                hint="name them with AS",
            )
        rows = list(chain.from_iterable(answer))
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


class _Watch:
    """Ends a query that gives no row for so many seconds, or more rows than memory holds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._rows = deque[Row]()
        self._heard, self._until, self._look = 0, 0.0, 0.0
        self._most = most_held()
        self._most_resident = resident() + self._most
        self.has_ended = self.is_too_large = False
        self._hear(monotonic())

    def _hear(self, now: float) -> None:
        self._heard, self._until = len(self._rows), now + self._seconds

    def __call__(self) -> bool:
        """Return whether the query is to end: SQLite asks now and then, also while rows are gathered."""
        now = monotonic()
        if len(self._rows) != self._heard:
            self._hear(now)
        if now > self._look:
            self._look = now + _LOOK_S
            self.is_too_large = resident() > self._most_resident
        self.has_ended = now > self._until
        return self.has_ended or self.is_too_large

    def error(self, where: str) -> RequestError | None:
        """Return why it ended the query; `None` where it did not."""
        if self.has_ended:
            return SpecError(
                f"the query gave no row for {self._seconds:g} s, and was ended",
                where=f"{where}.query",
                hint=f"ask for less, or allow more by {where}.limits.seconds",
            )
        return too_large(f"{where}.query", self._most) if self.is_too_large else None

    def over(self, cursor: sqlite3.Cursor, most: int, where: str) -> Iterator[Sequence[Row]]:
        """Give the rows of a query, some at a time."""
        given = 0
        while True:
            self._rows = deque[Row]()
            self._hear(monotonic())
            self._rows.extend(islice(cursor, _ROWS))
            given += len(self._rows)
            if given > most:
                raise too_many_rows(where, most)
            if not self._rows:
                return
            yield self._rows


@contextmanager
def run_query(
    path: Path, spec: SqliteSource, where: str, *, functions: Functions = _NO_FUNCTIONS
) -> Generator[tuple[list[str], Iterator[Sequence[Row]]], None, None]:
    """Run one SELECT, and give the names of its columns, and its rows, some at a time.

    The database is opened read-only. The statement may read ordinary tables and views, call functions that are documented as
    part of SQLite, and use neither virtual tables nor what an extension brings. A value or a row has at most 16 MiB.
    """
    watch = _Watch(spec.limits.seconds)
    with _opened(path, watch, functions) as connection:
        try:
            connection.set_authorizer(_Allowed(connection, functions))
            cursor = connection.execute(spec.query)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _query_error(error, connection, watch, where) from error
        # sqlite3 says by an empty description that the statement (a comment, say) returns no rows.
        if not cast("object", cursor.description):
            raise SpecError("the query returns no table", where=f"{where}.query", allowed="one SELECT")
        try:
            yield (
                [str(column[0]) for column in cursor.description],
                watch.over(cursor, spec.limits.rows, where),
            )
        except sqlite3.Error as error:
            raise _query_error(error, connection, watch, where) from error


def declared_types(
    path: Path, spec: SqliteSource, where: str, *, functions: Functions = _NO_FUNCTIONS
) -> list[tuple[str, str]]:
    """Return the names of a query's columns, each with its type as the table or a CAST declares it; no text where nothing does."""
    with run_query(path, spec, where, functions=functions):
        pass  # it is one SELECT that is allowed; as a part of another statement that could not be seen
    watch = _Watch(spec.limits.seconds)
    query = spec.query.strip().rstrip(";")
    with _opened(path, watch, functions) as connection:
        try:
            connection.set_authorizer(_MayDescribe(connection, functions))
            connection.execute(f"CREATE TEMP VIEW {_VIEW} AS SELECT * FROM (\n{query}\n)")  # noqa: S608 -- `_MayDescribe` trusts no query
            found = connection.execute(f"PRAGMA temp.table_info({_VIEW})").fetchall()
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _query_error(error, connection, watch, where) from error
    return [(str(name), str(kind).upper()) for _, name, kind, *_ in found]


@contextmanager
def _opened(path: Path, watch: "_Watch", functions: Functions) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", _BUSY_S, uri=True)) as connection:
        connection.set_progress_handler(watch, _STEPS)
        for limit, most in _LIMITS.items():
            connection.setlimit(limit, most)
        for name, function in functions.items():
            connection.create_function(name, -1, function, deterministic=True)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        yield connection


class _Allowed:
    """Says what a statement may do: read what is an ordinary table or a view, and call `_FUNCTIONS` and those of the caller."""

    def __init__(self, connection: sqlite3.Connection, functions: Collection[str] = ()) -> None:
        self._functions = _FUNCTIONS | set(functions)
        # SQLite itself writes "CREATE TABLE" before what a person has written of a table.
        tables = {
            name.lower(): bool(is_ordinary)
            for name, is_ordinary in connection.execute(
                "SELECT name, type = 'view' OR (sql GLOB 'CREATE TABLE *' AND rootpage > 0) FROM sqlite_master "
                "WHERE type IN ('table', 'view')"
            )
        }
        brought = {name for name, is_ordinary in tables.items() if not is_ordinary}
        brought |= {f"{name}_{ending}" for name in brought for ending in _SHADOWS}
        modules = {str(name).lower() for (name,) in connection.execute("PRAGMA module_list")}
        self._readable = (_TABLES | tables.keys()) - brought
        self._unreadable = brought | (modules - self._readable)

    def __call__(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            is_allowed = (second or "").lower() in self._functions
        elif action == sqlite3.SQLITE_READ:
            # Of a table none of whose columns is used, as in count(*), no column is named; it may be one of a WITH.
            table = (first or "").lower()
            is_allowed = table in self._readable or (not second and table not in self._unreadable)
        else:
            is_allowed = action in _READS
        return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


class _MayDescribe(_Allowed):
    """Lets a query be a view besides, of this connection alone, and its columns be described."""

    def __call__(self, action: int, first: str | None, second: str | None, *others: object) -> int:
        is_own = action == sqlite3.SQLITE_CREATE_TEMP_VIEW and first == _VIEW
        is_own |= action == sqlite3.SQLITE_PRAGMA and (first, second) == ("table_info", _VIEW)
        writes = (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_READ)
        is_own |= action in writes and first == "sqlite_temp_master"
        return sqlite3.SQLITE_OK if is_own else super().__call__(action, first, second, *others)


def _query_error(
    error: Exception, connection: sqlite3.Connection, watch: _Watch, where: str
) -> LinewrightError:
    if (ended := watch.error(where)) is not None:
        return ended
    if "locked" in str(error):
        return Transient(
            f"the database of source {where.removeprefix('sources.')!r} is kept from others by a process that writes",
            where=f"{where}.sqlite",
            hint="nothing of this source was kept; try again when that process has ended its transaction",
        )
    if "not a database" in str(error) or "malformed" in str(error):
        return RequestError(
            f"this is not a SQLite database, or it is damaged: {error}", where=f"{where}.sqlite"
        )
    return SpecError(
        f"the query fails: {error}",
        where=f"{where}.query",
        allowed="one SELECT over ordinary tables and views, with SQLite's own functions, which changes nothing",
        hint=f"the database has {_tables(connection) or 'no tables'}",
    )


def _tables(connection: sqlite3.Connection) -> str:
    connection.set_authorizer(None)
    try:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') LIMIT 100")
        return ", ".join(repr(name) for (name,) in found)
    except sqlite3.Error:
        return "tables that cannot be read"


class SqliteReader:
    """Reads the result of a query on a SQLite database."""

    def open(
        self, name: str, spec: SqliteSource, root: Path, *, size: int, since: Cursor | None = None
    ) -> Source:
        """Run the query: its rows are in memory as a whole."""
        del size
        where = f"sources.{name}"
        asked = spec if since is None else spec.model_copy(update={"query": _query_since(spec, since)})
        query = read_query(_database(spec, root, where), asked, where)
        refuse_patterns(query.columns, f"{where}.query")
        return Source(
            name=name, columns=query.columns, is_text=True, parts=(query,), missing=spec.missing_texts
        )

    def fingerprint(self, spec: SqliteSource, root: Path, where: str) -> str:
        """Return a digest of the rows of the query."""
        hashed = hashlib.sha256()
        with run_query(_database(spec, root, where), spec, where) as (names, rows):
            hashed.update(ascii(names).encode())
            for row in chain.from_iterable(rows):
                hashed.update(ascii(row).encode())
        return digest_of({"rows": hashed.hexdigest()})

    def columns(self, name: str, spec: SqliteSource, root: Path) -> tuple[str, ...]:
        """Return nothing: the query would have to be run for it."""
        del name, spec, root
        return ()


def _query_since(spec: SqliteSource, cursor: Cursor) -> str:
    """Return the query for rows at or after a cursor, and for those that cannot be compared with it, which are to be refused.

    SQLite takes an unknown quoted name for a text and gives all rows; `rows_since` refuses the name.
    """
    column = double_quoted(cursor.column)
    # The sign keeps SQLite from reading a number as a text, or a text as a number.
    if isinstance(cursor.value, str):
        value = "'{}'".format(cursor.value.replace("'", "''"))
        # Blanks before a text are removed later, so that it may come to stand behind the cursor.
        others = f"typeof({column}) <> 'text' OR {column} NOT GLOB '[!-~]*'"
    else:
        value, others = repr(cursor.value), f"typeof({column}) NOT IN ('integer', 'real')"
    query = spec.query.strip().rstrip(";")
    return f"SELECT * FROM (\n{query}\n) WHERE +{column} >= {value} OR {others}"  # noqa: S608 -- `run_query` trusts no query


def _database(spec: SqliteSource, root: Path, where: str) -> Path:
    path = root / spec.sqlite
    if path.is_file():
        return path
    what = "this is not a file" if path.exists() else "there is no such file"
    hint = near_file(path, written=spec.sqlite) or f"paths start from {root}"
    raise RequestError(what, where=f"{where}.sqlite", found=spec.sqlite, allowed="a database file", hint=hint)
