"""The factory as people hold it in a notebook: the operations as its methods, derived from the same table."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from linewright.line import factory
from linewright.operations import OPERATIONS
from linewright.operations.declare import Operation, load


class Factory(factory.Factory):
    """A factory folder with the operations as methods.

    Each command is a method of the same name. Its arguments and options are the parameters, and it returns as a value
    what the command prints with ``--json``.

    Examples
    --------
    >>> import tempfile
    >>> with Factory.create(tempfile.mkdtemp()) as empty:
    ...     empty.status().lines
    ()
    >>> "promote" in dir(empty)
    True
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        command = name.replace("_", "-")
        if command not in OPERATIONS:
            raise AttributeError(f"a factory has no {name!r}", name=name, obj=self)
        return _method(self, load(command, OPERATIONS))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name.replace("-", "_") for name in OPERATIONS)})


def _method(opened: Factory, operation: Operation) -> Callable[..., Any]:
    signature = inspect.signature(operation.function)

    @functools.wraps(operation.function)
    def method(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(opened, *arguments, **named).arguments
        given = {name.removesuffix("_"): value for name, value in list(bound.items())[1:]}
        return operation.call(opened, given)

    return method
