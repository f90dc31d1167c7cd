"""SQL of the line file, run by a DuckDB that sees the tables it is given and nothing else."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from linewright.errors import SpecError

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_access": False,
    "threads": 1,
}


def select(sql: str, tables: Mapping[str, pa.Table], *, where: str, allowed: str) -> pa.Table:
    """Return what one SELECT over some tables gives: no files, no network, no extensions, times in UTC.

    Parameters
    ----------
    where, allowed
        For messages: the place in the line file, and what the SQL may use.

    Raises
    ------
    SpecError
        If it fails, or is anything but one SELECT.
    """
    with _opened(tables) as connection:
        try:
            kinds = [statement.type for statement in connection.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                raise SpecError(f"{where} is one SELECT", where=where, found=sql[:200])
            return connection.sql(sql).to_arrow_table()
        except duckdb.Error as error:
            raise SpecError(
                f"the SQL fails: {' '.join(str(error).split())}", where=where, allowed=allowed
            ) from error


@contextmanager
def _opened(tables: Mapping[str, pa.Table]) -> Generator[duckdb.DuckDBPyConnection, None, None]:
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        # DuckDB takes the machine's zone by default; the same line must give the same table everywhere.
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET lock_configuration=true")
        for name, table in tables.items():
            connection.register(name, table)
        yield connection
