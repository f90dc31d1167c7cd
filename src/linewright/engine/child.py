"""A child process for work that may fail in ways which no `except` sees: it is killed, aborts, hangs or takes all memory.

The child is ``python -m MODULE ARGUMENTS… CHANNEL``, in a process group of its own, with a limit of memory. Parent and child send
each other JSON values, one a line, over a socket. The child ends when its parent does. What it has started ends when the parent is done
with it, also where that left its group, and counts as its memory.
"""

import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, NoReturn, Self

import msgspec

from linewright.engine.usage import Begun, Meter, Usage, began, descendants, forget_peak, memory_of

_LOOK_S = 0.2
"""How often a parent that waits looks whether the child lives, and whether it should go on."""
_TOLD_BYTES = 4096
"""Of what the child wrote to stderr last, how much is kept to say how it ended."""
_NO_MEMORY = (
    "memory allocation of",
    "std::bad_alloc",
    "MemoryError",
    "Cannot allocate memory",
    "Out of Memory",
)
"""What libraries write before they abort for want of memory."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_TREE_S = 1.0
"""How often it is looked what a child has started, and what all of that takes."""
_NICE = 10
"""How far a child stands back for the processes that answer, where there are too few processors for both."""
_BUSY = 0.01
"""Of one processor, from which share on a child computes; what waits in a loop takes less."""
_GRACE_S = 1.0
"""How long a child may take to end by itself once its channel is closed."""
_ENDS_S = 60.0
"""How long a killed child is looked at until it has ended; it is waited for then."""
_LAST_STEPS_S = 0.02
"""What the kernel still does for a process that has ended takes less."""

How = Literal["signal", "exit", "memory", "deadline", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class End:
    """How a child ended that had not said that it was done."""

    how: How
    signal: str = ""
    """Name of the signal, e.g. ``SIGKILL``; empty where there was none."""
    code: int | None = None
    """Exit code; `None` after a signal."""
    last: str = ""
    """The last line that it wrote to stderr."""


def end_in_words(end: End) -> str:
    """Say it in a few words, e.g. ``signal SIGKILL``."""
    match end.how:
        case "signal":
            return f"signal {end.signal}"
        case "exit":
            return f"exit code {end.code} before it was done"
        case "memory":
            return "more memory than allowed"
        case "deadline":
            return "no progress within the deadline"
        case "cancelled":
            return "cancelled"


class ChildEnded(Exception):  # noqa: N818 -- a value on its way, caught by whoever started the child
    """The child ended, or was ended, before it was done."""

    def __init__(self, end: End) -> None:
        super().__init__(end_in_words(end))
        self.end = end


class Channel:
    """One end of the socket over which parent and child send each other JSON values, one a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()

    def send(self, message: Any) -> None:
        """Send a value."""
        self._connection.settimeout(None)
        self._connection.sendall(msgspec.json.encode(message) + b"\n")

    def receive(self, timeout_s: float | None = None) -> Any:
        """Return the next value."""
        self._connection.settimeout(timeout_s)
        while (end := self._received.find(b"\n")) < 0:
            try:
                data = self._connection.recv(65536)
            except (ConnectionError, BlockingIOError) as error:
                raise EOFError from error
            if not data:
                raise EOFError
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return msgspec.json.decode(line)

    def has_come(self) -> bool:
        """Return whether something can be received at once."""
        return bool(self._received or select.select([self._connection], [], [], 0.0)[0])

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


