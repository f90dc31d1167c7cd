"""Which model of a line serves, and which may next: promotion, canary, refusal, rollback and halt.

The metadata decides, by compare-and-set; an endpoint reads only `<serving>/LINE.json`, which is a projection of it. A
process that is killed between the two leaves an older file; `project` at the next start brings it up to date.
"""

import fcntl
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from linewright.data.facts import SeriesValues
from linewright.engine.context import Context
from linewright.errors import Conflict, GateRefused, LinewrightError, NotFound, RequestError
from linewright.model.facts import Certificate, Limit, Package, Registered
from linewright.model.gates.text import certificate_in_words
from linewright.release import halt_file
from linewright.release.facts import (
    Arm,
    Configured,
    Deployed,
    Halted,
    Promoted,
    Refused,
    RolledBack,
    Rollout,
    SeriesRead,
    Serving,
    WhenLogFails,
    Withdrawn,
)
from linewright.store.files.disk import sync_folder
from linewright.store.files.names import line_path
from linewright.store.files.rights import LOCK
from linewright.store.protocols import MetadataReader, Pointer
from linewright.store.values import Event, decode, digest_of

E = TypeVar("E", bound=Event)

ATTEMPTS = 10
NEWEST = 5
"""Models of a line whose columns a row may have, whichever of them answers."""
_LATELY = 100
"""Halts and releases of a line among which one is looked for that was recorded already: no more come at one time."""
_WHY_UNKNOWN = "it is not known who halted the line and why: this could not be kept when it was stopped"
BASELINE = "baseline"
"""What a certificate calls the rival of a line's first candidate."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model of a line that may answer rows, and what speaks for it."""

    line: str
    model: int
    """Its version, as registered."""
    package: str
    """Digest of the package that has this version."""
    certificate: str | None
    """Digest of the certificate that says promote; `None` where there is none, and only a person can promote it."""


def promote(
    context: Context,
    serving_dir: Path,
    candidate: Candidate,
    *,
    because: str,
    forced: bool = False,
    run: str | None = None,
    declared: str | None = None,
    evidence: str | None = None,
    proposal: str | None = None,
    on: Pointer | None = None,
) -> Promoted:
    """Make a registered model the champion of its line."""
    line, model = candidate.line, candidate.model
    earlier = _promotion_of(context.metadata, line, run)
    if earlier is not None:
        if earlier.package != candidate.package:
            raise Conflict(
                "this run has already promoted a model",
                where=f"{line}, run {run}",
                found=f"{line}@{earlier.model}",
            )
        project(context.metadata, serving_dir, line)
        return earlier
    now = on or context.metadata.pointer(line)
    _require_registered(context.metadata, candidate)
    if now.champion == model:
        raise Conflict("the model is the champion already", where=f"{line}@{model}")
    if forced:
        _require_word(line, because)
    else:
        rival = BASELINE if now.champion is None else _package_of(context.metadata, line, now.champion)
        _require_certificate(context.metadata, candidate, rival=None if run is None else rival)
    require_bytes(context, candidate.package)
    after = Pointer(
        generation=now.generation + 1,
        champion=model,
        # An older challenger was held against the champion that is replaced.
        challenger=now.challenger if now.challenger and now.challenger > model else None,
        halt=now.halt,
    )
    event = Promoted(
        at=context.now(),
        by=context.actor,
        because=because,
        line=line,
        model=model,
        package=candidate.package,
        before=now.champion,
        generation=after.generation,
        certificate=candidate.certificate,
        forced=forced,
        run=run,
        declared=declared,
        evidence=evidence,
        proposal=proposal,
    )
    context.metadata.move(line, after, event)
    project(context.metadata, serving_dir, line)
    return event


def rollback(context: Context, serving_dir: Path, line: str, because: str) -> RolledBack:
    """Let the champion before the present one serve again.

    Rolling back again goes further back; it never returns to a model that was rolled back.
    """
    now = context.metadata.pointer(line)
    chain = champions(context.metadata, line)
    if now.champion is None or len(chain) < 2:
        raise RequestError(
            "there is no champion to go back to",
            where=line,
            found="no champion" if now.champion is None else f"{line}@{now.champion}, the first of its chain",
            hint=f"linewright models {line} lists what can be promoted",
        )
    model = chain[-2]
    package = _package_of(context.metadata, line, model)
    require_bytes(context, package)
    after = msgspec.structs.replace(
        now,
        generation=now.generation + 1,
        champion=model,
        challenger=None if now.challenger == model else now.challenger,
    )
    event = RolledBack(
        at=context.now(),
        by=context.actor,
        because=because,
        line=line,
        model=model,
        package=package,
        before=now.champion,
        generation=after.generation,
    )
    context.metadata.move(line, after, event)
    project(context.metadata, serving_dir, line)
    return event


