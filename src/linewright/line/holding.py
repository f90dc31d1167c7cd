"""What keeps bytes or rows of a factory says here how they are checked, referred to, backed up and restored.

`verify`, `gc`, `backup` and `restore` walk the table of holdings, and know none of them. A file of a state that no holding claims is a
defect, which a test of a full factory finds.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, Protocol

import msgspec

from linewright.errors import Corrupt, LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Forgotten
from linewright.line.problem import AGAIN, Problem, guarded, problem_of, worst
from linewright.line.retention.dropped import Gone
from linewright.store.changes import damaged_pages
from linewright.store.files.disk import explain_sqlite, is_busy
from linewright.store.metadata.database import open_file
from linewright.store.metadata.schema import Part, differences, schema_of, strangers

Marks = tuple[Mapping[str, Mapping[int, str]], Mapping[int, str]]
"""Digests of the segments of a log, by name and position, and of its labels, by the number of their changes."""
BUSY_S = 10.0
"""How long a check waits for a database that another process writes to."""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what was found wrong."""

    blobs: int
    bytes: int
    results: int
    events: int
    predictions: int
    labels: int
    unfinished: int
    """Runs that were accepted and have not ended: the next `run` or `up` ends them."""
    problems: tuple[Problem, ...]
    unproved_predictions: int = 0
    """Those logged since the newest checkpoint of their segment: nobody can tell yet whether they were edited since."""
    unproved_labels: int = 0
    """Changes of labels since the newest checkpoint."""

    @property
    def exit_code(self) -> int:
        """The worst of the problems'."""
        return worst(self.problems)


@dataclass
class Recorded:
    """What the events of the record say about the rest of the state."""

    checkpoints: dict[str, Marks] = field(default_factory=dict[str, Marks])
    """By line: what its checkpoints have of its log and its labels."""
    ends: dict[str, dict[int, str]] = field(default_factory=dict[str, dict[int, str]])
    """Digests of chained files, by name and number of the last change."""
    gone: Gone = field(default_factory=Gone)
    """What is kept no longer."""
    forgotten: dict[str, list[Forgotten]] = field(default_factory=dict[str, list[Forgotten]])
    """Removals of persons, by line."""
    instead: set[str] = field(default_factory=set[str])
    """Blobs that are in the place of others, without those who were forgotten."""
    has_head: bool = False
    """Whether a checkpoint says that the head of the record stood in the state."""


@dataclass
class Check:
    """One check of a whole factory: what was found so far."""

    factory: Factory
    problems: list[Problem] = field(default_factory=list[Problem])
    counts: Counter[str] = field(default_factory=Counter[str])
    """How many things were checked, by the name of the field of the result."""
    recorded: Recorded = field(default_factory=Recorded)
    damaged: dict[str, LinewrightError] = field(default_factory=dict[str, LinewrightError])
    """What is wrong with stored bytes, by digest."""

    def say(self, what: str, where: str, next: str = AGAIN) -> None:  # noqa: A002 -- the field's name
        """Note something that is wrong."""
        self.problems.append(Problem(what=what, where=where, next=next))

    def guarded(self, part: Callable[[], Any]) -> Any:
        """Return what a part of the check found; one that cannot go on is a problem, and the others are made all the same."""
        return guarded(self.problems, part)

    def result(self) -> Verified:
        """Return what was checked and found."""
        numbers = {name: self.counts[name] for name in Verified.__struct_fields__ if name != "problems"}
        return Verified(**numbers, problems=tuple(self.problems))


class References(NamedTuple):
    """A question for references to artifacts."""

    factory: Factory
    wanted: Collection[str]
    """Digests that nothing has named so far; if none is left, a holding need not compute its references."""
    planned: Collection[str] = ()
    """Results whose rows are kept no longer, and of which no event says so yet: their cells name nothing."""
    in_packages: bool = True
    """Whether rows that a package tries when it is loaded name their pictures."""


class Archive(Protocol):
    """A backup that is being written."""

    problems: list[Problem]
    """What could not be copied."""
    predictions: int
    """How many logged predictions are in it."""
    events: int
    """How many events the copied record has."""

    def add(self, path: Path) -> None:
        """Add a file of the state; one that is gone meanwhile is passed over."""
        ...

    def add_opened(self, path: Path, file: IO[bytes], *, size: int) -> None:
        """Add the first `size` bytes of an opened file, under the path of another one."""
        ...

    def add_blob(self, digest: str, path: Path) -> None:
        """Add an artifact that was found right just before."""
        ...

    def add_bytes(self, path: Path, content: bytes) -> None:
        """Add a file with another content."""
        ...

    def add_databases(self, *paths: Path) -> None:
        """Add copies of SQLite files as they are in one instant; writers of each wait meanwhile."""
        ...

    def add_record(self, *paths: Path) -> None:
        """Add a copy of the record and others in one instant, and release the locks that are held until then."""
        ...

    def hold(self, lock: AbstractContextManager[object]) -> None:
        """Hold a lock until the record has been copied."""
        ...


