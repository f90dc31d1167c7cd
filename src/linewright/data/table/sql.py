"""SQL of the line file, run by a DuckDB that sees the tables it is given and nothing else."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from linewright.data.read.limits import most_held, too_large, too_many_rows
from linewright.data.read.query_timeout import QueryTimeout
from linewright.data.spec import QueryLimits
from linewright.errors import SpecError

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "threads": 1,
}
_ROWS = 8_192
"""Rows that come at once; DuckDB does not count what they take as its own memory."""


def select(
    sql: str, tables: Mapping[str, pa.Table], *, where: str, allowed: str, limits: QueryLimits
) -> pa.Table:
    """Return what one SELECT over some tables gives: no files, no network, no extensions, times in UTC.

    DuckDB may take half of the memory that this process could have, and its result as much.
    """
    with _opened(tables) as connection, QueryTimeout(connection.interrupt, limits.seconds) as timeout:
        try:
            kinds = [statement.type for statement in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise SpecError(f"{where} is one SELECT", where=where, found=sql[:200])
            return _gathered(connection.sql(sql).to_arrow_reader(_ROWS), timeout, where, limits)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if timeout.has_ended:
                raise SpecError(
                    f"the SQL gave no row for {limits.seconds:g} s, and was ended",
                    where=where,
                    hint=f"ask for less, or allow more by {_limits_of(where)}.seconds",
                ) from error
            raise SpecError(
                f"the SQL fails: {' '.join(str(error).split())}", where=where, allowed=allowed
            ) from error


def _gathered(
    answer: pa.RecordBatchReader, timeout: QueryTimeout, where: str, limits: QueryLimits
) -> pa.Table:
    found, rows, size, most = list[pa.RecordBatch](), 0, 0, most_held()
    for batch in answer:
        timeout.restart()
        found.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > limits.rows:
            raise too_many_rows(where, limits.rows, key=f"{_limits_of(where)}.rows")
        if size > most:
            raise too_large(where, most)
    return pa.Table.from_batches(found, answer.schema)


def _limits_of(where: str) -> str:
    return f"{where.rpartition('.')[0]}.limits"


@contextmanager
def _opened(tables: Mapping[str, pa.Table]) -> Generator[duckdb.DuckDBPyConnection, None, None]:
    most = f"{most_held()}B"
    with duckdb.connect(":memory:", config={**_CONFIG, "memory_limit": most}) as connection:
        # DuckDB takes the machine's zone by default; the same line must give the same table everywhere.
        connection.execute("SET TimeZone='UTC'")
        connection.execute(f"SET max_temp_directory_size='{most}'")
        connection.execute("SET enable_progress_bar=false")  # it would be printed
        connection.execute("SET lock_configuration=true")
        for name, table in tables.items():
            connection.register(name, table)
        yield connection