def deploy(
    context: Context,
    serving_dir: Path,
    candidate: Candidate,
    *,
    because: str,
    share: float,
    unit: str | None,
    run: str,
    rollout: Rollout = "canary",
    evidence: str | None = None,
    proposal: str | None = None,
) -> Deployed:
    """Let a certified candidate be tried beside the champion, or let a canary answer a larger share than before.

    Another candidate that is tried is withdrawn, once nothing speaks against this one.
    """
    line, model, package = candidate.line, candidate.model, candidate.package
    now, before = context.metadata.pointer(line), canary_of(context.metadata, line)
    _require_registered(context.metadata, candidate)
    champion = now.champion
    if champion is None or champion == model:
        raise Conflict("a candidate needs another model as champion beside it", where=f"{line}@{model}")
    rival = _package_of(context.metadata, line, champion)
    certificate = _require_certificate(context.metadata, candidate, rival=rival)
    require_bytes(context, package)
    is_next = before is not None and (before.package, before.run, before.rollout) == (package, run, rollout)
    if before is not None and not is_next:
        withdraw(context, serving_dir, line, f"{line}@{model} takes its place", trigger="newer")
        now = context.metadata.pointer(line)
        if now.champion != champion:
            raise Conflict(
                "the line was moved by someone else meanwhile", where=line, hint="run the line again"
            )
    generation = now.generation + 1
    event = Deployed(
        at=context.now(),
        by=context.actor,
        because=because,
        line=line,
        model=model,
        package=package,
        champion=champion,
        generation=generation,
        certificate=certificate,
        step=before.step + 1 if before is not None and is_next else 0,
        share=share,
        salt=before.salt if before is not None and is_next else _salt(line, package, generation),
        unit=unit,
        run=run,
        rollout=rollout,
        evidence=evidence,
        proposal=proposal,
    )
    after = msgspec.structs.replace(now, generation=generation, challenger=model)
    context.metadata.move(line, after, event)
    project(context.metadata, serving_dir, line)
    return event


def _salt(line: str, package: str, generation: int) -> str:
    return digest_of([line, package, generation]).removeprefix("sha256:")[:16]


def withdraw(
    context: Context,
    serving_dir: Path,
    line: str,
    because: str,
    *,
    trigger: Literal["quality", "trouble", "person", "newer"],
    evidence: str | None = None,
) -> Withdrawn | None:
    """Let the champion alone answer again; `None` where no candidate is tried (any more).

    It does not yield to another move at the same moment: it tries again on what that left.
    """

    def withdrawn(now: Pointer) -> tuple[Pointer, Withdrawn]:
        canary = canary_of(context.metadata, line)
        if canary is None:
            raise _NoCanary
        event = Withdrawn(
            at=context.now(),
            by=context.actor,
            because=because,
            line=line,
            model=canary.model,
            package=canary.package,
            generation=now.generation + 1,
            certificate=canary.certificate,
            trigger=trigger,
            evidence=evidence,
            rollout=canary.rollout,
        )
        challenger = None if now.challenger == canary.model else now.challenger
        return msgspec.structs.replace(now, generation=event.generation, challenger=challenger), event

    try:
        return _insist(context, serving_dir, line, withdrawn)
    except _NoCanary:
        return None


class _NoCanary(Exception):  # noqa: N818 -- a signal between two functions, never seen outside
    """There is nothing to withdraw."""


def canary_of(metadata: MetadataReader, line: str) -> Deployed | None:
    """Return the newest step of the candidate that is tried, as a canary or otherwise; `None` where none is.

    A promotion or a rollback of any model of the line ends it too.
    """
    newest = _newest(metadata, line, Deployed)
    if newest is None:
        return None
    ends = (
        _newest(metadata, line, Withdrawn),
        _newest(metadata, line, Promoted),
        _newest(metadata, line, RolledBack),
    )
    return None if any(one is not None and one.generation > newest.generation for one in ends) else newest


