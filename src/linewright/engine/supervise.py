"""Keeps processes alive until it is told to stop, and puts fresh ones in their place while they are at work."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Self

from linewright.errors import RequestError, Transient, of_exit_code
from linewright.store.files.rights import asked_umask

LOOK_S = 0.1
"""How often groups are looked after."""
_PR_SET_PDEATHSIG = 1
_STEADY_S = 60.0
"""A process that lived this long has no failures any more."""
_LONGEST_PAUSE_S = 10.0
_DRAIN_S = 30.0
_START_S = 90.0
"""How long fresh processes may take until all of them listen."""
_LEAVE_S = 120.0
"""How long a process may take to end once it has been replaced; its own deadlines are shorter."""
_FALSE_STARTS = 3
"""How often in a row a process of a group that has never listened may crash, or lack what may come, before the group is given up."""
_WELL, _UNWELL = b"1", b"0"


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A program of the factory that listens on a port, in one process or several alike."""

    name: str
    arguments: tuple[str, ...]
    """What follows ``python -m``, before the word that `under_supervision` takes."""
    count: int = 1
    inherits: tuple[int, ...] = ()
    """Descriptors that its processes share."""
    cores: frozenset[int] | None = None
    """Processors that its processes use, by number, with all that they start; `None` is all."""
    gives_way: bool = False
    """Whether a restart puts fresh processes in its place; it takes SIGHUP as the word to end once its clients have gone."""
    news: tuple[str, ...] = ()
    """What is told once it listens."""
    kept: str = ""
    """What a restart leaves as it was, in words, so that nobody takes it for changed; empty where there is no such thing."""
    listens: Callable[[], None] = _nothing
    """Called once, when its first process listens."""
    ended: Callable[[], None] = _nothing
    """Called when a process has ended."""
    stops: Callable[[], None] = _nothing
    """Called before all are asked to end, so that nobody waits for an answer that cannot come any more."""


@dataclass
class _Running:
    process: "subprocess.Popen[bytes]"
    pipe: int
    """Where it writes once it listens; another process that answers on its port says nothing here."""
    started: float
    said: bytes = b""

    def listen(self) -> None:
        with suppress(BlockingIOError):
            self.said = self.said or os.read(self.pipe, 1)


@dataclass
class _Place:
    running: _Running | None
    failures: int = 0
    restart_at: float = 0.0


