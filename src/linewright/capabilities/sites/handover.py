"""What a detached endpoint predicted, and the labels that it got, taken over by the factory: each exactly once.

A segment of its log is copied whole, under its own name, which no other segment has: it is there or not, and the record says that it was.
A label names the id of its prediction, and counts once however often it comes.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import msgspec

from linewright.capabilities.sites.folder import STATE, DetachedPackage, blobs_in, read_folder
from linewright.engine.lock import ProcessLock
from linewright.errors import Corrupt, Denied, NotFound, RequestError
from linewright.line.factory import Factory
from linewright.line.facts import Detached, HandedOver
from linewright.line.holdings.references import DIGEST
from linewright.line.retention.forgotten import forgotten_of
from linewright.model.facts import Package
from linewright.serve.facts import Prediction
from linewright.serve.feedback.store import Feedback
from linewright.serve.log.records import records_of
from linewright.serve.log.segments import (
    ENDING,
    TORN,
    Damage,
    frame_of,
    is_being_written,
    lengths,
    read_segment,
)
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.files.disk import explained, sync_file, sync_folder
from linewright.store.values import digest_of_bytes

_SEGMENT = re.compile(r"[0-9T.Z-]{10,40}-[0-9a-f-]{36}" + re.escape(ENDING))
_BATCH = 5_000
_MOST_NAMED = 5


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken over from a folder."""

    line: str
    model: str
    """LINE@VERSION that predicted."""
    segments: int
    """Files of its log that came over now."""
    answers: int
    """Predictions that came over now."""
    labels: int
    """Labels that are new here, or correct one."""
    waiting: int = 0
    """Files of its log that an endpoint writes to, which come over the next time."""
    conflicts: tuple[str, ...] = ()
    """Ids of predictions, up to 5, that have another label here than there; the one here stays."""
    conflicting: int = 0
    """How many those are."""

    @property
    def exit_code(self) -> int:
        """2 if labels contradict each other."""
        return RequestError.exit_code if self.conflicting else 0


def take_over(factory: Factory, folder: Path) -> Synced:
    """Take over the predictions and labels of a folder of `detach`; what came over before is skipped.

    It may be killed at any time and be called again: nothing is lost and nothing counts twice.
    """
    folder = folder.expanduser().absolute()
    says, digest = read_folder(folder)
    _require_ours(factory, says, digest, folder)
    line, state = says.line, folder / STATE
    with ExitStack() as held:
        lock = ProcessLock(factory.log_lock)
        lock.wait(lambda _: None)  # sealing and checkpoints hold it for moments
        held.callback(lock.release)
        known = {one.segment for one in factory.metadata.events(HandedOver, line=line)}
        log, found = state / "log" / line, list[HandedOver]()
        names = [name for name in sorted(lengths(log)) if name not in known]
        for name in names:
            if not is_being_written(log / name):
                found.append(_segment(factory, says, folder, name, digest))
    labels, conflicts = _labels(factory, says, state)
    return Synced(
        line=line,
        model=says.model,
        segments=len(found),
        answers=sum(one.answers for one in found),
        labels=labels,
        waiting=len(names) - len(found),
        conflicts=tuple(conflicts[:_MOST_NAMED]),
        conflicting=len(conflicts),
    )


def _require_ours(factory: Factory, says: DetachedPackage, digest: str, folder: Path) -> None:
    factory.identity.require("release", (says.line,))
    written = factory.metadata.events(Detached, line=says.line)
    if not any(one.folder == digest and one.package == says.arm.package for one in written):
        raise RequestError(
            "this factory wrote no such folder",
            where=str(folder),
            found=digest,
            allowed=", ".join(one.folder for one in written[-_MOST_NAMED:]) or "none of this line",
            hint="take it to the factory that wrote it; a changed package.json is another one",
        )
    if forgotten_of(factory, says.line).subjects:
        raise Denied(
            "the line has forgotten persons, of whom these answers may be",
            where=says.line,
            hint="this is not built yet: remove the folder, or keep it out of the factory",
        )


