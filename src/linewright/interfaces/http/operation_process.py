"""The process that carries out one expensive operation for the control plane, and ends with it or with whoever asked.

    python -m linewright.interfaces.http.operation_process FOLDER WORD

It receives what `expensive` sends: the name of an operation, its arguments, and who asks. It sends progress, and in the end the
result, the error, or the name of a bug. WORD is for `parent`.
"""

import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from linewright.engine.child import parent
from linewright.engine.context import Progress
from linewright.errors import LinewrightError, panics_explained
from linewright.line.factory import Factory
from linewright.operations.declare import load, to_json
from linewright.operations.table import OPERATIONS
from linewright.serve.access.rights import Identity
from linewright.store.files.disk import faults_explained


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is asked for."""

    operation: str
    arguments: dict[str, Any]
    text: bool
    """Whether the arguments are texts of a query."""
    identity: Identity


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the process tells: one of these."""

    progress: Progress | None = None
    done: str | None = None
    """The result as JSON."""
    error: dict[str, Any] | None = None
    """What `LinewrightError.to_json` gave."""
    bug: str | None = None
    """Name of an exception that nobody foresaw."""


def main(root: Path, word: str) -> None:
    """Carry out what the parent asks for, and tell it."""
    channel = parent(word)
    asked = msgspec.convert(channel.receive(), Asked)

    def report(progress: Progress) -> None:
        channel.send(Told(progress=progress))

    try:
        channel.send(Told(done=_result(root, asked, report).decode()))
    except LinewrightError as error:
        channel.send(Told(error=msgspec.json.decode(to_json(error.to_json()))))
    except Exception as error:  # noqa: BLE001 -- the boundary: what nobody foresaw is our bug, and is said to be
        traceback.print_exception(error)
        sys.stderr.flush()
        channel.send(Told(bug=type(error).__name__))


def _result(root: Path, asked: Asked, report: Any) -> bytes:
    operation = load(asked.operation, OPERATIONS)
    with (
        faults_explained(root),
        panics_explained(),
        Factory.open(root, report=report, identity=asked.identity) as factory,
    ):
        return to_json(operation.call(factory, asked.arguments, text=asked.text))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
