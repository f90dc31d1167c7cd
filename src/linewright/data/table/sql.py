"""SQL of the line file, run by a DuckDB that sees the tables it is given and nothing else."""

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Self

import duckdb
import pyarrow as pa

from linewright.data.read.limits import most_held, too_large, too_many_rows
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
_LOOK_S = 0.2
"""How often, at least, a query that gives no row is looked after."""


def select(
    sql: str, tables: Mapping[str, pa.Table], *, where: str, allowed: str, limits: QueryLimits
) -> pa.Table:
    """Return what one SELECT over some tables gives: no files, no network, no extensions, times in UTC.

    DuckDB may take half of the memory that this process could have, and its result as much.

    Parameters
    ----------
    where, allowed
        For messages: the place in the line file, and what the SQL may use.
    limits
        How many rows it may give, and for how long none.

    Raises
    ------
    SpecError, RequestError
        If it fails, is anything but one SELECT, or goes beyond its limits or memory.
    """
    with _opened(tables) as connection, _Watch(connection, limits.seconds) as watch:
        try:
            kinds = [statement.type for statement in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise SpecError(f"{where} is one SELECT", where=where, found=sql[:200])
            return _gathered(connection.sql(sql).to_arrow_reader(_ROWS), watch, where, limits)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if watch.has_ended:
                raise SpecError(
                    f"the SQL gave no row for {limits.seconds:g} s, and was ended",
                    where=where,
                    hint=f"ask for less, or allow more by {_limits_of(where)}.seconds",
                ) from error
            raise SpecError(
                f"the SQL fails: {' '.join(str(error).split())}", where=where, allowed=allowed
            ) from error


def _gathered(answer: pa.RecordBatchReader, watch: "_Watch", where: str, limits: QueryLimits) -> pa.Table:
    found, rows, size, most = list[pa.RecordBatch](), 0, 0, most_held()
    for batch in answer:
        watch.hear()
        found.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows > limits.rows:
            raise too_many_rows(where, limits.rows, key=f"{_limits_of(where)}.rows")
        if size > most:
            raise too_large(where, most)
    return pa.Table.from_batches(found, answer.schema)


def _limits_of(where: str) -> str:
    return f"{where.rpartition('.')[0]}.limits"


class _Watch:
    """Interrupts a query that gives no row for so many seconds."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._until = monotonic() + seconds
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._look, name="sql", daemon=True)
        self.has_ended = False

    def hear(self) -> None:
        """Take note of some rows."""
        self._until = monotonic() + self._seconds

    def _look(self) -> None:
        while not self._is_done.wait(min(self._seconds, _LOOK_S)):
            if monotonic() > self._until:
                self.has_ended = True
                self._connection.interrupt()  # again and again: the first may come before there is what it interrupts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()


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
