"""Faults on purpose: a run that dies by SIGKILL at a chosen moment, so that resuming can be proved.

Run as a program, it carries out one line and dies: ``python -m linewright.testing.faults FOLDER LINE MOMENT``, where a
moment is a number, or ``fit:`` and a number of those within training.
"""

import fcntl
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from linewright.line.factory import Factory
from linewright.line.runs import attempt
from linewright.line.runs.execute import execute
from linewright.store.files.fit_files import LocalFits
from linewright.store.metadata.sql import SqlMetadata

WRITES = ("keep", "settle", "link", "record", "register", "move")
"""The methods of `Metadata` that make something have happened."""


class DyingMetadata:
    """A metadata store whose process is killed at the n-th moment: before a write, or right after it.

    Moments count from 1, two for each write.
    """

    def __init__(self, metadata: SqlMetadata, tick: Callable[[], None]) -> None:
        self._metadata, self._tick = metadata, tick

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._metadata, name)
        if name not in WRITES:
            return method

        def dying(*arguments: Any, **named: Any) -> Any:
            self._tick()
            result = method(*arguments, **named)
            self._tick()
            return result

        return dying


class DyingFits(LocalFits):
    """Finished fits whose process is killed at the n-th moment: before a fit is kept, or right after it.

    Moments count from 1, two for each fit.
    """

    def __init__(self, folder: Path, tick: Callable[[], None]) -> None:
        super().__init__(folder)
        self._tick = tick

    def part(self, digest: str) -> "DyingFits":
        """Return those of one computation."""
        return DyingFits(super().part(digest).folder, self._tick)

    def put(self, key: str, data: bytes) -> None:
        """Keep `data`, or die."""
        self._tick()
        super().put(key, data)
        self._tick()


class Countdown:
    """Kills the processes of a run at the n-th tick; a negative n only counts.

    Several processes count together.

    Parameters
    ----------
    moment
        The tick.
    file
        Where they count: one byte a tick.
    kill
        What is killed: this process, and before it the one that carries out its run.
    """

    def __init__(self, moment: int, file: Path | None = None, kill: Sequence[int] = ()) -> None:
        self.moment, self._kill = moment, kill
        self._lock = threading.Lock()
        self._file = tempfile.TemporaryFile("ab") if file is None else file.open("ab")  # noqa: SIM115 -- open to the end

    @property
    def ticks(self) -> int:
        """Ticks so far, of all processes."""
        return os.fstat(self._file.fileno()).st_size

    def __call__(self) -> None:
        """Count one moment."""
        with self._lock:  # fits end in threads
            fcntl.flock(self._file, fcntl.LOCK_EX)
            os.write(self._file.fileno(), b".")
            if self.ticks == self.moment:
                for pid in (*self._kill, os.getpid()):
                    os.kill(pid, signal.SIGKILL)
            fcntl.flock(self._file, fcntl.LOCK_UN)


def run_and_die(root: Path, line: str, moment: int, *, in_training: bool = False) -> int:
    """Carry out a line, and die at a moment; return how many moments there were if that one never came."""
    with tempfile.NamedTemporaryFile() as counted, Factory.open(root) as factory:
        countdown = Countdown(moment, Path(counted.name))
        program = ("linewright.testing.faults", "attempt", counted.name, str(moment), str(int(in_training)))
        if in_training:
            execute(factory, line, program=program)
            return countdown.ticks

        def observe(_run: str, _step: str, _what: str) -> None:
            countdown()

        factory.__dict__["metadata"] = DyingMetadata(SqlMetadata(factory.metadata_url), countdown)
        execute(factory, line, observe=observe, program=program)
        return countdown.ticks


def attempt_and_die(file: str, moment: str, in_training: str, root: str, word: str) -> int:
    """Carry out an attempt as `line.runs.attempt` does, and die at a moment, together with the process that follows it."""
    countdown = Countdown(int(moment), Path(file), (os.getppid(),))

    def prepare(factory: Factory) -> None:
        if int(in_training):
            factory.__dict__["fits_of"] = partial(_dying_fits, factory, countdown)
        else:
            factory.__dict__["metadata"] = DyingMetadata(SqlMetadata(factory.metadata_url), countdown)

    return attempt.main(root, word, prepare=prepare)


def _dying_fits(factory: Factory, tick: Callable[[], None], line: str) -> DyingFits:
    return DyingFits(Factory.fits_of(factory, line).folder, tick)


if __name__ == "__main__":
    if sys.argv[1] == "attempt":
        code = attempt_and_die(*sys.argv[2:])
        sys.stderr.flush()
        os._exit(code)
    kind, _, number = sys.argv[3].rpartition(":")
    moments = run_and_die(Path(sys.argv[1]), sys.argv[2], int(number), in_training=kind == "fit")
    sys.stdout.write(f"{moments}\n")