def _newest(metadata: MetadataReader, line: str, kind: type[E]) -> E | None:
    return next(iter(metadata.events(kind, line=line, newest_first=True, limit=1)), None)


def halt(
    context: Context, serving_dir: Path, line: str, halt: bool, because: str, *, at: str | None = None
) -> Halted:
    """Stop the endpoint of a line from answering, or free it.

    The endpoint stops before anything is recorded, see `release.stop`; a halt that cannot be recorded now stays pending, and
    `record_pending` records it. A halt does not yield to a promotion at the same moment: it tries again on what that left.
    """
    note = halt_file.Note(by=context.actor, because=because, at=at or context.now())
    if halt:
        halt_file.stop(serving_dir, line)
        if not halt_file.leave(serving_dir, line, note):
            record_pending(context, serving_dir, line)  # the note of another person may be there
            halt_file.leave(serving_dir, line, note)
    else:
        # Freed is who was halted: else a halt that is still pending would look like one that comes only now.
        record_pending(context, serving_dir, line)
    try:
        event = _halted(context, serving_dir, line, note, halt=halt)
    except _Recorded as recorded:
        event = recorded.event
        project(context.metadata, serving_dir, line)
    if halt:
        halt_file.settle(serving_dir, line, note)
    return event


def record_pending(context: Context, serving_dir: Path, line: str) -> Halted | None:
    """Record the halt of a line that could not be recorded when the line was stopped."""
    if not halt_file.is_pending(serving_dir, line) or line not in context.metadata.lines():
        return None
    note = halt_file.note_of(serving_dir, line)
    unknown = halt_file.Note(by="unknown", because=_WHY_UNKNOWN, at=context.now())
    try:
        event = _halted(
            context, serving_dir, line, note or unknown, is_late=note is not None, is_new=note is None
        )
    except _Recorded:
        event = None
        project(context.metadata, serving_dir, line)
    halt_file.settle(serving_dir, line, note)
    return event


def is_halted(metadata: MetadataReader, serving_dir: Path, line: str) -> bool:
    """Return whether a line is halted, by the record or by a halt that is not recorded yet."""
    return metadata.pointer(line).halt or halt_file.is_pending(serving_dir, line)


def was_halted(metadata: MetadataReader, halted: Halted) -> bool:
    """Return whether a line was halted before it was halted or freed, by the record."""
    lately = metadata.events(Halted, line=halted.line, newest_first=True, limit=_LATELY)
    return next((event.halt for event in lately if event.generation < halted.generation), False)


def _halted(
    context: Context,
    serving_dir: Path,
    line: str,
    note: halt_file.Note,
    *,
    halt: bool = True,
    is_late: bool = False,
    is_new: bool = False,
) -> Halted:
    """Record that a line is halted or freed."""

    def halted(now: Pointer) -> tuple[Pointer, Halted]:
        earlier = _recorded(context.metadata, line, note) if halt else None
        if is_new and now.halt:
            earlier = _newest(context.metadata, line, Halted)
        if earlier is not None:
            raise _Recorded(earlier)
        event = Halted(
            at=context.now() if is_late else note.at,
            by=note.by,
            because=note.because,
            line=line,
            halt=halt,
            generation=now.generation + 1,
            stopped=note.at if is_late else None,
        )
        return msgspec.structs.replace(now, generation=event.generation, halt=halt), event

    return _insist(context, serving_dir, line, halted)


class _Recorded(Exception):  # noqa: N818 -- a signal between two functions, never seen outside
    """Another process has recorded the same halt."""

    def __init__(self, event: Halted) -> None:
        super().__init__(event.line)
        self.event = event


def _recorded(metadata: MetadataReader, line: str, note: halt_file.Note) -> Halted | None:
    for event in metadata.events(Halted, line=line, newest_first=True, limit=_LATELY):
        if event.halt and event.by == note.by and note.at in {event.at, event.stopped}:
            return event
    return None


def refuse(context: Context, serving_dir: Path, refused: Refused) -> Refused:
    """Record that a candidate was not promoted; unless it was rejected, it is the challenger of its line now."""

    def challenged(now: Pointer) -> tuple[Pointer, Refused]:
        challenger = refused.model if refused.verdict != "reject" else now.challenger
        if refused.verdict == "reject" and now.challenger == refused.model:
            challenger = None
        return msgspec.structs.replace(now, generation=now.generation + 1, challenger=challenger), refused

    return _insist(context, serving_dir, refused.line, challenged)


