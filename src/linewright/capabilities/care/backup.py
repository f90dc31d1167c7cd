"""A backup: the whole factory in one tar file, consistent though runs and endpoints are at work.

What refers is copied before what it refers to, and nothing that was referred to is ever changed: the two databases of
runs in one instant, then the labels, then the prediction log, then the artifacts. A segment of the log that is sealed
meanwhile is copied as the file that it was, since the copy of the record does not know of it. The last member has the digest of
every other, so that a file that was cut off is not taken for a backup.
"""

import hashlib
import io
import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from pathlib import Path
from typing import IO, cast

import msgspec

from linewright import __version__
from linewright.data.read.file.paths import files_of
from linewright.engine.context import Progress
from linewright.errors import Conflict, Corrupt, LinewrightError, NotFound, RequestError, Terminal
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.holdings.table import holdings
from linewright.line.problem import Problem, problem_of, worst
from linewright.line.views.sources import files_read
from linewright.release.halt_file import pending
from linewright.release.promotion import record_pending
from linewright.store.files.disk import explain_sqlite, explained, sync_folder
from linewright.store.metadata.database import open_file
from linewright.store.pushed_rows import FOLDER as PUSH
from linewright.store.shared_features import shared_features

FORM = 1
"""Version of the form of a backup; every reader reads every older one."""
HEADER, SUMS, INSIDE, STATE = "backup.json", "sums.json", "factory/", ".linewright"
_BUSY_S = 30.0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first member: what kind of file it is."""

    form: int
    linewright: str
    at: str


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """The last member: what every other one must hold."""

    files: dict[str, str]
    """Digest by path inside the factory; artifacts are their own."""
    blobs: int
    head: str
    """Digest of the last event of the record."""


class BackedUp(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made."""

    file: str
    bytes: int
    lines: int
    blobs: int
    events: int
    predictions: int
    head: str
    digest: str
    """SHA-256 of the file, by which its restore is proposed."""
    left_out: tuple[str, ...]
    """Sources outside of the factory's folder, and the database that machines share for feature views."""
    problems: tuple[Problem, ...]
    """Damaged bytes, which are not in the backup."""

    @property
    def exit_code(self) -> int:
        """0, or that of what could not be copied."""
        return worst(self.problems)


