"""The operation about what is done by a schedule: predictions, and reads of sources."""

import msgspec

from linewright.capabilities.schedules.task_state import Task, TaskState, due_at, task_state_of, tasks_of
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns
from linewright.operations.declare import operation


class ScheduledTask(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is done again and again, and how it went."""

    line: str
    what: str
    """``predict`` or ``read``."""
    name: str
    """Of the predictions in the line file; or of the source, that of a feature view as ``view:NAME``."""
    when: tuple[str, ...]
    """Its schedule, as the file has it."""
    last: str | None = None
    """When it was begun last that came to its end, UTC; `None`, as the next two, if it never did."""
    rows: int | None = None
    """Answers that were written, or rows that the source had."""
    versions: int | None = None
    """Of a read: versions of rows that were new."""
    to: str = ""
    """Of predictions: their destination, without secrets."""
    next: str | None = None
    """When `up` does it next, UTC; `None` if it never does, or has not looked after it yet."""
    failures: int = 0
    """How often it failed since, in a row."""
    trouble: str = ""
    """Why it failed; empty if it did not."""


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """What is done by a schedule."""

    tasks: tuple[ScheduledTask, ...]
    troubles: tuple[str, ...] = ()
    """What is wrong with files of lines: their schedules are not known."""


@operation(permission="view", effect="read", checks_lines=True)
def schedule(factory: Factory, line: str | None = None, /) -> Schedules:
    """List what `up` does by a schedule: predictions and reads of sources, when they were done last and are due next.

    Parameters
    ----------
    line
        Name of one line (default: all that you may see).
    """
    if line is not None:
        factory.identity.require("view", (line,))
        factory.require(line)
    names = [line] if line is not None else [one for one in factory.names() if factory.may("view", one)]
    tasks, troubles = list[ScheduledTask](), list[str]()
    for name in names:
        try:
            tasks += [_task(factory, one) for one in tasks_of(factory, factory.line(name))]
        except LinewrightError as error:
            troubles.append(str(error))
    return Schedules(tasks=tuple(tasks), troubles=tuple(troubles))


def _task(factory: Factory, task: Task) -> ScheduledTask:
    task_state = task_state_of(factory, task)
    found = task_state or TaskState(since="")
    return ScheduledTask(
        line=task.line,
        what=task.what,
        name=task.name,
        when=tuple(text for one in task.when for text in one.model_dump().values()),
        last=found.began,
        rows=found.rows,
        versions=found.versions,
        to=found.to or task.to,
        next=due_at(task, task_state) if task_state and task.when else None,
        failures=found.failures,
        trouble=_trouble(factory, task, found),
    )


def _trouble(factory: Factory, task: Task, found: TaskState) -> str:
    """Return why it failed; databases and contracts quote values."""
    if not found.trouble:
        return ""
    if not factory.may("view-rows", task.line):
        return "who may see rows sees why"
    if not factory.may("view-personal", None) and hidden_columns(factory, task.line):
        return "who may see personal values sees why"
    return found.trouble
