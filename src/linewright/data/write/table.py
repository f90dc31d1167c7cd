"""Rows that are added to a table of a database, all in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import polars as pl

from linewright.data.read.hosts import addresses_of
from linewright.data.read.sql.address import url_of
from linewright.data.read.sql.column_types import Kind
from linewright.data.read.sql.database import DatabaseQuery
from linewright.data.read.sql.sql_reader import DATABASES, database_of
from linewright.data.spec import QueryLimits, SqlSource
from linewright.errors import LinewrightError, RequestError, SpecError, Transient
from linewright.text.suggest import listed

RUN = "run"
"""Column that says of which run a row is."""
Columns = Mapping[str, Sequence[object]]
"""Values of rows by column."""
AT_ONCE = 1_000
"""Rows that are looked at or removed at one time."""
_SECONDS = 600.0
"""How long a database may take for a part of the rows."""


@dataclass(frozen=True, kw_only=True)
class TableWrite(DatabaseQuery):
    """Rows for a table, and the database that it is in."""

    table: str
    """With its schema before a dot, perhaps."""
    columns: Mapping[str, Kind]
    """The kind of each column, in order; `RUN` is among them."""
    run: str
    """What all rows have in `RUN`."""

    def unavailable_error(self, error: object) -> Transient:
        """Return what to say of a server that does not answer, or breaks off."""
        return Transient(
            f"the database that answers are written to does not answer as it should: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="no row was written; look whether the server is up and reached from here, then try again",
        )

    def timeout_error(self, *, is_here: bool = False) -> LinewrightError:
        """Return what to say of a database that took too long."""
        del is_here
        return self.unavailable_error(f"it took more than {self.limits.seconds:g} s for some of the rows")

    def login_error(self, error: object) -> RequestError:
        """Return what to say of a server that refuses the user, the password or the database."""
        return RequestError(
            f"the database that answers are written to lets nobody in with this: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="look at user, password and database in the URL",
        )

    def query_error(self, error: object, tables: object = ()) -> SpecError:
        """Return what to say of a table that does not take the rows."""
        del tables
        return SpecError(
            f"the table does not take the answers: {self.scrubbed(error)}",
            where=f"{self.where}.table",
            found=self.table,
            hint="no row was written; the user needs the rights to create the table, or to read it and add rows",
        )

    def looked_at(self, there: Sequence[str]) -> list[str]:
        """Return which columns of a removal are looked at; the first two must be there."""
        missing = [name for name in list(self.columns)[:2] if name not in there]
        if missing:
            raise SpecError(
                f"the table has no column {missing[0]!r}, so it is not known which rows are answers",
                where=f"{self.where}.table",
                found=self.table,
                hint="no row was removed; remove those of the person yourself",
            )
        return [name for name in self.columns if name in there]

    def refuse_lacking(self, there: list[str]) -> None:
        """Refuse a table that lacks columns."""
        lacking = [name for name in self.columns if name not in there]
        if lacking:
            raise SpecError(
                f"the table has no column {lacking[0]!r}",
                where=f"{self.where}.table",
                found=self.table,
                allowed=f"a table with the columns {listed(list(self.columns), 20)}",
                hint="add the column, or name another table, which is then created; no row was written",
            )


class TableWriter(Protocol):
    """Writes to one kind of database; it has no state."""

    port: int
    """The usual port."""

    def add_rows(self, write: TableWrite, frames: Iterator[pl.DataFrame], *, is_again: bool) -> None:
        """Create the table if it is not there, and add all rows or none.

        Parameters
        ----------
        frames
            The rows, some at a time, with the columns of the write.
        is_again
            Whether they may have been added before: if any row of the run is there, all are, and nothing is added.

        Raises
        ------
        SpecError, RequestError
            If the table does not take them.
        Transient
            If the server is not there, is slow, or breaks off.
        """
        ...

    def remove_rows(
        self, write: TableWrite, are_theirs: Callable[[Columns], Sequence[bool]], *, dry_run: bool
    ) -> int | None:
        """Remove rows by the first column of the write, all or none; return how many, `None` if the table is not there.

        Parameters
        ----------
        write
            Its first two columns must be there; the others are looked at where they are.
        are_theirs
            Says of some rows which are to go.
        dry_run
            Count them only.

        Raises
        ------
        SpecError, RequestError, Transient
            As `add_rows` does; then nothing is removed.
        """
        ...


def open_table(
    table: str, at: str, root: Path, *, where: str, columns: Mapping[str, Kind], run: str = ""
) -> tuple[TableWriter, TableWrite]:
    """Return what writes to a table."""
    url = url_of(SqlSource(sql="select 1", at=at), root, where)
    writer = cast("TableWriter", database_of(url.scheme, f"{where}.at"))
    if not hasattr(writer, "add_rows"):
        kinds = (scheme for scheme in DATABASES if scheme != url.scheme)
        raise SpecError(
            "tables of such a database are not written to",
            where=f"{where}.at",
            found=f"{url.scheme}://",
            allowed=", ".join(f"{scheme}://" for scheme in kinds),
        )
    addresses = addresses_of(url.host, root, port=url.port or writer.port, where=f"{where}.at")
    write = TableWrite(
        url=url,
        addresses=addresses,
        sql="",
        limits=QueryLimits(seconds=_SECONDS),
        where=where,
        table=table,
        columns=columns,
        run=run,
    )
    return writer, write


def theirs(
    names: Sequence[str], rows: Sequence[Sequence[object]], are_theirs: Callable[[Columns], Sequence[bool]]
) -> list[object]:
    """Return what the rows that are to go have in the first column."""
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return [row[0] for row, goes in zip(rows, are_theirs(columns), strict=True) if goes]


def kind_of(dtype: pl.DataType) -> Kind:
    """Return the kind of column that holds values of a type; text holds all that no other kind does.

    Examples
    --------
    >>> kind_of(pl.Int64()), kind_of(pl.Datetime("us", "UTC")), kind_of(pl.List(pl.String))
    ('integer', 'instant', 'text')
    """
    if dtype.is_integer():
        return "integer" if dtype != pl.UInt64 else "text"
    if dtype.is_float():
        return "number"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype == pl.Date:
        return "date"
    if isinstance(dtype, pl.Datetime):
        return "instant" if dtype.time_zone else "datetime"
    return "text"


def to_kinds(frame: pl.DataFrame, columns: Mapping[str, Kind]) -> pl.DataFrame:
    """Return rows in the types of these kinds: times in UTC, what is not a number as null."""
    types: Mapping[str, pl.DataType] = {"integer": pl.Int64(), "number": pl.Float64(), "text": pl.String()}
    made: list[pl.Series] = []
    for name, kind in columns.items():
        column = frame[name]
        if kind == "number":
            column = column.cast(pl.Float64).fill_nan(None)
        elif kind == "instant":
            column = column.dt.convert_time_zone("UTC")
        elif kind in types:
            column = column.cast(types[kind])
        made.append(column)
    return pl.DataFrame(made)