class _Archive:
    """A tar file that is being written, and what is in it so far."""

    def __init__(self, file: IO[bytes], factory: Factory, scratch: Path) -> None:
        self._written = _HashedWriter(file)
        self._tar = tarfile.open(  # noqa: SIM115 -- closed by `close`
            fileobj=cast("IO[bytes]", self._written), mode="w", format=tarfile.PAX_FORMAT
        )
        self._factory, self._scratch, self._held = factory, scratch, ExitStack()
        self.files: dict[str, str] = {}
        self.blobs = self.predictions = self.events = 0
        self.head = ""
        self.problems: list[Problem] = []
        self._document(HEADER, Header(form=FORM, linewright=__version__, at=factory.now()))

    def add(self, path: Path) -> None:
        """Add a file of the factory; one that is gone meanwhile is passed over."""
        with suppress(FileNotFoundError), path.open("rb") as file:
            self.add_opened(path, file, size=os.fstat(file.fileno()).st_size)

    def add_opened(self, path: Path, file: IO[bytes], *, size: int) -> None:
        """Add the first `size` bytes of an opened file, under the path of another one."""
        file.seek(0)
        name = str(path.relative_to(self._factory.root))
        self.files[name] = self._member(name, file, size, os.fstat(file.fileno()).st_mode & 0o777)

    def add_bytes(self, path: Path, content: bytes) -> None:
        """Add a file with another content."""
        copy = self._scratch / path.name
        copy.write_bytes(content)
        self._add_copy(path, copy)

    def add_blob(self, digest: str, path: Path) -> None:
        """Add an artifact that was found right just before."""
        with path.open("rb") as file:
            name = str(path.relative_to(self._factory.root))
            found = self._member(name, file, os.fstat(file.fileno()).st_size, 0o444)
        if found != digest:
            raise Corrupt(
                "stored bytes changed while they were copied", where=str(path), hint="check the disk"
            )
        self.blobs += 1

    def add_databases(self, *paths: Path) -> None:
        """Add copies of SQLite files as they are in one instant; writers of each wait meanwhile."""
        copy_databases(paths, self._scratch)
        for path in paths:
            self._add_copy(path, self._scratch / path.name)

    def add_record(self, *paths: Path) -> None:
        """Add a copy of the record and others in one instant, and release the locks that are held until then."""
        self._factory.report(Progress(step="backup", says="copying the record and the labels"))
        copy_databases(paths, self._scratch)
        self._held.close()
        with closing(sqlite3.connect(self._scratch / paths[0].name)) as copy:
            self.events, self.head = copy.execute(
                "SELECT entries, digest FROM heads WHERE name = 'events'"
            ).fetchone()
        for path in paths:
            self._add_copy(path, self._scratch / path.name)

    def hold(self, lock: AbstractContextManager[object]) -> None:
        """Hold a lock until the record has been copied."""
        self._held.enter_context(lock)

    def close(self) -> None:
        """Add the digests of all that is in it, and end it."""
        self._document(SUMS, Sums(files=self.files, blobs=self.blobs, head=self.head))
        self._tar.close()

    def release(self) -> None:
        """Release the locks that are still held: it was broken off."""
        self._held.close()

    @property
    def digest(self) -> str:
        """Digest of all that was written; of the whole file once it is closed."""
        return "sha256:" + self._written.hashed.hexdigest()

    def _add_copy(self, path: Path, copy: Path) -> None:
        with copy.open("rb") as file:
            self.add_opened(path, file, size=os.fstat(file.fileno()).st_size)
        copy.unlink()

    def _member(self, name: str, file: IO[bytes], size: int, mode: int) -> str:
        info = tarfile.TarInfo(INSIDE + name)
        info.size, info.mode = size, mode
        reader = _Hashed(file, size)
        self._tar.addfile(info, cast("IO[bytes]", reader))
        return "sha256:" + reader.hashed.hexdigest()

    def _document(self, name: str, value: msgspec.Struct) -> None:
        body = msgspec.json.encode(value)
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(body), 0o600
        self._tar.addfile(info, io.BytesIO(body))


class _Hashed:
    """Reads a file and hashes what it gives."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size
        self.hashed = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        self.hashed.update(data)
        return data


class _HashedWriter:
    """Writes a file from its beginning on, and hashes what it writes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hashed = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hashed.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()


def make_backup(factory: Factory, target: Path) -> BackedUp:
    """Copy a factory into one file."""
    file = _named(factory, target)
    factory.metadata.head()  # the databases are there, and of this version
    unrecorded = tuple(_unrecorded(factory))
    with explained(file, "the backup"):
        # In the folder of the backup: it has the space, and the rename stays within one file system.
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as scratch:
            draft = Path(scratch) / "draft"
            made = _write(factory, draft, Path(scratch))
            if file.exists():
                raise _there(file)
            draft.replace(file)
        sync_folder(file.parent)
    return msgspec.structs.replace(made, file=str(file), problems=(*unrecorded, *made.problems))


def _unrecorded(factory: Factory) -> Iterator[Problem]:
    """Record the halts that are pending, since a backup holds the record alone; give those that cannot be recorded now."""
    for line in pending(factory.serving):
        try:
            record_pending(factory.context, factory.serving, line)
        except LinewrightError as error:
            yield problem_of(
                error, where=f"the halt of {line}, which is not recorded and so not in the backup"
            )


