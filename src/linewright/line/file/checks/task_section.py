"""What the checks of tasks that have a section share, such as `recommend` and `forecast`."""

from collections.abc import Iterable, Iterator

from linewright.line.file.checks.problem import Problem
from linewright.line.file.mistakes import Path
from linewright.line.spec import LineSpec
from linewright.spec import Spec

Refused = tuple[Path, object, str]
"""A place of the line file, what it says (`None` if nothing), and why that has no meaning for the task."""


def section_and_task(
    spec: LineSpec, task: str, section: Spec | None, *, says: str, example: str
) -> Iterator[Problem]:
    """Give the contradiction that a line has the section without the task, or the task without the section."""
    if spec.train.task != task and section is not None:
        yield Problem(
            path=(task,),
            what=f"the section is for lines with task: {task}",
            found=spec.train.task,
            hint=f"write train: {{task: {task}}}, or remove the section",
        )
    if spec.train.task == task and section is None:
        yield Problem(path=("train", "task"), what=says, found=task, hint=f"add the section {example}")


def refused(task: str, said: Iterable[Refused]) -> Iterator[Problem]:
    """Give a contradiction for each place that says something which has no meaning for the task."""
    for path, value, why in said:
        if value is not None:
            yield Problem(path=path, what=f"this is not for lines with task: {task}, {why}", hint="remove it")


def split_by_time(spec: LineSpec, *, shows: str) -> Iterator[Problem]:
    """Give the contradiction that the rows are split otherwise than by time, which `shows` something to the model."""
    if spec.train.split.by not in {"auto", "time"}:
        yield Problem(
            path=("train", "split", "by"),
            what=f"a split that is not by time would show {shows} to the model",
            found=spec.train.split.by,
            allowed="time",
            hint="remove it",
        )


def unit_of_group(spec: LineSpec, *, what: str) -> Iterator[Problem]:
    """Give the contradiction that a canary is dealt by another column than the group, the only one that a request has."""
    unit, group = spec.release.unit, spec.table.group
    if unit is not None and unit != group:
        yield Problem(path=("release", "unit"), what=what, found=unit, allowed=str(group))