def _segment(factory: Factory, says: DetachedPackage, site: Path, name: str, folder: str) -> HandedOver:
    """Take over one segment, its pictures first; if it was copied before and not recorded, it is the same copy."""
    line, log = says.line, site / STATE / "log" / says.line
    if not _SEGMENT.fullmatch(name):
        raise Corrupt("no endpoint names a file of its log so", where=str(log / name), hint="remove it")
    frames, ids, pictures = list[bytes](), list[str](), dict[str, None]()
    columns = [one.column for one in factory.metadata.get(says.arm.package, Package).encoder.pictures]
    for payload, records in _checked(says, log, name):
        frames.append(frame_of(payload))
        ids += [one.id for one in records]
        pictures |= dict.fromkeys(one.row.get(column) for one in records for column in columns)
    _pictures(factory, site, pictures)
    body, mine = b"".join(frames), factory.log_of(line)
    path, labels = mine / name, factory.labels_of(line)
    is_here = path.exists() or name in factory.sealed_of(line).ends()
    if body and not is_here:
        if twice := labels.find_all(ids):
            raise Corrupt(
                "the factory has an answer of this id already",
                where=str(log / name),
                found=min(twice),
                hint="remove the copy of this file",
            )
        with explained(path, "the prediction log"):
            mine.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.with_name(f".{name}.{os.getpid()}.new")
            draft.write_bytes(body)
            sync_file(draft)
            draft.replace(path)
            sync_folder(mine)
    event = HandedOver(
        at=factory.now(),
        by=factory.actor,
        because="predicted by a detached endpoint",
        line=line,
        segment=name,
        digest=digest_of_bytes(body),
        answers=len(ids),
        first=min(ids, default=None),
        last=max(ids, default=None),
        package=says.arm.package,
        folder=folder,
    )
    factory.metadata.record(event)
    return event


def _pictures(factory: Factory, site: Path, named: Iterable[object]) -> None:
    """Keep the pictures that were sent to an endpoint; each is verified by its digest."""
    there = LocalArtifacts(blobs_in(site))
    for one in named:
        if isinstance(one, str) and DIGEST.fullmatch(one):
            try:
                factory.artifacts.put(there.get(one))
            except (Corrupt, NotFound) as error:
                error.hint = "copy the folder again from its machine"
                raise


def _checked(says: DetachedPackage, log: Path, name: str) -> Iterator[tuple[bytes, Sequence[Prediction]]]:
    """Iterate over the frames of a segment, whose records must be answers of the model of this line."""
    damages = list[Damage]()
    for frame in read_segment(log, name, damaged=damages.append):
        try:
            records = list(records_of(frame.payload))
        except msgspec.MsgspecError as error:
            raise Corrupt(
                f"a frame of the log cannot be read: {error}", where=f"{log / name}:{frame.offset}"
            ) from error
        for one in records:
            if (one.line, one.digest) != (says.line, says.arm.package):
                raise Corrupt(
                    "an answer is of another line or model",
                    where=f"{log / name}:{frame.offset}",
                    found=f"{one.line} {one.digest}"[:200],
                    allowed=f"{says.line} {says.arm.package}",
                )
        yield frame.payload, records
    if broken := next((one for one in damages if one.why != TORN), None):
        raise Corrupt(
            f"bytes of the log hold no record: {broken.why}",
            where=f"{log / name}:{broken.offset}",
            hint="copy the folder again from its machine",
        )


def _labels(factory: Factory, says: DetachedPackage, state: Path) -> tuple[int, list[str]]:
    """Keep the labels that came to the folder, and return how many are new here, and of which predictions another one is here."""
    there, here = Feedback.of(state, says.line), factory.labels_of(says.line)
    package, new, conflicts = factory.metadata.get(says.arm.package, Package), 0, list[str]()
    labelled = there.labelled_since(None, known_by=factory.now())
    while batch := list(islice(labelled, _BATCH)):
        kept, labels = here.find_all([record.id for record, _ in batch]), list[dict[str, object]]()
        for record, label in batch:
            if record.id not in kept:
                continue  # of a segment that is still being written
            before = kept[record.id][1]
            given: dict[str, object] = {"id": record.id, "label": label.label}
            if label.at is not None:
                given["at"] = label.at
            if before is None:
                labels.append(given)
            elif before.label == label.label:
                continue
            elif before.label in {one.label for one in there.replaced(record.id)}:
                labels.append({**given, "corrects": before.label})
            else:
                conflicts.append(record.id)
        if labels:
            became = here.accept(labels, package=package)
            new += became["accepted"] + became.get("corrected", 0)
    return new, conflicts
