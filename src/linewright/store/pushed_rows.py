"""Rows that were pushed to a source: durable before they are acknowledged, one SQLite file a source.

A row is about a key, and a later row of the same key corrects it. Rows only come, so what was known at a moment can be said ever after;
nothing is changed, and nothing removed but the rows of a person who is forgotten. So they are their own chain of changes.
"""

import re
import sqlite3
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

from linewright.errors import Corrupt, RequestError, Terminal
from linewright.store.changes import START, Chained, ChangeLog, damaged_pages
from linewright.store.clock import micros_of, now_utc
from linewright.store.files.disk import explain_sqlite, faults_explained, sync_folder
from linewright.store.metadata.schema import Part, schema_of
from linewright.store.shared_features import shared_features
from linewright.store.values import keyed_hash
from linewright.text.lists import read_spelled, to_list_text
from linewright.text.suggest import listed, nearest

FOLDER, ENDING = "push", ".sqlite"
"""The place of the files in the state folder, and what their names end with."""
SOURCE = r"[a-z0-9_-]{1,63}"
"""What the name of such a source matches as a whole."""
BUSY_S = 10.0
"""Longest wait, in seconds, for another process that writes rows of the same source."""
MOST_COLUMNS = 1_000
"""Different names of columns that the rows of one source may come to have: each is a column of the table that readers make, in each row."""
MOST_READ_COLUMNS = 10_000
"""Those that readers take: sources of before may have as many."""
_NEW_COLUMNS = '"new_columns": true in the request'
_AT_ONCE = 10_000
"""Rows that are fetched at once."""
_KEYS_AT_ONCE = 500
_NEVER = 2**63 - 1
_STEPS = (
    """
CREATE TABLE source (key TEXT NOT NULL, time TEXT);
CREATE TABLE rows (seq INTEGER PRIMARY KEY, known INTEGER NOT NULL, key TEXT NOT NULL, row TEXT NOT NULL, digest BLOB NOT NULL);
CREATE INDEX rows_by_key ON rows (key, seq);
CREATE INDEX rows_by_known ON rows (known);
CREATE TABLE kinds (name TEXT PRIMARY KEY, kind TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
""",
    """
CREATE TABLE forgotten (line TEXT, column TEXT, key TEXT, hash TEXT, PRIMARY KEY (line, column, key, hash)) WITHOUT ROWID;
PRAGMA user_version = 2;
""",
)
"""What brings a file from each version of its form to the next. A file of the first form gets the second when somebody is forgotten."""
_NOT_MADE, _VERSION = 0, len(_STEPS)
_CHAIN = ChangeLog("rows", ("seq", "known", "key", "row", "digest"), "sent rows")
_NULL = "null"
"""The kind of a column that has had no value."""
IN_EACH_ROW = ""
"""Among the kinds, the name of no column: behind it are the columns that each row has, as JSON. Files that older versions made lack it."""


class NewRow(NamedTuple):
    """A row to be kept."""

    key: str
    """What it is about, as text."""
    row: str
    """The row as JSON."""
    digest: bytes
    """Of what it says: rows of one key and digest say the same."""


class ColumnValue(NamedTuple):
    """A value that says of which kind a column is."""

    column: str
    kind: str
    """``number``, ``text``, ``boolean`` or ``null``."""
    where: str
    """Its place in the request, for messages."""
    found: object
    """As messages show it."""


class RowShape(NamedTuple):
    """Which columns a row has."""

    where: str
    """Place of the first such row in the request, for messages."""
    columns: frozenset[str]


class NewRows(NamedTuple):
    """Rows to be kept, all of them or none."""

    rows: Sequence[NewRow] = ()
    values: Sequence[ColumnValue] = ()
    """At least the first value of each column and kind, in the order of the rows."""
    shapes: Sequence[RowShape] = ()
    """The different sets of columns of the rows."""
    new_columns: bool = False
    """Whether they may have columns that no row had before, and lack those that each row had."""
    texts: Callable[[str], Sequence[str | None]] = lambda _: ()
    """Gives what stands in a column in each of the rows, as text."""


