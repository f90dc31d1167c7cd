"""What usually keeps a factory from working, found by trying; each finding with the command that mends it."""

import resource
import secrets
import shlex
import shutil
import socket
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import msgspec

from linewright.capabilities.audit.key import open_key
from linewright.capabilities.audit.publish import withheld
from linewright.capabilities.notifications.deliveries import deliveries
from linewright.engine.lock import ProcessLock
from linewright.errors import (
    Corrupt,
    Denied,
    LinewrightError,
    NotFound,
    RequestError,
    SpecError,
    Terminal,
    Transient,
    from_json,
)
from linewright.line.factory import FORMAT, Factory, form_of
from linewright.line.facts import Accepted, Finished
from linewright.line.file.factory_file import FACTORY_FILE
from linewright.line.holding import Databases
from linewright.line.holdings.table import holdings
from linewright.line.problem import Problem, problem_of, worst
from linewright.line.record.monitoring.clock_skew import AHEAD_S, ahead_until
from linewright.line.record.monitoring.disk_space import MAKE_ROOM, disk_in_words, forecast
from linewright.line.runs.plan import begin
from linewright.release.halt_file import is_pending
from linewright.release.promotion import is_projected, require_bytes
from linewright.serve.access.control_token import TOKEN_FILE, read_token
from linewright.serve.listener import endpoint
from linewright.store.files.disk import explain, explain_sqlite, is_busy
from linewright.store.files.rights import OTHERS, OUT_OF_GIT
from linewright.store.metadata.database import open_file
from linewright.store.metadata.sql import SqlMetadata
from linewright.store.shared_features import shared_features
from linewright.text.numbers import count

_BUSY_S = 5.0
_LEAST_FILES = 1024
_RESTORE = "restore a backup into a new folder: linewright restore FILE --factory NEW-FOLDER"


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a factory should find."""

    free_bytes: int
    ports: tuple[int, ...]


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what is wrong."""

    checks: tuple[str, ...]
    """Names of the examinations, in order."""
    skipped: tuple[str, ...]
    """Those that could not be made, since what they rest on is wrong."""
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the problems'."""
        return worst(self.problems)


def examine(factory: Factory, needs: Needs) -> Examined:
    """Look at everything that usually goes wrong.

    A small file is written into each folder and removed at once; what killed writers left half-done in a database is undone.
    """
    with _readable(factory) as readable:
        return _examine(readable, needs)


@contextmanager
def _readable(factory: Factory) -> Generator[Factory]:
    """Give the factory; one that never ran with an empty record in memory, so that nothing is made in its folder."""
    if factory.state.is_dir():
        yield factory
        return
    with SqlMetadata("sqlite://") as nothing:
        unused = copy(factory)
        unused.__dict__["metadata"] = nothing
        yield unused


def _examine(factory: Factory, needs: Needs) -> Examined:
    problems: list[Problem] = []
    skipped: list[str] = []
    for name, check in _CHECKS.items():
        if problems and name in _ON_THE_RECORD and any(one.exit_code != _MINOR for one in problems):
            skipped.append(name)
            continue
        try:
            problems += check(factory, needs)
        except LinewrightError as error:
            problems.append(problem_of(error))
        except OSError as error:
            problems.append(problem_of(explain(error, Path(error.filename or factory.root), name)))
        if name == "folder" and problems:
            skipped += [other for other in _CHECKS if other != name]
            break
    return Examined(checks=tuple(_CHECKS), skipped=tuple(skipped), problems=tuple(problems))


def _folder(factory: Factory, _: Needs) -> Iterator[Problem]:
    if not (factory.root / FACTORY_FILE).is_file():
        yield Problem(
            what="there is no factory here",
            where=str(factory.root),
            next="linewright init, or name its folder with --factory DIR",
            exit_code=NotFound.exit_code,
        )


def _settings(factory: Factory, _: Needs) -> Iterator[Problem]:
    try:
        found = factory.strange_limits()
    except SpecError as error:
        found = [from_json(mistake) for mistake in error.details.get("errors") or [error.to_json()]]
    for error in found:
        allowed = f"allowed is {error.allowed}" if error.allowed else f"mend {FACTORY_FILE}"
        yield problem_of(error, next=error.hint or allowed)