def _insist(
    context: Context, serving_dir: Path, line: str, change: Callable[[Pointer], tuple[Pointer, E]]
) -> E:
    """Move a line by what it is now, again where someone else moved it meanwhile."""
    for _ in range(ATTEMPTS - 1):
        with suppress(Conflict):
            return _move(context, serving_dir, line, change)
    return _move(context, serving_dir, line, change)


def _move(
    context: Context, serving_dir: Path, line: str, change: Callable[[Pointer], tuple[Pointer, E]]
) -> E:
    after, event = change(context.metadata.pointer(line))
    context.metadata.move(line, after, event)
    project(context.metadata, serving_dir, line)
    return event


def project(metadata: MetadataReader, serving_dir: Path, line: str) -> Serving:
    """Write the file that endpoints of a line follow, if it is missing or does not say what the metadata says.

    It may be called at any time by any number of processes; the file is replaced as a whole, survives power loss, and
    its generation never falls behind what the metadata said when any of these calls began.

    The file that lets the line answer comes before the first one that names it, and again where the record has freed the line. A
    pending halt stands: it took that file away, and the record does not know of it yet.
    """
    serving_dir.mkdir(parents=True, exist_ok=True)
    path = line_path(serving_dir, line, ".json")
    with _only_writer(path.with_name(f".{line}.lock")):
        # Read under the lock: else a slow writer could put an older generation over a newer one.
        serving = _serving(metadata, line)
        body = _body(serving)
        if serving.halt:
            halt_file.forbid(serving_dir, line)
        else:
            halt_file.allow(serving_dir, line)
        if not (path.exists() and path.read_bytes() == body):
            _replace(path, body)
    return serving


def recorded(metadata: MetadataReader, line: str) -> Serving:
    """Return what endpoints of a line are to be told, as the metadata says."""
    return _serving(metadata, line)


def is_projected(metadata: MetadataReader, serving_dir: Path, line: str) -> bool:
    """Return whether the files that endpoints of a line follow say what the metadata says."""
    path, serving = line_path(serving_dir, line, ".json"), _serving(metadata, line)
    is_told = path.is_file() and path.read_bytes() == _body(serving)
    return is_told and halt_file.may_answer(serving_dir, line) != serving.halt


def champions(metadata: MetadataReader, line: str) -> list[int]:
    """Return the chain of champions that rollbacks walk back: the present one last; empty before the first.

    A promotion adds to the chain; a rollback takes off what it went back from.
    """
    moves: list[Promoted | RolledBack] = [
        *metadata.events(Promoted, line=line),
        *metadata.events(RolledBack, line=line),
    ]
    chain: list[int] = []
    for move in sorted(moves, key=lambda event: event.generation):
        if isinstance(move, Promoted):
            chain.append(move.model)
        else:
            chain.pop()
    return chain


def limits_of(metadata: MetadataReader, line: str, model: int) -> tuple[Limit, ...]:
    """Return what the contract allowed when a model was made."""
    events = metadata.events(Registered, line=line)
    return next((event.limits for event in events if event.model == model), ())


def when_log_fails(metadata: MetadataReader, line: str) -> WhenLogFails:
    """Return what endpoints of a line do while its log cannot be written."""
    newest = metadata.events(Configured, line=line, newest_first=True, limit=1)
    return newest[0].when_log_fails if newest else "refuse"


def explored_share(metadata: MetadataReader, line: str) -> float:
    """Return the share of its lists that endpoints of a line draw."""
    newest = metadata.events(Configured, line=line, newest_first=True, limit=1)
    return newest[0].explore if newest else 0.0


def newest_series(metadata: MetadataReader, line: str) -> str | None:
    """Return the digest of the `SeriesValues` from which endpoints of a line answer; `None` if no run has read any."""
    newest = metadata.events(SeriesRead, line=line, newest_first=True, limit=1)
    return newest[0].values if newest else None


def series_of_run(metadata: MetadataReader, line: str) -> str | None:
    """Return the digest of the newest `SeriesValues` that a run of a line has read; `None` if none has read any."""
    newest = metadata.events(SeriesRead, line=line, newest_first=True, limit=2)
    if not newest:
        return None
    # The run may have ended while newer values were put behind those of the run before.
    read = next((one.values for one in newest if one.base is None), None)
    return read or newest[0].base


