"""Rebuilding in a process of its own: nothing that this one has loaded or computed can help it, and it has limits.

``python -m linewright.line.apart FACTORY LINE@VERSION WORKERS MEMORY`` writes JSON lines: progress, then what came out, or the
error. MEMORY is in bytes; 0 means no limit.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import msgspec

from linewright.engine.context import Progress
from linewright.errors import LinewrightError, Terminal, from_json
from linewright.line.factory import Factory
from linewright.line.facts import Rebuilt
from linewright.line.rebuilding import Rebuilding, rebuild
from linewright.line.registry import find_model
from linewright.serve.pickles import forbid_pickles
from linewright.store.disk import faults_explained
from linewright.store.seams import Version

_HINT = "allow more, or rebuild on a machine that is larger or less busy"


def rebuild_apart(
    factory: Factory, version: Version, *, workers: int, max_seconds: float | None, max_memory: int | None
) -> Rebuilding:
    """Compute a registered model again in a fresh process, compare, and record the event. Nothing else is changed.

    Parameters
    ----------
    version
        The model.
    workers
        Fits that may go on at a time.
    max_seconds, max_memory
        Most that the process may take, in seconds and in bytes of address space; `None` means no limit.

    Raises
    ------
    Terminal
        If a limit was reached, or the process was ended from outside; nothing is recorded then.
    LinewrightError
        Whatever kept the model from being computed again.
    """
    name = f"{version.line}@{version.version}"
    arguments = [str(factory.root), name, str(workers), str(max_memory or 0)]
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(
            [sys.executable, "-m", "linewright.line.apart", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=told,
        )
        timer = threading.Timer(max_seconds or 0.0, child.kill)
        if max_seconds:
            timer.start()
        try:
            assert child.stdout is not None  # noqa: S101 -- it was made with a pipe
            with child.stdout as lines:
                said = _follow(lines, factory.report)
                child.wait()
        finally:
            is_late = bool(max_seconds) and not timer.is_alive()
            timer.cancel()
            child.kill()
            child.wait()
        if said is None:
            late = max_seconds if is_late else None
            raise _ended(child.returncode, name, told, max_seconds=late, max_memory=max_memory)
    _record(factory, version, said)
    return said


def _follow(lines: IO[bytes], report: Callable[[Progress], None]) -> Rebuilding | None:
    """Pass progress on, and return what came out; `None` where the process ended without saying so."""
    for line in lines:
        said = msgspec.json.decode(line)
        if "progress" in said:
            report(msgspec.convert(said["progress"], Progress))
        elif "error" in said:
            raise from_json(said["error"])
        else:
            return msgspec.convert(said["rebuilding"], Rebuilding)
    return None


def _ended(
    code: int, name: str, told: IO[bytes], *, max_seconds: float | None, max_memory: int | None
) -> Terminal:
    """Return why there is no result; `max_seconds` where they have passed."""
    if max_seconds is not None:
        return Terminal(
            "rebuilding takes longer than allowed", where=name, allowed=f"{max_seconds:g} seconds", hint=_HINT
        )
    told.seek(0)
    last = (told.read().decode(errors="replace").strip().splitlines() or [""])[-1]
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    limit = f" with at most {max_memory:,} bytes of memory" if max_memory else ""
    return Terminal(
        f"the process that rebuilt it has ended{limit}",
        where=name,
        found=f"{how}: {last}" if last else how,
        hint=_HINT,
    )


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


# In the process


def main(root: str, model: str, workers: str, memory: str) -> int:
    """Rebuild a model, and say on stdout what came out."""
    forbid_pickles()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if int(memory):
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    # Libraries that print must not be taken for us.
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        os.dup2(2, 1)

        def say(word: str, value: Any) -> None:
            out.write(msgspec.json.encode({word: value}) + b"\n")

        try:
            for word, value in _said(Path(root), model, int(workers), partial(say, "progress")):
                say(word, value)
        except MemoryError:
            error = Terminal(
                "rebuilding takes more memory than allowed",
                where=model,
                allowed=f"{int(memory):,} bytes",
                hint=_HINT,
            )
            say("error", error.to_json())
        except LinewrightError as error:
            say("error", error.to_json())
    return 0


def _said(
    root: Path, model: str, workers: int, report: Callable[[Progress], None]
) -> Iterator[tuple[str, Rebuilding]]:
    with (
        faults_explained(root),
        Factory.open(root) as factory,
        tempfile.TemporaryDirectory(prefix="rebuild-") as scratch,
    ):
        version = find_model(factory, model)
        yield "rebuilding", rebuild(factory, version, workers=workers, scratch=Path(scratch), report=report)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
