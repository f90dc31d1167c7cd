"""The record: events in a chain, the results that they refer to, the models and pointers of lines, and the head of the chain in a file."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from importlib import import_module
from itertools import chain, islice
from pathlib import Path

import msgspec

from linewright.errors import Terminal
from linewright.line.factory import Factory
from linewright.line.holding import BUSY_S, Archive, Check, Databases, Holding, References
from linewright.line.holdings.record_checks import Record
from linewright.line.holdings.references import results_of_event
from linewright.line.holdings.results import LOST, known_results
from linewright.line.problem import OLDER, Problem
from linewright.line.record.checkpoint import HEAD_FILE, kept_head
from linewright.store.files.names import is_line_name
from linewright.store.metadata.audit_chain import ROOT, Chain, Head, Link, follow
from linewright.store.metadata.database import open_file
from linewright.store.metadata.schema import Part
from linewright.store.metadata.sql import REVISIONS
from linewright.text.numbers import count

METADATA, ENGINE = "metadata.sqlite", "engine.sqlite"
_PAGE = 500


class RecordHolding(Databases):
    """Events, results, models, pointers and finished steps."""

    name = "the record"
    files = (f"{METADATA}*",)
    kept = r"metadata\.sqlite"
    is_proved = True

    def schema(self, database: sqlite3.Connection) -> frozenset[Part]:
        """Return the schema of its revision."""
        is_there = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = database.execute("SELECT version_num FROM alembic_version").fetchone() if is_there else None
        if row is not None and row[0] not in REVISIONS:
            raise Terminal(
                "the record was written by a newer Linewright",
                found=str(row[0])[:100],
                allowed=", ".join(REVISIONS),
                hint="upgrade this installation",
            )
        # By name, since Alembic takes a third of a second to import.
        return import_module("linewright.store.metadata.migrations").schema_at(
            row[0] if row is not None else REVISIONS[-1]
        )

    def read(self, check: Check) -> None:
        """Follow the chain of events, and take what they say about the rest."""
        record, said = Record(check.factory), check.recorded
        said.ends, said.gone, said.forgotten, said.instead = (
            record.ends,
            record.gone,
            record.forgotten,
            record.instead,
        )
        try:
            check.counts["unfinished"] = check.guarded(lambda: _read_events(check, record)) or 0
        finally:
            said.checkpoints, said.has_head = record.checkpoints(), record.has_head
            check.counts["events"] = record.events
            check.problems += record.problems

    def references(self, asked: References) -> Iterator[str]:
        """Give all results, the digests of events, finished steps and models."""
        metadata = asked.factory.metadata
        for line in metadata.lines():
            yield from (version.digest for version in metadata.versions(line))
        for digest, _, body in metadata.results():
            yield digest
            yield body
        for link in metadata.links():
            yield link.body
        for _, digest in metadata.settlements():
            yield digest

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy it and the engine's notes in one instant."""
        names = (METADATA, ENGINE)
        archive.add_record(*(path for name in names if (path := factory.state / name).is_file()))

    def restored(self, state: Path) -> Iterator[str]:
        """Require that each line has a name that a line can have."""
        strange = list(super().restored(state))
        yield from strange
        if not strange and (state / METADATA).is_file():
            found = "; ".join(f"a line named {line[:100]!r}" for line in _no_names_in(state / METADATA)[:5])
            if found:
                yield f"{METADATA}: {found}"


class HeadOfRecord(Holding):
    """The head of the record, by which an older copy of it is known."""

    name = "the head of the record"
    files = (HEAD_FILE,)

    def verify(self, check: Check) -> None:
        """Require it if a checkpoint says that it was there; `RecordHolding` compares what it says."""
        path = check.factory.state / HEAD_FILE
        if check.recorded.has_head and not path.exists():
            check.say(
                "the head of the record, by which an older copy of it is known, was removed",
                str(path),
                "compare with a head that was kept elsewhere (linewright audit verify --against HEAD); `linewright up` keeps it again",
            )


class EngineNotes(Databases):
    """Who runs what. What is done is in the record, and a run that is lost is started again."""

    name = "the engine's notes of runs"
    files = (f"{ENGINE}*",)
    kept = r"engine\.sqlite"

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Leave it to the record, with which it is copied in one instant."""


def _no_names_in(metadata: Path) -> list[str]:
    """Return what stands in a record where names of lines do and is none."""
    with closing(open_file(metadata, busy_s=BUSY_S)) as database:
        rows = database.execute("SELECT line FROM pointers UNION SELECT line FROM models").fetchall()
        return sorted(str(line) for (line,) in rows if not (isinstance(line, str) and is_line_name(line)))


def _read_events(check: Check, record: Record) -> int:
    """Read all events; return how many runs have not ended."""
    factory = check.factory
    kept: Head = check.guarded(lambda: kept_head(factory)) or Head(0, ROOT)
    head, sought = factory.metadata.head(), SoughtHead(kept.digest)
    reading = record.read(sought.among(_with_results(check, factory.metadata.links(page=_PAGE))))
    found = follow(reading, head)
    broken = broken_chain(found)
    check.problems += [broken] if broken else []
    if broken is None and sought.found(found) is None:
        what = (
            f"the record is an older copy, or was made anew: it does not contain the head that was kept beside it after "
            f"{count(kept.entries, 'event')}, {kept.digest}"
        )
        check.say(what, "the record", OLDER)
    for _ in reading:  # what follows the first bad entry
        pass
    return record.close()


def _with_results(check: Check, links: Iterator[Link]) -> Iterator[Link]:
    """Pass events on, and note results that they refer to and that are missing."""
    while page := list(islice(links, _PAGE)):
        wanted = {one: results_of_event(one.kind, one.body) for one in page if _is_json(one.body)}
        known = known_results(check.factory, chain.from_iterable(wanted.values()))
        for one, digests in wanted.items():
            for digest in (one for one in digests if one not in known):
                check.say(f"{digest} is missing", f"event {one.seq} ({one.kind})", LOST)
        yield from page


def _is_json(body: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except msgspec.MsgspecError:
        return False


class SoughtHead:
    """Passes entries of a chain on, and notes after how many of them a digest was the last."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._place = 0 if digest == ROOT else None

    def among(self, links: Iterable[Link]) -> Iterator[Link]:
        """Pass them on."""
        for number, one in enumerate(links, 1):
            if one.chain == self.digest:
                self._place = number
            yield one

    def found(self, followed: Chain) -> int | None:
        """Return the place; `None` where it is not among those that were found right."""
        return self._place if self._place is not None and self._place <= followed.entries else None


def broken_chain(found: Chain) -> Problem | None:
    """Return what is wrong with a chain; `None` where nothing is."""
    if found.first_bad is None:
        return None
    return Problem(
        what=f"the record was changed: {found.why}",
        where=f"event {found.first_bad}",
        next="compare with a backup (linewright restore FILE --factory NEW-FOLDER), and find out who wrote the file",
    )
