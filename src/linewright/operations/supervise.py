"""Keeps the processes of a factory alive until it is told to stop."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from types import FrameType

from linewright.engine.context import Progress
from linewright.errors import RequestError, of_exit_code
from linewright.line.factory import Factory

_PR_SET_PDEATHSIG = 1
_STEADY_S = 60.0
"""A child that lived this long has no failures any more."""
_LONGEST_PAUSE_S = 10.0
_DRAIN_S = 30.0
_FALSE_STARTS = 3
"""How often in a row a child that has never listened may be killed before it is given up."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process of the factory that listens on a port."""

    name: str
    arguments: tuple[str, ...]
    """What follows ``python -m``, before the descriptor that it writes to once it listens."""
    host: str
    port: int
    hints: tuple[str, ...] = ()
    """What can be done once it answers."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass
class _Running:
    child: Child
    process: "subprocess.Popen[bytes]"
    started: float
    ready: int
    """Where it writes once it listens; another process that answers on its port says nothing here."""
    is_ready: bool = False
    """Whether it, or the one before it, has ever listened."""
    failures: int = 0
    restart_at: float | None = None


class _Stop:
    def __init__(self) -> None:
        self.asked = False

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        self.asked = True


def supervise(factory: Factory, children: tuple[Child, ...]) -> None:
    """Start the children, start again those that die, and stop all on SIGTERM or SIGINT.

    Raises
    ------
    LinewrightError
        If a child cannot start (its port is taken, say), of the class that the child's exit code stands for; it has said
        why on stderr.
    """
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    running = [_start(child) for child in children]
    try:
        while not stop.asked:
            time.sleep(0.1)
            for one in running:
                _look_after(factory, one)
    finally:
        _end(running)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(child: Child) -> _Running:
    ready, told = os.pipe()
    os.set_blocking(ready, False)
    process = subprocess.Popen(
        [sys.executable, "-m", *child.arguments, str(told)],
        stdin=subprocess.DEVNULL,
        pass_fds=(told,),
        preexec_fn=partial(_end_with_parent, os.getpid()),  # noqa: PLW1509 -- the supervisor has one thread
    )
    os.close(told)
    return _Running(child=child, process=process, started=time.monotonic(), ready=ready)


def _end_with_parent(parent: int) -> None:
    # A supervisor that is killed takes its children along, else they would hold the ports of the next one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was killed before it could be followed
            os._exit(0)


def _look_after(factory: Factory, one: _Running) -> None:
    now = time.monotonic()
    if one.restart_at is not None:
        if now >= one.restart_at:
            fresh = _start(one.child)
            os.close(one.ready)
            one.process, one.started, one.ready, one.restart_at = (
                fresh.process,
                fresh.started,
                fresh.ready,
                None,
            )
        return
    code = one.process.poll()
    if code is None:
        if not one.is_ready and _listens(one):
            one.is_ready = True
            for says in (f"{one.child.name} on {one.child.url}", *one.child.hints):
                factory.report(Progress(station="up", says=says, stays=True))
        return
    one.failures = 1 if now - one.started > _STEADY_S else one.failures + 1
    # What was killed (a negative code) had nothing to say, and may live the next time.
    has_said_why = code >= 0 or one.failures >= _FALSE_STARTS
    if code == RequestError.exit_code or (has_said_why and not one.is_ready):
        # It says that what it was asked is wrong (a taken port, say): asking again would not help.
        raise of_exit_code(code)(
            f"the {one.child.name} did not start", found=f"exit code {code}", hint="see its message above"
        )
    pause = min(_LONGEST_PAUSE_S, 0.25 * 2**one.failures)
    one.restart_at = now + pause
    factory.report(
        Progress(
            station="up", says=f"{one.child.name} ended ({code}); it starts again in {pause:g} s", stays=True
        )
    )


def _listens(one: _Running) -> bool:
    try:
        return bool(os.read(one.ready, 1))
    except BlockingIOError:
        return False


def _end(running: list[_Running]) -> None:
    alive = [one for one in running if one.process.poll() is None]
    for one in alive:
        one.process.terminate()
    for one in running:
        os.close(one.ready)
    deadline = time.monotonic() + _DRAIN_S
    for one in alive:
        try:
            one.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
