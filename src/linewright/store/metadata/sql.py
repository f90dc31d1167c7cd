"""Metadata in SQL: SQLite in a factory's folder, or PostgreSQL for many workers, by the same code."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from linewright.errors import Conflict, Corrupt, NotFound, Terminal, Transient
from linewright.store.files.stamps import Stamp, lasting_stamp
from linewright.store.metadata.audit_chain import ROOT, Head, Link, link
from linewright.store.metadata.database import open_database, reading, writing
from linewright.store.protocols import Pointer, Recorded, Tally, Version
from linewright.store.values import Event, Result, canonical_json, decode, decoder, digest_of_bytes

R = TypeVar("R", bound=Result)
E = TypeVar("E", bound=Event)

REVISIONS = ("0.1.0",)
"""Revisions of the schema, oldest first: those of `store/migrations`, known here so that opening need not import Alembic."""

TABLES = sa.MetaData()
_DIGEST = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SEQ = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_results = sa.Table(
    "results",
    TABLES,
    sa.Column("digest", _DIGEST, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_settled = sa.Table(
    "settled",
    TABLES,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
)
_inputs = sa.Table(
    "inputs",
    TABLES,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("inputs", sa.Text, nullable=False),
)
_events = sa.Table(
    "events",
    TABLES,
    sa.Column("seq", _SEQ, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Index("events_by_line", "line", "kind", "seq"),
    sa.Index("events_by_kind", "kind", "seq"),
    sqlite_autoincrement=True,
)
_heads = sa.Table(
    "heads",
    TABLES,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
_pointers = sa.Table(
    "pointers",
    TABLES,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("champion", sa.Integer),
    sa.Column("challenger", sa.Integer),
    sa.Column("halt", sa.Boolean, nullable=False),
)
_models = sa.Table(
    "models",
    TABLES,
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("at", sa.Text, nullable=False),
    sa.UniqueConstraint("line", "digest", name="models_one_version_a_digest"),
)
_head = sa.select(_heads.c.entries, _heads.c.digest).where(_heads.c.name == "events")
_version = sa.table("alembic_version", sa.column("version_num"))

# What a run asks for again and again: to build a query takes longer than to carry it out.
_body_of = sa.select(_results.c.body).where(_results.c.digest == sa.bindparam("digest"))
_settled_as = sa.select(_settled.c.digest).where(_settled.c.key == sa.bindparam("key"))
_inputs_of = sa.select(_inputs.c.inputs).where(
    _inputs.c.line == sa.bindparam("line"), _inputs.c.step == sa.bindparam("step")
)
_pointer_at = sa.select(_pointers).where(_pointers.c.line == sa.bindparam("line"))
_versions_of = sa.select(_models).where(_models.c.line == sa.bindparam("line")).order_by(_models.c.version)

_AT_ONCE = 500
"""Digests that one query is about."""
_ASKED = {
    "sqlite": "SELECT value FROM json_each(:lines)",
    "postgresql": "SELECT line FROM json_array_elements_text(CAST(:lines AS json)) AS one (line)",
}
_NEWEST = """
WITH asked (line) AS ({asked}),
     places (line, low) AS (
       SELECT asked.line, (SELECT min(few.seq) FROM (
         SELECT own.seq FROM events AS own WHERE own.line = asked.line AND own.kind = :kind ORDER BY own.seq DESC LIMIT :most) AS few)
       FROM asked)