@dataclass
class Group:
    """The processes of one child: those at work, those that come, and those that leave.

    Nothing here waits, so that one loop can look after several groups, or after other work beside them.
    """

    child: Child
    tell: Callable[[str], None]
    is_well: bool = False
    """Whether those at work said last that they lack nothing. Where another process did the work so far, whether that one does."""
    has_taken_over: bool = False
    """Whether a restart has succeeded."""
    has_listened: bool = False
    """Whether one of its processes ever listened."""
    _places: list[_Place] = field(default_factory=list[_Place])
    _coming: list[_Running] = field(default_factory=list[_Running])
    _leaving: list[tuple[_Running, float]] = field(default_factory=list[tuple[_Running, float]])
    _is_asked: bool = False

    def start(self) -> None:
        """Start the processes."""
        self._places = [_Place(_start(self.child)) for _ in range(self.child.count)]

    def restart(self) -> None:
        """Begin to put fresh processes in the place of those at work; what asks again meanwhile is heard after that."""
        self._is_asked = self.child.gives_way

    def look(self) -> None:
        """See who listens and who ended, and do what is due."""
        now = time.monotonic()
        self._see_off(now)
        if self._coming:
            self._receive(now)
        elif self._is_asked:
            self._is_asked = False
            self._call_fresh()
        for place in self._places:
            self._look_after(place, now)

    def stop(self) -> None:
        """Ask all processes to end."""
        self.child.stops()
        for one in self._alive():
            one.process.terminate()

    def wait(self, deadline: float) -> None:
        """Wait until all have ended, and kill those that have not by `deadline`, of the monotonic clock."""
        for one in self._alive():
            try:
                one.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
            os.close(one.pipe)
        self._places, self._coming, self._leaving = [], [], []

    def _alive(self) -> list[_Running]:
        at_work = [place.running for place in self._places if place.running is not None]
        return [*at_work, *self._coming, *(one for one, _ in self._leaving)]

    def _call_fresh(self) -> None:
        try:
            for _ in range(self.child.count):
                self._coming.append(_start(self.child))
        except OSError as error:  # no memory, or too many files
            self._send_away(f"a process cannot be started: {error.strerror}")

    def _look_after(self, place: _Place, now: float) -> None:
        one = place.running
        if one is None:
            if now >= place.restart_at:
                self._start_again(place, now)
            return
        was_heard = bool(one.said)
        one.listen()
        code = one.process.poll()
        if code is not None:
            place.running = None
            self._end_of(one)
            self._fail(place, code, now - one.started)
            place.restart_at = now + _pause(place.failures)
        elif one.said and not was_heard:
            self.is_well = self._are_well()
            self._tell_that_it_listens()

    def _start_again(self, place: _Place, now: float) -> None:
        try:
            place.running = _start(self.child)
        except OSError as error:  # no memory, or too many files: that may pass
            place.failures += 1
            place.restart_at = now + _pause(place.failures)
            self.tell(
                f"{self.child.name} cannot be started: {error.strerror}; again in {_pause(place.failures):g} s"
            )

    def _fail(self, place: _Place, code: int, lived_s: float) -> None:
        place.failures = 1 if lived_s > _STEADY_S else place.failures + 1
        name = self.child.name
        if code == -signal.SIGKILL:
            is_hopeless = (
                False  # others ended it, as for want of memory: however often, it may live the next time
            )
        elif code < 0 or code == Transient.exit_code:
            is_hopeless = not self.has_listened and place.failures >= _FALSE_STARTS
        else:
            is_hopeless = not self.has_listened or code == RequestError.exit_code
        if is_hopeless:
            # It says that what it was asked is wrong (a taken port, say): asking again would not help.
            raise of_exit_code(code)(
                f"the {name} did not start", found=f"exit code {code}", hint="see its message above"
            )
        self.tell(f"{name} ended ({code}); it starts again in {_pause(place.failures):g} s")

    def _tell_that_it_listens(self) -> None:
        if not self.has_listened:
            self.has_listened = True
            self.child.listens()
            for says in self.child.news:
                self.tell(says)

    def _are_well(self) -> bool:
        said = [place.running.said for place in self._places if place.running is not None]
        return all(each != _UNWELL for each in said)

    def _receive(self, now: float) -> None:
        """Let those that come take over once all of them listen, or send them away."""
        for one in self._coming:
            one.listen()
        codes = [one.process.poll() for one in self._coming]
        ended = next((code for code in codes if code is not None), None)
        if ended is not None:
            self._send_away(f"a fresh process ended ({ended}), see its message above")
        elif now > self._coming[0].started + _START_S:
            self._send_away(f"the fresh processes do not listen after {_START_S:g} s")
        elif not all(one.said for one in self._coming):
            return
        elif self.is_well and any(one.said == _UNWELL for one in self._coming):
            self._send_away("the fresh processes lack a model that the old ones have, see the messages above")
        else:
            self._take_over()

    def _take_over(self) -> None:
        old = [place.running for place in self._places if place.running is not None]
        for one in old:
            self._dismiss(one, signal.SIGHUP)
        self._places, self._coming = [_Place(one) for one in self._coming], []
        self.has_listened = self.has_taken_over = True
        self.is_well = self._are_well()
        kept = f"; {self.child.kept}" if self.child.kept else ""
        self.tell(f"{self.child.name} restarted; the old processes end once their clients have gone{kept}")

    def _send_away(self, because: str) -> None:
        for one in self._coming:
            # Those that listen have clients already.
            self._dismiss(one, signal.SIGHUP if one.said else signal.SIGTERM)
        self._coming = []
        self.tell(f"{self.child.name} not restarted, the old processes go on: {because}")

    def _dismiss(self, one: _Running, how: signal.Signals) -> None:
        one.process.send_signal(how)
        self._leaving.append((one, time.monotonic() + _LEAVE_S))

    def _see_off(self, now: float) -> None:
        for one, deadline in self._leaving:
            if now > deadline:
                one.process.kill()
        gone = [one for one, _ in self._leaving if one.process.poll() is not None]
        self._leaving = [each for each in self._leaving if each[0] not in gone]
        for one in gone:
            self._end_of(one)

    def _end_of(self, one: _Running) -> None:
        os.close(one.pipe)
        self.child.ended()