class Child:
    """A child process, from the parent's side. Leave it by ``with``: then it and all that it started are gone.

    Start it, follow it and end it in one thread: the kernel ends it together with the thread that started it.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        *,
        memory: int | None = None,
        shows_errors: bool = True,
        gives_way: bool = True,
        cores: int | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        "-m",
                        module,
                        *arguments,
                        f"{theirs.fileno()}:{os.getpid()}:{memory or 0}",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self.gives_way = gives_way
        if gives_way:
            _stand_back(self._process.pid)
        if cores is not None:
            _limit_cores(self._process.pid, cores)
        self._channel = Channel(ours)
        self._memory = memory
        self._tree: dict[int, str] = {}
        """What the child has started, as it was last seen: by number of the process, when it began."""
        self._seen_at = 0.0
        self._last: deque[bytes] = deque()
        self._kept = 0
        self._meter: Meter | None = None
        self._pass_on: Callable[[bytes], None] | None = None
        self._listener = threading.Thread(target=self._listen, args=(shows_errors,), daemon=True)
        self._listener.start()

    def hear(self, pass_on: Callable[[bytes], None] | None) -> None:
        """Pass on what it writes to stdout and stderr from now on, in a thread; `None` ends that."""
        self._pass_on = pass_on

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def stand_back(self) -> None:
        """Have the processes that answer get a processor first, before it and all that it has started, from now on, for good."""
        self.gives_way = True
        for pid in (self._process.pid, *descendants(self._process.pid)):
            _stand_back(pid)

    def measure(self) -> Begun:
        """Have `usage` count from now on, since a child may have done other work before; return where it begins."""
        forget_peak(self._process.pid)
        self._meter = Meter(self._process.pid)
        return self._meter.begun

    @property
    def usage(self) -> Usage:
        """What it has taken since `measure`, with all that it has started, also where it has ended by now; nothing without `measure`."""
        if self._meter is None:
            return Usage()
        return self._meter.last if self._process.returncode is not None else self._meter.read()

    def send(self, message: Any) -> None:
        """Send a value; to a child that is gone nothing is sent, and `receive` says how it ended."""
        with suppress(OSError):
            self._channel.send(message)

    def receive(
        self,
        *,
        idle_s: float | None = None,
        busy_s: float | None = None,
        quiet: Callable[[float], None] = lambda _seconds: None,
    ) -> Any:
        """Wait for the next value that the child sends."""
        since = idle_since = time.monotonic()
        counted_s = self._meter.last.cpu_s if self._meter is not None else 0.0
        while True:
            try:
                return self._channel.receive(_LOOK_S)
            except TimeoutError:
                now = time.monotonic()
                waited = now - since
                if idle_s is not None and busy_s is not None and self._meter is not None:
                    used_s = self._meter.last.cpu_s
                    if used_s - counted_s >= _BUSY * idle_s and waited <= busy_s:
                        counted_s, idle_since = used_s, now
                if idle_s is not None and now - idle_since > idle_s:
                    self.kill()
                    raise ChildEnded(End(how="deadline", last=self._last_line())) from None
                if self.has_ended():
                    # A process that the child made may hold the other end, and what was sent last may not be read yet.
                    with suppress(TimeoutError, EOFError):
                        return self._channel.receive(0.0)
                    raise ChildEnded(self._end()) from None
                self._look_at_tree()
                quiet(waited)
            except EOFError:
                self._wait(_GRACE_S)
                raise ChildEnded(self._end()) from None

    def kill(self) -> None:
        """End the child and all that it started, at once; nothing can be received any more."""
        self._channel.close()
        if self._process.returncode is not None:
            return
        started = self._tree | descendants(self._process.pid)
        if self._meter is not None:
            self._meter.read([pid for pid, at in started.items() if began(pid) == at])
        # Before it is waited for: until then its number, which is that of its group, is nobody else's.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pid, at in started.items():
            if began(pid) == at:  # else it ended, and the number may be another's
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        self._reap()
        self._listener.join(_GRACE_S)

    def _reap(self) -> None:
        """Wait for the end of the process, which is near, and take what the kernel knows of it last."""
        # A thread that already waits in `wait4` may spin in the kernel for seconds while the process ends (Linux 6.18, seen where both
        # have one processor and the process gives way: its last steps need the processor that the spinning takes).
        self._wait(_ENDS_S)
        time.sleep(_LAST_STEPS_S)
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        # A process begins with the peak of the one that started it (exec_mmap), so that less than ours says nothing about it.
        if self._meter is not None and used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
            self._meter.held(used.ru_maxrss * 1024)

    def _look_at_tree(self) -> None:
        """Note what the child has started, and end all of it where it takes more memory together than the child may."""
        now = time.monotonic()
        if now < self._seen_at + _TREE_S:
            return
        self._seen_at, self._tree = now, descendants(self._process.pid)
        if self._meter is not None:
            self._meter.read(self._tree)
        if self._memory is None or not self._tree:
            return
        if memory_of(self._process.pid, *self._tree) > self._memory:
            self.kill()
            raise ChildEnded(End(how="memory", last="with all that it has started"))

    def has_ended(self) -> bool:
        """Return whether it has ended, by itself or by a signal."""
        if self._process.returncode is not None:
            return True
        ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return ended is not None

    def _wait(self, seconds: float) -> None:
        """Wait at most so long for its end, without taking its number from it."""
        until = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < until:
            time.sleep(0.01)

    def _end(self) -> End:
        """Return how it ended, once it and what it started are gone: one that was ending by itself, and is killed, ended as it said."""
        is_ending = not self.has_ended()
        self.kill()
        code, last = self._process.returncode, self._last_line()
        said = b"".join(self._last).decode(errors="replace")
        if any(words in said for words in _NO_MEMORY) and (is_ending or code in {-signal.SIGABRT, 1}):
            return End(how="memory", last=last)
        if code < 0:
            return End(how="signal", signal=_name_of(-code), last=last)
        return End(how="exit", code=code, last=last)

    def _last_line(self) -> str:
        said = b"".join(self._last).decode(errors="replace").strip().splitlines()
        return said[-1][:200] if said else ""

    def _listen(self, shows_errors: bool) -> None:
        told: IO[bytes] | None = self._process.stderr
        assert told is not None  # noqa: S101 -- it was made with a pipe
        with told:
            while data := os.read(told.fileno(), _TOLD_BYTES):
                self._last.append(data)
                self._kept += len(data)
                while self._kept - len(self._last[0]) >= _TOLD_BYTES:
                    self._kept -= len(self._last.popleft())
                if (pass_on := self._pass_on) is not None:
                    pass_on(data)
                if shows_errors:
                    with suppress(OSError, ValueError):  # nobody may be reading any more
                        sys.stderr.write(data.decode(errors="replace"))
                        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()  # it may end by itself
        if kind is None:
            self._wait(_GRACE_S)
        self.kill()


class ChannelToParent(Channel):
    """The end of a child that has nothing to do without its parent: it ends at once when the parent is gone."""

    def send(self, message: Any) -> None:
        """Send a value, or end this process."""
        try:
            super().send(message)
        except OSError:
            _leave()

    def receive(self, timeout_s: float | None = None) -> Any:
        """Return the next value, or end this process."""
        try:
            return super().receive(timeout_s)
        except EOFError:
            _leave()


def _leave() -> NoReturn:
    """End without waiting: threads of libraries, or of code that came with the line, must not hold a process that is done."""
    sys.stderr.flush()
    os._exit(0)


def parent(word: str) -> Channel:
    """Begin as a child: take the limits, end with the parent, and return the channel to it.

    What is printed goes to stderr from here on.
    """
    descriptor, pid, memory = map(int, word.split(":"))
    os.set_inheritable(descriptor, False)
    os.dup2(2, 1)
    end_with_parent(pid)
    limit_memory(memory)
    return ChannelToParent(socket.socket(fileno=descriptor))


def _stand_back(pid: int) -> None:
    """Have a process wait for those that answer, with the threads that it has; those that it starts later inherit that."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").glob("*")] or [pid]
    for thread in threads:
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, thread, _NICE)
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
    with suppress(OSError):
        # Linux may share processors between sessions first (sched_autogroup_enabled), whatever their processes say.
        Path(f"/proc/{pid}/autogroup").write_text(str(_NICE))


def _limit_cores(pid: int, most: int) -> None:
    """Have a process, and all that it starts, use so many of its processors, the last ones, where the system knows such a limit."""
    with suppress(OSError, AttributeError):
        os.sched_setaffinity(pid, sorted(os.sched_getaffinity(pid))[-most:])


def end_with_parent(pid: int) -> None:
    """Have the kernel kill this process when its parent, which has this number, ends."""
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # What its children start and leave behind stays its own, so that it can be found and ended.
        system.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        if os.getppid() != pid:  # it ended before it could be followed
            os._exit(1)


def limit_memory(most: int) -> None:
    """Limit this process to so many bytes of data, leave no core files, and let the kernel choose it first where memory is short."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if most:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
