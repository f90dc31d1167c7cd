"""Rows that were sent and files of records of feature views in a PostgreSQL that several machines share.

A file of records is kept in parts, under the number of its generation; one row says which generation counts. It is written in one
transaction, in which the one before goes, and read in one that sees one state: who reads it has it whole. Rows are kept under a lock of
their source, and who reads waits for who is about to keep some, so that what was known at a moment can be said ever after.
"""

import fcntl
import os
import socket
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b, sha256
from pathlib import Path
from select import select
from threading import Lock
from typing import Any, LiteralString, NamedTuple, cast
from weakref import finalize

import psycopg

from linewright.data.read.query_timeout import QueryTimeout
from linewright.errors import Corrupt, LinewrightError, RequestError, SpecError, Terminal, Transient
from linewright.store.changes import START
from linewright.store.clock import micros_of, now_utc
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.files.secret import read_secret, shown_place
from linewright.store.pushed_rows import (
    IN_EACH_ROW,
    Columns,
    ForgottenText,
    NewRows,
    PushCounts,
    PushedRow,
    PushedRows,
    Removed,
    accepted,
    changed_columns,
    refuse_other_columns,
)
from linewright.text.database_url import POSTGRESQL_OPTIONS, DatabaseUrl, read_database_url

WHERE = "factory.yaml: features.store"
CONNECT_S = 2
LOOK_S, KEEP_S, MOVE_S = 2.0, 10.0, 60.0
"""Longest wait, in seconds, for an answer to a look for what is new, to rows that are to be kept, and for each part of a file."""
PART = 1 << 20
"""Bytes of a part of a file."""
OLD = "30 days"
"""A file that was not written for so long is removed."""
_IDLE = 4
"""Connections that are kept for who comes next."""
_VERSION = 1
_TABLES: LiteralString = """
create schema if not exists linewright;
create table linewright.format (version int4 not null);
create table linewright.sources (name text primary key, key text not null, time text);
create table linewright.kinds (source text, name text, kind text not null, primary key (source, name));
create table linewright.rows (source text, seq int8, known int8 not null, key text not null, row text not null, digest bytea not null, primary key (source, seq));
create index rows_by_key on linewright.rows (source, key, seq);
create index rows_by_known on linewright.rows (source, known);
create table linewright.views (name text primary key, generation int8 not null, known int8 not null, digest bytea not null, written timestamptz not null);
create table linewright.parts (name text, generation int8, part int4, body bytea not null, primary key (name, generation, part));
alter table linewright.parts alter body set storage external;
insert into linewright.format values (1)
"""
_MAKING = "tables"
_APART_S = 5.0
_SERVER = """
    select pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on',
        cast(extract(epoch from clock_timestamp()) * 1000000 as int8)
"""
_RIGHTS = """
    select 'CREATE on the database' where to_regnamespace('linewright') is null and not has_database_privilege(current_database(), 'create')
    union all
    select 'CREATE on schema linewright' where not has_schema_privilege(to_regnamespace('linewright'), 'create')
"""
_TABLE_RIGHTS = """
    select upper(r) || ' on linewright.' || c.relname from pg_class c, unnest(array['select', 'insert', 'update', 'delete']) r
    where c.relnamespace = to_regnamespace('linewright') and c.relkind = 'r' and c.relname <> 'format' and not has_table_privilege(c.oid, r)
    order by 1
"""
_ROWS = """
    select seq, known, row from linewright.rows r where source = %(source)s and seq > %(seq)s and seq <= %(last)s order by seq limit 10000
"""
_NEWEST_ROWS = """
    select seq, known, row from linewright.rows r where source = %(source)s and seq > %(seq)s and seq <= %(last)s and not exists (
        select 1 from linewright.rows later where later.source = r.source and later.key = r.key and later.seq > r.seq and later.seq <= %(last)s
    ) order by seq limit 10000
"""
_LAST = """
    select coalesce(max(seq), 0), coalesce(max(known), 0), cast(extract(epoch from clock_timestamp()) * 1000000 as int8)
    from linewright.rows where source = %s
"""
_SINCE = """
    begin; select pg_advisory_xact_lock_shared({lock}); select cast(extract(epoch from clock_timestamp()) * 1000000 as int8);
    select seq, known, row from linewright.rows where source = '{source}' and known > {known} order by seq limit {most}; commit
"""


