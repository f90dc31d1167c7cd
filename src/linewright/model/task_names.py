"""The tasks, by name: those of the table, and those that installed packages bring."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from linewright.errors import SpecError

TASKS: Mapping[str, str] = {
    "binary": "linewright.model.tasks.binary:BINARY",
    "multiclass": "linewright.model.tasks.multiclass:MULTICLASS",
    "regression": "linewright.model.tasks.regression:REGRESSION",
    "survival": "linewright.model.tasks.survival:SURVIVAL",
    "rul": "linewright.model.tasks.survival:RUL",
    "recommend": "linewright.model.tasks.recommend:RECOMMEND",
    "forecast": "linewright.model.tasks.forecast:FORECAST",
    "anomaly": "linewright.model.tasks.anomaly:ANOMALY",
}
"""``module:NAME`` of the rules of each task that is built in."""
PLUGINS = "linewright.tasks"
"""Group of entry points, each ``NAME = module:NAME`` of a `model.tasks.TaskRules`."""


@cache
def others() -> Mapping[str, str]:
    """Return the tasks of installed packages, each with ``module:NAME`` of its rules, in the order of their names."""
    from importlib.metadata import entry_points  # noqa: PLC0415 -- no endpoint pays for it whose task is built in

    found = {entry.name: entry.value for entry in entry_points(group=PLUGINS)}
    return {name: found[name] for name in sorted(found) if name not in TASKS}


def task_names() -> tuple[str, ...]:
    """Return the names of all tasks, the built-in ones first."""
    return (*TASKS, *others())


def is_task(name: str) -> bool:
    """Return whether there is such a task; packages are looked at only where it is not built in."""
    return name in TASKS or name in others()


def load(place: str) -> Any:
    """Return what ``module:NAME`` names.

    Examples
    --------
    >>> load("linewright.model.tasks.binary:BINARY").name
    'binary'
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        raise SpecError(
            f"the package with this task cannot be loaded: {error}", where="train.task", found=place
        ) from error
