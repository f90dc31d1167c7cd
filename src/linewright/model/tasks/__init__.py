"""The tasks: one file each."""

from collections.abc import Mapping

from linewright.errors import SpecError
from linewright.model.tasks.binary import BINARY
from linewright.model.tasks.multiclass import MULTICLASS
from linewright.model.tasks.regression import REGRESSION
from linewright.model.tasks.rules import TaskRules

__all__ = ["TASKS", "TaskRules", "task"]

TASKS: Mapping[str, TaskRules] = {rules.name: rules for rules in (BINARY, MULTICLASS, REGRESSION)}


def task(name: str) -> TaskRules:
    """Return the rules of a task.

    Raises
    ------
    SpecError
        If there is no such task.

    Examples
    --------
    >>> task("regression").metrics
    ('rmse', 'mae', 'r2')
    """
    if name not in TASKS:
        raise SpecError("unknown task", where="train.task", found=name, allowed=", ".join(TASKS))
    return TASKS[name]