class _Session(NamedTuple):
    """A connection in use, and what ends it if it does not answer."""

    connection: psycopg.Connection[Any]
    timeout: QueryTimeout


class PostgresFeatures:
    """What machines share in PostgreSQL; see `store.shared_features.SharedFeatures`."""

    def __init__(self, root: Path, reference: str) -> None:
        self._root, self._reference = root, reference
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = Lock()
        finalize(self, _close, self._idle)  # at the latest when the process ends
        self.has_tables = False
        """Whether the tables are known to be there."""

    @property
    def place(self) -> str:
        """Host and database, for people."""
        return shown_place(self._reference)

    def pushed_rows(self, file: Path, *, now: Callable[[], str]) -> PushedRows:
        """Return the rows of a source."""
        return PostgresRows(self, file, now=now)

    def publish(self, name: str, known: int, file: Path) -> None:
        """Write the parts and make them current in one transaction."""
        self.require_tables()
        with self.session(MOVE_S) as (connection, timeout), connection.transaction():
            connection.execute("set local statement_timeout = 0")
            connection.execute("select pg_advisory_xact_lock(%s)", [lock_number("view", name)])
            held = connection.execute(
                "select generation, known from linewright.views where name = %s", [name]
            ).fetchone()
            generation, newest = held or (0, -1)
            if newest > known:
                return
            connection.execute("delete from linewright.parts where name = %s", [name])
            hashed = sha256()
            with (
                file.open("rb") as parts,
                connection.cursor().copy(
                    "copy linewright.parts (name, generation, part, body) from stdin (format binary)"
                ) as copy,
            ):
                copy.set_types(["text", "int8", "int4", "bytea"])
                for number, part in enumerate(iter(lambda: parts.read(PART), b"")):
                    timeout.restart()
                    hashed.update(part)
                    copy.write_row((name, generation + 1, number, part))
            connection.execute(
                "insert into linewright.views values (%s, %s, %s, %s, now()) on conflict (name) do update set "
                "generation = excluded.generation, known = excluded.known, digest = excluded.digest, written = excluded.written",
                [name, generation + 1, known, hashed.digest()],
            )
            old = "delete from linewright.views where written < now() - cast(%s as interval) returning name"
            for (gone,) in connection.execute(old, [OLD]).fetchall():
                connection.execute("delete from linewright.parts where name = %s", [gone])

    def withdraw(self, name: str) -> None:
        """Remove the parts with the row that says which counts."""
        if not self.knows_tables():
            return
        with self.session(MOVE_S) as (connection, _), connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [lock_number("view", name)])
            connection.execute("delete from linewright.parts where name = %s", [name])
            connection.execute("delete from linewright.views where name = %s", [name])

    def fetch(self, path: Path, *, since: int) -> bool:
        """Read the parts in one transaction that sees one state."""
        if not self.knows_tables():
            return False
        with self.session(LOOK_S) as (connection, _):
            newer = "select 1 from linewright.views where name = %s and known > %s"
            if connection.execute(newer, [path.name, since], prepare=True).fetchone() is None:
                return False
        with explained(path, "the file of a feature view"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.with_name(f".{path.name}.lock")) as is_alone:
                return is_alone and self._fetch(path)

    def _fetch(self, path: Path) -> bool:
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with self.session(MOVE_S) as (connection, timeout), connection.transaction():
                connection.execute("set transaction isolation level repeatable read, read only")
                connection.execute("set local statement_timeout = 0")
                generation, digest = connection.execute(
                    "select generation, digest from linewright.views where name = %s", [path.name]
                ).fetchone() or (0, b"")
                parts = "select body from linewright.parts where name = %s and generation = %s order by part"
                hashed = sha256()
                with draft.open("wb") as file, connection.cursor(binary=True) as cursor:
                    for (part,) in cursor.stream(parts, [path.name, generation]):
                        timeout.restart()
                        hashed.update(part)
                        file.write(part)
            if hashed.digest() != digest:
                raise Corrupt(
                    "a file of records is not what was written",
                    where=self.place,
                    found=path.name,
                    hint="linewright up writes it again, or a run of the line",
                )
            sync_file(draft)
            draft.replace(path)
            sync_folder(path.parent)
        finally:
            draft.unlink(missing_ok=True)
        return True

    def knows_tables(self) -> bool:
        """Return whether the tables are there."""
        if self.has_tables:
            return True
        with self.session(LOOK_S) as (connection, _):
            self.has_tables = _has_tables(connection)
        return self.has_tables

    def troubles(self) -> list[str]:
        """Return what keeps this user from sharing there."""
        rights = _TABLE_RIGHTS if self.knows_tables() else _RIGHTS
        with self.session(LOOK_S) as (connection, _):
            before = micros_of(now_utc())
            ((is_read_only, clock),) = connection.execute(_SERVER).fetchall()
            lacking = [str(right) for (right,) in connection.execute(rights)]
        found = [f"the user lacks the right {right}" for right in lacking]
        if is_read_only:
            found.append("the server takes no rows: it is a copy of another one, or read-only")
        apart_s = abs(clock - before) / 1e6
        if apart_s > _APART_S:
            found.append(f"its clock and that of this machine differ by {apart_s:,.0f} s")
        return found

    def require_tables(self) -> None:
        """Make the tables if they are not there."""
        if self.knows_tables():
            return
        with self.session(KEEP_S) as (connection, _), connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", [lock_number("", _MAKING)])
            if not _has_tables(connection):
                connection.execute(_TABLES)
        self.has_tables = True

    @contextmanager
    def session(self, seconds: float) -> Generator[_Session]:
        """Give a connection whose each answer comes within so many seconds."""
        connection = self._connection()
        with QueryTimeout(lambda: _cut(connection), seconds) as timeout:
            try:
                yield _Session(connection, timeout)
            except psycopg.Error as error:
                connection.close()
                # From none: a password must not come to a log by the frames of the driver.
                raise self._error(error, is_late=timeout.has_ended) from None
            except BaseException:
                connection.close()
                raise
        with self._lock:
            if len(self._idle) < _IDLE and not timeout.has_ended:
                self._idle.append(connection)
                return
        connection.close()

    def _connection(self) -> psycopg.Connection[Any]:
        with self._lock:
            held = self._idle[:]
            # What the server says unasked is that it closes the connection.
            quiet = [one for one in held if not select([one], [], [], 0)[0]]
            self._idle[:] = quiet[1:]
        for one in held:
            if one not in quiet:
                one.close()
        return quiet[0] if quiet else self._connected()

    def _connected(self) -> psycopg.Connection[Any]:
        url = self._url()
        try:
            connection = psycopg.connect(
                host=url.host,
                port=url.port or 5432,
                dbname=url.database,
                user=url.user or None,
                password=url.password or None,
                connect_timeout=CONNECT_S,
                application_name="linewright",
                client_encoding="UTF8",
                autocommit=True,
                **cast("dict[str, Any]", {**url.options, **url.guard}),
            )
            connection.execute(f"set statement_timeout = '{KEEP_S:g}s'".encode())
        except (psycopg.Error, UnicodeError, OSError) as error:
            raise self._error(error) from None
        return connection

    def _url(self) -> DatabaseUrl:
        text = read_secret(self._reference, self._root, where=WHERE)
        try:
            url = read_database_url(text)
        except ValueError as error:
            raise _not_a_url(self._reference, str(error)) from None  # the text is a secret
        if url.scheme != "postgresql":
            raise _not_a_url(self._reference, "it is a database of another kind")
        if strange := url.options.keys() - POSTGRESQL_OPTIONS:
            raise SpecError(
                "this option of the URL is not used",
                where=WHERE,
                found=min(strange),
                allowed=", ".join(sorted(POSTGRESQL_OPTIONS)),
            )
        return url

    def _error(self, error: Exception, *, is_late: bool = False) -> LinewrightError:
        says = "it gave no answer for too long" if is_late else _says(error, self._url().password)
        refused = isinstance(error, psycopg.ProgrammingError | psycopg.DataError | psycopg.IntegrityError)
        return (Terminal if refused else Transient)(
            "the store of features does not answer as it should",
            where=WHERE,
            found=self.place,
            hint=f"{says}: look at the URL, and whether the server is up and reached from here; then try again",
        )


