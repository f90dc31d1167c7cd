"""Queries on files of DuckDB."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import duckdb
import polars as pl
import pyarrow as pa

from linewright.data.read.limits import most_held, too_many_rows
from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.read.sql.column_types import INTEGER, NUMBER, TEXT, ColumnType, decimal, no_value
from linewright.data.read.sql.database import (
    DIGEST_MASK,
    Database,
    DatabaseQuery,
    OpenTransactions,
    QueryResult,
    refuse_twins,
)
from linewright.data.read.sql.dialect import ROW
from linewright.errors import RequestError
from linewright.text.quoting import double_quoted
from linewright.text.suggest import near_file

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "threads": 1,  # so that the same rows come in the same order
}
_ROWS = 8_192
_TYPES = {
    **dict.fromkeys(
        ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), INTEGER
    ),
    **dict.fromkeys(("FLOAT", "DOUBLE"), NUMBER),
    **dict.fromkeys(("VARCHAR", "UUID", "JSON", '"NULL"'), TEXT),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), ColumnType(kind="datetime")
    ),
    "UBIGINT": ColumnType(kind="unsigned"),
    "HUGEINT": decimal(38, 0),
    "BOOLEAN": ColumnType(kind="boolean"),
    "DATE": ColumnType(kind="date"),
    "TIME": ColumnType(kind="time"),
    "TIMESTAMP WITH TIME ZONE": ColumnType(kind="instant"),
}
"""Types that a table can hold, as DuckDB calls them."""
_INSTEAD = {
    "BLOB": "hex({0}) as {0}",
    "INTERVAL": "epoch({0}) as {0}",
}
_FIRST, _LAST = -719_162, 2_932_896
"""The first day of the year 1 and the last one of 9999, in days from 1970; days beyond stand for infinity, too."""
_DAY = 86_400_000_000
_ENDLESS = 2**63 - 1
"""How the infinite time is held."""


class DuckDbFile(Database):
    """Asks a file of DuckDB."""

    port = 0
    tables = "select table_name from information_schema.tables order by 1 limit 100"
    plain = r"(?!)"

    @contextmanager
    def ask(self, query: DatabaseQuery) -> Generator[QueryResult]:
        """Open the file to read it, without a way to other files."""
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
        with _opened(path, query) as connection:
            timeout = QueryTimeout(connection.interrupt, query.limits.seconds)
            try:
                with timeout:
                    kinds = [one.type for one in connection.extract_statements(query.sql)]
                    if kinds != [duckdb.StatementType.SELECT]:
                        raise query.query_error("this is not one SELECT")
                    relation = connection.sql(query.sql)
                    refuse_twins(relation.columns, query.where)
                    types = _types(relation, query)
                    yield QueryResult(types=types, frames=_frames(relation, types, query, timeout))
            except (duckdb.Error, pa.ArrowException) as error:
                if timeout.has_ended:
                    raise query.timeout_error(is_here=True) from None
                raise query.query_error(error, _tables(connection)) from None

    def text_since(self, name: str, least: str) -> str:
        """Compare bytes, as this database does."""
        return f"{name} >= {self.literal(least)} or not regexp_matches({name}, '^[!-~]')"

    def open_transactions(self, query: DatabaseQuery) -> OpenTransactions | None:
        """Return that nobody writes: while a process writes, no other one can open the file."""
        del query
        return OpenTransactions(at=0, since={})

    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return a part of the MD5 of the row as text."""
        del types
        return f"cast(md5_number_lower(cast({ROW} as varchar)) & {DIGEST_MASK} as bigint)"

    def day(self, column: str) -> str:
        """Return the days from 1970; sessions are in UTC."""
        return f"date_diff('day', date '1970-01-01', cast({double_quoted(column)} as date))"

    def span(self, column: str, first: int, width: int) -> str:
        """Return it by the division of whole numbers."""
        return f"(cast({double_quoted(column)} as bigint) - {first}) // {width}"


@contextmanager
def _opened(path: Path, query: DatabaseQuery) -> Generator[duckdb.DuckDBPyConnection]:
    try:
        connection = duckdb.connect(
            path, read_only=True, config={**_CONFIG, "memory_limit": f"{most_held()}B"}
        )
    except duckdb.Error as error:
        if "lock" in str(error):  # who writes keeps everybody out
            raise query.unavailable_error(error) from None
        raise RequestError(
            f"this is not a DuckDB file that can be read here: {query.scrubbed(error)}",
            where=f"{query.where}.at",
        ) from None
    with connection:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET enable_progress_bar=false")  # it would be printed
        connection.execute("SET lock_configuration=true")
        yield connection


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    with suppress(duckdb.Error):
        found = connection.execute(DuckDbFile.tables)
        return [str(name) for (name,) in found.fetchall()]
    return []


def _types(relation: duckdb.DuckDBPyRelation, query: DatabaseQuery) -> dict[str, ColumnType]:
    return {
        name: _type(name, str(kind), query)
        for name, kind in zip(relation.columns, relation.types, strict=True)
    }


def _type(name: str, kind: str, query: DatabaseQuery) -> ColumnType:
    if kind in _TYPES:
        return _TYPES[kind]
    if kind.startswith("ENUM("):
        return TEXT
    if kind.startswith("DECIMAL("):
        precision, scale = kind.removeprefix("DECIMAL(").rstrip(")").split(",")
        return decimal(int(precision), int(scale))
    instead = (
        "to_json({0}) as {0}" if kind.endswith("]") else _INSTEAD.get(kind, "cast({0} as varchar) as {0}")
    )
    raise query.type_error(name, kind, instead.format(double_quoted(name)))


def _frames(
    relation: duckdb.DuckDBPyRelation,
    types: dict[str, ColumnType],
    query: DatabaseQuery,
    timeout: QueryTimeout,
) -> Iterator[pl.DataFrame]:
    given = 0
    for rows in relation.to_arrow_reader(_ROWS):
        timeout.restart()
        given += rows.num_rows
        if given > query.limits.rows:
            raise too_many_rows(query.where, query.limits.rows)
        for name, of in types.items():
            _refuse_endless(rows.column(name), name, of, query)
        frame = cast("pl.DataFrame", pl.from_arrow(rows))
        frame = frame.select(pl.nth(number).cast(of.dtype) for number, of in enumerate(types.values()))
        for (name, of), column in zip(types.items(), frame.iter_columns(), strict=True):
            if column.null_count() > rows.column(name).null_count:
                raise no_value(name, of, "a value beyond it", where=f"{query.where}.sql", text="varchar")
        yield frame
        timeout.restart()


def _refuse_endless(column: pa.Array, name: str, of: ColumnType, query: DatabaseQuery) -> None:
    """Refuse infinite days and times, and those of years that a table cannot hold."""
    if of.kind not in {"date", "datetime", "instant"}:
        return
    if of.kind == "date":
        days, unit = column.cast(pa.int32()), 1
    else:
        unit = {"s": 86_400, "ms": 86_400_000, "us": _DAY, "ns": 1_000 * _DAY}[column.type.unit]
        days = column.cast(pa.int64())
    first, last = max(_FIRST * unit, 1 - _ENDLESS), min((_LAST + 1) * unit, _ENDLESS) - 1
    if not pl.Series(values=days).is_between(first, last).all():
        raise no_value(name, of, "an infinite or very far time", where=f"{query.where}.sql", text="varchar")
