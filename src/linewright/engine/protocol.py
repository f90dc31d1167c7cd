"""The seam of the engine: how a run is started, kept alive through crashes, and followed to its end."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from linewright.engine.machine import more_memory
from linewright.errors import LinewrightError, Terminal, from_json, panics_explained
from linewright.store.files.disk import faults_explained

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

Step: TypeAlias = Callable[[str, Callable[[], Json]], Json]
"""`step(name, do)` runs `do` once and returns what it returned; after a crash it returns what `do` returned then.

`do` may be begun again if the process died inside it, never once its answer is recorded. What it raises is recorded too.
"""

Workflow: TypeAlias = Callable[[Step, Json], Json]
"""`workflow(step, request)` is a sequence of steps. Between them it only computes from the request and their answers:
the same steps, by the same names and in the same order, whenever it is begun again."""

TOGETHER = "-"
"""The group of a run that names none."""

Observe: TypeAlias = Callable[[str, str, str], None]
"""`observe(run, step, "start" | "end")` is told of each step that really runs; a step that is only recalled is not told."""


class Engine(Protocol):
    """Runs workflows by name.

    A run ends in exactly one final state: what its workflow returned, or the `LinewrightError` that it raised. Any other
    exception is a bug: its traceback goes to stderr, and `follow` raises `Terminal`.
    """

    def start(self, workflow: str, run: str, request: Json, *, group: str = TOGETHER) -> None:
        """Accept a run; once this returns it will come to its end. The id of a known run starts nothing.

        Runs of one group come one after another, in the order in which they were accepted; those of several groups do not wait for
        each other.
        """
        ...

    def follow(self, run: str, *, timeout: float | None = None) -> Json:
        """Wait for the end of a run and return what its workflow returned.

        Raises
        ------
        LinewrightError
            The one that the workflow raised, with all its parts.
        Terminal
            If the run ended by a bug.
        Transient
            If it has not ended after `timeout` seconds; ``details["unfinished"]`` is then the run.
        NotFound
            If no such run was accepted.
        """
        ...

    def unfinished(self) -> list[str]:
        """Return the ids of the runs that have not reached their end, oldest first."""
        ...

    def close(self) -> None:
        """Stop. Runs that have not reached their end stay unfinished."""
        ...


class NotEnded(BaseException):
    """The end of a run could not be recorded (the disk is full, say), so it has none, and is resumed later.

    Not an `Exception`, since nothing between the step and the engine may take it for how the run ended.
    """

    def __init__(self, because: LinewrightError) -> None:
        self.because = because
        super().__init__(str(because))


class Interrupted(BaseException):
    """The process ends, so the run has no end here: it is resumed later."""


def ignore(_run: str, _step: str, _what: str) -> None:
    """Observe nothing."""


def check_json(value: object, what: str) -> Json:
    """Return `value` if it is JSON through and through, so that it reads back as exactly what it was.

    Examples
    --------
    >>> check_json({"digest": "sha256:00", "rows": [1, 2.5, None]}, "the answer")
    {'digest': 'sha256:00', 'rows': [1, 2.5, None]}
    >>> check_json({"shape": (1, 2)}, "the answer")
    Traceback (most recent call last):
        ...
    TypeError: the answer is not JSON: at .shape is a tuple
    """
    _check(value, what, "")
    return value  # pyright: ignore[reportReturnType] -- `_check` has looked at every part


def _check(value: Any, what: str, where: str) -> None:
    kind = type(value)
    if kind is dict:
        for key, part in value.items():
            if type(key) is not str:
                raise TypeError(f"{what} is not JSON: at {where or '.'} is the key {key!r}")
            _check(part, what, f"{where}.{key}")
    elif kind is list:
        for index, part in enumerate(value):
            _check(part, what, f"{where}[{index}]")
    elif kind is float and not math.isfinite(value):
        raise ValueError(f"{what} is not JSON: at {where or '.'} is {value}")
    elif kind not in {str, int, float, bool, type(None)}:
        raise TypeError(f"{what} is not JSON: at {where or '.'} is a {kind.__name__}")


def capture(call: Callable[[], Json], what: str) -> dict[str, Json]:
    """Call, and return how it went as JSON: ``{"returned": …}`` or, for a `LinewrightError`, ``{"raised": …}``.

    This is the boundary where an error of a run becomes a value: also that of a disk which is full or cannot be written, of memory
    that is not there, of a native library that panics (which is no `Exception`), and of code that would end the process. Any other
    exception is a bug and passes through.
    """
    try:
        with faults_explained(), panics_explained():
            return {"returned": check_json(call(), what)}
    except LinewrightError as error:
        return _raised(error)
    except MemoryError as error:
        found = str(error)[:200] or None
        return _raised(Terminal("there was not enough memory", where=what, found=found, hint=more_memory()))
    except SystemExit as error:
        ends = "code that ran here would have ended the process"
        hint = "raise an error instead"
        return _raised(Terminal(ends, where=what, found=f"sys.exit({error.code!r})", hint=hint))


def _raised(error: LinewrightError) -> dict[str, Json]:
    details = {name: _plain(part) for name, part in error.details.items()}
    return {"raised": {**error.to_json(), "found": _plain(error.found), "details": details}}


def _plain(value: object) -> Json:
    # An error is told whatever its parts are; what is not JSON is told by its `repr`.
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)


def release(outcome: Any) -> Json:
    """Return or raise what `capture` captured."""
    if "raised" in outcome:
        raise from_json(outcome["raised"])
    return outcome["returned"]


def find_workflow(workflows: Mapping[str, Workflow], name: str) -> Workflow:
    """Return the workflow with that name; raise `Terminal` if this version of the code has none."""
    if name not in workflows:
        raise Terminal(
            "no such workflow",
            found=name,
            allowed=", ".join(sorted(workflows)),
            hint="run it with the version that started it",
        )
    return workflows[name]


def bug(run: str, text: str) -> Terminal:
    """Return what `follow` raises for a run that ended by a bug."""
    return Terminal(
        f"the run failed by a bug: {text}",
        where=f"run {run}",
        hint="report it with the traceback from the log",
    )
