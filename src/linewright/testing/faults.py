"""Faults on purpose: a run that dies by SIGKILL at a chosen moment, so that resuming can be proved.

Run as a program, it carries out one line and dies: ``python -m linewright.testing.faults FOLDER LINE MOMENT``, where a
moment is a number, or ``fit:`` and a number of those within training.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from linewright.line.execute import execute
from linewright.line.factory import Factory
from linewright.store.fits import LocalFits
from linewright.store.sql import SqlMetadata

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
    """Kills this process at the n-th tick; a negative n only counts."""

    def __init__(self, moment: int) -> None:
        self.moment, self.ticks = moment, 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        """Count one moment."""
        with self._lock:  # fits end in threads
            self.ticks += 1
            if self.ticks == self.moment:
                os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(root: Path, line: str, moment: int, *, in_training: bool = False) -> int:
    """Carry out a line, and die at a moment; return how many moments there were if that one never came."""
    countdown = Countdown(moment)

    def observe(_run: str, _step: str, _what: str) -> None:
        countdown()

    with Factory.open(root) as factory:
        if in_training:
            factory.__dict__["fits_of"] = partial(_dying_fits, factory, countdown)
            execute(factory, line)
            return countdown.ticks
        factory.__dict__["metadata"] = DyingMetadata(SqlMetadata(factory.metadata_url), countdown)
        execute(factory, line, observe=observe)
    return countdown.ticks


def _dying_fits(factory: Factory, tick: Callable[[], None], line: str) -> DyingFits:
    return DyingFits(Factory.fits_of(factory, line).folder, tick)


if __name__ == "__main__":
    kind, _, number = sys.argv[3].rpartition(":")
    moments = run_and_die(Path(sys.argv[1]), sys.argv[2], int(number), in_training=kind == "fit")
    sys.stdout.write(f"{moments}\n")
