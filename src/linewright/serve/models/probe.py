"""A model is tried in a process of its own before it comes near the one that answers.

What is wrong with a package may be such that no check of its bytes sees it: a graph that never ends, that takes all memory, or
that ends the process which runs it. The child has limits, loads the package, lets it answer its golden rows, and says how that
went. It stays for some seconds, since packages often come one after the other.

``python -m linewright.serve.models.probe STATE CHANNEL`` says that it is ready; then it gets one digest after the other, and answers each with
what is wrong, or with nothing.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from linewright.engine.child import Child, ChildEnded, End, end_in_words, parent
from linewright.errors import Corrupt, LinewrightError, from_json
from linewright.model.package.model import load
from linewright.serve.no_pickle import forbid_pickles
from linewright.serve.rows.scorer import Scorer
from linewright.store.artifacts.local import LocalArtifacts

PATIENCE_S = 15.0
"""A package that has not answered its golden rows by then is refused."""
START_S = 60.0
"""How long the child may take to load its libraries: on a busy machine longer than a package to answer."""
STAYS_S = 10.0
"""How long the child waits for another package."""
MEMORY = 8 * 2**30
"""Bytes of data that the child may have."""


class Probe:
    """Tries packages, one at a time. Safe to use from several threads."""

    def __init__(self, state: Path, *, patience_s: float | None = None) -> None:
        self._state, self._patience_s = state, PATIENCE_S if patience_s is None else patience_s
        self._lock = threading.Lock()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="probe")
        """The kernel ends a child with the thread that started it, and those that ask come and go."""
        self._child: Child | None = None
        self._is_closed = False
        self._ending: threading.Timer | None = None
        self._sound: set[str] = set()
        self._unsound: dict[str, str] = {}
        """Those that did not end, or ended the child: they are not tried again."""

    def __call__(self, digest: str) -> None:
        """Try a package, unless it was found sound before."""
        with self._lock:
            if digest in self._unsound:
                raise _refused(digest, self._unsound[digest])
            if digest not in self._sound:
                self._try(digest)
                self._sound.add(digest)

    def close(self) -> None:
        """End the child, also where it is at work: whoever waits for what it says does not have to."""
        self._is_closed = True
        self._rest()
        self._starter.shutdown(wait=False)

    def _rest(self) -> None:
        with self._lock:
            self._end()

    def _try(self, digest: str) -> None:
        if self._ending is not None:
            self._ending.cancel()
        try:
            found = self._ask(digest)
        except ChildEnded as ended:
            self._end()
            self._unsound[digest] = _because(ended.end, self._patience_s)
            raise _refused(digest, self._unsound[digest]) from None
        self._ending = threading.Timer(STAYS_S, self._rest)
        self._ending.daemon = True
        self._ending.start()
        if found is not None:
            raise from_json(found)

    def _ask(self, digest: str) -> dict[str, Any] | None:
        """Return what the child finds wrong with a package; `None` where nothing is."""
        if self._child is not None and self._child.has_ended():
            self._end()  # while it waited: that says nothing about this package
        if self._child is None:
            self._child = self._starter.submit(self._start).result()
            self._child.receive(idle_s=START_S, quiet=self._look)
        self._child.send(digest)
        return self._child.receive(idle_s=self._patience_s, quiet=self._look)["wrong"]

    def _start(self) -> Child:
        return Child(
            "linewright.serve.models.probe",
            (str(self._state),),
            memory=MEMORY,
            shows_errors=False,
            gives_way=False,
        )

    def _look(self, _waited: float) -> None:
        if self._is_closed:
            raise ChildEnded(End(how="cancelled"))

    def _end(self) -> None:
        child, self._child = self._child, None
        if self._ending is not None:
            self._ending.cancel()
        if child is not None:
            child.kill()


def _because(end: End, patience_s: float) -> str:
    match end.how:
        case "deadline":
            return f"it did not answer its golden rows within {patience_s:g} s"
        case "memory":
            return f"it takes more than {MEMORY // 2**30} GiB of memory"
        case _:
            return f"it ended the process that tried it ({end_in_words(end)})"


def _refused(digest: str, because: str) -> Corrupt:
    return Corrupt(
        f"the model was refused: {because}",
        where=digest,
        hint="the model before serves on; train or bring another",
    )


def main(state: str, word: str) -> NoReturn:
    """Try the packages whose digests come, until nobody asks any more."""
    forbid_pickles()
    channel = parent(word)
    artifacts = LocalArtifacts(Path(state) / "artifacts")
    channel.send({"ready": True})
    while True:
        channel.send({"wrong": _wrong_with(channel.receive(), artifacts)})


def _wrong_with(digest: str, artifacts: LocalArtifacts) -> dict[str, Any] | None:
    try:
        Scorer(load(digest, artifacts.get)).check_golden(artifacts.get)
    except LinewrightError as error:
        return error.to_json()
    except MemoryError:
        return _refused(digest, _because(End(how="memory"), PATIENCE_S)).to_json()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
