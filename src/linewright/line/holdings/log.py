"""Prediction logs, logs of trials and labels: compared with the record and its checkpoints."""

import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from linewright.engine.context import Progress
from linewright.errors import Corrupt
from linewright.line.factory import Factory
from linewright.line.holding import Archive, Check, Databases, Holding, References
from linewright.line.problem import AGAIN, OLDER, PUT_BACK, Problem, problem_of
from linewright.line.record.checkpoint import Digested
from linewright.serve.facts import Sealed
from linewright.serve.feedback.store import schema_at
from linewright.serve.log.records import count_of, is_forgotten
from linewright.serve.log.segments import (
    ENDING,
    Damage,
    Frame,
    SealedSegments,
    frame_of,
    lengths,
    open_segment,
    read_file,
    read_frames,
    read_segment,
)
from linewright.store.files.names import LINE
from linewright.store.metadata.schema import Part
from linewright.store.values import decoder
from linewright.text.numbers import count

FEEDBACK = "feedback"
_REPORTED = 10_000
"""How often progress is reported, in predictions."""


class _Answered(msgspec.Struct):
    digest: str
    generation: int = 0


_ANSWERED = msgspec.json.Decoder(_Answered)


def logged(factory: Factory) -> list[str]:
    """Return the lines that may have a log; one of which all is sealed has no folder in a factory that was restored."""
    return sorted({*factory.metadata.lines(), *factory.logged()})


class PredictionLogs(Holding):
    """Answers as they were logged, by line, in segments; sealed ones are artifacts."""

    name = "prediction logs"
    files = ("log/*",)
    kept = rf"log/{LINE}/[^/]+\.log"

    def verify(self, check: Check) -> None:
        """Compare each segment with its checkpoints, and each answer with the models of its line."""
        marks = check.recorded.checkpoints
        for line in sorted({*logged(check.factory), *marks}):
            segments, _ = marks.get(line, ({}, {}))
            check.guarded(lambda line=line, segments=segments: _check_log(check, line, segments))

    def references(self, asked: References) -> Iterator[bytes]:
        """Give what was logged: rows name pictures."""
        factory = asked.factory
        for line in logged(factory):
            for frame in read_frames(factory.log_of(line), sealed=factory.sealed_of(line)):
                yield frame.payload

    def back_up(self, factory: Factory, archive: Archive) -> None:
        """Copy the segments that the copied record does not know to be sealed, up to their last whole record."""
        for line in logged(factory):
            log, sealed = factory.log_of(line), factory.sealed_of(line)
            files = {path.name for path in log.glob("*" + ENDING)}
            entered = {segment.name: segment.records for segment in sealed.segments().values()}
            before = entered.keys() & {
                decoder(Sealed).decode(one.body).name
                for one in factory.metadata.links(kinds=("sealed",), line=line)
                if one.seq <= archive.events
            }
            archive.predictions += sum(entered[name] for name in before - files)
            for name in sorted(files | (entered.keys() - before)):
                with _as_file(log, name, sealed) as file:
                    _add_segment(factory, log / name, file, archive)


class ShadowLogs(Holding):
    """Predictions of candidates in a trial, which no client got; they can be made again."""

    name = "answers of trials"
    files = ("shadow/*",)

    def verify(self, check: Check) -> None:
        """Require that a model of its line made each."""
        for folder in sorted(check.factory.state.glob("shadow/*/*")):
            check.problems += _check_copies(check.factory, folder)

    def references(self, asked: References) -> Iterator[bytes]:
        """Give what was logged: rows name pictures."""
        for folder in sorted(asked.factory.state.glob("shadow/*/*")):
            for frame in read_frames(folder):
                yield frame.payload


class Labels(Databases):
    """Labels and corrections in a chain, and the index of predictions, by line."""

    name = "labels"
    files = (f"{FEEDBACK}/*",)
    kept = rf"{FEEDBACK}/{LINE}\.sqlite"
    is_proved = True

    def schema(self, database: sqlite3.Connection) -> frozenset[Part]:
        """Return the schema of its version."""
        return schema_at(database.execute("PRAGMA user_version").fetchone()[0])

    def verify(self, check: Check) -> None:
        """Compare the chain of each line with its checkpoints."""
        super().verify(check)
        marks = check.recorded.checkpoints
        there = {path.stem for path in self.databases(check.factory.state)}
        for line in sorted(there | marks.keys()):
            _, changes = marks.get(line, ({}, {}))
            if line in there:
                check.guarded(lambda line=line, changes=changes: _check_labels(check, line, changes))
            elif changes:
                lost = f"labels are lost: {count(max(changes), 'change')} of them were kept, and their file is gone"
                check.say(lost, f"labels of {line}")


