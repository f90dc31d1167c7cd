"""Whether prediction logs and labels are what was logged and handed in, as far as the record and its checkpoints tell."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from linewright.engine.context import Progress
from linewright.errors import Corrupt, LinewrightError
from linewright.line.factory import Factory
from linewright.line.maintenance.problem import AGAIN, OLDER, PUT_BACK, Problem, guarded, problem_of
from linewright.line.record.checkpoint import Digested
from linewright.serve.log.records import count_of, is_forgotten
from linewright.serve.log.segments import Damage, Frame, lengths, read_frames, read_segment
from linewright.text.numbers import count

_TOLD = 10_000
"""How often progress is told, in predictions."""
Marks = Mapping[str, Mapping[int, str]]
"""Digests that the record has of segments, by name and position."""


class _Answered(msgspec.Struct):
    digest: str
    generation: int = 0


_ANSWERED = msgspec.json.Decoder(_Answered)


class Logs:
    """Checks the logs and labels of a factory.

    Parameters
    ----------
    damaged
        What is wrong with artifacts, by digest; it is told of already.
    problems
        Gets what is found.
    """

    def __init__(
        self, factory: Factory, damaged: Mapping[str, LinewrightError], problems: list[Problem]
    ) -> None:
        self._factory, self._damaged, self._problems = factory, damaged, problems
        self.predictions = self.labels = 0
        self.unproved_predictions = self.unproved_labels = 0
        """Those that came after the newest checkpoint."""

    def check(
        self,
        checkpoints: Mapping[str, tuple[Marks, Mapping[int, str]]],
        dropped: Mapping[str, Collection[str]],
    ) -> None:
        """Check all lines.

        Parameters
        ----------
        checkpoints
            By line: digests of its segments, and of its labels by the number of their changes.
        dropped
            By line: names of segments that are kept no longer.
        """
        feedback = self._factory.state / "feedback"
        labelled = {path.stem for path in feedback.glob("*.sqlite") if path.is_file()}
        for line in sorted({*self._factory.logged(), *labelled, *checkpoints}):
            segments, changes = checkpoints.get(line, ({}, {}))
            guarded(self._problems, lambda line=line, marks=segments: self._check_log(line, marks))
            gone = dropped.get(line, ())
            if line in labelled and self._is_half_dropped(line, gone):
                what = (
                    "labels and index have predictions that are kept no longer: their removal was interrupted"
                )
                self._say(what, f"labels of {line}", "linewright gc")
            elif line in labelled:
                guarded(
                    self._problems,
                    lambda line=line, marks=changes, gone=gone: self._check_labels(line, marks, gone),
                )
            elif changes:
                lost = f"labels are lost: {count(max(changes), 'change')} of them were kept, and their file is gone"
                self._say(lost, f"labels of {line}")
        for folder in sorted(self._factory.state.glob("shadow/*/*")):
            self._problems += _check_copies(self._factory, folder)

    def _say(self, what: str, where: str, next: str = AGAIN) -> None:  # noqa: A002 -- the field's name
        self._problems.append(Problem(what=what, where=where, next=next))

    def _check_log(self, line: str, marks: Marks) -> None:
        log, sealed = self._factory.log_of(line), self._factory.sealed_of(line)
        found = _Found()
        ends = sealed.ends()
        for name in sorted({*lengths(log, sealed), *marks}):
            left = dict(marks.get(name, {}))
            proved = ends.get(name, max(left, default=0))
            try:
                for frame in _marked(
                    read_segment(log, name, damaged=found.damage.append, sealed=sealed), left
                ):
                    self._count(frame, is_proved=frame.end <= proved)
                    found.see(frame)
            except Corrupt as error:
                blob = error.details.get("blob")
                # Else it is told of the `Segment` already.
                if blob is None or (blob not in self._damaged and self._factory.artifacts.has(blob)):
                    self._problems.append(problem_of(error, next=AGAIN))
                continue
            if left:
                what = f"the log was changed: its records up to byte {min(left):,} are not what they were at a checkpoint"
                self._say(what, str(log / name))
        counted = self._factory.labels_of(line).counted()
        for one in found.damage:
            if not one.is_end_of_killed(counted):
                self._say(
                    f"a logged prediction is damaged: {one.why}", f"{log / one.segment}, byte {one.offset}"
                )
        known = {version.digest for version in self._factory.metadata.versions(line)}
        self._problems += _strangers(found.digests - known, f"log of {line}")
        # Read after the log: answers are given by what was recorded before.
        if found.generation > (last := self._factory.metadata.pointer(line).generation):
            what = f"predictions were answered in generation {found.generation}, and the record ends at {last}{PUT_BACK}"
            self._say(what, f"log of {line}", OLDER)

    def _count(self, frame: Frame, *, is_proved: bool) -> None:
        before, records = self.predictions, count_of(frame.payload)
        self.predictions += records
        self.unproved_predictions += 0 if is_proved else records
        if before // _TOLD < self.predictions // _TOLD:
            number = self.predictions // _TOLD * _TOLD
            self._factory.report(Progress(step="verify", says=f"prediction log: {number:,}", done=number))

    def _is_half_dropped(self, line: str, dropped: Collection[str]) -> bool:
        labels = self._factory.labels_of(line)
        return bool(guarded(self._problems, lambda: labels.has_segments(dropped)))

    def _check_labels(self, line: str, marks: Mapping[int, str], dropped: Collection[str]) -> None:
        audit = self._factory.labels_of(line).audit(marks, dropped)
        for what in audit.wrong:
            self._say(what, f"labels of {line}")
        self.labels += audit.labels
        self.unproved_labels += max(0, audit.changes - max(marks, default=0))


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
