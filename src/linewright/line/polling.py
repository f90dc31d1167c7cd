"""A thread that looks at a factory again and again."""

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager

from linewright.errors import LinewrightError
from linewright.line.factory import Factory


class PollingThread:
    """A thread that looks at a factory again and again, until it is closed. What goes wrong is told once, and ends nothing."""

    def __init__(
        self,
        name: str,
        open_factory: Callable[[], AbstractContextManager[Factory]],
        *,
        every_s: float,
        not_done: str,
    ) -> None:
        self._open, self._every_s, self._not_done = open_factory, every_s, not_done
        self._closed = threading.Event()
        self._said: set[str] = set()
        """What went wrong, so that it is said once."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after what is being done."""
        self._closed.set()
        self._thread.join(timeout=10.0)

    def _looking(self, factory: Factory) -> AbstractContextManager[Callable[[], None]]:
        """Give what is called in each round."""
        raise NotImplementedError

    def _work(self) -> None:
        with self._open() as factory, self._looking(factory) as look:
            while not self._closed.wait(self._every_s):
                try:
                    look()
                except LinewrightError as error:
                    if not self._closed.is_set():
                        self._say(f"error: {self._not_done}: {error}\n")
                except Exception:  # noqa: BLE001 -- the boundary of this thread: a bug must not end it for good
                    self._say(traceback.format_exc())

    def _say(self, says: str) -> None:
        if says not in self._said:
            self._said.add(says)
            sys.stderr.write(says)
