"""Looking after lines while they serve: windows close on time, and what monitoring proposes becomes a run."""

import math
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import NamedTuple

from linewright.capabilities.annotation.settle import settle
from linewright.capabilities.care.forget import resume
from linewright.capabilities.care.forget_outputs import settle_owed
from linewright.capabilities.care.gc import retire_now
from linewright.capabilities.care.retention import retired_in_words
from linewright.capabilities.schedules.run_tasks import ScheduledWork
from linewright.capabilities.serving.changed_lines import Changes, Part
from linewright.engine.context import Progress
from linewright.engine.protocol import Engine
from linewright.errors import LinewrightError, Transient
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.loop.close_window import close_window, next_close
from linewright.line.loop.reference import MakeReference
from linewright.line.loop.retraining import next_proposal, retraining_due
from linewright.line.polling import PollingThread
from linewright.line.problem import problem_in_words
from linewright.line.record.archive_log import next_sealing, seal_next
from linewright.line.record.checkpoint import CHECKPOINT_S, checkpoint_all, head_in_words
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.record.monitoring.clock_skew import clock_alert, tend_clock
from linewright.line.record.monitoring.disk_space import MAKE_ROOM, WARNED_H, disk_in_words, forecast
from linewright.line.release.endpoint import follow_file, tend_log
from linewright.line.release.next_ring import tend_ring
from linewright.line.release.remembered_values import next_look, remember_values
from linewright.line.release.rings import RingWait
from linewright.line.release.rollout import is_trial_open, tend_canary
from linewright.line.release.view_maintenance import (
    audit_served_features,
    refresh_records,
    tend_records,
)
from linewright.line.runs.execute import execute_inline, start
from linewright.line.spec import LineSpec
from linewright.people.annotations import FOLDER as ANNOTATE
from linewright.release.facts import Deployed, Promoted, Withdrawn
from linewright.release.halt_file import note_of, pending
from linewright.release.promotion import record_pending
from linewright.store.clock import said
from linewright.store.files.stamps import Stamp, stamp_at
from linewright.store.metadata.audit_chain import Head
from linewright.text.numbers import count
from linewright.watch.facts import Watched

LOOK_S = 0.5
"""How often lines are looked at; a window closes at most so much later than it ends, but for the seconds in which a
segment of the log is sealed."""
_REST = {
    "log": 20.0,
    "clock": 20.0,
    "values": 20.0,
    "views": 5.0,
    "features": 20.0,
    "schedule": 4.0,
    "watch": 0.0,
    "canary": 4.0,
    "ring": 20.0,
    "retrain": 20.0,
    "seal": 5.0,
}
"""How long to look away from all lines, for each second that looks at them took: a window that is closed was work to do, but what
a proposal waits for is looked up in the log again and again, and sealing can wait. So a thousand lines that wait for something take
no larger share of a core than one."""
_LOG_LOOKS = 20
"""Looks after which it is looked again whether a log has another segment: nothing else tells of one that no index has."""
SWEEP_S = 3600.0
"""Seconds in which each line is looked at once though nothing was written about it, for what no listing shows."""
_LONGEST_PAUSE_S = 300.0
_AGAIN_S = 60.0
"""When a checkpoint that the disk or a database did not allow is tried again."""
_OWED_S = 600.0
"""How often it is tried to remove persons from answers in places that were not reached."""
_HALT_PAUSE_S = 5.0
"""Longest pause of a halt that cannot be recorded, in seconds: it is to be on record soon after that is possible again."""
_AT_ONCE, _NEVER = "", "~"
"""Before each instant, and after each."""
UNKNOWN_AFTER_S = 10.0
"""When a halt without a note is recorded as one by nobody knows whom, in seconds: whoever stopped the line says who they are within
moments, and on a busy machine within some seconds."""
RETIRE_S = 86_400.0
"""How often what lines keep no longer goes."""
RETIRE_FIRST_S = 900.0
"""The first time after the start: a factory that is started anew each day is looked after too, and one that comes up has other things to do."""
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
    remember_values(factory, spec)
    watched = close_window(factory, spec)
    tend_canary(factory, spec)
    tend_ring(factory, spec)
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