class ForgottenText(NamedTuple):
    """A text that names a person who is forgotten: rows that have it in its column are not kept."""

    line: str
    """Who forgot them."""
    column: str
    key: str
    """Of the hash, as the list of the line has it."""
    hash: str


class Removed(NamedTuple):
    """Rows that were removed for good."""

    rows: int
    before: Chained
    after: Chained
    """The ends of the chain of rows; equal if it has none, as in a database that machines share."""


class PushedRow(NamedTuple):
    """A row that was kept."""

    seq: int
    """Its number, from 1; later rows have greater ones."""
    known: int
    """When it came, in microseconds since 1970, UTC: never less than that of the row before."""
    row: str
    """The row as JSON."""


class PushCounts(NamedTuple):
    """How many rows were kept, and how many were there already."""

    accepted: int
    repeated: int
    """Rows whose key has exactly this row already; they are not kept twice."""
    forgotten: int = 0
    """Rows that name a person who is forgotten; they are not kept."""


class Columns(NamedTuple):
    """The columns of a source that say what a row is about and when it happened."""

    key: str
    """What a row is about."""
    time: str | None = None
    """When it happened."""


class PushedRows:
    """The rows of one source. Safe to use from several threads and processes."""

    def __init__(self, file: Path, *, now: Callable[[], str] = now_utc) -> None:
        self.file, self._now = file, now

    @classmethod
    def of(cls, state: Path, name: str, *, now: Callable[[], str] = now_utc) -> "PushedRows":
        """Return the rows of a source, from the state folder of its factory, or from the database that its machines share."""
        if re.fullmatch(SOURCE, name) is None:
            raise RequestError(
                "no source that takes rows can have this name",
                found=name[:100],
                allowed="a-z, 0-9, _ and hyphens, at most 63 of them",
            )
        file, shared = state / FOLDER / f"{name}{ENDING}", shared_features(state)
        return cls(file, now=now) if shared is None else shared.pushed_rows(file, now=now)

    @property
    def is_open(self) -> bool:
        """Whether rows may be pushed to it: a file alone does not say so, since who makes it may be killed."""
        if not self.file.is_file():
            return False
        with self._connected() as database:
            return _version(database) != _NOT_MADE

    def open_for(self, columns: Columns) -> None:
        """Let rows be pushed from now on; what was pushed stays."""
        with self._connected(makes=True) as database:
            database.execute("BEGIN IMMEDIATE")
            if _version(database) == _NOT_MADE:
                _step_up(database)
                database.execute("INSERT INTO source VALUES (?, ?)", columns)
            elif (held := _columns(database)) != columns:
                if database.execute("SELECT 1 FROM rows LIMIT 1").fetchone():
                    refuse_other_columns(columns, held, where=self.file.name)
                database.execute("UPDATE source SET key = ?, time = ?", columns)
            database.execute("COMMIT")

    @property
    def columns(self) -> Columns:
        """Which columns mean something."""
        with self._connected() as database:
            return _columns(database)

    def keep(self, new: NewRows) -> PushCounts:
        """Keep rows, all of them or none: when it returns they survive power loss.

        Rows whose key's newest row says the same are not kept again, so that rows may be sent again if no answer came.
        """
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")
            _keep_kinds(database, new)
            those = _of_the_forgotten(database, new)
            known_rows = [row for number, row in enumerate(new.rows) if number not in those]
            rows = accepted(known_rows, _newest(database, {row.key for row in known_rows}))
            if rows:
                # In the transaction, which one process has at a time: who looks at the file under the same lock has seen all rows
                # that are known by then.
                seq, known = database.execute(
                    "SELECT coalesce(max(seq), 0), coalesce(max(known), 0) FROM rows"
                ).fetchone()
                known = max(micros_of(self._now()), known + 1)
                database.executemany(
                    "INSERT INTO rows VALUES (?, ?, ?, ?, ?)",
                    [(seq + number, known, *row) for number, row in enumerate(rows, 1)],
                )
            database.execute("COMMIT")
        return PushCounts(len(rows), len(known_rows) - len(rows), len(those))

    @property
    def has_rows(self) -> bool:
        """Whether a row was kept."""
        with self._connected() as database:
            return database.execute("SELECT 1 FROM rows LIMIT 1").fetchone() is not None

    def rows(self, *, newest: bool = False) -> Iterator[list[PushedRow]]:
        """Give the rows that there are now, in the order in which they came, some at a time."""
        later = "SELECT 1 FROM rows AS later WHERE later.key = rows.key AND later.seq > rows.seq AND later.seq <= :last"
        only = f" AND NOT EXISTS ({later})" if newest else ""
        query = f"SELECT seq, known, row FROM rows WHERE seq > :seq AND seq <= :last{only} ORDER BY seq LIMIT {_AT_ONCE}"  # noqa: S608 -- ours
        with self._connected() as database:
            (last,) = database.execute("SELECT coalesce(max(seq), 0) FROM rows").fetchone()
            seq = 0
            # Rows never change. One query for all would keep others from writing until the last row is used.
            while some := database.execute(query, {"seq": seq, "last": last}).fetchall():
                yield [PushedRow(*row) for row in some]
                seq = some[-1][0]

    def since(self, known: int, *, most: int = -1) -> tuple[list[PushedRow], int]:
        """Return the rows that came after a moment, and a later moment: of what was known by then, all is among them or came before."""
        with self._connected() as database:
            # Nobody can be about to keep a row with an earlier time: that is done under the same lock.
            database.execute("BEGIN IMMEDIATE")
            moment = micros_of(self._now()) - 1
            found = database.execute(
                "SELECT seq, known, row FROM rows WHERE known > ? ORDER BY seq LIMIT ?", (known, most)
            ).fetchall()
            database.execute("ROLLBACK")
        return [PushedRow(*row) for row in found], moment

    def moment(self) -> int:
        """Return a moment such that all that is known by then can be read from now on, in microseconds since 1970, UTC."""
        return self.since(_NEVER)[1]

    def end(self, since: Chained = START) -> Chained:
        """Return the end of the chain of rows, of which one before is known."""
        with self._connected() as database:
            return _CHAIN.end(database, since)

    def wrong(self, marks: Mapping[int, str]) -> list[str]:
        """Say what is wrong with the file."""
        with self._connected() as database:
            if damage := damaged_pages(database):
                return damage
            return _CHAIN.wrong(database, marks)[1]

    def lists(self, line: str, hashes: Iterable[str]) -> bool:
        """Return whether rows of all whom a line has forgotten, by their hashes, would be passed over."""
        with self._connected() as database:
            held = {one.hash for one in _forgotten_in(database) if one.line == line}
            return held.issuperset(hashes)

    @contextmanager
    def without(
        self,
        those: Callable[[str], bool],
        listed: Iterable[ForgottenText],
        marks: Sequence[Mapping[int, str]],
    ) -> Generator[Removed]:
        """Remove rows, and give what went: it has happened once the block is left, and not at all where that raises."""
        with self._connected() as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("BEGIN IMMEDIATE")
            _step_up(database)
            wrong = min((_CHAIN.wrong(database, one)[1] for one in marks), key=len, default=[])
            if wrong:
                raise Corrupt(
                    f"nothing is removed, since sent rows are not what was kept: {wrong[0]}",
                    where=self.file.name,
                    hint="linewright verify",
                )
            before = _CHAIN.end(database)
            gone = [
                (seq,)
                for seq, row in database.execute("SELECT seq, row FROM rows ORDER BY seq")
                if those(row)
            ]
            database.executemany("DELETE FROM rows WHERE seq = ?", gone)
            database.executemany("INSERT OR IGNORE INTO forgotten VALUES (?, ?, ?, ?)", listed)
            yield Removed(len(gone), before, _CHAIN.end(database) if gone else before)
            database.execute("COMMIT")

    def shrink(self) -> None:
        """Rewrite the file without its free pages, in which there may be what was removed. Other processes wait meanwhile."""
        with self._connected() as database:
            database.execute("VACUUM")

    @contextmanager
    def _connected(self, *, makes: bool = False) -> Generator[sqlite3.Connection]:
        try:
            with faults_explained():
                if makes and not self.file.parent.is_dir():
                    self.file.parent.mkdir(parents=True, exist_ok=True)
                    sync_folder(self.file.parent.parent)
                mode = "rwc" if makes else "rw"
                with closing(
                    sqlite3.connect(
                        f"{self.file.resolve().as_uri()}?mode={mode}",
                        uri=True,
                        timeout=BUSY_S,
                        isolation_level=None,
                    )
                ) as database:
                    # EXTRA also forces the folder to the disk after a commit: with FULL, power loss can bring the journal back.
                    database.execute("PRAGMA synchronous = EXTRA")
                    yield database
        except sqlite3.DatabaseError as error:
            raise explain_sqlite(error, self.file.name, "the file of pushed rows") or Corrupt(
                f"pushed rows cannot be read: {error}", where=self.file.name, hint="restore it from a backup"
            ) from error


