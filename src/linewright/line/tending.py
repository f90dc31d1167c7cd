"""Looking after lines while they serve: windows close on time, and what monitoring proposes becomes a run."""

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager

from linewright.engine.context import Progress
from linewright.engine.seam import Engine
from linewright.errors import LinewrightError
from linewright.line.execute import execute_inline, start
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.retraining import Due, retraining_due
from linewright.line.spec import LineSpec
from linewright.line.watching import close_window
from linewright.watch.facts import Watched

LOOK_S = 0.5
"""How often lines are looked at; a window closes at most so much later than it ends."""


def tend(factory: Factory, spec: LineSpec) -> tuple[Watched | None, Due | None]:
    """Close the line's window if one has ended, and return it with the training that should begin now."""
    return close_window(factory, spec), retraining_due(factory, spec)


def tend_inline(factory: Factory, line: str) -> tuple[Watched | None, RunResult | None]:
    """Tend a line once, and carry out in this process what is due: for worlds and tests."""
    watched, due = tend(factory, factory.line(line))
    if due is None:
        return watched, None
    return watched, execute_inline(factory, line, as_of=due.as_of, proposal=due.proposal)


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
    """

    def __init__(
        self,
        open_factory: Callable[[], AbstractContextManager[Factory]],
        engine: Engine,
        *,
        every_s: float = LOOK_S,
    ) -> None:
        self._open, self._engine, self._every_s = open_factory, engine, every_s
        self._closed = threading.Event()
        self._told: dict[str, str] = {}
        self._thread = threading.Thread(target=self._work, name="tending", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the line that is being looked at."""
        self._closed.set()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        with self._open() as factory:
            while not self._closed.wait(self._every_s):
                for line in factory.names():
                    if self._closed.is_set():
                        return
                    self._tend(factory, line)

    def _tend(self, factory: Factory, line: str) -> None:
        """Tend one line; what goes wrong with it is told once, and harms no other line."""
        try:
            spec = factory.line(line)
            if spec.watch is None and spec.retrain is None:
                return
            watched, due = tend(factory, spec)
            for finding in watched.findings if watched else ():
                factory.report(Progress(station="watch", says=f"{line}: {finding.says}", stays=True))
            if due is not None and start(factory, line, self._engine, as_of=due.as_of, proposal=due.proposal):
                factory.report(Progress(station="retrain", says=f"{line}: a training begins", stays=True))
            self._told.pop(line, None)
        except LinewrightError as error:
            self._tell_once(line, f"error: {line} is not watched now: {error}\n")
        except Exception:  # noqa: BLE001 -- the boundary of this thread: a bug about one line must not end the watch over all
            self._tell_once(line, traceback.format_exc())

    def _tell_once(self, line: str, text: str) -> None:
        if self._told.get(line) != text:
            self._told[line] = text
            sys.stderr.write(text)
