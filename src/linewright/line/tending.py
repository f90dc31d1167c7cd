"""Looking after lines while they serve: windows close on time, and what monitoring proposes becomes a run."""

import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial

from linewright.engine.context import Progress
from linewright.engine.seam import Engine
from linewright.errors import LinewrightError, Transient
from linewright.line.alerts import open_alerts
from linewright.line.checkpoint import CHECKPOINT_S, checkpoint_all, head_in_words
from linewright.line.clock_skew import clock_alert, tend_clock
from linewright.line.execute import execute_inline, start
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.outages import follow_file, tend_log
from linewright.line.reference import MakeReference
from linewright.line.retraining import retraining_due
from linewright.line.rollout import tend_canary
from linewright.line.sealing import seal_next
from linewright.line.space import MAKE_ROOM, WARNED_H, forecast
from linewright.line.spec import LineSpec
from linewright.line.watching import close_window
from linewright.release.facts import Deployed, Promoted, Withdrawn
from linewright.release.pointer import record_pending
from linewright.release.stop import note_of, pending
from linewright.store.chain import Head
from linewright.store.clock import said
from linewright.watch.facts import Watched

LOOK_S = 0.5
"""How often lines are looked at; a window closes at most so much later than it ends, but for the seconds in which a
segment of the log is sealed."""
_REST = {"halt": 1.0, "log": 20.0, "clock": 20.0, "watch": 0.0, "canary": 4.0, "retrain": 20.0, "seal": 5.0}
"""How long to look away from a line, for each second of a look: a window that is closed was work to do, but what a proposal
waits for is looked up in the log again and again, and sealing can wait."""
_LONGEST_PAUSE_S = 300.0
_AGAIN_S = 60.0
"""When a checkpoint that the disk or a database did not allow is tried again."""
_LONGEST = {"halt": 5.0}
"""Where a pause may not be that long, in seconds: a halt is to be on record soon after that is possible again."""
UNKNOWN_AFTER_S = 10.0
"""When a halt without a note is recorded as one by nobody knows whom, in seconds: whoever stopped the line says who they are within
moments, and on a busy machine within some seconds."""
DISK_LOOK_S = 60.0
"""How often the disk is looked at."""
FAR_H = 2 * WARNED_H
"""Hours for which it must last again until it is told of anew: a rate is never the same twice."""
_FATES = {
    Deployed: "{0.part}",
    Promoted: "is promoted",
    Withdrawn: "is taken back",
}
"""What became of a candidate that was tried, in words."""


def tend_inline(factory: Factory, line: str) -> tuple[Watched | None, RunResult | None]:
    """Tend a line once, and carry out in this process what is due: for worlds and tests."""
    spec = factory.line(line)
    follow_file(factory, spec)
    tend_log(factory, line)
    tend_clock(factory, line)
    watched = close_window(factory, spec)
    tend_canary(factory, spec)
    seal_next(factory, line)
    due = retraining_due(factory, spec)
    if due is None:
        return watched, None
    return watched, execute_inline(factory, line, as_of=due.as_of, proposal=due.proposal)


def patience_s(failures: int) -> float:
    """Return how long to look away after so many failures in a row.

    Examples
    --------
    >>> [patience_s(failures) for failures in (0, 1, 2, 3, 99)]
    [0.0, 1.0, 2.0, 4.0, 300.0]
    """
    return min(LOOK_S * 2.0 ** min(failures, 20), _LONGEST_PAUSE_S) if failures else 0.0


