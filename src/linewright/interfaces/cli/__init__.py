"""The command line."""

import gc
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from linewright.interfaces.cli.build import run
from linewright.interfaces.cli.show import ProgressLine
from linewright.operations.table import OPERATIONS
from linewright.serve.access.rights import Identity
from linewright.store.files.rights import owner_only

INTERRUPTED = 130
GC_THRESHOLD = (50_000, 10, 10)
"""A command mostly imports and ends: looking for garbage as often as Python does takes a seventh of its time."""


def main() -> None:
    """Carry out the command line of this process and exit with its code."""
    gc.set_threshold(*GC_THRESHOLD)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 still gets every message
    with owner_only():
        code = run(sys.argv[1:], OPERATIONS, _open_factory)
    if code == INTERRUPTED:
        # A step that is still at work would hold the process until it is done; its run is resumed later.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _open_factory(folder: Path, report: ProgressLine, anywhere: bool, identity: Identity) -> Any:
    # Imported when the first operation runs: the store costs a second that help need not pay.
    factory = import_module("linewright.line.factory").Factory
    made = factory if anywhere else factory.open
    return made(folder, report=report, identity=identity)
