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
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from linewright import __version__
from linewright.data.read.file.paths import files_of
from linewright.engine.context import Progress
from linewright.errors import Conflict, Corrupt, LinewrightError, NotFound, RequestError, Terminal
from linewright.features.views.records import files_of_records
from linewright.line.factory import Factory
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.maintenance.problem import Problem, problem_of, worst
from linewright.line.maintenance.schemas import ANNOTATE, FEEDBACK, PUSH, databases_of_lines
from linewright.line.scheduled.undelivered import seen_rows_in
from linewright.line.views.sources import files_read
from linewright.line.views.write_records import records_lock
from linewright.people.preferences import files_in
from linewright.release.halt_file import pending
from linewright.release.promotion import record_pending
from linewright.serve.access.accounts import ACCESS_FILE, read_accounts
from linewright.serve.log.records import count_of
from linewright.serve.log.segments import ENDING, Damage, SealedSegments, frame_of, open_segment, read_file
from linewright.store.files.disk import explain_sqlite, explained, sync_folder
from linewright.store.metadata.database import open_file
from linewright.store.shared_features import shared_features

FORM = 1
"""Version of the form of a backup; every reader reads every older one."""
HEADER, SUMS, INSIDE, STATE = "backup.json", "sums.json", "factory/", ".linewright"
_DATABASES = ("metadata.sqlite", "engine.sqlite")
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

    def __init__(self, file: IO[bytes], at: str) -> None:
        self._written = _HashedWriter(file)
        self._tar = tarfile.open(  # noqa: SIM115 -- closed by `close`
            fileobj=cast("IO[bytes]", self._written), mode="w", format=tarfile.PAX_FORMAT
        )
        self.files: dict[str, str] = {}
        self.blobs = 0
        self._document(HEADER, Header(form=FORM, linewright=__version__, at=at))

    def add(self, name: str, path: Path) -> None:
        """Add a file of the factory."""
        with path.open("rb") as file:
            self.add_opened(name, file, size=os.fstat(file.fileno()).st_size)

    def add_opened(self, name: str, file: IO[bytes], *, size: int) -> None:
        """Add the first `size` bytes of a file."""
        file.seek(0)
        self.files[name] = self._member(name, file, size, os.fstat(file.fileno()).st_mode & 0o777)

    def add_blob(self, name: str, digest: str, path: Path) -> None:
        """Add an artifact that was found right just before."""
        with path.open("rb") as file:
            found = self._member(name, file, os.fstat(file.fileno()).st_size, 0o444)
        if found != digest:
            raise Corrupt(
                "stored bytes changed while they were copied", where=str(path), hint="check the disk"
            )
        self.blobs += 1

    def close(self, head: str) -> None:
        """Add the digests of all that is in it, and end it."""
        self._document(SUMS, Sums(files=self.files, blobs=self.blobs, head=head))
        self._tar.close()

    @property
    def digest(self) -> str:
        """Digest of all that was written; of the whole file once it is closed."""
        return "sha256:" + self._written.hashed.hexdigest()

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
    """Copy a factory into one file.

    Parameters
    ----------
    target
        The file to make, or a folder in which it gets a name of its own.

    Raises
    ------
    Conflict
        If the file is there already.
    Transient
        If the disk is full, or a database stays busy.
    Terminal
        If the file cannot be written.
    """
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
    problems: list[Problem] = []
    draft.touch(0o600)
    with draft.open("wb") as file:
        archive = _Archive(file, factory.now())
        sources, left_out = _sources(factory)
        for name in (FACTORY_FILE, *_line_files(factory), *sources):
            archive.add(name, factory.root / name)
        archive.add(f"{STATE}/FORMAT", factory.state / "FORMAT")
        if (accounts := read_accounts(factory.state)).members:
            # Without their tokens and passwords: who has the file of a token would be let in again after it was revoked.
            (scratch / ACCESS_FILE).write_bytes(msgspec.json.encode(accounts.without_secrets()))
            archive.add(f"{STATE}/{ACCESS_FILE}", scratch / ACCESS_FILE)
        for path in files_in(factory.state):
            archive.add(str(path.relative_to(factory.root)), path)
        # Before what it is about: a removal that begins meanwhile is then ended in the restored factory too, or not begun there.
        for path in sorted((factory.state / "forgotten").glob("*.json")):
            archive.add(str(path.relative_to(factory.root)), path)
        sealed = {line: factory.sealed_of(line).ends().keys() for line in _logged(factory)}
        # Where nobody can write, nobody replaces them either.
        with records_lock(factory) if os.access(factory.state, os.W_OK) else nullcontext():
            for path in (*seen_rows_in(factory.state), *files_of_records(factory.state)):
                with suppress(FileNotFoundError):  # others have taken their place
                    archive.add(str(path.relative_to(factory.root)), path)
            head = _add_databases(factory, archive, scratch)
        predictions = sum(
            _add_log(factory, line, archive, problems, sealed.get(line, set[str]()))
            for line in _logged(factory)
        )
        _add_blobs(factory, archive, problems)
        archive.close(head["digest"])
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    return BackedUp(
        file="",
        bytes=size,
        lines=len(factory.names()),
        blobs=archive.blobs,
        events=head["entries"],
        predictions=predictions,
        head=head["digest"],
        digest=archive.digest,
        left_out=(*left_out, *_shared(factory)),
        problems=tuple(problems),
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


def _add_databases(factory: Factory, archive: _Archive, scratch: Path) -> Mapping[str, Any]:
    factory.report(Progress(step="backup", says="copying the record and the labels"))
    annotations = list(databases_of_lines(factory.state, ANNOTATE))
    # Before the feedback and the record, so that these have each label that is said to be there.
    _add_copies(factory, annotations, archive, scratch)
    together = [name for name in _DATABASES if (factory.state / name).is_file()]
    copy_databases([factory.state / name for name in together], scratch)
    for name in together:
        archive.add(f"{STATE}/{name}", scratch / name)
    feedback = databases_of_lines(factory.state, FEEDBACK, PUSH)
    others = [*feedback, *factory.state.glob("replies.sqlite"), *factory.state.glob("outbox.sqlite")]
    _add_copies(factory, others, archive, scratch)
    with closing(sqlite3.connect(scratch / _DATABASES[0])) as copy:
        copy.row_factory = sqlite3.Row
        return dict(copy.execute("SELECT entries, digest FROM heads WHERE name = 'events'").fetchone())


def _add_copies(factory: Factory, paths: Sequence[Path], archive: _Archive, scratch: Path) -> None:
    for path in paths:
        copy_databases([path], scratch)
        archive.add(str(path.relative_to(factory.root)), scratch / path.name)
        (scratch / path.name).unlink()


def copy_databases(paths: Sequence[Path], folder: Path) -> None:
    """Copy SQLite databases into a folder as they are in one instant; writers of any wait meanwhile.

    Raises
    ------
    Transient
        If one stays busy.
    Corrupt
        If one is damaged.
    """
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


def _logged(factory: Factory) -> list[str]:
    return sorted({*factory.metadata.lines(), *factory.logged()})


def _add_log(
    factory: Factory, line: str, archive: _Archive, problems: list[Problem], sealed_before: Collection[str]
) -> int:
    """Add what of a prediction log is in files; return how many records the whole log has.

    Parameters
    ----------
    sealed_before
        Segments that the copied record knows to be sealed.
    """
    log, sealed = factory.log_of(line), factory.sealed_of(line)
    files = {path.name for path in log.glob("*" + ENDING)}
    entered = {segment.name: segment.records for segment in sealed.segments().values()}
    frames = sum(entered[name] for name in set(sealed_before) - files)
    for name in sorted(files | (entered.keys() - sealed_before)):
        with _as_file(log, name, sealed) as file:
            frames += _add_segment(factory, log / name, file, archive, problems)
    return frames


def _as_file(log: Path, name: str, sealed: SealedSegments) -> IO[bytes]:
    """Open a segment, or what it was before it was sealed."""
    try:
        return open_segment(log / name)
    except FileNotFoundError:
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- whoever asked closes it
        file.writelines(frame_of(frame.payload) for frame in sealed.frames(name))
        file.flush()
        return file


def _add_segment(
    factory: Factory, path: Path, file: IO[bytes], archive: _Archive, problems: list[Problem]
) -> int:
    """Add a segment up to its last whole record, forced to the disk before; return how many records it has."""
    size = os.fstat(file.fileno()).st_size
    os.fsync(file.fileno())
    damage: list[Damage] = []
    frames = read_file(file, path.name, stop=size, damaged=damage.append)
    records = sum(count_of(frame.payload) for frame in frames)
    counted = factory.labels_of(path.parent.name).counted()
    torn = [one.offset for one in damage if one.is_end_of_killed(counted)]
    archive.add_opened(str(path.relative_to(factory.root)), file, size=min([size, *torn]))
    problems += [
        Problem(
            what=f"a logged prediction is damaged, and copied as it is: {one.why}",
            where=f"{path}, byte {one.offset}",
            next="restore it from an earlier backup",
        )
        for one in damage
        if not one.is_end_of_killed(counted)
    ]
    return records


def _add_blobs(factory: Factory, archive: _Archive, problems: list[Problem]) -> None:
    for number, digest in enumerate(factory.artifacts.digests(), 1):
        path = factory.artifacts.path(digest)
        try:
            factory.artifacts.verify(digest)
            archive.add_blob(str(path.relative_to(factory.root)), digest, path)
        except (NotFound, FileNotFoundError):  # freed meanwhile: nothing refers to it
            continue
        except Corrupt as error:
            problems.append(problem_of(error, next="restore it from an earlier backup"))
        if number % 1000 == 0:
            factory.report(Progress(step="backup", says=f"{number:,} artifacts", done=number))