def _packages(_: Factory, __: Needs) -> Iterator[Problem]:
    for line in requires("linewright") or ():
        name = "".join(letter if letter.isalnum() or letter in "-_." else " " for letter in line).split()[0]
        if "extra ==" in line:
            continue
        try:
            version(name)
        except PackageNotFoundError:
            yield Problem(
                what=f"the package {name} is missing",
                where="this Python",
                next="install Linewright again: pip install --force-reinstall linewright",
                exit_code=Terminal.exit_code,
            )


def _format(factory: Factory, _: Needs) -> Iterator[Problem]:
    file = factory.state / "FORMAT"
    found = form_of(factory.state) or FORMAT
    if found != FORMAT:
        yield Problem(
            what=f"the state has form {found!r}, and this Linewright knows {FORMAT}",
            where=str(file),
            next="use the Linewright that wrote it, or a newer one",
            exit_code=RequestError.exit_code,
        )


def _space(factory: Factory, needs: Needs) -> Iterator[Problem]:
    free = shutil.disk_usage(factory.root).free
    if free < needs.free_bytes:
        yield Problem(
            what=f"only {free / 1e6:,.0f} MB are free on the disk, less than {needs.free_bytes / 1e6:,.0f}",
            where=str(factory.root),
            next="linewright gc, or free space",
            exit_code=Transient.exit_code,
        )


def _growth(factory: Factory, needs: Needs) -> Iterator[Problem]:
    found = forecast(factory)
    if found.is_near and found.free_bytes >= needs.free_bytes:  # less is told of already
        yield Problem(
            what=disk_in_words(found, factory.root),
            where=str(factory.state / "log"),
            next=MAKE_ROOM,
            exit_code=Transient.exit_code,
        )


def _writable(factory: Factory, _: Needs) -> Iterator[Problem]:
    folders = [factory.state, *(path for path in _inside(factory) if path.is_dir() and not path.is_symlink())]
    for folder in [one for one in folders if one.is_dir()][:50]:
        probe = folder / f".probe-{secrets.token_hex(8)}"
        try:
            probe.write_bytes(b"x")
        except OSError as error:
            found = explain(error, folder, "the folder")
            owns = f"let this user write it: chown -R $(id -un) {shlex.quote(str(factory.state))}, or mount it writable"
            # Of a full disk owners are not the trouble, and one folder says it for all.
            yield problem_of(
                found, next="linewright gc, or free space" if isinstance(found, Transient) else owns
            )
            if isinstance(found, Transient):
                return
        finally:
            with suppress(OSError):
                probe.unlink()


def _owners(factory: Factory, _: Needs) -> Iterator[Problem]:
    if not factory.state.is_dir():
        return
    owner = factory.state.stat().st_uid
    strange = [path for path in _inside(factory) if path.lstat().st_uid != owner]
    if strange:
        yield Problem(
            what=f"{len(strange)} files do not belong to the owner of the folder, so that it may not change them",
            where=str(strange[0]),
            next=f"chown -R --reference={shlex.quote(str(factory.state))} {shlex.quote(str(factory.state))}",
            exit_code=Terminal.exit_code,
        )


def _rights(factory: Factory, _: Needs) -> Iterator[Problem]:
    if factory.state.is_dir() and (found := factory.state.stat().st_mode) & OTHERS:
        yield Problem(
            what=f"other users of this machine may enter the state (rights {found & 0o777:04o}): they can read rows and labels, and lock its files",
            where=str(factory.state),
            next=f"chmod -R go-rwx {shlex.quote(str(factory.state))}",
            exit_code=Transient.exit_code,
        )


def _git(factory: Factory, _: Needs) -> Iterator[Problem]:
    if factory.state.is_dir() and not (path := factory.state / OUT_OF_GIT).exists():
        yield Problem(
            what="git would take the state, with the owner's token and rows of the data: an older Linewright did not exclude it",
            where=str(factory.state),
            next=f"echo '*' > {shlex.quote(str(path))}",
            exit_code=Transient.exit_code,
        )


def _inside(factory: Factory) -> Iterator[Path]:
    """Give the files of the state, without the artifacts: of those, which may be many, the folders only."""
    for path in sorted(factory.state.glob("*")):
        yield path
        if path.is_dir():
            yield from path.glob("*") if path.name == "artifacts" else path.rglob("*")


def _databases(factory: Factory, _: Needs) -> Iterator[Problem]:
    kept = (one for one in holdings() if isinstance(one, Databases))
    for file in (path for one in kept for path in one.databases(factory.state)):
        try:
            with closing(open_file(file, busy_s=_BUSY_S)) as database:
                found = [str(row[0]) for row in database.execute("PRAGMA quick_check(3)")]
        except sqlite3.DatabaseError as error:
            yield _unreadable(file, error)
            continue
        if found != ["ok"]:
            yield Problem(what=f"the database is damaged: {found[0]}", where=str(file), next=_RESTORE)