class Holding:
    """Something that keeps bytes or rows in the state of a factory.

    One that keeps something new is a subclass and a row in the table `linewright.line.holdings.table`. One that overrides no method
    keeps nothing that others rely on: it is computed or read again.
    """

    name: ClassVar[str]
    """What it is called, in the plural if it keeps many."""
    files: ClassVar[tuple[str, ...]]
    """Patterns of its files, below the state. Each file of a state belongs to one holding."""
    kept: ClassVar[str] = ""
    """Regular expression of its files that a backup has, below the state; empty if a backup has none."""

    def claims(self, name: str) -> bool:
        """Return whether a file belongs to it, by its path below the state."""
        return any(fnmatchcase(name, pattern) for pattern in self.files)

    def read(self, check: Check) -> None:
        """Read what other holdings are compared with; it is done for all of them before anything is compared."""

    def verify(self, check: Check) -> None:
        """Compare what is there with what the record says, and note what is wrong."""

    def references(self, asked: References) -> Iterator[str | bytes]:
        """Give texts in which the digests stand of the artifacts that it needs."""
        del asked
        yield from ()

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Add to a backup what it keeps. Holdings that refer to another one come before it in the table."""

    def restored(self, state: Path) -> Iterator[str]:
        """Say what of its files, unpacked from a backup, no backup of ours has; and limit who may read them."""
        del state
        yield from ()


class Databases(Holding):
    """A holding in SQLite files with one schema.

    Its schema is checked, so that nothing in a file acts by itself, and so are its pages.
    """

    is_proved: ClassVar[bool] = False
    """Whether the record proves its content, so that pages need no separate check."""

    def databases(self, state: Path) -> Sequence[Path]:
        """Return the files that are there, sorted."""
        found = (path for pattern in self.files for path in state.glob(pattern) if path.suffix == ".sqlite")
        return sorted(path for path in found if path.is_file())

    def schema(self, database: sqlite3.Connection) -> frozenset[Part] | None:
        """Return the schema that our code gives such a file; `None` if a library makes it: tables and indexes of plain columns."""
        del database

    def strange_in(self, path: Path) -> list[str]:
        """Say what of the schema of a file is not as our code makes it. Nothing in it is carried out."""
        with closing(open_file(path, busy_s=BUSY_S)) as database:
            database.execute("PRAGMA trusted_schema = OFF")
            made = self.schema(database)
            found = strangers(database) if made is None else differences(schema_of(database), made)
            return list(found)

    def verify(self, check: Check) -> None:
        """Check schema and pages of each file."""
        for path in self.databases(check.factory.state):
            check.problems += self._wrong_schema(path)
            if not self.is_proved:
                check.problems += _damaged_pages(path)

    def _wrong_schema(self, path: Path) -> Iterator[Problem]:
        try:
            strange = self.strange_in(path)
        except sqlite3.DatabaseError as error:
            yield unreadable(path, error, next="" if is_busy(error) else AGAIN)
            return
        except LinewrightError as error:
            yield problem_of(error, where=str(path))
            return
        for what in strange:
            yield Problem(what=f"the schema was changed: {what}", where=str(path), next=AGAIN)

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy each file as it is in one instant."""
        for path in self.databases(factory.state):
            archive.add_databases(path)

    def restored(self, state: Path) -> Iterator[str]:
        """Require our schema of each file before anything is written to it: a trigger would act by our hand."""
        for path in self.databases(state):
            name = path.relative_to(state)
            try:
                strange = "; ".join(self.strange_in(path)[:5])
            except sqlite3.DatabaseError as error:
                strange = str(error)
            if strange:
                yield f"{name}: {strange}"


def unreadable(path: Path, error: sqlite3.DatabaseError, *, next: str = AGAIN) -> Problem:  # noqa: A002 -- the field's name
    """Return why a database cannot be read."""
    found = explain_sqlite(error, str(path)) or Corrupt(
        f"the database cannot be read: {error}", where=str(path)
    )
    return problem_of(found, next=next)


def _damaged_pages(path: Path) -> Iterator[Problem]:
    try:
        with closing(open_file(path, busy_s=BUSY_S)) as database:
            damage = damaged_pages(database)
    except sqlite3.DatabaseError as error:
        damage = []
        if not is_busy(error):
            yield unreadable(path, error)
    for one in damage:
        yield Problem(what=one, where=str(path), next=AGAIN)
