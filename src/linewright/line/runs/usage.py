"""What a run takes, over all of its attempts."""

from collections.abc import Callable
from typing import Any

import msgspec

from linewright.engine.protocol import Json, Step
from linewright.engine.usage import Usage
from linewright.store.values import to_builtins

_USAGE = "usage"
"""Name, in the answer of a step that is kept, of what the run had taken by then."""


class RunMeter:
    """Adds what a process takes that is at work on a run to what the attempts before it took.

    The answers of steps say what was taken by then: so that is known too where nobody lived to record how an attempt ended.
    """

    def __init__(self, before: Usage, read: Callable[[], Usage]) -> None:
        self._before, self._read = before, read

    @property
    def total(self) -> Usage:
        """What the run has taken so far."""
        return self._before + self._read()

    def noted(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of a step with what the run has taken so far."""
        return {**answer, _USAGE: to_builtins(self.total)}

    def follow(self, step: Step, name: str, do: Callable[[], Json]) -> Json:
        """Have a step done. Of one that an attempt before this one has done, take over what its answer says, where that is more."""
        is_done_now = False

        def done_now() -> Json:
            nonlocal is_done_now
            is_done_now = True
            return do()

        answer = step(name, done_now)
        if not is_done_now and isinstance(answer, dict) and _USAGE in answer:
            then = msgspec.convert(answer[_USAGE], Usage)
            self._before = max(self._before, then, key=lambda usage: usage.cpu_s)
        return answer

    def begin(self, read: Callable[[], Usage]) -> None:
        """Go on with another attempt."""
        self._before, self._read = self.total, read