def _unreadable(file: Path, error: sqlite3.DatabaseError) -> Problem:
    found = explain_sqlite(error, str(file)) or Terminal(
        f"the database cannot be read: {error}", where=str(file), hint=_RESTORE
    )
    if is_busy(error):
        return problem_of(found, next="wait until the process that holds it has ended, then try again")
    return problem_of(found, next=_RESTORE if isinstance(found, Corrupt) else "")


def _executor(factory: Factory, _: Needs) -> Iterator[Problem]:
    file = factory.state / "executor.lock"
    lock = ProcessLock(file)
    if not file.exists() or lock.acquire():
        lock.release()
        return
    holder = lock.holder()
    if holder is None or not Path(f"/proc/{holder}").exists():
        yield Problem(
            what=f"the executor's lock is held, and not by process {holder}, which it names",
            where=str(file),
            next=f"find who holds it (fuser -v {shlex.quote(str(file))}; perhaps another machine or container), and stop that",
            exit_code=Transient.exit_code,
        )


def _clock(factory: Factory, _: Needs) -> Iterator[Problem]:
    beyond = {line: until for line in factory.metadata.lines() if (until := ahead_until(factory, line))}
    latest = max(factory.metadata.newest_at() or "", *beyond.values(), "")
    ahead = (_instant(latest) - _instant(factory.now())).total_seconds() if latest else 0.0
    if ahead > AHEAD_S:
        lines = f"line {', '.join(beyond)}" if beyond else "this machine"
        yield Problem(
            what=f"the clock is {ahead:,.0f} s behind the record, which reaches up to {latest}: it is behind now, or was ahead",
            where=lines,
            next="set the clock (timedatectl set-ntp true), or wait",
            exit_code=Transient.exit_code,
        )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _ports(factory: Factory, needs: Needs) -> Iterator[Problem]:
    is_up = endpoint(factory.state) is not None
    for port in () if is_up else needs.ports:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                yield Problem(
                    what=f"port {port} cannot be had: {error.strerror}",
                    where="127.0.0.1",
                    next="linewright up --port PORT --control-port PORT, or stop who has it",
                    exit_code=RequestError.exit_code,
                )


def _limits(_: Factory, __: Needs) -> Iterator[Problem]:
    files, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= files < _LEAST_FILES:
        yield Problem(
            what=f"a process may open only {files} files, fewer than {_LEAST_FILES:,}",
            where="this shell",
            next="ulimit -n 4096",
            exit_code=Transient.exit_code,
        )
    size, _hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if size != resource.RLIM_INFINITY:
        yield Problem(
            what=f"a file may have at most {size:,} bytes",
            where="this shell",
            next="ulimit -f unlimited",
            exit_code=Transient.exit_code,
        )


def _lines(factory: Factory, _: Needs) -> Iterator[Problem]:
    for line in factory.names():
        try:
            begin(factory, factory.line(line))
        except LinewrightError as error:
            yield problem_of(
                error, next=f"{error.hint or 'mend it'}; then linewright check {shlex.quote(line)}"
            )


def _pointers(factory: Factory, _: Needs) -> Iterator[Problem]:
    for line in factory.metadata.lines():
        if is_pending(factory.serving, line):
            yield Problem(
                what="the line is halted, and the record does not say so yet",
                where=line,
                next=f"linewright halt {line} (again), or start `linewright up`: either enters it",
                exit_code=Transient.exit_code,
            )
        elif not is_projected(factory.metadata, factory.serving, line):
            yield Problem(
                what="the endpoint is told something else than the record says",
                where=str(factory.serving / f"{line}.json"),
                next="start `linewright up` (anew): it writes the file first",
                exit_code=Transient.exit_code,
            )


def _runs(factory: Factory, _: Needs) -> Iterator[Problem]:
    accepted = factory.metadata.events(Accepted)
    lock = ProcessLock(factory.state / "executor.lock")
    if not accepted or not lock.acquire():
        return  # whoever holds it is carrying them out
    lock.release()
    ended = {one.run for one in factory.metadata.events(Finished)}
    for run in accepted:
        if run.run not in ended:
            yield Problem(
                what="the run was interrupted, and nobody is finishing it",
                where=f"run {run.run} of {run.line}",
                next=f"linewright run {run.line}",
                exit_code=Transient.exit_code,
            )


