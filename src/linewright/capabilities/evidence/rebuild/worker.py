"""Rebuilding in a child process: nothing that this one has loaded or computed can help it, and it has limits.

``python -m linewright.capabilities.evidence.rebuild.worker FACTORY LINE@VERSION WORKERS CHANNEL`` sends progress, then what came out, or the error.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from linewright.capabilities.evidence.rebuild.compare import Rebuilding, rebuild
from linewright.engine.child import Child, ChildEnded, end_in_words, parent
from linewright.engine.context import Progress
from linewright.engine.protocol import Json, capture, release
from linewright.errors import Terminal
from linewright.line.factory import Factory
from linewright.line.facts import Rebuilt
from linewright.line.record.registry import find_model
from linewright.serve.no_pickle import forbid_pickles
from linewright.store.files.disk import faults_explained
from linewright.store.protocols import Version
from linewright.store.values import to_builtins

_HINT = "allow more, or rebuild on a machine that is larger or less busy"


def rebuild_apart(
    factory: Factory, version: Version, *, workers: int, max_seconds: float | None, max_memory: int | None
) -> Rebuilding:
    """Compute a registered model again in a fresh process, compare, and record the event. Nothing else is changed."""
    name = f"{version.line}@{version.version}"
    until = None if max_seconds is None else time.monotonic() + max_seconds

    def in_time(_waited: float = 0.0) -> None:
        if until is not None and time.monotonic() > until:
            raise Terminal(
                "rebuilding takes longer than allowed",
                where=name,
                allowed=f"{max_seconds:g} seconds",
                hint=_HINT,
            )

    arguments = (str(factory.root), name, str(workers))
    with Child(
        "linewright.capabilities.evidence.rebuild.worker", arguments, memory=max_memory, shows_errors=False
    ) as child:
        try:
            while "progress" in (said := child.receive(quiet=in_time)):
                factory.report(msgspec.convert(said["progress"], Progress))
                in_time()
        except ChildEnded as ended:
            limit = f" with at most {max_memory:,} bytes of memory" if max_memory else ""
            last = f": {ended.end.last}" if ended.end.last else ""
            raise Terminal(
                f"the process that rebuilt it has ended{limit}",
                where=name,
                found=f"{end_in_words(ended.end)}{last}",
                hint=_HINT,
            ) from ended
    rebuilding = msgspec.convert(release(said), Rebuilding)
    _record(factory, version, rebuilding)
    return rebuilding


def _record(factory: Factory, version: Version, said: Rebuilding) -> None:
    context = factory.context
    context.metadata.record(
        Rebuilt(
            at=context.now(),
            by=context.actor,
            because=said.says,
            line=version.line,
            model=version.version,
            package=version.digest,
            level=said.level,
            rebuilt=said.rebuilt or "",
            workers=said.workers,
            differences=said.differences,
        )
    )


# In the child


def main(root: str, model: str, workers: str, word: str) -> int:
    """Rebuild a model, and send what came out."""
    forbid_pickles()
    channel = parent(word)

    def report(progress: Progress) -> None:
        channel.send({"progress": to_builtins(progress)})

    def again() -> Json:
        with (
            faults_explained(Path(root)),
            Factory.open(Path(root)) as factory,
            tempfile.TemporaryDirectory(prefix="rebuild-") as scratch,
        ):
            version = find_model(factory, model)
            rebuilt = rebuild(factory, version, workers=int(workers), scratch=Path(scratch), report=report)
            # Through its bytes: `to_builtins` leaves tuples, which are no JSON.
            return msgspec.json.decode(msgspec.json.encode(rebuilt))

    channel.send(capture(again, f"rebuilding {model}"))
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
