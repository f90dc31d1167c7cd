"""The log of a run: what it did and what its processes wrote, a file for each of the newest runs.

A line of it is a JSON object. It is for those who look while the run goes on, or wonder why it failed: no result and no event depends
on it, so what cannot be written is left out.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from linewright.engine.context import Progress, TrialScore
from linewright.line.factory import Factory
from linewright.line.facts import Accepted
from linewright.line.personal import hidden_columns
from linewright.serve.files import write_whole

FOLDER = "runs"
"""Folder of the files, in the state folder."""
MOST_RUNS = 100
"""Runs whose log is kept."""
MOST_LINES = 200
"""Lines that are shown of a log: the last ones."""
_MOST_BYTES = 2**19
"""A longer file loses the older half of its lines."""
_MOST_TEXT = 1000
"""Characters of a line."""
_LINE_END = b"\n"


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the log of a run."""

    at: str
    says: str
    by: Literal["run", "process"]
    """``run`` says what it does; ``process`` is what libraries and code of the line wrote to stdout and stderr."""
    step: str = ""
    trial: TrialScore | None = None
    """The trial that has just ended, if one has."""


class ShownLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log of a run, as it is shown."""

    at: str
    by: Literal["run", "process"]
    """``run`` says what it does; ``process`` is what libraries and code of the line wrote to stdout and stderr."""
    step: str
    """The running step; empty for what a process wrote."""
    says: str


class ShownTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that was tried."""

    name: str
    family: str
    loss: float
    """On training rows that it did not learn from; less is better."""
    low: float
    high: float
    """95 % interval of the loss."""


class ShownLog(msgspec.Struct, frozen=True, kw_only=True):
    """The log of a run."""

    run: str
    line: str
    lines: tuple[ShownLine, ...]
    """The last ones, oldest first; none if the log is not kept."""
    left_out: int
    """Lines before them."""
    hidden: int
    """Lines that a process wrote and that are not shown, since they may name rows: who may see rows sees them."""
    trials: tuple[ShownTrial, ...]
    """What was tried so far and can be compared, best first."""


class RunLog:
    """The log of one run, to write. Threads may use it at once."""

    def __init__(self, file: Path, factory: Factory) -> None:
        self._file, self._now = file, factory.now
        self._lock = threading.Lock()
        self._part = b""
        """What a process wrote since its last line ended."""

    @classmethod
    def of(cls, factory: Factory, run: str) -> "RunLog":
        """Return the log of a run."""
        return cls(_path(factory, run), factory)

    def news(self, progress: Progress) -> None:
        """Keep a step forward."""
        with self._lock:
            self._keep([self._line(progress.says, "run", progress)])

    def output(self, data: bytes) -> None:
        """Keep what a process wrote, once its line has ended."""
        with self._lock:
            *ended, self._part = (self._part + data).split(_LINE_END)
            self._keep([self._line(one.decode(errors="replace"), "process") for one in ended if one.strip()])
            if len(self._part) > _MOST_TEXT:
                self._end_part()

    def close(self) -> None:
        """Keep what a process wrote last."""
        with self._lock:
            self._end_part()

    def _end_part(self) -> None:
        if self._part.strip():
            self._keep([self._line(self._part.decode(errors="replace"), "process")])
        self._part = b""

    def _line(self, says: str, by: Literal["run", "process"], progress: Progress | None = None) -> LogLine:
        # A line of a terminal may have overwritten itself: what stands there last counts.
        shown = says.rstrip("\r").rpartition("\r")[2][:_MOST_TEXT]
        if progress is None:
            return LogLine(at=self._now(), says=shown, by=by)
        return LogLine(at=self._now(), says=shown, by=by, step=progress.step, trial=progress.trial)

    def _keep(self, lines: list[LogLine]) -> None:
        if not lines:
            return
        with suppress(OSError):
            if not self._file.exists():
                self._file.parent.mkdir(exist_ok=True)
                folder = self._file.parent
                # Ids of runs begin with the time at which they were made.
                for path in sorted(folder.glob("*.log"))[: 1 - MOST_RUNS]:
                    path.unlink(missing_ok=True)
            with self._file.open("ab") as file:
                file.write(b"".join(msgspec.json.encode(one) + _LINE_END for one in lines))
                size = file.tell()
            if size > _MOST_BYTES:
                kept = self._file.read_bytes()[size // 2 :]
                write_whole(self._file, kept[kept.find(_LINE_END) + 1 :])


def log_of(factory: Factory, accepted: Accepted) -> ShownLog:
    """Return the log of a run; what its processes wrote only to those who may see rows of its line, with all columns."""
    sees_rows = factory.may("view-rows", accepted.line) and not hidden_columns(factory, accepted.line)
    found = list(_read(_path(factory, accepted.run)))
    seen = [one for one in found if sees_rows or one.by == "run"]
    shown = seen[-MOST_LINES:]
    return ShownLog(
        run=accepted.run,
        line=accepted.line,
        lines=tuple(ShownLine(at=one.at, by=one.by, step=one.step, says=one.says) for one in shown),
        left_out=len(seen) - len(shown),
        hidden=len(found) - len(seen),
        trials=_comparable([one.trial for one in found if one.trial is not None]),
    )


def forget_logs(factory: Factory, line: str) -> None:
    """Remove the logs of the runs of a line: what its processes wrote may name a person."""
    for accepted in factory.metadata.events(Accepted, line=line):
        _path(factory, accepted.run).unlink(missing_ok=True)


def _comparable(trials: list[TrialScore]) -> tuple[ShownTrial, ...]:
    """Return the trials that were evaluated on as many rows as the last one, best first; of one that was evaluated twice the last."""
    same = {one.name: one for one in trials if one.rows == trials[-1].rows}
    return tuple(
        ShownTrial(name=one.name, family=one.family, loss=one.loss, low=one.low, high=one.high)
        for one in sorted(same.values(), key=lambda one: one.loss)
    )


def _read(file: Path) -> Iterator[LogLine]:
    with suppress(FileNotFoundError):
        for line in file.read_bytes().splitlines():
            # The last one may not be there as a whole yet, or never, after a kill.
            with suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(line, type=LogLine)


def _path(factory: Factory, run: str) -> Path:
    return factory.state / FOLDER / f"{run}.log"