SELECT events.seq, events.body
FROM places JOIN events ON events.line = places.line AND events.kind = :kind AND events.seq >= places.low
ORDER BY places.line, events.seq DESC
"""

_MIGRATION_LOCK = 0x6C696E65
"""Key of the PostgreSQL advisory lock under which one process migrates and the others wait."""


class SqlMetadata:
    """What was computed and what happened, in one database. The schema is made, or brought up to date, at opening.

    Any number of threads and processes may use one database at once; each method is one transaction.

    Examples
    --------
    >>> from linewright.store.protocols import Pointer
    >>> with SqlMetadata("sqlite://") as metadata:
    ...     metadata.register("claims", "sha256:aa", at="2026-11-25T01:02:03.000004Z"), metadata.pointer("claims")
    (1, Pointer(generation=0, champion=None, challenger=None, halt=False))
    """

    def __init__(
        self, url: str, *, kinds: Sequence[type[Event]] | None = None, busy_s: float | None = None
    ) -> None:
        self._engine = open_database(url, busy_s=busy_s)
        self._kinds = kinds
        # The engine has imported the dialect of its database; that of the other one takes long.
        self._insert: Any = import_module(f"sqlalchemy.dialects.{self._engine.dialect.name}").insert
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def stamp(self) -> Stamp | None:
        """Return what differs once anything was written; `None` where that cannot be told: just after a write, and where it is no file."""
        file = self._engine.url.database if self._engine.dialect.name == "sqlite" else None
        return lasting_stamp(file) if file else None

    # Reading

    def get(self, digest: str, kind: type[R]) -> R:
        """Return the result with that digest; raise `NotFound`, or `Corrupt` where the bytes changed."""
        return decode(kind, self._stored(digest), digest=digest)

    def get_all(self, digests: Iterable[str], kind: type[R]) -> dict[str, R]:
        """Return the results with some digests, as `get` does each: many take a few queries."""
        asked = list(dict.fromkeys(digests))
        bodies = self.bodies(asked)
        if (missing := next((one for one in asked if one not in bodies), None)) is not None:
            raise NotFound("no result has that digest", where=missing)
        return {digest: decode(kind, bodies[digest], digest=digest) for digest in asked}

    def body(self, digest: str) -> bytes:
        """Return the canonical JSON of a result, verified."""
        body = self._stored(digest)
        found = digest_of_bytes(body)
        if found != digest:
            raise Corrupt(
                "stored bytes have changed", where=digest, found=found, hint="restore them from a backup"
            )
        return body

    def find(self, prefix: str) -> list[tuple[str, str]]:
        """Return (digest, kind) of at most 20 results whose digest starts with `prefix` (with or without "sha256:")."""
        low = "sha256:" + prefix.lower().removeprefix("sha256:")
        # Above every digest with that prefix: hex digits sort before "g".
        query = (
            sa.select(_results.c.digest, _results.c.kind)
            .where(_results.c.digest >= low, _results.c.digest < low + "g")
            .order_by(_results.c.digest)
            .limit(20)
        )
        return [(row.digest, row.kind) for row in self._rows(query)]

    def settled(self, key: str) -> str | None:
        """Return the digest that the step with this key computed, or `None`."""
        rows = self._rows(_settled_as, key=key)
        return rows[0].digest if rows else None

    def last_inputs(self, line: str, step: str) -> Mapping[str, str]:
        """Return the inputs (name to digest or text) of the latest settled step of a line; empty if none."""
        rows = self._rows(_inputs_of, line=line, step=step)
        return msgspec.json.decode(rows[0].inputs, type=dict[str, str]) if rows else {}

    def events(
        self, kind: type[E], *, line: str | None = None, newest_first: bool = False, limit: int = 0
    ) -> list[E]:
        """Return events of one kind, in order; `limit` 0 means all."""
        query = _events_of_kind(of_line=line is not None, newest_first=newest_first, limit=limit)
        rows = self._rows(query, kind=_name(kind), **({} if line is None else {"line": line}))
        return [_read_event(kind, row) for row in rows]

    def events_of(self, kind: type[E], lines: Sequence[str]) -> list[E]:
        """Return the events of one kind of some lines, by line and of each in order."""
        query = sa.select(_events).where(_events.c.kind == _name(kind), _events.c.line.in_(lines))
        # In the order of their index, else the database goes through the events of all lines.
        rows = self._rows(query.order_by(_events.c.line, _events.c.seq))
        return [_read_event(kind, row) for row in rows]

    def newest_with(self, kind: type[E], field: str, value: str) -> E | None:
        """Return the newest event of one kind that has a text in a field, such as the id of a run; `None` if there is none.

        The database looks for it, from the newest event on: what happened of late is found at once.
        """
        # As canonical JSON has it. In a text the quotes would have a backslash before them, so this is the field.
        stored = f'"{field}":{canonical_json(value).decode()}'
        query = sa.select(_events).where(
            _events.c.kind == _name(kind), _events.c.body.contains(stored, autoescape=True)
        )
        rows = self._rows(_ordered(query, line=None, newest_first=True, limit=1))
        return _read_event(kind, rows[0]) if rows else None

    def history(self, *, line: str | None = None, limit: int = 50) -> list[Recorded]:
        """Return events of all known kinds, newest first; `limit` 0 means all."""
        known = {_name(kind): kind for kind in (_loaded(Event) if self._kinds is None else self._kinds)}
        query = sa.select(_events).where(_events.c.kind.in_(known))
        return [
            Recorded(seq=row.seq, kind=row.kind, event=_read_event(known[row.kind], row))
            for row in self._rows(_ordered(query, line=line, newest_first=True, limit=limit))
        ]

    def pointer(self, line: str) -> Pointer:
        """Return which models serve; the default `Pointer` for a line without one."""
        rows = self._rows(_pointer_at, line=line)
        return _pointer_of(rows[0]) if rows else Pointer()

    def versions(self, line: str) -> list[Version]:
        """Return the registered models of a line, oldest first."""
        rows = self._rows(_versions_of, line=line)
        return [Version(line=row.line, version=row.version, digest=row.digest, at=row.at) for row in rows]

    def lines(self) -> list[str]:
        """Return the names of lines with a pointer or a version, sorted."""
        rows = self._rows(sa.union(sa.select(_pointers.c.line), sa.select(_models.c.line)))
        return sorted(row.line for row in rows)

    def lines_since(self, seq: int | None) -> tuple[int, set[str]]:
        """Return the number of the newest event (0 before the first), and the lines that events after number `seq` are about; none for `None`."""
        newest = sa.select(sa.func.max(_events.c.seq).label("seq"))
        if seq is None:
            return self._rows(newest)[0].seq or 0, set()
        rows = self._rows(
            newest.add_columns(_events.c.line).where(_events.c.seq > seq).group_by(_events.c.line)
        )
        return max((row.seq for row in rows), default=seq), {row.line for row in rows}

    # Reading of many lines at once: a thousand take one query, not a thousand

    def pointers(self) -> dict[str, Pointer]:
        """Return which models serve, of each line that has a pointer."""
        return {row.line: _pointer_of(row) for row in self._rows(sa.select(_pointers))}

    def all_versions(self) -> list[Version]:
        """Return the registered models of all lines, by line, of each the oldest first."""
        rows = self._rows(sa.select(_models).order_by(_models.c.line, _models.c.version))
        return [Version(line=row.line, version=row.version, digest=row.digest, at=row.at) for row in rows]

    def newest(self, kind: type[E], lines: Sequence[str], *, most: int) -> list[E]:
        """Return the newest events of one kind of each of some lines, at most `most` of a line, by line and newest first."""
        # From each line to its own events, by their index; a window function would read all events there are.
        query = sa.text(_NEWEST.format(asked=_ASKED[self._engine.dialect.name]))
        # One text, since a thousand parameters take longer to bind than to look up.
        some = msgspec.json.encode(lines).decode()
        rows = self._rows(query.bindparams(kind=_name(kind), most=most, lines=some))
        return [_read_event(kind, row) for row in rows]

    def bodies(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Return the canonical JSON of those of some digests that are results; nothing is verified."""
        found: dict[str, bytes] = {}
        for first in range(0, len(digests), _AT_ONCE):
            some = _results.c.digest.in_(digests[first : first + _AT_ONCE])
            rows = self._rows(sa.select(_results.c.digest, _results.c.body).where(some))
            found |= {row.digest: row.body.encode() for row in rows}
        return found

    # Reading everything, in pages: a long read would keep writers out

    def results(self, *, page: int = 500) -> Iterator[tuple[str, str, str]]:
        """Iterate over (digest, kind, body) of all results, by digest; nothing is verified."""
        query = sa.select(_results.c.digest, _results.c.kind, _results.c.body).order_by(_results.c.digest)
        for row in self._paged(query, _results.c.digest, "", page):
            yield row.digest, row.kind, row.body

    def links(
        self, *, after: int = 0, kinds: Collection[str] = (), line: str | None = None, page: int = 500
    ) -> Iterator[Link]:
        """Iterate over events as they are stored, oldest first; nothing is verified."""
        query = sa.select(*(_events.c[name] for name in Link._fields)).order_by(_events.c.seq)
        if kinds:
            query = query.where(_events.c.kind.in_(kinds))
        if line is not None:
            query = query.where(_events.c.line == line)
        for row in self._paged(query, _events.c.seq, after, page):
            yield Link(*row)

    def latest_links(
        self, *, before: int | None, limit: int, equal: Mapping[str, str], since: str, until: str
    ) -> list[Link]:
        """Return events as they are stored, the newest first; nothing is verified."""
        query = sa.select(*(_events.c[name] for name in Link._fields)).order_by(_events.c.seq.desc())
        for name, value in equal.items():
            query = query.where(_events.c[name] == value)
        if since:
            query = query.where(_events.c.at >= since)
        if until:
            query = query.where(_events.c.at < until)
        if before is not None:
            query = query.where(_events.c.seq < before)
        return [Link(*row) for row in self._rows(query.limit(limit))]

    def chains(self, numbers: Sequence[int]) -> dict[int, str]:
        """Return the digest in the chain of each of some events, by its number; of those that are gone nothing."""
        rows = self._rows(sa.select(_events.c.seq, _events.c.chain).where(_events.c.seq.in_(numbers)))
        return {row.seq: row.chain for row in rows}

    def newest_seq(self, *, by: str | None = None) -> int:
        """Return the number of the newest event, or of the newest that happened by an instant; 0 where there is none."""
        query = sa.select(sa.func.coalesce(sa.func.max(_events.c.seq), 0).label("seq"))
        return self._rows(query if by is None else query.where(_events.c.at <= by))[0].seq

    def tally(self) -> list[Tally]:
        """Return how many events of each kind each line has, and when the newest of them happened; by line and kind."""
        groups = (
            sa.select(
                _events.c.line,
                _events.c.kind,
                sa.func.count().label("number"),
                sa.func.max(_events.c.seq).label("seq"),
            )
            .group_by(_events.c.line, _events.c.kind)
            .subquery()
        )
        query = (
            sa.select(groups.c.line, groups.c.kind, groups.c.number, _events.c.at)
            .join(_events, _events.c.seq == groups.c.seq)
            .order_by(groups.c.line, groups.c.kind)
        )
        return [Tally(*row) for row in self._rows(query)]

    def settlements(self, *, page: int = 500) -> Iterator[tuple[str, str]]:
        """Iterate over (key, digest) of all settled steps and chunks, by key."""
        query = sa.select(_settled.c.key, _settled.c.digest).order_by(_settled.c.key)
        for row in self._paged(query, _settled.c.key, "", page):
            yield row.key, row.digest

    def head(self) -> Head:
        """Return the end of the chain of events."""
        return _head_of(self._rows(_head))

    def head_after(self, entries: int) -> str | None:
        """Return the digest of the chain as it was after so many events; `None` where there are fewer."""
        if entries <= 0:
            return ROOT
        rows = self._rows(sa.select(_events.c.chain).order_by(_events.c.seq).offset(entries - 1).limit(1))
        return rows[0].chain if rows else None

    def contains(self, head: str) -> bool:
        """Return whether the chain of events once ended with this digest."""
        return bool(self._rows(sa.select(_events.c.seq).where(_events.c.chain == head).limit(1)))

    def newest_at(self) -> str | None:
        """Return the time of the newest event; `None` where nothing has happened yet."""
        rows = self._rows(sa.select(_events.c.at).order_by(_events.c.seq.desc()).limit(1))
        return rows[0].at if rows else None

    def kinds_of(self, digests: Sequence[str]) -> Mapping[str, str]:
        """Return the kinds of those of a few digests that are results."""
        query = sa.select(_results.c.digest, _results.c.kind).where(_results.c.digest.in_(digests))
        return {row.digest: row.kind for row in self._rows(query)}

    def _paged(self, query: Any, column: sa.Column[Any], after: Any, page: int) -> Iterator[Any]:
        while rows := self._rows(query.where(column > after).limit(page)):
            yield from rows
            after = getattr(rows[-1], column.name)

    # Writing

    def keep(self, result: Result) -> str:
        """Keep `result` and return its digest; keeping it twice is keeping it once."""
        body = canonical_json(result)
        digest = digest_of_bytes(body)
        row = {
            "digest": digest,
            "kind": _name(type(result)),
            "version": result.version,
            "body": body.decode(),
        }
        with writing(self._engine) as connection:
            connection.execute(self._insert(_results).values(row).on_conflict_do_nothing())
        return digest

    def settle(self, key: str, *, line: str, step: str, inputs: Mapping[str, str], digest: str) -> None:
        """Note that the step with this key computed `digest`, from these inputs."""
        text = canonical_json(dict(inputs)).decode()
        latest = self._insert(_inputs).values(line=line, step=step, inputs=text)
        with writing(self._engine) as connection:
            self._settle(connection, key, digest, f"{line}, step {step}")
            connection.execute(
                latest.on_conflict_do_update(index_elements=["line", "step"], set_={"inputs": text})
            )

    def link(self, digests: Mapping[str, str]) -> None:
        """Note the digest that each key stands for, all or none; raise `Conflict` where a key has another one."""
        with writing(self._engine) as connection:
            for key, digest in digests.items():
                self._settle(connection, key, digest, key)

    def _settle(self, connection: sa.Connection, key: str, digest: str, where: str) -> None:
        connection.execute(self._insert(_settled).values(key=key, digest=digest).on_conflict_do_nothing())
        kept = connection.scalar(_settled_as, {"key": key})
        if kept != digest:
            raise Conflict(
                "the same inputs gave another result",
                where=where,
                found=digest,
                allowed=str(kept),
                hint="report it: this step is not deterministic",
            )

    def record(self, event: Event) -> None:
        """Append `event`."""
        self.record_all([event])

    def record_all(self, events: Sequence[Event]) -> None:
        """Append events, all or none."""
        with writing(self._engine) as connection:
            for event in events:
                _append(connection, event)

    def register(
        self, line: str, digest: str, *, at: str, event: Callable[[int], Event] | None = None
    ) -> int:
        """Give a package its version (1, 2, …) in a line, and return it; a registered digest keeps its version.

        A new version and the event that `event` makes of it are kept together or not at all.
        """
        for _ in range(20):
            try:
                return self._register(line, digest, at, event)
            except IntegrityError:
                # On PostgreSQL another process took the same number, or registered the same digest: look again.
                continue
        raise Transient("many processes register models of this line at once", where=line, hint="try again")

    def move(self, line: str, pointer: Pointer, event: Event) -> None:
        """Replace the pointer of a line and append `event`, both or neither."""
        values = {"line": line, **msgspec.structs.asdict(pointer)}
        before = pointer.generation - 1
        change: Any = (
            self._insert(_pointers).values(values).on_conflict_do_nothing()
            if before == 0
            else sa.update(_pointers)
            .where(_pointers.c.line == line, _pointers.c.generation == before)
            .values(values)
        )
        with writing(self._engine) as connection:
            # Compare-and-set in one statement: of two processes that read the same generation exactly one moves it.
            if connection.execute(change.returning(_pointers.c.line)).first() is None:
                found = connection.scalar(sa.select(_pointers.c.generation).where(_pointers.c.line == line))
                raise Conflict(
                    "the line was moved by someone else meanwhile",
                    where=line,
                    found=f"generation {found or 0}",
                    allowed=f"generation {before}",
                    hint="look at its status, then decide again",
                )
            _append(connection, event)

    def _register(self, line: str, digest: str, at: str, event: Callable[[int], Event] | None) -> int:
        of_line = sa.select(_models.c.version).where(_models.c.line == line)
        with writing(self._engine) as connection:
            kept = connection.scalar(of_line.where(_models.c.digest == digest))
            if kept is not None:
                return kept
            newest = connection.scalar(of_line.order_by(_models.c.version.desc()).limit(1)) or 0
            connection.execute(sa.insert(_models).values(line=line, version=newest + 1, digest=digest, at=at))
            if event is not None:
                _append(connection, event(newest + 1))
            return newest + 1

    def _rows(self, query: sa.Executable, **values: str) -> Sequence[Any]:
        with reading(self._engine) as connection:
            return connection.execute(query, values).all()

    def _stored(self, digest: str) -> bytes:
        rows = self._rows(_body_of, digest=digest)
        if not rows:
            raise NotFound("no result has that digest", where=digest)
        return rows[0].body.encode()

    # Schema

    def _bring_up_to_date(self) -> None:
        with reading(self._engine) as connection:
            if self._is_current(connection):
                return
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            # Again, now that no other process can migrate: it may have done so while this one waited.
            if not self._is_current(connection):
                import_module("linewright.store.metadata.migrations").upgrade(connection)

    def _is_current(self, connection: sa.Connection) -> bool:
        if not sa.inspect(connection).has_table("alembic_version"):
            return False
        found = connection.scalar(sa.select(_version.c.version_num))
        if found is not None and found not in REVISIONS:
            raise Terminal(
                "the state was written by another version of Linewright",
                where=self._engine.url.render_as_string(hide_password=True),
                found=found,
                allowed=", ".join(REVISIONS),
                hint="upgrade this installation, or restore a backup made with this version; states of before 0.1.0 are not read",
            )
        return found == REVISIONS[-1]


