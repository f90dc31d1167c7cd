"""The operation `halt`. It stops an endpoint before the factory is opened, and imports nothing of the factory."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from linewright.errors import LinewrightError
from linewright.operations.declare import Urgent, operation
from linewright.release import promotion as pointer
from linewright.release.halt_file import Note, forbid, leave, stop
from linewright.store.clock import now_utc

RECORD_S = 3.0
"""How long to wait for others who hold the record, in seconds: the endpoint has stopped by then, and a person waits."""
_SERVING = Path(".linewright", "serving")
"""Where `Factory.serving` is, in a factory that is not opened yet."""
_ASKED_FOR = "asked for"
"""Why, where nobody said it."""


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


def _at_once(values: Mapping[str, Any]) -> Urgent | None:
    if values["off"]:
        return None
    line, because = values["line"], values["because"] or _ASKED_FOR

    def begin(root: Path, by: str) -> Callable[[Any], Stopped]:
        has_stopped = stop(root / _SERVING, line)
        if not by:
            return lambda factory: halt(factory, line, because=because)
        # Before the factory is imported: the worker of `up` looks sooner than that is done.
        note = Note(by=by, because=because, at=now_utc())
        if has_stopped:
            leave(root / _SERVING, line, note)
        return lambda factory: _recorded(factory, line, note, has_stopped)

    return begin


@operation(permission="halt", effect="act", anywhere=True, first=_at_once)
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
    because = because or _ASKED_FOR
    if off:
        factory.require_factory()
        factory.require(line)
        was = factory.is_halted(line)
        event = pointer.halt(factory.context, factory.serving, line, halt=False, because=because)
        return Stopped(
            line=line, halted=False, generation=event.generation, because=event.because, was_halted=was
        )
    note = Note(by=factory.actor, because=because, at=factory.now())
    # Before anything is opened: the record may be damaged, or held by another process.
    has_stopped = stop(factory.serving, line)
    if has_stopped:
        leave(factory.serving, line, note)
    return _recorded(factory, line, note, has_stopped)


def _recorded(factory: Any, line: str, note: Note, has_stopped: bool) -> Stopped:
    """Record a halt, as well as that is possible now; where the line has not stopped yet, it must be."""
    try:
        factory.require_factory()
        with factory.in_a_hurry(RECORD_S) as now:
            now.require(line)
            event = pointer.halt(now.context, now.serving, line, halt=True, because=note.because, at=note.at)
            # By what came before this halt: the worker may have recorded this very one meanwhile.
            was = pointer.was_halted(now.metadata, event)
            return Stopped(
                line=line, halted=True, generation=event.generation, because=event.because, was_halted=was
            )
    except Exception as error:
        if not has_stopped:
            raise
        forbid(factory.serving, line)
        return Stopped(
            line=line,
            halted=True,
            generation=None,
            because=note.because,
            recorded=False,
            not_recorded=_why(error),
        )


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, LinewrightError) else f"{type(error).__name__}: {error}"
