"""A model is tried in a process of its own before it comes near the one that answers.

What is wrong with a package may be such that no check of its bytes sees it: a graph that never ends, that takes all memory, or
that ends the process which runs it. The child has limits, loads the package, lets it answer its golden rows, and says how that
went. It stays for some seconds, since packages often come one after the other.

``python -m linewright.serve.probe STATE`` reads one digest a line, and answers each with a line: nothing, or what is wrong as JSON.
"""

import resource
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import msgspec

from linewright.errors import Corrupt, LinewrightError, from_json
from linewright.model.package import load
from linewright.serve.pickles import forbid_pickles
from linewright.serve.scoring import Scorer
from linewright.store.local import LocalArtifacts

PATIENCE_S = 15.0
"""A package that has not answered its golden rows by then is refused."""
STAYS_S = 10.0
MEMORY = 8 * 2**30
"""Bytes of address space that the child may have."""


class Probe:
    """Tries packages, one at a time. Safe to use from several threads.

    Parameters
    ----------
    state
        State folder of the factory, whose artifacts are read.
    patience_s
        How long a package may take, in seconds (default: `PATIENCE_S`).
    """

    def __init__(self, state: Path, *, patience_s: float | None = None) -> None:
        self._state, self._patience_s = state, PATIENCE_S if patience_s is None else patience_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._answers: Queue[str | None] = Queue()
        self._ending: threading.Timer | None = None
        self._sound: set[str] = set()
        self._unsound: dict[str, str] = {}
        """Those that did not end, or ended the child: they are not tried again."""

    def __call__(self, digest: str) -> None:
        """Try a package, unless it was found sound before.

        Raises
        ------
        Corrupt
            If it is not what it should be, answers otherwise than it did, does not end, or ends its process.
        """
        with self._lock:
            if digest in self._unsound:
                raise _refused(digest, self._unsound[digest])
            if digest not in self._sound:
                self._try(digest)
                self._sound.add(digest)

    def close(self) -> None:
        """End the child, also where it is at work: whoever waits for what it says does not have to."""
        child = self._child
        if child is not None:
            child.kill()
        self._rest()

    def _rest(self) -> None:
        with self._lock:
            self._end()

    def _try(self, digest: str) -> None:
        if self._ending is not None:
            self._ending.cancel()
        try:
            said = self._ask(self._child or self._start(), digest)
        except Empty:
            self._end()
            self._unsound[digest] = f"it did not answer its golden rows within {self._patience_s:g} s"
            raise _refused(digest, self._unsound[digest]) from None
        if said is None:
            self._unsound[digest] = f"it ended the process that tried it ({self._end()})"
            raise _refused(digest, self._unsound[digest])
        self._ending = threading.Timer(STAYS_S, self._rest)
        self._ending.daemon = True
        self._ending.start()
        if said:
            raise from_json(msgspec.json.decode(said, type=dict[str, Any]))

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "linewright.serve.probe", str(self._state)]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._child, self._answers = child, Queue()
        threading.Thread(target=_listen, args=(child, self._answers), name="probe", daemon=True).start()
        return child

    def _ask(self, child: "subprocess.Popen[str]", digest: str) -> str | None:
        """Return what the child says of a package; `None` where it ended."""
        assert child.stdin is not None  # noqa: S101 -- it was made with a pipe
        with suppress(BrokenPipeError):
            child.stdin.write(f"{digest}\n")
            child.stdin.flush()
        return self._answers.get(timeout=self._patience_s)

    def _end(self) -> int | None:
        child, self._child = self._child, None
        if self._ending is not None:
            self._ending.cancel()
        if child is None:
            return None
        with suppress(OSError):
            assert child.stdin is not None  # noqa: S101 -- it was made with a pipe
            child.stdin.close()  # it ends by itself, unless it is at work
        with suppress(subprocess.TimeoutExpired):
            return child.wait(0.5)
        child.kill()
        return child.wait()


def _listen(child: "subprocess.Popen[str]", answers: "Queue[str | None]") -> None:
    assert child.stdout is not None  # noqa: S101 -- it was made with a pipe
    with child.stdout as said:
        for line in said:
            answers.put(line.rstrip("\n"))
    answers.put(None)


def _refused(digest: str, because: str) -> Corrupt:
    return Corrupt(
        f"the model was refused: {because}",
        where=digest,
        hint="the model before serves on; train or bring another",
    )


def main(state: str) -> None:
    """Try the packages whose digests come on stdin."""
    forbid_pickles()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    artifacts = LocalArtifacts(Path(state) / "artifacts")
    for line in sys.stdin:
        said = ""
        try:
            Scorer(load(line.strip(), artifacts.get)).check_golden(artifacts.get)
        except LinewrightError as error:
            said = msgspec.json.encode(error.to_json()).decode()
        except MemoryError:
            error = _refused(line.strip(), f"it takes more than {MEMORY // 2**30} GiB of memory")
            said = msgspec.json.encode(error.to_json()).decode()
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
