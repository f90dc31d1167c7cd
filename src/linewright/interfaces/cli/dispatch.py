"""Which function writes a result for a terminal: found by its type, in a module of its capability, imported when it is first needed."""

from collections.abc import Mapping
from functools import cache, singledispatch
from importlib import import_module
from typing import Any

from linewright.operations.table import CAPABILITIES


@cache
def renderers() -> Mapping[str, str]:
    """Return the module of each kind of result → the module that writes it; a command imports what its own result needs and nothing else."""
    return {
        each.module(result): each.module(renderer)
        for each in CAPABILITIES
        for result, renderer in each.results.items()
    }


def _by_fields(result: Any) -> str:
    raise TypeError(f"no function says a {type(result).__name__}")


renderer = singledispatch(_by_fields)
"""A function for a type of results is registered by ``@renderer.register``; it says subclasses too."""


def result_text(result: Any) -> str | None:
    """Return what a person reads of a result; `None` where its fields say it themselves."""
    modules = (renderers().get(kind.__module__) for kind in type(result).__mro__)
    if module := next(filter(None, modules), None):
        import_module(module)
    found = renderer.dispatch(type(result))
    return None if found is _by_fields else found(result)
