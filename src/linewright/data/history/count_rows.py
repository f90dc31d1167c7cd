"""How many rows the next read of a source asks for, by the database's own count."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from linewright.data.history.read import Reading
from linewright.data.history.read_position import TIMES, first_cursor
from linewright.data.history.versions import HistoryStore, newest, types_of
from linewright.data.read.sql.database import Database, DatabaseQuery
from linewright.data.read.sql.sql_reader import query_of, result_of
from linewright.data.spec import SqlSource

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- of times in UTC, as databases have them


def count_rows(name: str, spec: SqlSource, root: Path) -> int:
    """Return how many rows a query gives."""
    return _counted(*query_of(spec, root, f"sources.{name}"))


def count_asked(name: str, spec: SqlSource, root: Path, store: HistoryStore, now: str) -> tuple[int, int]:
    """Return how many rows of a source with a cursor are kept, and how many the next read asks for, those near the highest cursor again."""
    reading = Reading.of(name, spec, root, store, now)
    found, types = newest(reading.source, store.metadata), reading.types()
    if found is None or types_of(found[1]) != types:
        return 0, _counted(reading.database, reading.query)
    of, sql = types[reading.cursor], reading.query.sql
    since = first_cursor(found[1], of, reading.lag(of))
    if since is not None:
        value = since if of.kind not in TIMES else _EPOCH + timedelta(microseconds=int(since))
        sql = reading.database.since(sql, reading.cursor, of, value, keeps_order=False)
    return found[1].rows, _counted(reading.database, replace(reading.query, sql=sql))


def _counted(database: Database, query: DatabaseQuery) -> int:
    counting = replace(query, sql=database.wrapped(query.sql, gives="count(*) as n"))
    with result_of(database, counting) as answer:
        return int(pl.concat([answer.empty, *answer.frames]).item())
