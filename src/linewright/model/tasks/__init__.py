"""The tasks: one file each."""

from functools import cache

from linewright.errors import SpecError
from linewright.model.task_names import TASKS, load, others, task_names
from linewright.model.tasks.links import Link
from linewright.model.tasks.rules import TaskRules

__all__ = ["TASKS", "TaskRules", "link_of", "task"]


@cache
def task(name: str) -> TaskRules:
    """Return the rules of a task.

    Examples
    --------
    >>> task("regression").metrics
    ('rmse', 'mae', 'r2')
    """
    place = TASKS.get(name) or others().get(name)
    if place is None:
        raise SpecError(
            "unknown task",
            where="train.task",
            found=name,
            allowed=", ".join(task_names()),
            hint="correct it, or install the package that brings it",
        )
    rules = load(place)
    if not isinstance(rules, TaskRules):
        raise SpecError("this does not define a task", where="train.task", found=place, allowed="a TaskRules")
    return rules


def link_of(name: str) -> Link:
    """Return how a model of a task becomes scores; see `task`."""
    return task(name).link