def _named(factory: Factory, target: Path) -> Path:
    path = target.expanduser().resolve()
    if path.is_dir():
        path /= f"{factory.root.name}-{factory.now()[:19].replace(':', '')}Z.tar"
    if path.exists():
        raise _there(path)
    if not path.parent.is_dir():
        raise NotFound("there is no such folder", where=str(path.parent), hint="make it, then try again")
    return path


def _there(path: Path) -> Conflict:
    return Conflict("there is a file of that name already", where=str(path), hint="give another name")


def _write(factory: Factory, draft: Path, scratch: Path) -> BackedUp:
    draft.touch(0o600)
    with draft.open("wb") as file:
        archive = _Archive(file, factory, scratch)
        sources, left_out = _sources(factory)
        for name in (FACTORY_FILE, *_line_files(factory), *sources):
            archive.add(factory.root / name)
        try:
            for one in holdings():
                one.back_up(factory, archive)
        finally:
            archive.release()
        archive.close()
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return BackedUp(
        file="",
        bytes=size,
        lines=len(factory.names()),
        blobs=archive.blobs,
        events=archive.events,
        predictions=archive.predictions,
        head=archive.head,
        digest=archive.digest,
        left_out=(*left_out, *_shared(factory)),
        problems=tuple(archive.problems),
    )


def _line_files(factory: Factory) -> list[str]:
    return sorted({f"lines/{factory.path_of(line).name}" for line in factory.names()})


def _sources(factory: Factory) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files inside the factory's folder that its lines read, and those elsewhere, which are not copied."""
    inside, outside = set[str](), set[str]()
    for written in _read_by_lines(factory):
        for file in _named_by(written, factory.root):
            path = file.resolve()
            if path.parent == factory.state / PUSH:  # its databases are copied
                continue
            if not path.is_relative_to(factory.root) or path.is_relative_to(factory.state):
                outside.add(written)
            elif path.is_file():
                # Under the name that the line file has, which may be a link's.
                name = Path(os.path.normpath(file))
                name = name if name.is_relative_to(factory.root) else path
                inside.add(str(name.relative_to(factory.root)))
    return tuple(sorted(inside)), tuple(sorted(outside))


def _shared(factory: Factory) -> Iterator[str]:
    """Name the database of features, if machines share one."""
    shared = shared_features(factory.state)
    if shared is not None:
        yield f"rows and records of feature views, in {shared.place} (copy them: pg_dump -n linewright)"


def _read_by_lines(factory: Factory) -> Iterator[str]:
    for line in factory.names():
        if factory.trouble_with(line) is not None:
            continue
        spec = factory.line(line)
        yield from files_read(factory, spec)
        if spec.train.model is not None:
            yield spec.train.model.file
        if spec.train.pictures is not None and spec.train.pictures.backbone is not None:
            yield spec.train.pictures.backbone
        if spec.train.python is not None:
            yield spec.train.python.rpartition(":")[0]


def _named_by(written: str, root: Path) -> tuple[Path, ...]:
    try:
        return files_of(written, root, "")
    except RequestError:  # nothing of that name: where it would be says whether it belongs to the factory
        return (root / written,)


def copy_databases(paths: Sequence[Path], folder: Path) -> None:
    """Copy SQLite databases into a folder as they are in one instant; writers of any wait meanwhile."""
    with ExitStack() as opened:
        try:
            sources = [opened.enter_context(closing(open_file(path, busy_s=_BUSY_S))) for path in paths]
            # In this order: what a run notes in the second about the first was there before.
            for source in sources:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            for source, path in zip(sources, paths, strict=True):
                with closing(sqlite3.connect(folder / path.name)) as copy:
                    source.backup(copy)
        except sqlite3.DatabaseError as error:
            raise _sqlite_trouble(error, paths) from error


def _sqlite_trouble(error: sqlite3.DatabaseError, paths: Sequence[Path]) -> LinewrightError:
    where = ", ".join(map(str, paths))
    return explain_sqlite(error, where) or Terminal(
        f"the database cannot be copied: {error}", where=where, hint="linewright doctor"
    )
