"""A factory: one folder with its lines and all their state."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache, cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from linewright.engine.context import Context, Progress
from linewright.errors import Corrupt, LinewrightError, NotFound, RequestError
from linewright.line.file.factory_file import (
    FACTORY_FILE,
    FactoryFile,
    read_factory_file,
    strange_limits,
    write_factory_file,
)
from linewright.line.file.mistakes import did_you_mean
from linewright.line.file.sites import declared_lines, lines_of, site_of
from linewright.line.sealed_segments import SealedLog
from linewright.line.spec import LineSpec
from linewright.release.promotion import is_halted
from linewright.serve.access.rights import Identity, owner
from linewright.serve.feedback.store import Feedback
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.clock import now_utc, seed_of, user, uuid7
from linewright.store.files.fit_files import LocalFits
from linewright.store.files.names import CLIENT_FILES, ENDING, file_of, is_line_name, line_path
from linewright.store.files.rights import make_asked_folder, make_state_folder
from linewright.store.metadata.snapshot import Snapshot
from linewright.store.metadata.sql import SqlMetadata

if TYPE_CHECKING:
    from linewright.line.runs.attempts import Attempts

_METADATA = "metadata.sqlite"
FORMAT = "1"
"""Form of the state folder; another one is refused."""
_MOST_OF_FORM = 20
"""Bytes that are read of the file that says it."""
FEATURES = "features"
"""Folder of the numbers of pictures, in the state folder; who loses it computes them again."""


def quiet(_: Progress) -> None:
    """Report nothing."""


def patient() -> bool:
    """Wait as long as it takes."""
    return True


def form_of(state: Path) -> str:
    """Return the form of a state as its file says it, from the beginning of that file; empty if it says none yet."""
    file, why = state / "FORMAT", "something else is in its place"
    if not file.exists():
        return ""
    try:
        if file.is_file():  # a pipe would never end
            with file.open("rb") as opened:
                return opened.read(_MOST_OF_FORM).decode(errors="backslashreplace").strip()
    except OSError as error:
        why = error.strerror or "it cannot be read"
    raise Corrupt(
        f"what says the form of the state cannot be read: {why}",
        where=str(file),
        allowed=FORMAT,
        hint="put the file back, or restore a backup: linewright restore FILE --factory NEW-FOLDER",
    )


class Factory:
    """An opened factory folder. Stores are opened when they are first used."""

    def __init__(
        self,
        root: Path,
        *,
        report: Callable[[Progress], None] = quiet,
        actor: str = "",
        identity: Identity | None = None,
        now: Callable[[], str] = now_utc,
    ) -> None:
        self.root = _resolved(root)
        self.report = report
        self.identity = identity or owner(actor or user())
        self.now = now
        self.waits: Callable[[], bool] = patient
        """Whether whoever asked can go on waiting for a run that another process carries out; asked about once a second."""
        self.attempts: Attempts | None = None
        """What plans, and looks at what runs gave, in processes that may fail (default: that is done here)."""
        self.elsewhere: Callable[[str, str, Mapping[str, str]], Any] | None = None
        """Asks another factory, by its folder or address, for an operation with its arguments; `None` outside of a command."""
        self.busy_s: float | None = None
        self.file: Callable[[], FactoryFile] = partial(read_factory_file, self.root)
        """Reads ``factory.yaml``; see `read_factory_file`."""

    @classmethod
    def open(
        cls,
        path: str | Path = ".",
        *,
        report: Callable[[Progress], None] = quiet,
        actor: str = "",
        identity: Identity | None = None,
        now: Callable[[], str] = now_utc,
    ) -> Self:
        """Open the factory in a folder."""
        factory = cls(Path(path), report=report, actor=actor, now=now)
        factory.identity = identity or factory.identity
        factory.require_factory()
        return factory

    @classmethod
    def create(
        cls,
        path: str | Path = ".",
        *,
        report: Callable[[Progress], None] = quiet,
        actor: str = "",
        identity: Identity | None = None,
        now: Callable[[], str] = now_utc,
    ) -> Self:
        """Open the factory in a folder, making it where there is none; what exists is left as it is."""
        root = _resolved(path)
        try:
            make_asked_folder(root / "lines")
        except OSError as error:
            raise RequestError(f"a factory cannot be made here: {error.strerror}", where=str(root)) from error
        if not (root / FACTORY_FILE).exists():
            write_factory_file(root)
        return cls.open(root, report=report, actor=actor, identity=identity, now=now)

    def require_factory(self) -> None:
        """Require what `open` requires."""
        if not (self.root / FACTORY_FILE).is_file():
            raise NotFound(
                "there is no factory here",
                where=str(self.root),
                hint="make one with `linewright new NAME --data FILE --label COLUMN`, or `linewright init` where line files are here already; "
                "or point at it with --factory DIR",
            )
        read_factory_file(self.root)
        file, found = self.state / "FORMAT", form_of(self.state)
        if not found:
            # Replaced as a whole: a kill must not leave a factory that cannot be opened.
            make_state_folder(self.state)
            draft = file.with_name(f".FORMAT.{os.getpid()}")
            draft.write_text(FORMAT + "\n")
            draft.replace(file)
        elif found != FORMAT:
            raise RequestError(
                "the state of this factory has another form",
                where=str(file),
                found=found,
                allowed=FORMAT,
                hint="use the Linewright that wrote it, or a newer one",
            )

    @cached_property
    def state(self) -> Path:
        """Folder of all state; outside `lines/` and ``factory.yaml`` nothing else is written."""
        return self.root / ".linewright"

    @property
    def scratch(self) -> Path:
        """Folder for files that are gone when their user is."""
        return self.state / "scratch"

    def fits_of(self, line: str) -> LocalFits:
        """Return what a training of a line that has not ended has finished so far."""
        return LocalFits(line_path(self.state / "fits", line))

    def features_of(self, way: str) -> LocalFits:
        """Return the numbers of pictures that were computed before, by the digest of the picture, for one way to read them."""
        return LocalFits(self.state / FEATURES / way.removeprefix("sha256:"))

    @cached_property
    def serving(self) -> Path:
        """Folder of the files by which endpoints learn what to serve."""
        return self.state / "serving"

    @property
    def client_files(self) -> Path:
        """Folder of the files that clients of the control plane sent, or are to take."""
        return self.state / CLIENT_FILES

    @cached_property
    def metadata(self) -> SqlMetadata:
        """What was computed and what happened."""
        file = self.state / _METADATA
        if not file.exists() and any(self.serving.glob("*.json")):
            raise Corrupt(
                "the record of this factory is gone, and its lines serve",
                where=str(file),
                hint="put the file back, or restore a backup: linewright restore FILE --factory NEW-FOLDER",
            )
        return SqlMetadata(self.metadata_url, busy_s=self.busy_s)

    @property
    def metadata_url(self) -> str:
        """SQLAlchemy URL of the metadata store."""
        return f"sqlite:///{self.state / _METADATA}"

    @property
    def engine_url(self) -> str:
        """SQLAlchemy URL of the durable engine's own tables."""
        return f"sqlite:///{self.state / 'engine.sqlite'}"

    @cached_property
    def artifacts(self) -> LocalArtifacts:
        """Bytes by digest."""
        return LocalArtifacts(self.state / "artifacts")

    @property
    def context(self) -> Context:
        """What a step may touch."""
        return Context(
            now=self.now,
            seed=seed_of,
            new_id=uuid7,
            actor=self.actor,
            metadata=self.metadata,
            artifacts=self.artifacts,
            report=self.report,
        )

    def names(self) -> list[str]:
        """Names of the declared lines, sorted."""
        return declared_lines(self.root / "lines")

    def strange_limits(self) -> list[LinewrightError]:
        """Return what is wrong with the limits of ``factory.yaml`` beyond its form."""
        served = (path.stem for path in self.serving.glob("*.json"))
        return strange_limits(self.root, self.file(), {*self.names(), *served})

    def path_of(self, line: str) -> Path:
        """Return the path of a line's file."""
        # The file is looked up, and the folder not listed, which takes long with a thousand; a name with a slash is none.
        folder = self.root / "lines"
        paths = [file_of(folder, line), folder / f"{line}{ENDING}"]
        path = next((one for one in paths if os.path.lexists(one) and line in lines_of(one)), None)
        if path is None or "/" in line:
            names = self.names()
            of_sites = [name for name in names if name.startswith(f"{line}.")]
            raise NotFound(
                "this is a template, whose lines are those of its sites"
                if of_sites
                else "there is no such line",
                where=str(folder),
                found=line,
                allowed=", ".join(of_sites or names) or "(none yet)",
                hint=did_you_mean(line, names)
                or "make it with `linewright new NAME --data FILE --label COLUMN`",
            )
        # One of those that are there: of a file that no line can be named as, reading it says so.
        return path

    def lines_of_file(self, line: str) -> tuple[str, ...]:
        """Return the lines that the file of a line declares: those of all sites of its template, or the line alone."""
        return lines_of(self.path_of(line))

    def require(self, line: str) -> None:
        """Require that a line is declared, or known to the record."""
        names = sorted({*self.names(), *self.metadata.lines()})
        if line not in names:
            raise NotFound(
                "there is no such line",
                found=line,
                allowed=", ".join(names) or "(none yet)",
                hint=did_you_mean(line, names),
            )

    def is_halted(self, line: str) -> bool:
        """Return whether a person halted a line, also where the record does not say it yet."""
        return is_halted(self.metadata, self.serving, line)

    def line(self, name: str) -> LineSpec:
        """Read a line's file."""
        # What parses takes long to import; who asks how lines stand parses no file that was found right before.
        path = self.path_of(name)
        return import_module("linewright.line.file.read").read_line(path, site_of(path, name))

    def with_sites(self, lines: Iterable[str], permission: str) -> list[str]:
        """Return lines, and instead of a template those of its sites, ``inspect.lyon`` and so on; a name that nothing has stays."""
        folder = self.root / "lines"
        files = {line: file_of(folder, line) for line in lines}
        found = [
            one
            for line, path in files.items()
            for one in (lines_of(path) if path.stem == line and os.path.lexists(path) else (line,))
        ]
        if found:
            self.identity.require(permission, found)
        return found

    def trouble_with(self, line: str) -> str | None:
        """Say what is wrong with a line's file; `None` where nothing is."""
        try:
            self.line(line)
        except LinewrightError as error:
            return str(error)
        return None

    def logged(self) -> list[str]:
        """Names of the lines that have a prediction log in files, sorted; whatever else lies in the folder of logs is none of ours."""
        return sorted(
            path.name for path in (self.state / "log").glob("*") if is_line_name(path.name) and path.is_dir()
        )

    @property
    def log_lock(self) -> Path:
        """Held by whoever seals segments, makes checkpoints of them, or takes something out of them: each would undo what another one does."""
        return self.state / "log.lock"

    def log_of(self, line: str) -> Path:
        """Return the folder of a line's prediction log."""
        return line_path(self.state / "log", line)

    def sealed_of(self, line: str) -> SealedLog:
        """Return the segments of a line's prediction log that are no files in its folder any more."""
        return SealedLog(line, self.metadata, self.artifacts)

    def copies_of(self, line: str) -> Path:
        """Return the folder of what models of a line answered beside the path of the answer: a folder for each trial, by its salt."""
        return line_path(self.state / "shadow", line)

    def labels_of(self, line: str) -> Feedback:
        """Return the predictions and labels of a line."""
        return Feedback.of(self.state, line, now=self.now, sealed=self.sealed_of(line))

    @property
    def actor(self) -> str:
        """Who acts, for the record."""
        return self.identity.actor

    def may(self, permission: str, line: str | None) -> bool:
        """Return whether the identity may do this to a line; `None` is the whole factory."""
        return self.identity.allows(permission, line)

    def without_personal(self, result: Any) -> Any:
        """Return the result of an operation without the personal values that the identity may not see; see `line.personal`."""
        if self.may("view-personal", None):
            return result
        return import_module("linewright.line.personal").masked(self, result)

    def asked_by(self, actor: str) -> Self:
        """Return this factory as another person or program asks it for something; the stores stay those of this one."""
        _ = self.metadata  # opened here, so that it is closed here
        other = copy(self)
        other.identity = owner(actor)
        return other

    def at_once(self, lines: Sequence[str]) -> Self:
        """Return this factory as it is now, whose record and file are read once for all of some lines; it only reads, and serves one request."""
        other = copy(self)
        other.__dict__["metadata"] = cast("SqlMetadata", Snapshot(self.metadata, lines))
        other.file = cache(self.file)
        return other

    def in_a_hurry(self, busy_s: float) -> Self:
        """Return this factory with a record of its own that waits at most `busy_s` seconds for other processes; close it."""
        other = copy(self)
        other.__dict__.pop("metadata", None)
        other.busy_s = busy_s
        return other

    def close(self) -> None:
        """Close what was opened."""
        if "metadata" in self.__dict__:
            self.metadata.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise RequestError(f"the folder cannot be found: {error}", where=str(path)) from error