class Signals:
    """What this process is asked for: SIGTERM and SIGINT end it, SIGHUP restarts what it looks after.

    A terminal that was closed ends it too, as it would without us: the system says that by SIGHUP. What was started with
    ``nohup`` goes on.
    """

    def __init__(self) -> None:
        self.stop = False
        self._restart = False
        self._before: dict[int, object] = {}

    def take_restart(self) -> bool:
        """Return whether a restart was asked for since the last call."""
        asked, self._restart = self._restart, False
        return asked

    def __enter__(self) -> Self:
        ends_with_terminal = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN and _has_terminal()

        def hear(number: int, _frame: FrameType | None) -> None:
            if number == signal.SIGHUP and not (ends_with_terminal and not _has_terminal()):
                self._restart = True
            else:
                self.stop = True

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._before[number] = signal.signal(number, hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType] -- it came from there


def supervise(children: Iterable[Child], tell: Callable[[str], None], *, ready: str = "") -> None:
    """Start the children, start again those that die, restart them on SIGHUP, and stop all on SIGTERM or SIGINT."""
    groups = [Group(child, tell) for child in children]
    with Signals() as signals:
        try:
            for group in groups:
                group.start()
            look_after(groups, signals, lambda: tell(ready) if ready else None)
        finally:
            end(groups)


def end(groups: Sequence[Group]) -> None:
    """Ask the processes of all groups to end, and kill those that do not within half a minute."""
    for group in groups:
        group.stop()
    deadline = time.monotonic() + _DRAIN_S
    for group in groups:
        group.wait(deadline)


def look_after(groups: Sequence[Group], signals: Signals, ready: Callable[[], None] = _nothing) -> None:
    """Look after groups that have started until a signal says to stop; `ready` is called once all have listened."""
    is_ready = False
    while not signals.stop:
        time.sleep(LOOK_S)
        is_restart = signals.take_restart()
        for group in groups:
            if is_restart:
                group.restart()
            group.look()
        if not is_ready and all(group.has_listened for group in groups):
            is_ready = True
            ready()


def under_supervision(word: str) -> Callable[[bool], None]:
    """Begin as a process of a group: end when the supervisor ends, however that is."""
    pipe, parent = map(int, word.split(":"))
    os.set_inheritable(pipe, False)
    # A supervisor that is killed takes its processes along, else they would hold the ports of the next one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before it could be followed
            os._exit(0)

    def listens(is_well: bool = True) -> None:
        with suppress(OSError):  # nobody may be reading any more
            os.write(pipe, _WELL if is_well else _UNWELL)
            os.close(pipe)

    return listens


def _start(child: Child) -> _Running:
    pipe, told = os.pipe()
    os.set_blocking(pipe, False)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", *child.arguments, f"{told}:{os.getpid()}"],
            stdin=subprocess.DEVNULL,
            pass_fds=(told, *child.inherits),
            process_group=0,  # what a terminal sends is heard here alone, and told on
            umask=asked_umask(),
        )
    except OSError:
        os.close(pipe)
        raise
    finally:
        os.close(told)
    if child.cores is not None:
        with suppress(OSError):  # it has ended, or its machine has fewer processors by now
            os.sched_setaffinity(process.pid, child.cores)
    return _Running(process=process, pipe=pipe, started=time.monotonic())


def _pause(failures: int) -> float:
    """Return how long to wait, in seconds, after so many failures.

    Examples
    --------
    >>> [_pause(failures) for failures in (1, 2, 3, 100_000)]
    [0.5, 1.0, 2.0, 10.0]
    """
    return min(_LONGEST_PAUSE_S, 0.25 * 2 ** min(failures, 10))


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