def _champions(factory: Factory, _: Needs) -> Iterator[Problem]:
    for line in factory.metadata.lines():
        champion = factory.metadata.pointer(line).champion
        for one in factory.metadata.versions(line):
            if one.version == champion:
                try:
                    require_bytes(factory.context, one.digest)
                except (Corrupt, NotFound) as error:
                    yield Problem(
                        what=f"the champion {line}@{champion} is damaged: {error.what}",
                        where=error.where,
                        next=f"linewright rollback {line}, or {_RESTORE}",
                        exit_code=Corrupt.exit_code,
                    )


def _news(factory: Factory, _: Needs) -> Iterator[Problem]:
    """Give the destinations that do not take what they are told, and what waits while nobody tells it."""
    is_up = endpoint(factory.state) is not None
    for one in deliveries(factory):
        send = f"linewright notify send {shlex.quote(one.destination)}"
        if one.failures:
            says = f"{count(one.waiting, 'event waits', 'events wait')} to be told since {one.failing_since}: {one.trouble}"
            yield Problem(
                what=says,
                where=f"notify: {one.destination}",
                next=f"mend it; linewright notify test {shlex.quote(one.destination)}; then {send}, or wait",
                exit_code=Transient.exit_code,
            )
        elif one.waiting and not is_up:
            yield Problem(
                what=f"{count(one.waiting, 'event waits', 'events wait')} to be told, and the factory is not up",
                where=f"notify: {one.destination}",
                next=f"linewright up, or {send}",
                exit_code=Transient.exit_code,
            )
        if one.refused:
            yield Problem(
                what=f"it refused {count(one.refused, 'event')} again and again; they were set aside",
                where=f"notify: {one.destination}",
                next=f"mend it; then {send} --refused",
                exit_code=Transient.exit_code,
            )


def _audit(factory: Factory, _: Needs) -> Iterator[Problem]:
    """Give what keeps signed checkpoints from being made and sent."""
    try:
        spec = factory.file().audit
    except LinewrightError:  # told by `settings`
        return
    if spec is None:
        return
    try:
        open_key(factory.root / Path(spec.key).expanduser(), state=factory.state)
    except LinewrightError as error:
        yield problem_of(error)
    for one in withheld(factory, spec):
        yield Problem(
            what=f"{count(one.waiting, 'signed checkpoint waits', 'signed checkpoints wait')}: {one.trouble}"
            if one.to
            else f"no checkpoint of the record is signed: {one.trouble}",
            where=f"{FACTORY_FILE}: audit{f': {one.to}' if one.to else ''}",
            next="correct it; `linewright up` tries again",
            exit_code=Transient.exit_code,
        )


def _features(factory: Factory, _: Needs) -> Iterator[Problem]:
    """Give what keeps machines from sharing rows and records of feature views."""
    shared = shared_features(factory.state)
    for trouble in shared.troubles() if shared is not None else ():
        yield Problem(
            what=f"feature views cannot be shared: {trouble}",
            where=f"{FACTORY_FILE}: features.store",
            next="correct it on the server of that database; then linewright doctor",
            exit_code=Transient.exit_code,
        )


def _token(factory: Factory, _: Needs) -> Iterator[Problem]:
    try:
        read_token(factory.state / TOKEN_FILE)
    except FileNotFoundError:  # the first start of the control plane makes it
        return
    except Denied as error:
        yield problem_of(error)


_MINOR = Transient.exit_code
_ON_THE_RECORD = frozenset({"growth", "clock", "lines", "serving", "runs", "champions", "notify"})
"""Examinations that open the factory's record."""
_CHECKS: Mapping[str, Callable[[Factory, Needs], Iterator[Problem]]] = {
    "folder": _folder,
    "packages": _packages,
    "format": _format,
    "limits": _limits,
    "space": _space,
    "writable": _writable,
    "owners": _owners,
    "rights": _rights,
    "git": _git,
    "databases": _databases,
    "executor": _executor,
    "ports": _ports,
    "growth": _growth,
    "clock": _clock,
    "lines": _lines,
    "serving": _pointers,
    "runs": _runs,
    "champions": _champions,
    "notify": _news,
    "features": _features,
    "token": _token,
    "audit": _audit,
    "settings": _settings,
}
"""In the order in which they make sense: what others rest on first."""