class PostgresRows(PushedRows):
    """The rows of one source in a database that machines share."""

    def __init__(self, shared: PostgresFeatures, file: Path, *, now: Callable[[], str] = now_utc) -> None:
        super().__init__(file, now=now)
        self._shared, self.name = shared, file.stem

    @property
    def is_open(self) -> bool:
        """Whether rows may be pushed to it."""
        return self._shared.knows_tables() and self._columns() is not None

    def open_for(self, columns: Columns) -> None:
        """Let rows be pushed from now on; what was pushed stays, also what was pushed to this machine before rows were shared."""
        self._shared.require_tables()
        with self._keeping(MOVE_S) as (connection, timeout):
            held = self._columns_in(connection)
            if held is None:
                connection.execute("set local statement_timeout = 0")
                self._take_over(connection, timeout)
            elif held != columns and self._has_rows_in(connection):
                refuse_other_columns(columns, held, where=self.name)
            connection.execute(
                "insert into linewright.sources values (%s, %s, %s) on conflict (name) do update set key = excluded.key, time = excluded.time",
                [self.name, *columns],
            )

    def _take_over(self, connection: psycopg.Connection[Any], timeout: QueryTimeout) -> None:
        if not super().is_open:
            return
        with self._connected() as database:
            for table, columns in (("rows", "seq, known, key, row, digest"), ("kinds", "name, kind")):
                found: sqlite3.Cursor = database.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 -- ours
                copied = f"copy linewright.{table} (source, {columns}) from stdin"
                with connection.cursor().copy(copied.encode()) as copy:
                    for row in found:
                        timeout.restart()
                        copy.write_row((self.name, *row))

    @property
    def columns(self) -> Columns:
        """Which columns mean something."""
        held = self._columns()
        if held is None:
            raise Transient("this source is not there any more", where=self._shared.place, found=self.name)
        return held

    def keep(self, new: NewRows) -> PushCounts:
        """Keep rows, all of them or none, as `PushedRows.keep` says."""
        with self._keeping(KEEP_S) as (connection, _):
            self._keep_kinds(connection, new)
            newest: dict[str, bytes] = dict(
                connection.execute(
                    "select distinct on (key) key, digest from linewright.rows where source = %s and key = any(%s) order by key, seq desc",
                    [self.name, list({row.key for row in new.rows})],
                )
            )
            rows = accepted(new.rows, newest)
            if rows:
                ((seq, known, clock),) = connection.execute(_LAST.encode(), [self.name])
                known = max(self._at(clock), known + 1)
                with connection.cursor() as cursor:
                    cursor.executemany(
                        "insert into linewright.rows values (%s, %s, %s, %s, %s, %s)",
                        [(self.name, seq + number, known, *row) for number, row in enumerate(rows, 1)],
                    )
        return PushCounts(len(rows), len(new.rows) - len(rows))

    def _keep_kinds(self, connection: psycopg.Connection[Any], new: NewRows) -> None:
        names = [IN_EACH_ROW, *{value.column for value in new.values}]
        held: dict[str, str] = dict(
            connection.execute(
                "select name, kind from linewright.kinds where source = %s and name = any(%s)",
                [self.name, names],
            )
        )
        ((columns,),) = connection.execute(
            "select count(*) from linewright.kinds where source = %s and name <> ''", [self.name]
        )
        every = "select name from linewright.kinds where source = %s and name <> '' order by name"
        changed = changed_columns(
            new,
            held,
            columns=columns,
            names=lambda: [name for (name,) in connection.execute(every, [self.name])],
        )
        if changed:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "insert into linewright.kinds values (%s, %s, %s) on conflict (source, name) do update set kind = excluded.kind",
                    [(self.name, *one) for one in changed.items()],
                )

    @property
    def has_rows(self) -> bool:
        """Whether a row was kept."""
        with self._shared.session(KEEP_S) as (connection, _):
            return self._has_rows_in(connection)

    def rows(self, *, newest: bool = False) -> Iterator[list[PushedRow]]:
        """Give the rows that there are now, in the order in which they came, some at a time."""
        query = (_NEWEST_ROWS if newest else _ROWS).encode()
        last, seq = None, 0
        while True:
            with self._shared.session(MOVE_S) as (connection, _):
                if last is None:
                    count = "select coalesce(max(seq), 0) from linewright.rows where source = %s"
                    ((last,),) = connection.execute(count, [self.name])
                asked = {"source": self.name, "seq": seq, "last": last}
                some = [PushedRow(*row) for row in connection.execute(query, asked)]
            if not some:
                return
            yield some
            seq = some[-1].seq

    @contextmanager
    def without(
        self,
        those: Callable[[str], bool],
        listed: Iterable[ForgottenText],
        marks: Sequence[Mapping[int, str]],
    ) -> Generator[Removed]:
        """Remove rows. They have no chain, since each factory that shares them keeps and removes some; and later ones are passed over when they are read."""
        del listed, marks
        with self._keeping(MOVE_S) as (connection, timeout):
            connection.execute("set local statement_timeout = 0")
            gone = list[int]()
            for some in self.rows():
                timeout.restart()
                gone += [row.seq for row in some if those(row.row)]
            connection.execute(
                "delete from linewright.rows where source = %s and seq = any(%s)", [self.name, gone]
            )
            yield Removed(len(gone), START, START)

    def shrink(self) -> None:
        """Leave it to the database, which frees the room of removed rows by itself."""

    def since(self, known: int, *, most: int = -1) -> tuple[list[PushedRow], int]:
        """Return the rows that came after a moment, and a later moment, as `PushedRows.since` says."""
        # One message: each of its statements sees what was kept before it began, so the clock is read before the rows.
        asked = _SINCE.format(
            lock=lock_number("source", self.name),
            source=self.name,
            known=int(known),
            most=int(most) if most >= 0 else "all",
        )
        with self._shared.session(LOOK_S) as (connection, _):
            cursor = connection.execute(asked.encode())
            cursor.nextset()
            cursor.nextset()
            ((clock,),) = cursor.fetchall()
            cursor.nextset()
            found = [PushedRow(*row) for row in cursor.fetchall()]
        return found, self._at(clock) - 1

    def _at(self, clock: int) -> int:
        return clock if self._now is now_utc else micros_of(self._now())

    @contextmanager
    def _keeping(self, seconds: float) -> Generator[_Session]:
        """Give a transaction that alone may keep rows of the source."""
        with self._shared.session(seconds) as session, session.connection.transaction():
            lock = lock_number("source", self.name)
            session.connection.execute("select pg_advisory_xact_lock(%s)", [lock])
            yield session

    def _columns(self) -> Columns | None:
        with self._shared.session(KEEP_S) as (connection, _):
            return self._columns_in(connection)

    def _columns_in(self, connection: psycopg.Connection[Any]) -> Columns | None:
        held = connection.execute(
            "select key, time from linewright.sources where name = %s", [self.name]
        ).fetchone()
        return None if held is None else Columns(*held)

    def _has_rows_in(self, connection: psycopg.Connection[Any]) -> bool:
        query = "select 1 from linewright.rows where source = %s limit 1"
        return connection.execute(query, [self.name]).fetchone() is not None


