"""Which tests are of the unit tier.

Those that can reach nothing that starts a process, listens, looks through a whole table for a new line, carries out a line, fits a
model or lives in a world. It is read from what a test, its fixtures and the helpers of both name, so nobody marks it by hand; and what
it overlooks is refused when the test runs.
"""

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

_TESTS = str(Path(__file__).parents[1])
_MODULES = frozenset({
    "commands", "control", "httpx", "lightgbm", "multiprocessing", "planes", "ports", "subprocess", "uvicorn", "xgboost",
})  # fmt: skip
"""What nobody of the unit tier names."""
_OBJECTS = frozenset({
    "linewright.data.checks.look.look",
    "linewright.engine.child.Child",
    "linewright.interfaces.cli.main",
    "linewright.line.rebuild.worker.rebuild_apart",
    "linewright.line.runs.attempts.Attempts",
    "linewright.line.runs.attempts.Children",
    "linewright.line.new.imported_model.bring",
    "linewright.line.runs.execute.execute",
    "linewright.line.runs.execute.execute_inline",
    "linewright.line.runs.execute.open_executor",
    "linewright.line.new.write.new_line",
    "linewright.model.train.fit.train",
    "linewright.model.imported.onnx_file.look_at",
    "linewright.model.imported.sandbox.tried",
    "linewright.serve.models.shadow.Mirrors",
    "linewright.serve.models.probe.Probe",
    "linewright.model.families.trainer.TRAINERS",
    "linewright.operations.demo.add_lines",
    "linewright.operations.demo.demo",
    "linewright.interfaces.python.factory.Factory",
    "linewright.operations.lines.run.retrain",
    "linewright.operations.lines.run.run",
    "linewright.testing.trainers.TrainerContract",
    "linewright.worlds.fraud.world.FraudWorld",
})  # fmt: skip
_METHODS = frozenset({"bind", "create_server", "fork"})
_FIXTURES = frozenset({"mariadb", "postgres", "postgres_database", "postgres_url", "processes"})
"""Fixtures that nobody of the unit tier asks for, nor names; `processes` is for a test that shows by no name what it starts."""
_EVENTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "socket.bind", "subprocess.Popen"})


class Guard:
    """Refuses, while it is on, what the unit tier may not do."""

    is_on = False

    def __init__(self) -> None:
        sys.addaudithook(self._look)

    def _look(self, event: str, _: tuple[Any, ...]) -> None:
        if self.is_on and event in _EVENTS:
            raise AssertionError(
                f"{event}: a test of the unit tier starts no process and listens on no socket; "
                "name what does in tests/support/tiers.py, or have the test use the fixture `processes`"
            )


def is_unit(item: pytest.Item) -> bool:
    """Return whether a test can reach nothing that takes long."""
    if not isinstance(item, pytest.Function):
        return True  # a doctest
    if item.get_closest_marker("slow") is not None or not _FIXTURES.isdisjoint(item.fixturenames):
        return False
    found = item._fixtureinfo.name2fixturedefs.values()
    reached = [item.function, *(one.func for each in found for one in each)]
    if item.cls is not None:
        reached += [item.cls, *item.cls.__mro__]
    return not any(map(_is_costly, reached))


@cache
def _is_costly(thing: Any) -> bool:
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if _is_named(one) or not (_MODULES | _METHODS | _FIXTURES).isdisjoint(_words(one)):
            return True
        waiting += _reached(one)
    return False


def _is_named(thing: Any) -> bool:
    if isinstance(thing, ModuleType):
        return thing.__name__.partition(".")[0] in _MODULES
    return id(thing) in _known()


@cache
def _known() -> frozenset[int]:
    """Return the ids of the objects that are loaded; a test that names one has loaded it."""
    found = []
    for name in _OBJECTS:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            found.append(id(getattr(sys.modules[module], attribute)))
    return frozenset(found)


def _reached(thing: Any) -> Iterator[Any]:
    """Give what something of the tests names: functions and classes of the tests are looked into, all else is not."""
    thing = getattr(getattr(thing, "hypothesis", None), "inner_test", thing)
    while hasattr(thing, "__wrapped__"):
        thing = thing.__wrapped__
    thing = getattr(thing, "__func__", thing)
    if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(_TESTS):
        names = frozenset(_names(thing.__code__))
        for name in names & thing.__globals__.keys():
            named = thing.__globals__[name]
            yield named
            if isinstance(named, ModuleType) and str(getattr(named, "__file__", "")).startswith(_TESTS):
                yield from (vars(named)[each] for each in names & vars(named).keys())
        yield from (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values())
        yield from (cell.cell_contents for cell in thing.__closure__ or () if _is_full(cell))
    elif isinstance(thing, type) and _is_of_tests(thing):
        yield from vars(thing).values()
    elif isinstance(thing, property):
        yield thing.fget


def _words(thing: Any) -> Iterator[str]:
    """Give the names and the texts in the code of a function of the tests; what it imports by itself is among them."""
    if isinstance(thing, FunctionType) and thing.__code__.co_filename.startswith(_TESTS):
        yield from _names(thing.__code__)


def _is_of_tests(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return bool(file) and str(file).startswith(_TESTS)


def _is_full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # nothing was put into it yet
        return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
        elif isinstance(constant, str):
            yield constant