def schema_at(version: int) -> frozenset[Part]:
    """Return the schema that a file of pushed rows of a version of its form has."""
    if version > _VERSION:
        raise Terminal(
            "pushed rows were written by a newer Linewright",
            found=version,
            allowed=f"up to {_VERSION}",
            hint="upgrade this installation",
        )
    if version == _NOT_MADE:
        return frozenset()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        _step_up(database, version)
        return schema_of(database)


def _step_up(database: sqlite3.Connection, version: int = _VERSION) -> None:
    for step in _STEPS[_version(database) : version]:
        for statement in filter(str.strip, step.split(";\n")):
            database.execute(statement)


def _version(database: sqlite3.Connection) -> int:
    return database.execute("PRAGMA user_version").fetchone()[0]


def _columns(database: sqlite3.Connection) -> Columns:
    return Columns(*database.execute("SELECT key, time FROM source").fetchone())


def _forgotten_in(database: sqlite3.Connection) -> list[ForgottenText]:
    if _version(database) < _VERSION:
        return []
    return [ForgottenText(*row) for row in database.execute("SELECT line, column, key, hash FROM forgotten")]


def _of_the_forgotten(database: sqlite3.Connection, new: NewRows) -> set[int]:
    """Return which rows, by their places, name a person who is forgotten."""
    hashes = dict[tuple[str, str], set[str]]()
    for one in _forgotten_in(database):
        hashes.setdefault((one.column, one.key), set()).add(one.hash)
    return {
        number
        for (column, key), those in hashes.items()
        for number, text in enumerate(new.texts(column))
        if text is not None and keyed_hash(key, text) in those
    }