def _check_log(check: Check, line: str, marks: Mapping[str, Mapping[int, str]]) -> None:
    factory = check.factory
    log, sealed = factory.log_of(line), factory.sealed_of(line)
    found, ends = _Found(), sealed.ends()
    for name in sorted({*lengths(log, sealed), *marks}):
        left = dict(marks.get(name, {}))
        proved = ends.get(name, max(left, default=0))
        try:
            frames = read_segment(log, name, damaged=found.damage.append, sealed=sealed)
            for frame in _marked(frames, left):
                _count(check, frame, is_proved=frame.end <= proved)
                found.see(frame)
        except Corrupt as error:
            blob = error.details.get("blob")
            # Else it is noted of the `Segment` already.
            if blob is None or (blob not in check.damaged and factory.artifacts.has(blob)):
                check.problems.append(problem_of(error, next=AGAIN))
            continue
        if left:
            what = f"the log was changed: its records up to byte {min(left):,} are not what they were at a checkpoint"
            check.say(what, str(log / name))
    counted = factory.labels_of(line).counted()
    for one in found.damage:
        if not one.is_end_of_killed(counted):
            check.say(f"a logged prediction is damaged: {one.why}", f"{log / one.segment}, byte {one.offset}")
    known = {version.digest for version in factory.metadata.versions(line)}
    check.problems += _strangers(found.digests - known, f"log of {line}")
    # Read after the log: answers are given by what was recorded before.
    if found.generation > (last := factory.metadata.pointer(line).generation):
        what = f"predictions were answered in generation {found.generation}, and the record ends at {last}{PUT_BACK}"
        check.say(what, f"log of {line}", OLDER)


def _count(check: Check, frame: Frame, *, is_proved: bool) -> None:
    before, records = check.counts["predictions"], count_of(frame.payload)
    check.counts["predictions"] += records
    check.counts["unproved_predictions"] += 0 if is_proved else records
    number = check.counts["predictions"] // _REPORTED * _REPORTED
    if before < number:
        check.factory.report(Progress(step="verify", says=f"prediction log: {number:,}", done=number))


def _check_labels(check: Check, line: str, marks: Mapping[int, str]) -> None:
    labels, dropped = check.factory.labels_of(line), check.recorded.gone.segments.get(line, ())
    if labels.has_segments(dropped):
        what = "labels and index have predictions that are kept no longer: their removal was interrupted"
        check.say(what, f"labels of {line}", "linewright gc")
        return
    audit = labels.audit(marks, dropped)
    for what in audit.wrong:
        check.say(what, f"labels of {line}")
    check.counts["labels"] += audit.labels
    check.counts["unproved_labels"] += max(0, audit.changes - max(marks, default=0))


class _Found:
    """What the frames of a log say."""

    def __init__(self) -> None:
        self.damage: list[Damage] = []
        self.digests: set[str] = set()
        self.generation = 0

    def see(self, frame: Frame) -> None:
        if is_forgotten(frame.payload):
            return
        try:
            answered = _ANSWERED.decode(frame.payload)
        except msgspec.MsgspecError as error:
            self.damage.append(Damage(frame.segment, frame.offset, str(error)))
            return
        self.digests.add(answered.digest)
        self.generation = max(self.generation, answered.generation)


def _marked(frames: Iterable[Frame], left: dict[int, str]) -> Iterator[Frame]:
    """Pass the frames of a segment on, and take off from `left` the digests that they have."""
    digested = Digested()
    for frame in frames:
        if left:
            digested.take(frame)
            if left.get(frame.end) == digested.prefix.digest:
                del left[frame.end]
        yield frame


def _check_copies(factory: Factory, folder: Path) -> Iterator[Problem]:
    """Tell of copies of rows that no model of their line answered.

    One that is damaged is no problem: it is only not compared, and can be computed again.
    """
    line, strange = folder.parent.name, set[str]()
    known = {version.digest for version in factory.metadata.versions(line)}
    for frame in read_frames(folder):
        with suppress(msgspec.MsgspecError):
            strange |= {_ANSWERED.decode(frame.payload).digest} - known
    return _strangers(strange, f"copies answered for {line}")


def _strangers(strange: Iterable[str], where: str) -> Iterator[Problem]:
    for digest in sorted(strange):
        what = f"predictions were answered by a model that is not registered: {digest}"
        yield Problem(what=what, where=where, next=AGAIN)


def _as_file(log: Path, name: str, sealed: SealedSegments) -> IO[bytes]:
    """Open a segment, or what it was before it was sealed."""
    try:
        return open_segment(log / name)
    except FileNotFoundError:
        file = tempfile.TemporaryFile()  # noqa: SIM115 -- whoever asked closes it
        file.writelines(frame_of(frame.payload) for frame in sealed.frames(name))
        file.flush()
        return file


def _add_segment(factory: Factory, path: Path, file: IO[bytes], archive: Archive) -> None:
    """Add a segment up to its last whole record, forced to the disk before."""
    size = os.fstat(file.fileno()).st_size
    os.fsync(file.fileno())
    damage: list[Damage] = []
    frames = read_file(file, path.name, stop=size, damaged=damage.append)
    archive.predictions += sum(count_of(frame.payload) for frame in frames)
    counted = factory.labels_of(path.parent.name).counted()
    torn = [one.offset for one in damage if one.is_end_of_killed(counted)]
    archive.add_opened(path, file, size=min([size, *torn]))
    archive.problems += [
        Problem(
            what=f"a logged prediction is damaged, and copied as it is: {one.why}",
            where=f"{path}, byte {one.offset}",
            next="restore it from an earlier backup",
        )
        for one in damage
        if not one.is_end_of_killed(counted)
    ]