def _append(connection: sa.Connection, event: Event) -> None:
    row = {"kind": _name(type(event)), "body": canonical_json(event).decode()}
    who = {"line": event.line, "at": event.at, "by": event.by, "because": event.because}
    # The last thing that a transaction does: on PostgreSQL the lock on this row lets one process append at a time.
    head = _head_of(connection.execute(_head.with_for_update()).all())
    chain = link(head.digest, **row, **who)
    connection.execute(sa.insert(_events).values({**row, **who, "chain": chain}))
    connection.execute(
        sa.update(_heads).where(_heads.c.name == "events").values(entries=head.entries + 1, digest=chain)
    )


def _head_of(rows: Sequence[Any]) -> Head:
    if not rows:
        raise Corrupt(
            "the end of the chain of events is gone", where="heads", hint="restore it from a backup"
        )
    return Head(rows[0].entries, rows[0].digest)


def _pointer_of(row: Any) -> Pointer:
    return Pointer(
        generation=row.generation, champion=row.champion, challenger=row.challenger, halt=bool(row.halt)
    )


@lru_cache(maxsize=64)
def _events_of_kind(*, of_line: bool, newest_first: bool, limit: int) -> sa.Select[Any]:
    query = sa.select(_events).where(_events.c.kind == sa.bindparam("kind"))
    if of_line:
        query = query.where(_events.c.line == sa.bindparam("line"))
    return _ordered(query, line=None, newest_first=newest_first, limit=limit)


def _ordered(query: sa.Select[Any], *, line: str | None, newest_first: bool, limit: int) -> sa.Select[Any]:
    if line is not None:
        query = query.where(_events.c.line == line)
    query = query.order_by(_events.c.seq.desc() if newest_first else _events.c.seq)
    return query.limit(limit) if limit else query


def _read_event(kind: type[E], row: Any) -> E:
    try:
        return decoder(kind).decode(row.body)
    except msgspec.MsgspecError as error:
        raise Corrupt(f"not a {kind.__name__}: {error}", where=f"event {row.seq}") from error


def _name(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _loaded(kind: type[Event]) -> list[type[Event]]:
    children = kind.__subclasses__()
    return children + [deeper for child in children for deeper in _loaded(child)]