def _keep_kinds(database: sqlite3.Connection, new: NewRows) -> None:
    """Keep the columns and their kinds, so that what readers would refuse is refused before it is kept."""
    names, held = [IN_EACH_ROW, *sorted({value.column for value in new.values})], dict[str, str]()
    for start in range(0, len(names), _KEYS_AT_ONCE):
        some = names[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(some))
        held.update(database.execute(f"SELECT name, kind FROM kinds WHERE name IN ({marks})", some))  # noqa: S608 -- marks alone
    (columns,) = database.execute("SELECT count(*) FROM kinds WHERE name <> ''").fetchone()
    every = "SELECT name FROM kinds WHERE name <> '' ORDER BY name"
    changed = changed_columns(
        new, held, columns=columns, names=lambda: [name for (name,) in database.execute(every)]
    )
    database.executemany("INSERT OR REPLACE INTO kinds VALUES (?, ?)", changed.items())


def changed_columns(
    new: NewRows, held: Mapping[str, str], *, columns: int, names: Callable[[], Sequence[str]]
) -> dict[str, str]:
    """Return the kinds that are to be kept with rows, and under `IN_EACH_ROW` the columns that each row has, if they are others now.

    The first rows say which columns there are. So do rows with `NewRows.new_columns`, which leave the others.

    Examples
    --------
    >>> shape = RowShape("rows[0]", frozenset({"a", "b"}))
    >>> changed_columns(NewRows(shapes=[shape]), {}, columns=0, names=list)
    {'': '["a","b"]'}
    """
    kinds = {name: kind for name, kind in held.items() if name != IN_EACH_ROW}
    before = frozenset(read_spelled(held[IN_EACH_ROW])) if IN_EACH_ROW in held else frozenset[str]()
    if columns and not new.new_columns:
        _refuse_unknown(new, kinds, names)
        _refuse_lacking(new, before)
    changed = changed_kinds(new.values, kinds, columns=columns)
    if new.shapes and (new.new_columns or not columns):
        common = frozenset.intersection(*(shape.columns for shape in new.shapes))
        after = before & common if columns else common
        if after != before:
            changed[IN_EACH_ROW] = to_list_text(sorted(after))
    return changed


