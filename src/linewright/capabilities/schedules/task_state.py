"""The scheduled tasks of a line, and the state of each: when it ran last, when it is due next, and why it failed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from linewright.data.schedule import due_after
from linewright.data.spec import Schedule, SourceSpec, SqlSource
from linewright.errors import LinewrightError, Transient
from linewright.line.check.destinations import described
from linewright.line.factory import Factory
from linewright.line.facts import PredictionsMade
from linewright.line.file.view_file import read_view
from linewright.line.instants import later
from linewright.line.record.monitoring.alerts import open_alerts
from linewright.line.record.registry import champion_digest
from linewright.line.spec import LineSpec, PredictSpec
from linewright.line.views.sources import VIEW
from linewright.store.files.names import line_path
from linewright.watch.facts import Alerted, Cleared

What = Literal["predict", "read"]
FOLDER = "scheduled"
"""Folder of the state."""
_RETRY_S, _LONGEST_S = 60, 3600
"""Seconds until what failed is tried again, the first time and at most."""
_MOST_DOUBLED = 10
_IDLE_S = 3600.0


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a line file, or that of a feature view, says is done again and again."""

    line: str
    what: What
    name: str
    """Of the predictions; or of the source, that of a feature view as ``view:NAME``."""
    when: Schedule
    to: str = ""
    """The destination of answers, without secrets."""
    idle_s: float = _IDLE_S
    """Seconds without progress after which it is ended."""


class TaskState(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands."""

    since: str
    """Since when it is looked after: UTC, RFC 3339, as all instants here."""
    began: str | None = None
    """When it was begun last that came to its end."""
    rows: int | None = None
    """Answers that were written, or rows that the source had."""
    versions: int | None = None
    """Versions of rows that were new; `None` of predictions."""
    to: str = ""
    """Destination of the answers."""
    failures: int = 0
    """How often it failed since, in a row."""
    failed: str | None = None
    """When it failed last."""
    trouble: str = ""
    """Why; it may quote values of rows."""

    @property
    def retried(self) -> str | None:
        """When it is tried again; `None` if it did not fail."""
        if self.failed is None:
            return None
        pause = min(_RETRY_S * 2 ** min(self.failures - 1, _MOST_DOUBLED), _LONGEST_S)
        return later(self.failed, f"{pause}s")


def tasks_of(factory: Factory, spec: LineSpec) -> Iterator[Task]:
    """Give what a line has done by a schedule."""
    for name, source in spec.sources.items():
        if isinstance(source, SqlSource) and source.when:
            yield Task(line=spec.line, what="read", name=name, when=source.when, idle_s=_patience_s(source))
    for view in spec.features:
        source = None
        with suppress(LinewrightError):  # who reads the view says what is wrong with its file
            source = read_view(factory.root, view).source
        if isinstance(source, SqlSource) and source.when:
            yield Task(
                line=spec.line, what="read", name=VIEW + view, when=source.when, idle_s=_patience_s(source)
            )
    for name, job in spec.predict.items():
        yield _predictions(spec, name, job)


def _predictions(spec: LineSpec, name: str, job: PredictSpec) -> Task:
    source = job.source or spec.sources.get(str(job.rows))
    to = described(job.to, spec.line)
    return Task(line=spec.line, what="predict", name=name, when=job.when, to=to, idle_s=_patience_s(source))


def _patience_s(source: SourceSpec | None) -> float:
    """Return after how many seconds without progress a read is ended: once the source itself would have said that it is slow."""
    limits = getattr(source, "limits", None)
    return _IDLE_S + float(getattr(limits, "seconds", 0.0))


def task_state_of(factory: Factory, task: Task) -> TaskState | None:
    """Return how something stands; `None` if it was never looked after."""
    try:
        return msgspec.json.decode(_path(factory, task).read_bytes(), type=TaskState)
    except (FileNotFoundError, msgspec.MsgspecError):  # of another form
        return None


def due_at(task: Task, task_state: TaskState) -> str | None:
    """Return when something is due next, or is tried again; `None` if it never is."""
    if task_state.retried is not None:
        return task_state.retried
    return due_after(task.when, task_state.began or task_state.since)


def begin_task_state(factory: Factory, task: Task) -> TaskState:
    """Return how something stands; its schedule counts from now if it was never looked after."""
    found = task_state_of(factory, task)
    if found is None:
        found = TaskState(since=factory.now())
        _keep(factory, task, found)
    return found


def record_done(
    factory: Factory, task: Task, began: str, *, rows: int, versions: int | None = None, to: str = ""
) -> None:
    """Note that something came to its end, and clear the alert that it failed."""
    since = (task_state_of(factory, task) or TaskState(since=began)).since
    _keep(factory, task, TaskState(since=since, began=began, rows=rows, versions=versions, to=to))
    alert = _alert_of(factory, task)
    if alert is not None:
        factory.metadata.record(
            Cleared(
                at=factory.now(),
                by=factory.context.actor,
                because=f"{_called(task)} came to an end again",
                line=task.line,
                alert=alert.id,
                evidence=alert.evidence,
            )
        )


def record_job(factory: Factory, done: PredictionsMade) -> None:
    """Note that predictions came to their end, see `record_done`."""
    spec = factory.line(done.line)
    task = _predictions(spec, done.job, spec.predict[done.job])
    record_done(factory, task, done.began, rows=done.rows, to=done.to)


def record_failure(factory: Factory, task: Task, error: LinewrightError) -> Alerted | None:
    """Note that something failed, and open an alert if none is; return the alert if it is new."""
    before, now = begin_task_state(factory, task), factory.now()
    _keep(factory, task, replace(before, failures=before.failures + 1, failed=now, trouble=str(error)))
    if _alert_of(factory, task) is not None:
        return None
    # What databases and contracts say quotes values, and an alert goes to many people.
    why = f": {error.what}" if isinstance(error, Transient) else ""
    package = champion_digest(factory, task.line)
    alert = Alerted(
        at=now,
        by=factory.context.actor,
        because=f"{_called(task)} failed{why}; it is tried again. See: linewright schedule {task.line}",
        line=task.line,
        id=f"{_alert_prefix(task)}{now}",
        package=package,
        monitor="schedule",
        column=None,
        value=1.0,
        bar=0.0,
        evidence=package,
        since=now,
    )
    factory.metadata.record(alert)
    return alert


def _alert_of(factory: Factory, task: Task) -> Alerted | None:
    prefix = _alert_prefix(task)
    return next((one for one in open_alerts(factory, task.line) if one.id.startswith(prefix)), None)


def _alert_prefix(task: Task) -> str:
    return f"schedule:{task.line}:{task.what}:{task.name}:"


def _called(task: Task) -> str:
    if task.what == "predict":
        return f"predictions {task.name!r}"
    if task.name.startswith(VIEW):
        return f"the read of the source of feature view {task.name.removeprefix(VIEW)!r}"
    return f"the read of source {task.name!r}"


def _keep(factory: Factory, task: Task, task_state: TaskState) -> None:
    path = _path(factory, task)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(task_state))
    draft.replace(path)


def _path(factory: Factory, task: Task) -> Path:
    return line_path(factory.state / FOLDER, task.line) / f"{task.what}.{task.name}.json"
