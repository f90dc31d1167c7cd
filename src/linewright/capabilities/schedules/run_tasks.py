"""Run the scheduled tasks that are due, each in a child process; one that hangs delays no other.

``python -m linewright.capabilities.schedules.run_tasks FACTORY LINE WHAT NAME CHANNEL`` runs one task: the worker, which lives for months, would keep
the memory.
"""

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from linewright.capabilities.schedules.task_state import (
    Task,
    begin_task_state,
    due_at,
    record_done,
    record_failure,
    record_job,
    tasks_of,
)
from linewright.engine.child import Child, ChildEnded, End, end_in_words, parent
from linewright.engine.context import Progress
from linewright.engine.fair_share import Turn, Turns
from linewright.engine.protocol import Json, capture, release
from linewright.errors import LinewrightError, Terminal, Transient
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.line.instants import later
from linewright.line.spec import LineSpec
from linewright.serve.listener import endpoint
from linewright.serve.no_pickle import forbid_pickles
from linewright.store.files.disk import faults_explained
from linewright.text.numbers import count

_BUSY = "2s"
"""After how long it is looked again whether what is being done is done."""
_MOST = 16
"""Tasks that are begun at a time, those without progress among them."""
_QUIET_S = 10.0
"""After how many seconds without progress another task may begin."""
_GOES_ON = "goes on"
"""What the child says of progress."""


class ScheduledWork:
    """Threads that do what is due, until they are closed; what is being done is then given up.

    As many tasks work at a time as runs do; one without progress for some seconds is not counted, and the next one begins.
    """

    def __init__(self, open_factory: Callable[[], AbstractContextManager[Factory]]) -> None:
        self._open = open_factory
        self._asked = queue.SimpleQueue[Task | None]()
        self._busy: set[tuple[str, str, str]] = set()
        """What is queued or being done."""
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._turns = Turns(1)

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        for _ in self._threads:
            self._asked.put(None)
        for thread in self._threads:
            thread.join(timeout=10.0)

    @property
    def is_busy(self) -> bool:
        """Whether anything is queued or being done."""
        return bool(self._busy)

    def look(self, factory: Factory, spec: LineSpec) -> str | None:
        """Ask for what is due of a line, and return when to look again; `None` if nothing will be due."""
        now, dues = factory.now(), list[str]()
        is_serving = factory.metadata.pointer(spec.line).champion is not None and not factory.is_halted(
            spec.line
        )
        for task in tasks_of(factory, spec):
            if not task.when or (task.what == "predict" and not is_serving):
                continue
            due = due_at(task, begin_task_state(factory, task))
            if due is not None and due <= now:
                self._ask_for(factory, task)
                due = later(now, _BUSY)
            dues += [] if due is None else [due]
        return min(dues, default=None)

    def _ask_for(self, factory: Factory, task: Task) -> None:
        if _key(task) in self._busy:
            return
        if not self._threads:
            self._turns = Turns(read_factory_file(factory.root).runs.at_once)
        self._busy.add(_key(task))
        self._asked.put(task)
        if len(self._threads) < min(len(self._busy), _MOST):
            thread = threading.Thread(target=self._work, name="scheduled", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (task := self._asked.get()) is not None and not self._closed.is_set():
            try:
                with self._turns.take() as turn, self._open() as factory:
                    self._do(factory, task, turn)
            except Exception:  # noqa: BLE001 -- the boundary of this thread: a bug must not end it for good
                sys.stderr.write(traceback.format_exc())
            finally:
                self._busy.discard(_key(task))

    def _do(self, factory: Factory, task: Task, turn: Turn) -> None:
        if self._closed.is_set():
            return
        try:
            says = do_in_child(factory, task, is_stopped=self._closed.is_set, turn=turn)
        except LinewrightError as error:
            if self._closed.is_set():
                return  # it goes on when the factory is up again
            alert = record_failure(factory, task, error)
            if alert is not None:
                factory.report(Progress(step="schedule", says=f"{task.line}: {alert.because}", stays=True))
        else:
            factory.report(Progress(step="schedule", says=f"{task.line}: {says}", stays=True))


def _key(task: Task) -> tuple[str, str, str]:
    return task.line, task.what, task.name


def do_in_child(
    factory: Factory, task: Task, *, is_stopped: Callable[[], bool], turn: Turn | None = None
) -> str:
    """Do something in a child process, which has the limits of a run; return what became of it, in words."""

    def gives_way() -> bool:
        return limits.gives_way(is_beside_endpoint=endpoint(factory.state) is not None)

    def look(waited: float) -> None:
        if is_stopped():
            raise Transient("this process ends", where="schedule", hint="try again in a moment")
        if not child.gives_way and gives_way():
            child.stand_back()
        if turn is not None and waited > _QUIET_S:
            turn.rest()

    limits = read_factory_file(factory.root).runs
    arguments = (str(factory.root), task.line, task.what, task.name)
    try:
        module = "linewright.capabilities.schedules.run_tasks"
        with Child(module, arguments, memory=limits.bytes, gives_way=gives_way()) as child:
            child.measure()
            while (said := child.receive(idle_s=task.idle_s, busy_s=limits.busy_s, quiet=look)) == _GOES_ON:
                if turn is not None:
                    turn.go_on()
            return str(release(said))
    except ChildEnded as ended:
        raise _not_done(task, ended.end) from ended


def _not_done(task: Task, end: End) -> LinewrightError:
    where, found = f"{task.line}: {task.name}", end_in_words(end)
    if end.how == "deadline":
        return Transient(
            f"it showed no progress for {task.idle_s:,.0f} s and was ended",
            where=where,
            found=found,
            hint="look whether its source and its destination answer; it is tried again",
        )
    hint = "allow more memory, if it took too much (factory.yaml: runs: {memory: …})"
    if end.how == "exit":
        hint = "what `linewright up` wrote to stderr says why"
    return Terminal("the process that does what is scheduled has ended", where=where, found=found, hint=hint)


def do_task(factory: Factory, line: str, what: str, name: str) -> str:
    """Do something that is scheduled, note that it was done, and return what became of it in words."""
    task = next(
        (one for one in tasks_of(factory, factory.line(line)) if (one.what, one.name) == (what, name)), None
    )
    if task is None:
        return f"{name!r} is scheduled no more"
    # What reads tables takes a second to import, and the worker only waits for it.
    if what == "read":
        from linewright.line.runs.source_reads import read_source  # noqa: PLC0415

        began = factory.now()
        read = read_source(factory, line, name)
        record_done(factory, task, began, rows=read.rows, versions=read.versions)
        return f"source {name!r} was read: {count(read.versions, 'new version')}, {count(read.rows, 'row')}"
    from linewright.capabilities.schedules.predictions import predict_job  # noqa: PLC0415

    made = predict_job(factory, line, name).made
    record_job(factory, made)
    return f"predictions {name!r}: {made.because}"


def main(root: str, line: str, what: str, name: str, word: str) -> int:
    """Do one thing, and say what became of it."""
    forbid_pickles()
    channel = parent(word)

    def goes_on(_: Progress) -> None:
        channel.send(_GOES_ON)

    def make() -> Json:
        with (
            faults_explained(Path(root)),
            Factory.open(Path(root), actor="linewright", report=goes_on) as factory,
        ):
            return do_task(factory, line, what, name)

    channel.send(capture(make, f"{line}: {name}"))
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