def _refuse_unknown(new: NewRows, kinds: Mapping[str, str], names: Callable[[], Sequence[str]]) -> None:
    for value in new.values:
        if value.column not in kinds:
            known = names()
            near = nearest(value.column, known)
            raise RequestError(
                "no row before had a column of this name",
                where=value.where,
                found=value.column,
                allowed=listed(known),
                hint=f"{f'did you mean {near!r}? ' if near else ''}A column is added by {_NEW_COLUMNS}",
            )


def _refuse_lacking(new: NewRows, each: frozenset[str]) -> None:
    for shape in new.shapes:
        if lacking := sorted(each - shape.columns):
            raise RequestError(
                f"the row lacks {'a column' if len(lacking) == 1 else 'columns'} that each row had: {listed(lacking)}",
                where=shape.where,
                found=listed(sorted(shape.columns)),
                allowed=listed(sorted(each)),
                hint=f"send null for no value. Rows may lack it from now on by {_NEW_COLUMNS}",
            )


def changed_kinds(values: Sequence[ColumnValue], held: Mapping[str, str], *, columns: int) -> dict[str, str]:
    """Return the kinds of columns that are new, or have had no value before.

    Examples
    --------
    >>> changed_kinds([ColumnValue("a", "number", "", 1), ColumnValue("b", "null", "", None)], {"a": "null"}, columns=1)
    {'a': 'number', 'b': 'null'}
    """
    changed, newest = dict[str, str](), dict(held)
    for value in values:
        kind = newest.get(value.column)
        if kind is None or (kind == _NULL and value.kind != _NULL):
            changed[value.column] = newest[value.column] = value.kind
        elif value.kind not in {kind, _NULL}:
            raise RequestError(
                f"a {value.kind} cannot be kept in this column",
                where=value.where,
                found=value.found,
                allowed=f"a {kind}, as its first value was, or null",
                hint="correct the value; a source of another name starts with no kinds",
            )
    added = [value for value in values if value.column not in held]
    columns += len({value.column for value in added})
    if added and columns > MOST_COLUMNS:
        raise RequestError(
            "the source would have too many columns",
            where=added[-1].where,
            found=f"{columns:,} different names, with those of earlier rows",
            allowed=f"at most {MOST_COLUMNS:,}",
            hint="look whether names of columns hold values, such as ids or days; send those as values",
        )
    return changed


def accepted(rows: Sequence[NewRow], newest: Mapping[str, bytes]) -> list[NewRow]:
    """Return the rows that say something else than the newest of their key before, whose digests are given."""
    found, last = list[NewRow](), dict(newest)
    for row in rows:
        if last.get(row.key) != row.digest:
            last[row.key] = row.digest
            found.append(row)
    return found


def refuse_other_columns(columns: Columns, held: Columns, *, where: str) -> NoReturn:
    """Refuse to open a source that has rows with another key or time."""
    raise RequestError(
        "rows were pushed to this source that have another key or time",
        where=where,
        found=_shown(columns),
        allowed=_shown(held),
        hint="give the source that reads otherwise another name after `push`",
    )


def _newest(database: sqlite3.Connection, keys: Collection[str]) -> dict[str, bytes]:
    """Return the digest of the newest row of each of some keys."""
    found, wanted = dict[str, bytes](), sorted(keys)
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = wanted[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(some))
        found.update(
            database.execute(
                f"SELECT key, digest FROM rows WHERE seq IN (SELECT max(seq) FROM rows WHERE key IN ({marks}) GROUP BY key)",  # noqa: S608 -- marks alone
                some,
            )
        )
    return found


def _shown(columns: Columns) -> str:
    return f"key: {columns.key}" + (f", time: {columns.time}" if columns.time else "")
