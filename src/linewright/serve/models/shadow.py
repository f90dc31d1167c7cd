"""A model that answers copies of rows which another one has answered, in a process of its own.

Nothing that goes out waits for it. Copies wait in a queue that is bounded in bytes; where it is full they are dropped and
counted. The child has a low priority and limits of memory and of processor time. What it answers goes to a log of its own,
``shadow/LINE/TRIAL`` of the state: frames like those of the prediction log, under the ids of the answers that went out and
without their rows, which that log has.

``python -m linewright.serve.models.shadow STATE`` reads what it is to be, then lists of predictions, one JSON document a line, and
says of each list how that went.
"""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import thread_time
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec.structs import replace

from linewright.errors import Transient
from linewright.model.package.model import load
from linewright.release.facts import Arm
from linewright.serve.facts import Prediction
from linewright.serve.log.writer import PredictionLog
from linewright.serve.metrics import Sample
from linewright.serve.models.canary import Evidence, Guard
from linewright.serve.models.probe import MEMORY
from linewright.serve.models.state import Canary, Shadow
from linewright.serve.no_pickle import forbid_pickles
from linewright.serve.rows.scorer import Scorer
from linewright.store.artifacts.local import LocalArtifacts

QUEUE_BYTES = 4 * 2**20
"""Copies of a line that may wait, in bytes as logged."""
STAYS_S = 60.0
"""A child that nobody asks ends after so long."""
COMPUTES_S = 15.0
"""Processor time that the rows of one request may take; a child that takes more is ended by the system."""
PATIENCE_S = 120.0
"""How long the rows of one request may take by the clock: a child may have to wait for a processor, but not for ever."""
NICENESS = 10
"""Of the child: it gets about a tenth of a processor that others want."""


class _Begin(msgspec.Struct, frozen=True):
    """The first line that a child reads."""

    folder: str
    """Of the log, below the state."""
    arm: Arm
    known: tuple[str, ...]
    computes_s: float


class _Said(msgspec.Struct, frozen=True):
    """What a child says of the rows of one request."""

    seconds: float = 0.0
    """Processor time."""
    failed: str = ""
    """Why the model could not answer."""
    lost: str = ""
    """Why the answers could not be logged."""


class _Copies(NamedTuple):
    """What one request wants to be answered again."""

    shadow: Shadow
    tried: Canary | Shadow
    """The candidate: the shadow, or the model that answered."""
    records: Sequence[Prediction]
    size: int
    client: str


class Mirrors:
    """Gives copies of rows to the models that answer them beside the path of the answer. Safe to use from several threads."""

    def __init__(
        self,
        state: Path,
        guard: Guard,
        *,
        tell: Callable[[dict[str, object]], None],
        patience_s: float | None = None,
    ) -> None:
        self._state, self._guard, self._tell = state, guard, tell
        self._patience_s = PATIENCE_S if patience_s is None else patience_s
        self._lock = threading.Lock()
        self._mirrors: dict[str, _Mirror] = {}

    def offer(
        self,
        line: str,
        shadow: Shadow,
        tried: Canary | Shadow,
        records: Sequence[Prediction],
        *,
        size: int,
        client: str = "",
    ) -> None:
        """Have rows answered again that were answered just now. It returns at once and raises nothing."""
        others = [one for one in records if one.digest != shadow.arm.package]
        if others:
            with self._lock:
                if line not in self._mirrors:
                    self._mirrors[line] = _Mirror(
                        line, self._state, self._guard, self._tell, self._patience_s
                    )
                mirror = self._mirrors[line]
            mirror.offer(_Copies(shadow, tried, others, size, client))

    def to_samples(self) -> Iterator[Sample]:
        """Give the counts of the newest shadow of each line."""
        mirrors = sorted(self._mirrors.items())
        for line, mirror in mirrors:
            for outcome, rows in sorted(mirror.rows.items()):
                labels = (("line", line), ("version", mirror.version), ("outcome", outcome))
                says = "Copies of rows, by what became of them."
                yield Sample("linewright_mirrored_rows_total", says, labels, rows, "counter")
        for line, mirror in mirrors:
            labels = (("line", line), ("version", mirror.version))
            says = "Processor time that copies of rows took."
            yield Sample("linewright_mirror_seconds_total", says, labels, mirror.seconds, "counter")

    def close(self) -> None:
        """End all children; what waits is not answered any more."""
        for mirror in list(self._mirrors.values()):
            mirror.close()


