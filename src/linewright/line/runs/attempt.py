"""One attempt of a run, in a child process: `line.runs.attempts` starts it and follows it.

``python -m linewright.line.runs.attempt FACTORY CHANNEL`` gets requests, one after another. One may ask for a plan, or for what a run gave.
For a run it walks the steps and asks before each of them whether it is done already: it sends ``step`` and gets ``outcome`` or ``do``;
after ``do`` it sends ``did`` and gets ``outcome``. In between it sends ``progress``; in the end ``returned``, ``raised``, ``bug`` or
``not_ended``.
"""

import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from linewright.engine.child import Channel, parent
from linewright.engine.context import Progress
from linewright.engine.protocol import Json, NotEnded, capture, release
from linewright.line.factory import Factory
from linewright.line.runs.known_result import found, result_of
from linewright.line.runs.plan import plan_run
from linewright.line.runs.workflow import run_line
from linewright.line.spec import LineSpec
from linewright.line.steps.table import load_steps
from linewright.store.values import to_builtins

_ASKED: Mapping[str, Callable[..., Any]] = {"plan": plan_run, "result": result_of, "found": found}


class _BugBeforeError(Exception):
    """A step failed by a bug in an attempt before this one."""


def as_it_is(_factory: Factory) -> None:
    """Change nothing."""


def main(root: str, word: str, *, prepare: Callable[[Factory], None] = as_it_is) -> NoReturn:
    """Carry out one attempt, and end with whoever started it."""
    channel = parent(word)

    def report(progress: Progress) -> None:
        channel.send({"progress": to_builtins(progress)})

    if not channel.has_come():
        load_steps()  # it was started ahead
    with Factory.open(Path(root), report=report) as factory:
        prepare(factory)
        while True:
            request = channel.receive()
            channel.send(
                _answered(factory, request) if "asks" in request else _said(factory, channel, request)
            )


def _answered(factory: Factory, request: dict[str, Any]) -> dict[str, Any]:
    def answer() -> Json:
        spec = LineSpec.model_validate(request["spec"])
        given = _ASKED[request["asks"]](factory.asked_by(request["by"]), spec, **request["arguments"])
        # Through its bytes: `to_builtins` leaves tuples, which are no JSON.
        return msgspec.json.decode(msgspec.json.encode(given))

    return _captured(answer, request["asks"])


def _said(factory: Factory, channel: Channel, request: Json) -> dict[str, Any]:
    def step(name: str, do: Callable[[], Json]) -> Json:
        channel.send({"step": name})
        said = channel.receive()
        if "do" in said:
            channel.send({"did": _captured(do, f"the answer of step {name!r}")})
            said = channel.receive()
        if "bug" in said["outcome"]:
            raise _BugBeforeError(said["outcome"]["bug"])
        return release(said["outcome"])

    try:
        return capture(lambda: run_line(factory, step, request), "the answer of the run")
    except NotEnded as error:
        return {"not_ended": error.because.to_json()}
    except _BugBeforeError as error:
        return {"bug": str(error)}
    except Exception as error:  # noqa: BLE001 -- the boundary of this process: a bug becomes the end of the run
        return {"bug": _told(error)}


def _captured(do: Callable[[], Json], what: str) -> dict[str, Any]:
    try:
        return capture(do, what)
    except Exception as error:  # noqa: BLE001 -- a bug: whoever follows this process decides what ends with it
        return {"bug": _told(error)}


def _told(error: Exception) -> str:
    traceback.print_exc()
    return traceback.format_exception_only(error)[-1].strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