def lock_number(kind: str, name: str) -> int:
    """Return the number of the lock of a source or view.

    Examples
    --------
    >>> lock_number("source", "a") == lock_number("view", "a")
    False
    """
    hashed = blake2b(f"linewright {kind} {name}".encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def _has_tables(connection: psycopg.Connection[Any]) -> bool:
    ((there,),) = connection.execute("select to_regclass('linewright.format') is not null")
    if not there:
        return False
    ((version,),) = connection.execute("select max(version) from linewright.format")
    if version > _VERSION:
        raise Terminal(
            "the store of features was written by a newer Linewright",
            where=WHERE,
            found=version,
            allowed=f"up to {_VERSION}",
            hint="upgrade this installation",
        )
    return True


def _close(connections: list[psycopg.Connection[Any]]) -> None:
    for one in connections:
        one.close()


def _cut(connection: psycopg.Connection[Any]) -> None:
    """End a connection that another thread uses."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as one:
        one.shutdown(socket.SHUT_RDWR)


@contextmanager
def _alone(file: Path) -> Generator[bool]:
    """Hold a file while nobody else on this machine does; give whether it is held."""
    with file.open("wb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _says(error: Exception, password: str) -> str:
    lines = str(error).strip().splitlines()
    says = lines[-1].strip() if lines else type(error).__name__
    return type(error).__name__ if password and password in says else says


def _not_a_url(reference: str, why: str) -> RequestError:
    return SpecError(
        f"what {reference} holds is not used: {why}",
        where=WHERE,
        allowed="postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        hint="in user and password, write all but letters and digits with percent codes, such as %40 for @",
    )