class Tending:
    """A thread that tends all lines of a factory, on the engine of this process, until it is closed.

    Everything is decided from the record, so what was missed while nothing ran is done once when it runs again.

    Parameters
    ----------
    open_factory
        Opens the factory; called once.
    engine
        Carries out the runs.
    every_s
        How often to look, in seconds.
    unknown_after_s
        How long a line must be stopped, in seconds, until it is recorded that nobody knows by whom.
    make_reference
        As in `close_window`.
    """

    def __init__(
        self,
        open_factory: Callable[[], AbstractContextManager[Factory]],
        engine: Engine,
        *,
        every_s: float = LOOK_S,
        unknown_after_s: float = UNKNOWN_AFTER_S,
        make_reference: MakeReference | None = None,
    ) -> None:
        self._open, self._engine, self._every_s = open_factory, engine, every_s
        self._make_reference = make_reference
        self._unknown_after_s = unknown_after_s
        self._unknown: dict[str, float] = {}
        """Lines that are stopped and nobody has said by whom → when that was seen first, by the monotonic clock."""
        self._closed = threading.Event()
        self._duties = (
            ("log", self._log),
            ("clock", self._clock),
            ("watch", self._watch),
            ("canary", self._canary),
            ("retrain", self._retrain),
            ("seal", self._seal),
        )
        self._looks: dict[tuple[str, str], _Look] = {}
        self._checkpoint_at = 0.0
        self._head: Head | None = None
        self._unproved: set[str] = set()
        """What kept lines from their last checkpoint."""
        self._begun: dict[str, str] = {}
        """The proposal of each line that a run was started for last; the run may wait in the engine's queue for long."""
        self._said: set[str] = set()
        """Alerts about the clock that this process has told of, whoever of it opened them."""
        self._disk_at, self._is_near = 0.0, False
        """When the disk is looked at next, and whether people were told that it will be full."""
        self._thread = threading.Thread(target=self._work, name="tending", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the line that is being looked at."""
        self._closed.set()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        with self._open() as factory:
            while not self._closed.wait(self._every_s):
                for line in self._pending(factory):
                    self._look(line, "halt", partial(self._halt, factory, line))
                self._disk(factory)
                for line in factory.names():
                    for what, look in self._duties:
                        if self._closed.is_set():
                            return
                        self._look(line, what, partial(_by_file, factory, line, look))
                self._checkpoint(factory)

    def _pending(self, factory: Factory) -> list[str]:
        """Return the lines whose halt is to be recorded now: whoever stopped one a moment ago has yet to say who they are."""
        stopped, now = pending(factory.serving), time.monotonic()
        self._unknown = {
            line: self._unknown.get(line, now) for line in stopped if note_of(factory.serving, line) is None
        }
        return [line for line in stopped if now - self._unknown.get(line, -math.inf) >= self._unknown_after_s]

    def _halt(self, factory: Factory, line: str) -> None:
        # With a record of its own: the file may be another by now than the one that was opened, and others wait for this thread.
        with factory.in_a_hurry(LOOK_S) as now:
            halted = record_pending(now.context, now.serving, line)
        if halted is not None:
            says = (
                f"{line} was halted by {halted.by} at {said(halted.stopped or halted.at)}: {halted.because}"
            )
            factory.report(Progress(station="halt", says=says, stays=True))

    def _disk(self, factory: Factory) -> None:
        """Tell once that the disk will soon be full, and again once it was far from that in between."""
        if time.monotonic() < self._disk_at:
            return
        self._disk_at = time.monotonic() + DISK_LOOK_S
        with suppress(
            OSError, LinewrightError
        ):  # what keeps it from looking is told where it keeps others from working
            found = forecast(factory)
            if found.is_near and not self._is_near:
                says = f"{found.to_text(factory.root)}: {MAKE_ROOM}"
                factory.report(Progress(station="disk", says=says, stays=True))
            self._is_near = found.is_near or (self._is_near and (found.full_in_h or FAR_H) < FAR_H)

    def _log(self, factory: Factory, spec: LineSpec) -> None:
        for news in (follow_file(factory, spec), tend_log(factory, spec.line)):
            if news is not None:
                factory.report(Progress(station="log", says=f"{spec.line}: {news.because}", stays=True))

    def _clock(self, factory: Factory, spec: LineSpec) -> None:
        tend_clock(factory, spec.line)
        told = clock_alert(factory, spec.line)
        if told is not None and told.id not in self._said:
            self._said.add(told.id)
            factory.report(Progress(station="clock", says=f"{spec.line}: {told.because}", stays=True))

    def _watch(self, factory: Factory, spec: LineSpec) -> None:
        watched = close_window(factory, spec, make_reference=self._make_reference)
        if watched is None:
            return
        for alert in open_alerts(factory, spec.line):
            if alert.at == watched.at:  # told when it is new, not in each window that finds it again
                factory.report(Progress(station="watch", says=f"{spec.line}: {alert.because}", stays=True))

    def _canary(self, factory: Factory, spec: LineSpec) -> None:
        done = tend_canary(factory, spec)
        if done is not None:
            says = f"{spec.line}@{done.model} {_FATES[type(done)].format(done)}: {done.because}"
            factory.report(Progress(station="canary", says=says, stays=True))

    def _seal(self, factory: Factory, spec: LineSpec) -> None:
        seal_next(factory, spec.line)

    def _retrain(self, factory: Factory, spec: LineSpec) -> None:
        due = retraining_due(factory, spec)
        if due is None or self._begun.get(spec.line) == due.proposal:
            return
        if start(factory, spec.line, self._engine, as_of=due.as_of, proposal=due.proposal):
            factory.report(Progress(station="retrain", says=f"{spec.line}: a training begins", stays=True))
            self._begun[spec.line] = due.proposal

    def _checkpoint(self, factory: Factory) -> None:
        """Make a checkpoint of every line if it is time, and tell the head of the record where it is another one."""
        now = time.monotonic()
        if now < self._checkpoint_at or self._closed.is_set():
            return
        self._checkpoint_at = now + CHECKPOINT_S
        try:
            head, trouble = checkpoint_all(factory, is_stopped=self._closed.is_set)
        except LinewrightError as error:
            head, trouble = self._head, [error]
        except Exception:  # noqa: BLE001 -- as in `_look`
            head, trouble = self._head, []
            sys.stderr.write(traceback.format_exc())
        if head is not None and head != self._head:
            self._head = head
            factory.report(Progress(station="audit", says=head_in_words(head), stays=True))
        if any(isinstance(error, Transient) for error in trouble):
            self._checkpoint_at = now + _AGAIN_S
        told = {f"error: no checkpoint now: {error}\n" for error in trouble}
        for each in sorted(told - self._unproved):
            sys.stderr.write(each)
        self._unproved = told

    def _look(self, line: str, what: str, look: Callable[[], None]) -> None:
        """Look at a line for one thing, if it is time; what goes wrong is told once, and harms nothing else."""
        one = self._looks.setdefault((line, what), _Look())
        began = time.monotonic()
        if began < one.next_at:
            return
        trouble = None
        try:
            look()
        except LinewrightError as error:
            trouble = f"error: {line} is not looked after now: {error}\n"
        except Exception:  # noqa: BLE001 -- the boundary of this thread: a bug about one line must not end the watch over all
            trouble = traceback.format_exc()
        if trouble is not None and trouble not in self._told(line):
            sys.stderr.write(trouble)
        one.failures = 0 if trouble is None else one.failures + 1
        had_trouble, one.trouble = one.trouble is not None, trouble
        if had_trouble and self._told(line) == {None}:
            sys.stderr.write(f"{line} is looked after again\n")
        now = time.monotonic()
        pause_s = min(patience_s(one.failures), _LONGEST.get(what, _LONGEST_PAUSE_S))
        one.next_at = now + max((now - began) * _REST[what], pause_s)

    def _told(self, line: str) -> set[str | None]:
        return {look.trouble for (name, _), look in self._looks.items() if name == line}


def _by_file(factory: Factory, line: str, look: Callable[[Factory, LineSpec], None]) -> None:
    look(factory, factory.line(line))


@dataclass
class _Look:
    """When a line is looked at next for one thing, and what went wrong the last time."""

    next_at: float = 0.0
    failures: int = 0
    """In a row."""
    trouble: str | None = None