class _Mirror:
    """The copies of one line, a thread that hands them over, and the child that answers them."""

    def __init__(
        self,
        line: str,
        state: Path,
        guard: Guard,
        tell: Callable[[dict[str, object]], None],
        patience_s: float,
    ) -> None:
        self.rows: Counter[str] = Counter()
        """Rows of the newest shadow by outcome: answered, failed or dropped."""
        self.version, self.seconds = "", 0.0
        self._line, self._state, self._guard, self._tell = line, state, guard, tell
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._queue: SimpleQueue[_Copies] = SimpleQueue()
        self._waiting = 0
        """Bytes in the queue."""
        self._trial = ("", "", "")
        """Its salt, and the packages of the shadow and of the candidate."""
        self._evidence = Evidence()
        """Of what the shadow fails, candidate or not."""
        self._is_given_up = self._is_dropping = self._is_closed = False
        self._thread: threading.Thread | None = None
        self._child: _Child | None = None

    def offer(self, copies: _Copies) -> None:
        with self._lock:
            self._turn_to(copies)
            if self._is_given_up or self._is_closed:
                self.rows["dropped"] += len(copies.records)
            elif self._waiting + copies.size > QUEUE_BYTES:
                self._drop(len(copies.records), "it does not keep up")
            else:
                self._queue.put(copies)
                self._waiting += copies.size
                self._begin()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            child = self._child
        if child is not None:
            child.end()

    def _turn_to(self, copies: _Copies) -> None:
        """Count anew where another trial begins."""
        trial = (copies.shadow.trial, copies.shadow.arm.package, copies.tried.arm.package)
        if trial != self._trial:
            self._trial, self.version = trial, str(copies.shadow.arm.model)
            self._evidence = Evidence()
            self.seconds, self._is_given_up, self._is_dropping = 0.0, False, False
            self.rows.clear()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"mirror-{self._line}", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the system gives no thread; the next request asks again
                self._thread = None
                self._drop(0, str(error))

    def _drop(self, rows: int, because: str) -> None:
        self.rows["dropped"] += rows
        if not self._is_dropping:
            self._is_dropping = True
            self._tell({"event": "copies-dropped", "line": self._line, "because": because})

    def _work(self) -> None:
        while True:
            try:
                copies = self._queue.get(timeout=STAYS_S)
            except Empty:
                with self._lock:
                    if not self._queue.empty():
                        continue
                    self._end_child()
                    self._thread = None
                    return
            try:
                self._answer(copies)
            except Exception as error:  # noqa: BLE001 -- whatever goes wrong here, the answer went out
                self._lost(copies, f"{type(error).__name__}: {error}")
            with self._lock:
                self._waiting -= copies.size

    def _answer(self, copies: _Copies) -> None:
        if self._is_closed or self._is_given_up or copies.shadow.trial != self._trial[0]:
            self._lost(copies, "")
            return
        said = self._ask(copies)
        rows = len(copies.records)
        if said.failed:
            self._count("failed", rows)
            self._failed(copies, said.failed)
        elif said.lost:
            self._lost(copies, said.lost)
        else:
            self._count("answered", rows)
            self.seconds += said.seconds
            is_champion = copies.tried is not copies.shadow
            self._evidence.succeeded(copies.client)
            self._guard.took(
                self._line, copies.tried, rows, said.seconds, champion=is_champion, client=copies.client
            )

    def _ask(self, copies: _Copies) -> _Said:
        if self._child is None or self._child.shadow != copies.shadow:
            self._end_child()
            self._child = _Child(self._state, self._line, copies.shadow, self._patience_s)
        said = self._child.ask(copies.records)
        if self._child.has_ended:
            self._end_child()
        return said

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.end()

    def _count(self, outcome: str, rows: int) -> None:
        with self._lock:
            self.rows[outcome] += rows

    def _lost(self, copies: _Copies, because: str) -> None:
        with self._lock:
            if because:
                self._drop(len(copies.records), because)
            else:
                self.rows["dropped"] += len(copies.records)

    def _failed(self, copies: _Copies, because: str) -> None:
        if self._is_closed:
            return  # it was ended from here
        self._tell({"event": "copies-failed", "line": self._line, "because": because})
        if copies.tried is copies.shadow:
            self._guard.failed(self._line, copies.shadow, because, client=copies.client)
        if self._evidence.failed(copies.client):
            # Where the champion is the shadow nobody is worse off: its candidate answers, and is compared no more.
            self._is_given_up = True