class Tending(PollingThread):
    """A thread that tends all lines of a factory, on the engine of this process, until it is closed.

    Everything is decided from the record, so what was missed while nothing ran is done once when it runs again.
    """

    def __init__(
        self,
        open_factory: Callable[[], AbstractContextManager[Factory]],
        engine: Engine,
        *,
        every_s: float = LOOK_S,
        unknown_after_s: float = UNKNOWN_AFTER_S,
        retire_first_s: float = RETIRE_FIRST_S,
        make_reference: MakeReference | None = None,
    ) -> None:
        self._engine = engine
        self._make_reference = make_reference
        self._unknown_after_s = unknown_after_s
        self._unknown: dict[str, float] = {}
        """Lines that are stopped and nobody has said by whom → when that was seen first, by the monotonic clock."""
        self._duties = (
            _Duty("log", self._log, ("file", "record", "outage")),
            _Duty("clock", self._clock, ("file", "record")),
            _Duty("values", self._values, ("file", "record", "labels")),
            _Duty("views", self._views, ("file", "record", "views")),
            _Duty("features", self._features, ("file", "record")),
            _Duty("schedule", self._schedule, ("file", "record")),
            _Duty("watch", self._watch, ("file", "record")),
            _Duty("canary", self._canary, ("file", "record")),
            _Duty("ring", self._ring, ("file", "record")),
            _Duty("retrain", self._retrain, ("file", "record", "labels")),
            _Duty("seal", self._seal, ("file", "labels")),
        )
        self._looks: dict[str, dict[str, _Look]] = {}
        """By line and duty."""
        self._wakes: dict[str, str] = {}
        """By line, the instant from which it is looked at for anything."""
        self._logs: dict[str, Stamp | None] = {}
        """Stamps of the folders of logs."""
        self._rests_until = dict.fromkeys(_REST, 0.0)
        """Until when no line is looked at for a duty, by the monotonic clock."""
        self._swept, self._sweep_at, self._log_at = 0.0, 0, 0
        self._halts_at = 0.0
        self._checkpoint_at = 0.0
        self._head: Head | None = None
        self._unproved: set[str] = set()
        """What kept lines from their last checkpoint."""
        self._begun: dict[str, str] = {}
        """The proposal of each line that a run was started for last; the run may wait in the engine's queue for long."""
        self.audit_at: dict[str, str | None] = {}
        """By line, when its logged features are audited next."""
        self._scheduled = ScheduledWork(open_factory)
        self._told_of: set[str] = set()
        """Alerts about the clock that this process has told of, whoever of it opened them."""
        self._retire_at = time.monotonic() + retire_first_s
        self._owed_at, self._owing = 0.0, threading.Thread()
        """When what is owed of removals is tried again, and the thread that does so: it may wait for a server that does not answer."""
        self._disk_at, self._is_near = 0.0, False
        """When the disk is looked at next, and whether people were told that it will be full."""
        super().__init__("tending", open_factory, every_s=every_s, not_done="lines are not looked after now")

    def close(self) -> None:
        """Stop after what is being done; what is being done by a schedule is given up."""
        self._closed.set()
        self._scheduled.close()
        super().close()

    @contextmanager
    def _looking(self, factory: Factory) -> Generator[Callable[[], None]]:
        changes = Changes(factory)
        self._resume(factory)
        for path in sorted((factory.state / ANNOTATE).glob("*.sqlite")):
            try:
                settle(factory, path.stem)
            except LinewrightError as error:
                sys.stderr.write(f"error: labels of {path.stem} are not feedback yet: {error}\n")
            except Exception:  # noqa: BLE001 -- as in `_look`
                sys.stderr.write(traceback.format_exc())
        yield partial(self._round, factory, changes)

    def _round(self, factory: Factory, changes: Changes) -> None:
        self._record_halts(factory)
        self._disk(factory)
        self._stir(factory, changes)
        self._tend(factory, changes.names)
        self._checkpoint(factory)
        self._retire(factory)
        self._settle_removals()

    def _record_halts(self, factory: Factory) -> None:
        self._halts_at = time.monotonic() + LOOK_S
        for line in self._pending(factory):
            self._look(line, "halt", partial(self._halt, factory, line), longest_s=_HALT_PAUSE_S)

    def _stir(self, factory: Factory, changes: Changes) -> None:
        """Have lines looked at about which something was written, or whose turn it is."""
        try:
            changed, everything = changes.look(), False
        except (LinewrightError, OSError):
            changed, everything = dict[str, frozenset[Part]](), True  # each line tells what is wrong then
        names = changes.names
        for line in names if everything else changed:
            self._wakes[line] = _AT_ONCE
            for duty in self._duties:
                one = self._look_of(line, duty.what)
                if everything or not changed[line].isdisjoint(duty.rests_on):
                    one.is_stirred = True
                if not everything and not changed[line].isdisjoint({"file", "views"}):
                    one.next_at = 0.0  # what was wrong with it may be mended
        for line in self._turns(names):
            self._wakes[line] = _AT_ONCE
            for duty in self._duties:
                self._look_of(line, duty.what).is_stirred = True
        self._log_at = (self._log_at + 1) % _LOG_LOOKS
        logs = f"{factory.state}/log"
        for line in names[self._log_at :: _LOG_LOOKS]:
            stamp = stamp_at(f"{logs}/{line}")
            if stamp != self._logs.get(line):
                self._logs[line], self._wakes[line] = stamp, _AT_ONCE
                self._look_of(line, "seal").is_stirred = True

    def _turns(self, names: Sequence[str]) -> Iterator[str]:
        """Iterate over the lines whose turn it is to be looked at though nothing is known to be new."""
        self._swept += len(names) * self._every_s / SWEEP_S
        while names and self._swept >= 1:
            self._swept -= 1
            self._sweep_at = (self._sweep_at + 1) % len(names)
            yield names[self._sweep_at]

    def _tend(self, factory: Factory, names: Sequence[str]) -> None:
        """Look at the lines that were stirred, and at those for which the time has come that they wait for."""
        now, began, took = factory.now(), time.monotonic(), dict.fromkeys(_REST, 0.0)
        duties = [duty for duty in self._duties if self._rests_until[duty.what] <= began]
        for line in [line for line in names if self._wakes.get(line, _AT_ONCE) <= now]:
            for duty in duties:
                one = self._look_of(line, duty.what)
                if one.wakes > now:
                    continue
                if self._closed.is_set():
                    return
                if time.monotonic() >= self._halts_at:
                    self._record_halts(factory)
                is_first = one.is_first
                seconds = self._look(line, duty.what, partial(_by_file, factory, line, duty.look))
                took[duty.what] += 0.0 if is_first else seconds
            self._wakes[line] = min(self._look_of(line, duty.what).wakes for duty in self._duties)
        now_at = time.monotonic()
        for what, seconds in took.items():
            if seconds:
                self._rests_until[what] = now_at + min(seconds * _REST[what], _LONGEST_PAUSE_S)

    def _look_of(self, line: str, what: str) -> "_Look":
        looks = self._looks.get(line)
        if looks is None:
            looks = self._looks[line] = {duty.what: _Look() for duty in self._duties}
        return looks.get(what) or looks.setdefault(what, _Look())

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
            factory.report(Progress(step="halt", says=says, stays=True))

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
                says = f"{disk_in_words(found, factory.root)}: {MAKE_ROOM}"
                factory.report(Progress(step="disk", says=says, stays=True))
            self._is_near = found.is_near or (self._is_near and (found.full_in_h or FAR_H) < FAR_H)

    # Each duty returns the instant from which the line is to be looked at again though nothing is written about it; `None` for never.

    def _log(self, factory: Factory, spec: LineSpec) -> None:
        for news in (follow_file(factory, spec), tend_log(factory, spec.line)):
            if news is not None:
                factory.report(Progress(step="log", says=f"{spec.line}: {news.because}", stays=True))

    def _clock(self, factory: Factory, spec: LineSpec) -> str | None:
        tend_clock(factory, spec.line)
        told = clock_alert(factory, spec.line)
        if told is None:
            return None
        if told.id not in self._told_of:
            self._told_of.add(told.id)
            factory.report(Progress(step="clock", says=f"{spec.line}: {told.because}", stays=True))
        return _AT_ONCE

    def _values(self, factory: Factory, spec: LineSpec) -> str | None:
        remember_values(factory, spec)
        return next_look(factory, spec)

    def _views(self, factory: Factory, spec: LineSpec) -> str | None:
        if not spec.features:
            return None
        news = tend_records(factory, spec.line)
        if news is not None:
            factory.report(Progress(step="views", says=f"{spec.line}: {news.because}", stays=True))
        due = refresh_records(factory, spec.line)
        # It brings what reads tables.
        import_module("linewright.line.record.monitoring.deleted_rows").tend_deleted(factory, spec)
        is_alerted = any(one.monitor == "records" for one in open_alerts(factory, spec.line))
        return _AT_ONCE if is_alerted else due

    def _features(self, factory: Factory, spec: LineSpec) -> str | None:
        due = self.audit_at.get(spec.line)
        if not spec.features or (due is not None and factory.now() < due):
            return due  # what is recorded about a line is no reason to read its sources
        news, self.audit_at[spec.line] = audit_served_features(factory, spec.line)
        if news is not None:
            factory.report(Progress(step="features", says=f"{spec.line}: {news.because}", stays=True))
        return self.audit_at[spec.line]

    def _schedule(self, factory: Factory, spec: LineSpec) -> str | None:
        return self._scheduled.look(factory, spec)

    def _watch(self, factory: Factory, spec: LineSpec) -> str | None:
        began = factory.now()  # a window that ends during this look is closed by the next one
        watched = close_window(factory, spec, make_reference=self._make_reference)
        if watched is not None:
            for alert in open_alerts(factory, spec.line):
                if alert.at == watched.at:  # told when it is new, not in each window that finds it again
                    factory.report(Progress(step="watch", says=f"{spec.line}: {alert.because}", stays=True))
        return next_close(factory, spec, after=began)

    def _canary(self, factory: Factory, spec: LineSpec) -> str | None:
        done = tend_canary(factory, spec)
        if done is not None:
            says = f"{spec.line}@{done.model} {_FATES[type(done)].format(done)}: {done.because}"
            factory.report(Progress(step="canary", says=says, stays=True))
        return _AT_ONCE if is_trial_open(factory, spec.line) else None

    def _ring(self, factory: Factory, spec: LineSpec) -> str | None:
        done = tend_ring(factory, spec)
        if isinstance(done, RingWait):
            return done.until or _AT_ONCE
        if isinstance(done, Deployed | Promoted):
            says = f"{spec.line}@{done.model} {_FATES[type(done)].format(done)}: {done.because}"
            factory.report(Progress(step="ring", says=says, stays=True))
        return None

    def _seal(self, factory: Factory, spec: LineSpec) -> str | None:
        return next_sealing(factory, spec.line) if seal_next(factory, spec.line) is None else _AT_ONCE

    def _retrain(self, factory: Factory, spec: LineSpec) -> str | None:
        began = factory.now()
        due = retraining_due(factory, spec)
        if (
            due is not None
            and self._begun.get(spec.line) != due.proposal
            and start(factory, spec.line, self._engine, as_of=due.as_of, proposal=due.proposal)
        ):
            factory.report(Progress(step="retrain", says=f"{spec.line}: a training begins", stays=True))
            self._begun[spec.line] = due.proposal
        return next_proposal(factory, spec, after=began)

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
            factory.report(Progress(step="audit", says=head_in_words(head), stays=True))
        if any(isinstance(error, Transient) for error in trouble):
            self._checkpoint_at = now + _AGAIN_S
        told = {f"error: no checkpoint now: {error}\n" for error in trouble}
        for each in sorted(told - self._unproved):
            sys.stderr.write(each)
        self._unproved = told

    def _resume(self, factory: Factory) -> None:
        """End removals of persons that were interrupted."""
        try:
            resumed = resume(factory)
        except Exception:  # noqa: BLE001 -- as in `_look`
            sys.stderr.write(traceback.format_exc())
            return
        if resumed.ended:
            says = f"{count(resumed.ended, 'removal')} of a subject that had been interrupted ended"
            factory.report(Progress(step="forget", says=says, stays=True))
        for one in resumed.problems:
            sys.stderr.write(f"error: a removal that was interrupted is not ended: {problem_in_words(one)}\n")

    def _settle_removals(self) -> None:
        """Try now and then to remove persons from answers in places that were not reached."""
        if time.monotonic() < self._owed_at or self._owing.is_alive() or self._closed.is_set():
            return
        self._owed_at = time.monotonic() + _OWED_S
        self._owing = threading.Thread(target=self._pay, name="owed removals", daemon=True)
        self._owing.start()

    def _pay(self) -> None:
        try:
            with self._open() as factory:
                problems = settle_owed(factory)
        except Exception:  # noqa: BLE001 -- as in `_look`
            sys.stderr.write(traceback.format_exc())
            return
        for one in sorted(map(problem_in_words, problems)):
            if one not in self._told_of:
                self._told_of.add(one)
                sys.stderr.write(
                    f"error: answers about a person who is forgotten are not removed yet: {one}\n"
                )

    def _retire(self, factory: Factory) -> None:
        """Once a day take out what lines keep no longer, and tell what went."""
        if time.monotonic() < self._retire_at or self._closed.is_set():
            return
        self._retire_at = time.monotonic() + RETIRE_S
        try:
            retired = retire_now(factory)
        except LinewrightError as error:
            sys.stderr.write(f"error: what is older than `keep` says stays for now: {error}\n")
            retired = None if isinstance(error, Transient) else ()
        except Exception:  # noqa: BLE001 -- as in `_look`
            sys.stderr.write(traceback.format_exc())
            retired = ()
        if retired is None:
            self._retire_at = time.monotonic() + _AGAIN_S
            return
        for one in retired:
            if one.problem is not None:
                sys.stderr.write(
                    f"error: what is older than `keep` says stays for now: {problem_in_words(one.problem)}\n"
                )
            elif one.is_something:
                says = f"kept no longer: {retired_in_words(one)}"
                factory.report(Progress(step="keep", says=says, stays=True))

    def _look(
        self, line: str, what: str, look: Callable[[], str | None], *, longest_s: float = _LONGEST_PAUSE_S
    ) -> float:
        """Look at a line for one thing, if it is time; what goes wrong is told once, and harms nothing else. Return the seconds it took."""
        one = self._look_of(line, what)
        began = time.monotonic()
        if began < one.next_at:
            return 0.0
        # Before the look: what is written meanwhile is seen by the next one.
        one.is_stirred = one.is_first = False
        trouble = None
        try:
            one.due = look()
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
        one.next_at = now + min(patience_s(one.failures), longest_s)
        return now - began

    def _told(self, line: str) -> set[str | None]:
        return {look.trouble for look in self._looks[line].values()}


def _by_file(factory: Factory, line: str, look: "_LookAt") -> str | None:
    return look(factory, factory.line(line))


_LookAt = Callable[[Factory, LineSpec], str | None]


class _Duty(NamedTuple):
    """Something that a line is looked at for."""

    what: str
    look: _LookAt
    rests_on: tuple[Part, ...]
    """What it asks for: while none of it is written and no time has come, nothing is due."""


@dataclass
class _Look:
    """When a line is looked at next for one thing, and what went wrong the last time."""

    is_stirred: bool = False
    """Whether something was written since that it asks for."""
    is_first: bool = True
    due: str | None = None
    """The instant at which it is looked at though nothing was written; `None` for never."""
    next_at: float = 0.0
    """Not before, by the monotonic clock."""
    failures: int = 0
    """In a row."""
    trouble: str | None = None

    @property
    def wakes(self) -> str:
        """The instant from which something may have to be done."""
        if self.is_stirred or self.failures:
            return _AT_ONCE
        return _NEVER if self.due is None else self.due
