"""Run the scheduled tasks that are due, each in a child process, one after the other.

``python -m linewright.line.scheduled.run_tasks FACTORY LINE WHAT NAME CHANNEL`` runs one task: the worker, which lives for months, would keep
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

from linewright.engine.child import Child, ChildEnded, end_in_words, parent
from linewright.engine.context import Progress
from linewright.engine.protocol import Json, capture, release
from linewright.errors import LinewrightError, Terminal, Transient
from linewright.line.factory import Factory
from linewright.line.file.factory_file import read_factory_file
from linewright.line.instants import later
from linewright.line.scheduled.task_state import (
    Task,
    begin_task_state,
    due_at,
    record_done,
    record_failure,
    record_job,
    tasks_of,
)
from linewright.line.spec import LineSpec
from linewright.serve.no_pickle import forbid_pickles
from linewright.store.files.disk import faults_explained
from linewright.text.numbers import count

_BUSY = "2s"
"""After how long it is looked again whether what is being done is done."""


class ScheduledWork:
    """A thread that does what is due, one thing after the other, until it is closed; what is being done is then given up.

    Parameters
    ----------
    open_factory
        Opens the factory; called once something is due.
    """

    def __init__(self, open_factory: Callable[[], AbstractContextManager[Factory]]) -> None:
        self._open = open_factory
        self._asked = queue.SimpleQueue[Task | None]()
        self._busy: set[tuple[str, str, str]] = set()
        """What is queued or being done."""
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Stop."""
        self._closed.set()
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join(timeout=10.0)

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
                self._ask_for(task)
                due = later(now, _BUSY)
            dues += [] if due is None else [due]
        return min(dues, default=None)

    def _ask_for(self, task: Task) -> None:
        if _key(task) in self._busy:
            return
        self._busy.add(_key(task))
        self._asked.put(task)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="scheduled", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        with self._open() as factory:
            while (task := self._asked.get()) is not None and not self._closed.is_set():
                try:
                    self._do(factory, task)
                except Exception:  # noqa: BLE001 -- the boundary of this thread: a bug must not end it for good
                    sys.stderr.write(traceback.format_exc())
                finally:
                    self._busy.discard(_key(task))

    def _do(self, factory: Factory, task: Task) -> None:
        try:
            says = do_in_child(factory, task, is_stopped=self._closed.is_set)
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


def do_in_child(factory: Factory, task: Task, *, is_stopped: Callable[[], bool]) -> str:
    """Do something in a child process that stands back for the others; return what became of it, in words.

    Raises
    ------
    LinewrightError
        If it failed, or the child ended before it was done.
    """

    def look(_waited: float) -> None:
        if is_stopped():
            raise Transient("this process ends", where="schedule", hint="try again in a moment")

    memory = read_factory_file(factory.root).runs.bytes
    arguments = (str(factory.root), task.line, task.what, task.name)
    try:
        with Child("linewright.line.scheduled.run_tasks", arguments, memory=memory) as child:
            return str(release(child.receive(quiet=look)))
    except ChildEnded as ended:
        raise Terminal(
            "the process that does what is scheduled has ended",
            where=f"{task.line}: {task.name}",
            found=end_in_words(ended.end),
            hint="allow more memory, if it took too much (factory.yaml: runs: {memory: …})",
        ) from ended


def do_task(factory: Factory, line: str, what: str, name: str) -> str:
    """Do something that is scheduled, note that it was done, and return what became of it in words.

    Raises
    ------
    LinewrightError
        If it failed.
    """
    task = next(
        (one for one in tasks_of(factory, factory.line(line)) if (one.what, one.name) == (what, name)), None
    )
    if task is None:
        return f"{name!r} is scheduled no more"
    # What reads tables takes a second to import, and the worker only waits for it.
    if what == "read":
        from linewright.line.scheduled.source_reads import read_source  # noqa: PLC0415

        began = factory.now()
        read = read_source(factory, line, name)
        record_done(factory, task, began, rows=read.rows, versions=read.versions)
        return f"source {name!r} was read: {count(read.versions, 'new version')}, {count(read.rows, 'row')}"
    from linewright.line.scheduled.predictions import predict_job  # noqa: PLC0415

    made = predict_job(factory, line, name).made
    record_job(factory, made)
    return f"predictions {name!r}: {made.because}"


def main(root: str, line: str, what: str, name: str, word: str) -> int:
    """Do one thing, and say what became of it."""
    forbid_pickles()
    channel = parent(word)

    def make() -> Json:
        with faults_explained(Path(root)), Factory.open(Path(root), actor="linewright") as factory:
            return do_task(factory, line, what, name)

    channel.send(capture(make, f"{line}: {name}"))
    return 0


if __name__ == "__main__":
    code = main(*sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
