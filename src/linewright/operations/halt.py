"""The operation that stops a line. It imports little, so that the stop is there at once; opening the factory takes longer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from linewright.errors import LinewrightError
from linewright.operations.declare import operation
from linewright.release import pointer
from linewright.release.stop import Note, forbid, leave, stop

RECORD_S = 3.0
"""How long to wait for others who hold the record, in seconds: the endpoint has stopped by then, and a person waits."""
_SERVING = Path(".linewright", "serving")
"""Where `Factory.serving` is, in a factory that is not opened yet."""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a line's endpoint answers."""

    line: str
    halted: bool
    generation: int | None
    """Of the pointer that says so; `None` where it is not recorded yet."""
    because: str
    was_halted: bool = False
    """Whether it was halted before."""
    recorded: bool = True
    """Whether the record says so. Where it does not, the endpoint is stopped all the same, and the record follows by itself."""
    not_recorded: str | None = None
    """Why it is not recorded."""

    def to_text(self) -> str:
        """Say whether it answers."""
        if not self.halted:
            return f"{self.line} answers again" if self.was_halted else f"{self.line} was not halted"
        already = " already" if self.was_halted else ""
        said = f"{self.line} is halted{already}: its endpoint answers 503 until `linewright halt {self.line} --off`"
        if self.recorded:
            return said
        return (
            f"{said}\n  not recorded yet: {self.not_recorded}\n  it is recorded when that is possible again"
        )


def _at_once(values: Mapping[str, Any]) -> Callable[[Path], object] | None:
    if values["off"]:
        return None
    return lambda root: stop(root / _SERVING, values["line"])


@operation(writes=True, anywhere=True, first=_at_once)
def halt(factory: Any, line: str, /, *, off: bool = False, because: str = "") -> Stopped:
    """Stop a line's endpoint from answering, or free it.

    The endpoint stops within 2 seconds, also where the disk is full or the record cannot be reached. It exits with 0 then too: the
    halt is recorded when that is possible again.

    Parameters
    ----------
    line
        Name of the line.
    off
        Free it again.
    because
        Why, for the record.
    """
    because = because or "asked for"
    if off:
        factory.require_factory()
        return _freed(factory, line, because)
    serving = factory.serving
    note = Note(by=factory.actor, because=because, at=factory.now())
    # Before anything is opened: the record may be damaged, or held by another process.
    has_stopped = stop(serving, line)
    if has_stopped:
        leave(serving, line, note)
    try:
        factory.require_factory()
        with factory.in_a_hurry(RECORD_S) as now:
            return _halted(now, line, note)
    except Exception as error:
        if not has_stopped:
            raise
        forbid(serving, line)
        return Stopped(
            line=line, halted=True, generation=None, because=because, recorded=False, not_recorded=_why(error)
        )


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, LinewrightError) else f"{type(error).__name__}: {error}"


def _halted(factory: Any, line: str, note: Note) -> Stopped:
    factory.require(line)
    was = factory.metadata.pointer(line).halt
    event = pointer.halt(factory.context, factory.serving, line, halt=True, because=note.because, at=note.at)
    return Stopped(line=line, halted=True, generation=event.generation, because=event.because, was_halted=was)


def _freed(factory: Any, line: str, because: str) -> Stopped:
    factory.require(line)
    was = factory.is_halted(line)
    event = pointer.halt(factory.context, factory.serving, line, halt=False, because=because)
    return Stopped(
        line=line, halted=False, generation=event.generation, because=event.because, was_halted=was
    )
