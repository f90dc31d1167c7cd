"""A query on a database with its limits, its result, and the errors that databases of all kinds share."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import polars as pl

from linewright.data.read.limits import too_many_rows
from linewright.data.read.query_timeout import MOST_BYTES, QueryTimeout
from linewright.data.read.sql.column_types import ColumnType, typed
from linewright.data.read.sql.dialect import SqlDialect
from linewright.data.spec import QueryLimits
from linewright.errors import LinewrightError, RequestError, SpecError, Transient
from linewright.text.database_url import DatabaseUrl
from linewright.text.suggest import listed

CONNECT_S = 10
"""Seconds that a server may take to let somebody in."""
GRACE_S = 2.0
"""Seconds that a server may take to end a query by itself, before its connection is cut."""
MOST_ROWS = 10_000
"""Rows that are fetched at once, at most."""
PIECE = 1_000
"""Rows that are Python's objects at once: more of them do not fit into the processor's cache, and take twice the time."""
_FIRST_ROWS = 10
"""Of what nobody knows yet how long the texts are: documents may have megabytes."""
_BYTES = 1 << 22
"""Bytes of text that are fetched at once, about."""


@dataclass(frozen=True, kw_only=True)
class DatabaseQuery:
    """A query, and the database that it goes to."""

    url: DatabaseUrl
    addresses: tuple[str, ...]
    """Addresses of the server, the best first; the folder of its socket; or the path of the file."""
    sql: str
    limits: QueryLimits
    where: str
    """Place of the source in the line file, for messages."""
    has_many: bool = False
    """Whether rows of the source are read, maybe millions, not their number or a digest of them."""

    @property
    def name(self) -> str:
        """Name of the source in the line file."""
        return self.where.removeprefix("sources.")

    def scrubbed(self, error: object) -> str:
        """Return what a driver says, on one line, without what is secret."""
        text = " ".join(str(error).split())
        return text.replace(self.url.password, "…") if self.url.password else text

    def unavailable_error(self, error: object) -> Transient:
        """Return what to say of a server that does not answer, or breaks off."""
        return Transient(
            f"the database of source {self.name!r} does not answer as it should: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="nothing of this source was kept; look whether the server is up and reached from here, then try again",
        )

    def timeout_error(self, *, is_here: bool = False) -> LinewrightError:
        """Return what to say of a query that gave no row for too long; on a file that is here it will not do better."""
        kind = SpecError if is_here else Transient
        return kind(
            f"source {self.name!r} gave no row for {self.limits.seconds:g} s, and its query was ended",
            where=f"{self.where}.sql",
            found=self.url.place,
            hint=f"try again, ask for less, or allow more by {self.where}.limits.seconds",
        )

    def flood_error(self) -> RequestError:
        """Return what to say of a server that sends more than fits, in one value or in a batch of rows."""
        return RequestError(
            f"the database of source {self.name!r} sent more than {MOST_BYTES / 2**20:.0f} MiB in one batch of rows, or in one value",
            where=f"{self.where}.sql",
            found=self.url.place,
            hint="leave long columns out, or take only their beginning",
        )

    def query_error(self, error: object, tables: Sequence[str] = ()) -> SpecError:
        """Return what to say of a query that the database refuses."""
        return SpecError(
            f"the query fails: {self.scrubbed(error)}",
            where=f"{self.where}.sql",
            allowed="one SELECT that writes nothing, over tables that the user may read",
            hint=f"the database has {listed(tables)}" if tables else "",
        )

    def login_error(self, error: object) -> RequestError:
        """Return what to say of a server that refuses the user, the password or the database."""
        return RequestError(
            f"the database of source {self.name!r} lets nobody in with this: {self.scrubbed(error)}",
            where=f"{self.where}.at",
            found=self.url.place,
            hint="look at user, password and database in the URL",
        )

    def type_error(self, column: str, of: str, instead: str) -> SpecError:
        """Return what to say of a column whose type no table can hold."""
        return SpecError(
            f"column {column!r} has a type that is not read: {of}",
            where=f"{self.where}.sql",
            found=of,
            hint=f"leave the column out, or write {instead} in the query",
        )


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """The rows of a query, read once."""

    types: dict[str, ColumnType]
    """Types of the columns, by name, in order."""
    frames: Iterator[pl.DataFrame]
    """The rows, some at a time."""

    @property
    def empty(self) -> pl.DataFrame:
        """A table without rows."""
        return pl.DataFrame(schema={name: of.dtype for name, of in self.types.items()})


@dataclass(frozen=True, kw_only=True)
class OpenTransactions:
    """What a database says of its clock and of who writes, at one moment."""

    at: int
    """The moment by its own clock, in microseconds from 1970: what begins later begins after it."""
    since: Mapping[str, int | None]
    """By a name for each transaction that was open, when it began; `None` where this user may not see it."""


DIGEST_MASK = 2**60 - 1
"""Bits of a digest of a row."""
PREPARED = "prepared "
"""How names in `OpenTransactions` begin of what is left to be committed by anybody, under another name than it began with."""


class Database(SqlDialect, ABC):
    """Asks one kind of database; it has no state."""

    port: int
    """The usual port; 0 for files."""
    tables: str
    """A query for the names of the tables, in one column, sorted, at most 100."""

    @abstractmethod
    def ask(self, query: DatabaseQuery) -> AbstractContextManager[QueryResult]:
        """Run one SELECT in a read-only snapshot.

        Raises
        ------
        SpecError, RequestError
            If it fails in the same way each time: it says what to change.
        Transient
            If the server is not there, is slow, or breaks off.
        """

    def open_transactions(self, query: DatabaseQuery) -> OpenTransactions | None:
        """Return who writes at this moment; `None` if this kind of database, or this one, cannot tell.

        A transaction whose rows a later read of this process does not see is among them, or begins after `at`.
        """
        del query

    @abstractmethod
    def row_digest(self, types: Mapping[str, ColumnType]) -> str:
        """Return an expression for a digest of a row that has these columns, from 0 to 2**60 - 1; -1 if none can be had."""

    @abstractmethod
    def day(self, column: str) -> str:
        """Return an expression for the day of a column of times, in UTC if they have a zone, as whole days from 1970."""

    @abstractmethod
    def span(self, column: str, first: int, width: int) -> str:
        """Return an expression for the span that a column of whole numbers is in: `width` numbers each, from `first` on; 0 or less below that."""


class FetchSize:
    """How many rows to fetch next, so that about as many bytes come each time."""

    def __init__(self) -> None:
        self.rows = _FIRST_ROWS

    def adapt(self, frame: pl.DataFrame) -> None:
        """Fetch more at once after short rows, fewer after long ones."""
        if frame.height:
            width = max(int(frame.estimated_size()) // frame.height, 1)
            self.rows = max(1, min(MOST_ROWS, 4 * self.rows, _BYTES // width))


def _texts(rows: Sequence[Sequence[str | None]], width: int) -> list[pl.Series]:
    columns = zip(*rows, strict=True) if width else ()
    return [pl.Series(texts, dtype=pl.String) for texts in columns]


def _rows_of(piece: Sequence[pl.Series]) -> int:
    return len(piece[0]) if piece else 0


def _to_frame(
    pieces: Sequence[Sequence[pl.Series]], types: dict[str, ColumnType], *, where: str, text: str
) -> pl.DataFrame:
    """Return columns of texts, piece by piece, as a table; `text` is what the database calls the type of texts in a cast."""
    return pl.DataFrame(
        [
            typed(name, pl.concat(texts), of, where=where, text=text)
            for (name, of), texts in zip(types.items(), zip(*pieces, strict=True), strict=True)
        ]
    )


def refuse_twins(names: Sequence[str], where: str) -> None:
    """Refuse columns of the same name, and those without one."""
    if "" in names:
        raise SpecError("a column has no name", where=f"{where}.sql", hint="name it with AS")
    if len(set(names)) < len(names):
        raise SpecError(
            "two columns have the same name",
            where=f"{where}.sql",
            found=", ".join(names),
            hint="name them with AS",
        )


def refuse_other_options(query: DatabaseQuery, known: Collection[str]) -> None:
    """Refuse options of the URL that are not known."""
    if other := sorted(query.url.options.keys() - known):
        raise SpecError(
            "the URL has options that are not taken",
            where=f"{query.where}.at",
            found=", ".join(other),
            allowed=", ".join(sorted(known)),
        )


def frames_of(
    fetch: Callable[[int], Iterable[Sequence[Sequence[str | None]]]],
    types: dict[str, ColumnType],
    query: DatabaseQuery,
    timeout: QueryTimeout,
    *,
    text: str,
) -> Iterator[pl.DataFrame]:
    """Give the rows of a query as tables, some rows at a time."""
    size, given = FetchSize(), 0
    while pieces := [_texts(rows, len(types)) for rows in fetch(size.rows)]:
        timeout.restart()
        given += sum(map(_rows_of, pieces))
        if given > query.limits.rows:
            raise too_many_rows(query.where, query.limits.rows)
        frame = _to_frame(pieces, types, where=f"{query.where}.sql", text=text)
        size.adapt(frame)
        yield frame
        timeout.restart()
