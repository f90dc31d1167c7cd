"""The factory as people hold it in a notebook: the operations as its methods, derived from the same table."""

import functools
import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from linewright.engine.context import Progress
from linewright.interfaces.python.notebook import NotebookProgress, display_of, is_frame, show_results
from linewright.line import factory
from linewright.line.factory import quiet
from linewright.operations.declare import Operation, load
from linewright.operations.table import OPERATIONS
from linewright.store.clock import now_utc


class Factory(factory.Factory):
    """A factory folder with the operations as methods.

    Each command is a method of the same name. Its arguments and options are the parameters, and it returns as a value
    what the command prints with ``--json``. Where a command takes a file of rows, a method takes a DataFrame of polars or pandas too, see
    `interfaces.python.frames`. In a notebook a result shows itself as HTML, and long calls show how far they are.

    Examples
    --------
    >>> import tempfile
    >>> with Factory.create(tempfile.mkdtemp()) as empty:
    ...     empty.status().lines
    ()
    >>> "promote" in dir(empty)
    True
    """

    def __init__(
        self,
        root: Path,
        *,
        report: Callable[[Progress], None] = quiet,
        actor: str = "",
        now: Callable[[], str] = now_utc,
    ) -> None:
        display = display_of() if report is quiet else None
        said = f"{actor} (unverified)" if actor else ""  # a program may say any name
        super().__init__(root, report=NotebookProgress(display) if display else report, actor=said, now=now)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        command = name.replace("_", "-")
        if command not in OPERATIONS:
            raise AttributeError(f"a factory has no {name!r}", name=name, obj=self)
        return _method(self, load(command, OPERATIONS))

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name.replace("-", "_") for name in OPERATIONS)})


def _method(opened: Factory, operation: Operation) -> Callable[..., Any]:
    signature = inspect.signature(operation.function)
    show_results(operation.result)

    def call(given: Mapping[str, Any]) -> Any:
        return operation.call(opened, given)

    @functools.wraps(operation.function)
    def method(*arguments: Any, **named: Any) -> Any:
        bound = signature.bind(opened, *arguments, **named).arguments
        given = {name.removesuffix("_"): value for name, value in list(bound.items())[1:]}
        try:
            if any(map(is_frame, given.values())):
                # Only whoever has a frame has loaded what it takes.
                frames = import_module("linewright.capabilities.predictions.frames")
                return frames.call_with_frame(operation.name, call, given, root=opened.root)
            if operation.name == "card" and not given.get("html"):
                evidence = import_module("linewright.capabilities.evidence.operations")
                return evidence.in_notebook(call({**given, "html": True}))
            return call(given)
        finally:
            if isinstance(opened.report, NotebookProgress):
                opened.report.clear()

    return method