def series_blob(metadata: MetadataReader, line: str) -> str | None:
    """Return the digest of the bytes of the newest values of the series of a line; `None` if there are none."""
    values = newest_series(metadata, line)
    return None if values is None else metadata.get(values, SeriesValues).blob


def _serving(metadata: MetadataReader, line: str) -> Serving:
    now, canary = metadata.pointer(line), canary_of(metadata, line)
    champion = None
    if now.champion is not None:
        champion = Arm(
            model=now.champion,
            package=_package_of(metadata, line, now.champion),
            limits=limits_of(metadata, line, now.champion),
        )
    serving = Serving(
        line=line,
        generation=now.generation,
        champion=champion,
        known=_known(metadata, line, now.champion),
        halt=now.halt,
        go=True,
        when_log_fails=when_log_fails(metadata, line),
        explore=explored_share(metadata, line),
        series=series_blob(metadata, line),
    )
    if canary is None:
        return serving
    arm = Arm(
        model=canary.model,
        package=canary.package,
        share=canary.share,
        limits=limits_of(metadata, line, canary.model),
    )
    serving = msgspec.structs.replace(serving, salt=canary.salt, unit=canary.unit)
    match canary.rollout:
        case "canary":
            return msgspec.structs.replace(serving, canary=arm)
        case "shadow":
            return msgspec.structs.replace(serving, shadow=arm)
        case "blue-green":
            return msgspec.structs.replace(serving, canary=arm, shadow=champion)


def _known(metadata: MetadataReader, line: str, champion: int | None) -> tuple[str, ...]:
    versions = metadata.versions(line)
    names = set[str]()
    for one in versions:
        if one.version == champion or one in versions[-NEWEST:]:
            with suppress(LinewrightError):  # what cannot be read cannot serve either
                names.update(column.name for column in metadata.get(one.digest, Package).columns)
    return tuple(sorted(names))


def _body(serving: Serving) -> bytes:
    return msgspec.json.format(msgspec.json.encode(serving), indent=2) + b"\n"


def _promotion_of(metadata: MetadataReader, line: str, run: str | None) -> Promoted | None:
    if run is None:
        return None
    return next((event for event in metadata.events(Promoted, line=line) if event.run == run), None)


def _package_of(metadata: MetadataReader, line: str, model: int) -> str:
    for version in metadata.versions(line):
        if version.version == model:
            return version.digest
    raise NotFound("the line has no such model", where=line, found=f"{line}@{model}")


def _require_registered(metadata: MetadataReader, candidate: Candidate) -> None:
    registered = _package_of(metadata, candidate.line, candidate.model)
    if registered != candidate.package:
        raise NotFound(
            "the model with that version is another one",
            where=f"{candidate.line}@{candidate.model}",
            found=candidate.package,
            allowed=registered,
        )


def _require_word(line: str, because: str) -> None:
    if not because.strip():
        raise RequestError("a forced promotion needs a reason", where=line, hint='add --because "why"')


def _require_certificate(metadata: MetadataReader, candidate: Candidate, *, rival: str | None) -> str:
    """Return the digest of the certificate, which must say promote for exactly this package, against `rival` where that is given."""
    certificate, package = candidate.certificate, candidate.package
    if certificate is None:
        raise GateRefused(
            "no certificate says that this model may be promoted",
            found=package,
            hint='linewright run, or promote --force --because "why"',
        )
    found = metadata.get(certificate, Certificate)
    if found.package != package:
        raise GateRefused(
            "the certificate is for another model", where=certificate, found=found.package, allowed=package
        )
    if found.verdict != "promote":
        raise GateRefused(
            f"the certificate says {found.verdict}: {certificate_in_words(found)}",
            where=certificate,
            hint='promote --force --because "why" overrules it, and the record says so',
        )
    if rival is not None and found.rival != rival:
        raise Conflict(
            "the certificate compares with a model that no longer serves",
            where=certificate,
            found=found.rival,
            allowed=rival,
            hint="run the line again",
        )
    return certificate


def require_bytes(context: Context, package: str) -> None:
    """Require that everything an endpoint will load is there, with its digest."""
    read = decode(Package, context.artifacts.get(package), digest=package)
    for digest in read.loaded:
        context.artifacts.get(digest)


@contextmanager
def _only_writer(path: Path) -> Generator[None]:
    # The kernel frees the lock when its holder is killed, so it never has to be cleared by hand.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, body: bytes) -> None:
    # One name for the temporary file: only the holder of the lock writes it, so a killed one leaves no litter.
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