class _Child:
    """The process that answers copies."""

    def __init__(self, state: Path, line: str, shadow: Shadow, patience_s: float) -> None:
        self.shadow, self.has_ended = shadow, False
        self._patience_s = patience_s
        self._ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "linewright.serve.models.shadow", str(state)]
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL
            )
        self._ours.settimeout(patience_s)
        self._answers = self._ours.makefile("rb")
        folder = f"shadow/{line}/{shadow.trial}"
        self._first = msgspec.json.encode(_Begin(folder, shadow.arm, shadow.known, COMPUTES_S)) + b"\n"

    def ask(self, records: Sequence[Prediction]) -> _Said:
        """Return what the child says; a child that ends or does not answer in time has failed."""
        try:
            # On one line, however the rows were written that came.
            body = msgspec.json.format(msgspec.json.encode(records), indent=-1)
            self._ours.sendall(self._first + body + b"\n")
            self._first = b""
            said = self._answers.readline()
        except TimeoutError:
            self.has_ended = True
            return _Said(failed=f"it did not answer copies of rows within {self._patience_s:g} s")
        except OSError:
            said = b""
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(said, type=_Said)
        self.has_ended = (
            True  # it said nothing, or something that is no answer; then the next one would be of these rows
        )
        return _Said(failed=self._last_words())

    def end(self) -> None:
        """Let it end by itself, or end it."""
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.5)
        self._process.kill()
        self._process.wait()
        self._answers.close()
        self._ours.close()

    def _last_words(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            if self._process.wait(1.0) == -signal.SIGPROF:
                return f"copies of the rows of a request took more than {COMPUTES_S:g} s of processor time"
        return f"it ended the process that answers copies ({self._process.poll()})"


# The child


def main(state: Path, asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer the lists of predictions that come."""
    forbid_pickles()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person at a terminal means the endpoint, which ends this
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(NICENESS)
    begin = msgspec.json.decode(asked.readline(), type=_Begin)
    log = PredictionLog(state / begin.folder)
    scorer: Scorer | None = None
    for body in asked:
        # The system ends a process that takes more: nothing in it has to be able to look at a clock.
        signal.setitimer(signal.ITIMER_PROF, begin.computes_s)
        said, scorer = _answered(scorer, begin, state, log, msgspec.json.decode(body, type=list[Prediction]))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(msgspec.json.encode(said) + b"\n")
        answers.flush()
    log.close()


def _answered(
    scorer: Scorer | None, begin: _Begin, state: Path, log: PredictionLog, records: list[Prediction]
) -> tuple[_Said, Scorer | None]:
    """Answer rows and log what was answered; give what is to be said, and the model for the next rows."""
    arm = begin.arm
    try:
        if scorer is None:
            scorer = Scorer(
                load(arm.package, LocalArtifacts(state / "artifacts").get), arm.limits, begin.known
            )
        rows, begun = [one.row for one in records], thread_time()
        rows = scorer.completed(rows)
        x = scorer.matrix(rows)
        said = scorer.answers(x)
        scorer.warnings(x, rows)  # as the champion does, whose time this is compared with
        seconds = thread_time() - begun
    except Exception as error:  # noqa: BLE001 -- whatever is wrong with a model is told of it
        return _Said(failed=f"it fails: {type(error).__name__}: {error}"), scorer
    threshold = scorer.model.package.threshold
    answered = [
        replace(
            one,
            arm="shadow",
            model=arm.model,
            digest=arm.package,
            row={},
            answer=answer,
            threshold=threshold,
            durability="buffered",
        )
        for one, answer in zip(records, said, strict=True)
    ]
    try:
        log.append(answered)
    except Transient as error:
        return _Said(lost=str(error)), scorer
    return _Said(seconds=seconds), scorer


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
