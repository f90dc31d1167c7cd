"""Which tests are of the unit tier, and which of the nightly one.

Unit tests can reach nothing that starts a process, listens, waits, looks through a whole table for a new line, opens an engine, carries
out a line, fits a model or lives in a world. Nightly tests can reach a command or a program that they start, a browser, SIGKILL or the
life of a world; a run, a served endpoint, a database and a bucket are not among these. Both are read from what a test, its fixtures
and the helpers of both name, so nobody marks them by hand. A process or a listening socket that this overlooks is refused when the
unit test runs.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

_TESTS = str(Path(__file__).parents[1])
_EVENTS = frozenset({"os.fork", "os.forkpty", "os.posix_spawn", "socket.bind", "subprocess.Popen"})
_LIVES = frozenset({
    "linewright.worlds.demo.operations.add_lines",
    "linewright.worlds.demo.operations.demo",
    "linewright.worlds.living.live",
    "linewright.worlds.machines.living.live",
    "linewright.worlds.shipped.live",
    "linewright.worlds.shop.living.live",
})  # fmt: skip

COLLECTED = pytest.StashKey[tuple[pytest.Item, ...]]()
"""Of the configuration: the tests that were found, before some were chosen."""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What makes a test costly."""

    modules: frozenset[str] = frozenset()
    """Modules that it names."""
    objects: frozenset[str] = frozenset()
    """Functions and classes of the product that it names."""
    words: frozenset[str] = frozenset()
    """Names of methods, constants and fixtures."""
    cheap: frozenset[str] = frozenset()
    """Helpers that it may name whatever these do: files of the tests, or functions and classes in them."""


COSTLY = Reach(
    modules=frozenset({
        "commands", "control", "httpx", "lightgbm", "multiprocessing", "planes", "ports", "subprocess", "uvicorn", "xgboost",
    }),
    objects=_LIVES | {
        "linewright.data.checks.look.look",
        "linewright.engine.child.Child",
        "linewright.engine.durable.DurableEngine",
        "linewright.interfaces.cli.main",
        "linewright.capabilities.evidence.rebuild.worker.rebuild_apart",
        "linewright.line.runs.attempts.Attempts",
        "linewright.line.runs.attempts.Children",
        "linewright.capabilities.drafts.imported_model.bring",
        "linewright.line.runs.execute.execute",
        "linewright.line.runs.execute.execute_inline",
        "linewright.line.runs.execute.open_executor",
        "linewright.capabilities.drafts.write.new_line",
        "linewright.model.forecast.learn.learn_forecast",
        "linewright.model.train.fit.train",
        "linewright.model.imported.onnx_file.look_at",
        "linewright.model.imported.sandbox.tried",
        "linewright.serve.models.shadow.Mirrors",
        "linewright.serve.models.probe.Probe",
        "linewright.model.families.trainer.TRAINERS",
        "linewright.interfaces.python.factory.Factory",
        "linewright.capabilities.runs.operations.retrain",
        "linewright.capabilities.runs.operations.run",
        "linewright.testing.trainers.TrainerContract",
        "linewright.worlds.fraud.world.FraudWorld",
    },
    words=frozenset({
        "bind", "create_server", "fit", "fork",
        "mariadb", "postgres", "postgres_database", "postgres_url", "processes", "sleep", "sqlserver",
    }),
)  # fmt: skip
"""Nothing of the unit tier reaches this. The fixture `processes` is for a test that shows by no name what it starts."""

NIGHTLY = Reach(
    modules=frozenset({"playwright", "subprocess"}),
    objects=_LIVES,
    words=frozenset({"SIGKILL", "chromium"}),
    cheap=frozenset({
        "serve/conftest.py:Endpoint",
        "support/commands.py:fork_children",
        "support/commands.py:forking",
        "support/databases.py",
        "support/web_server.py:bucket_server",
        "support/web_server.py:moto_server",
    }),
)  # fmt: skip
"""What reaches this is of the nightly tier."""


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
    return item.get_closest_marker("slow") is None and not can_reach(item, COSTLY)


def is_nightly(item: pytest.Item) -> bool:
    """Return whether a test can reach what starts programs, kills or lives in worlds; where it is slow too, only `make test-all` runs it."""
    return can_reach(item, NIGHTLY)


def can_reach(item: pytest.Item, reach: Reach) -> bool:
    """Return whether a test, its fixtures or the helpers of both name something of these."""
    if not isinstance(item, pytest.Function):
        return False  # a doctest
    if not reach.words.isdisjoint(item.fixturenames):
        return True
    found = item._fixtureinfo.name2fixturedefs.values()
    begun = [item.function, *(one.func for each in found for one in each)]
    if item.cls is not None:
        begun += [item.cls, *item.cls.__mro__]
    return any(leads_to(one, reach) for one in begun)


@cache
def leads_to(thing: Any, reach: Reach) -> bool:
    """Return whether a function or class of the tests, or what it names, names something of these."""
    names, objects = reach.modules | reach.words, _known(reach)
    seen: set[int] = set()
    waiting = [thing]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, ModuleType):
            if one.__name__.partition(".")[0] in reach.modules:
                return True
            continue
        bare = _bare(one)
        if isinstance(bare, FunctionType | type | property) and not reach.cheap.isdisjoint(_places(bare)):
            continue
        if id(one) in objects:
            return True
        if isinstance(bare, FunctionType | type | property):
            words, reached = _content(bare)
            if not names.isdisjoint(words):
                return True
            waiting += reached
    return False


@cache
def _known(reach: Reach) -> frozenset[int]:
    """Return the ids of the objects that are loaded; a test that names one has loaded it."""
    found = []
    for name in reach.objects:
        module, _, attribute = name.rpartition(".")
        if module in sys.modules:
            found.append(id(getattr(sys.modules[module], attribute)))
    return frozenset(found)


def _bare(thing: Any) -> Any:
    """Return the function of the tests that a law, a fixture or a method stands for."""
    thing = getattr(getattr(thing, "hypothesis", None), "inner_test", thing)
    while hasattr(thing, "__wrapped__"):
        thing = thing.__wrapped__
    return getattr(thing, "__func__", thing)


@cache
def _places(thing: FunctionType | type | property) -> frozenset[str]:
    """Return its file, and its file and name, where it is of the tests."""
    file = _file_of(thing)
    if not file.startswith(_TESTS):
        return frozenset()
    within = file.removeprefix(_TESTS).lstrip("/")
    return frozenset({within, f"{within}:{getattr(thing, '__qualname__', '')}"})


@cache
def _content(thing: FunctionType | type | property) -> tuple[frozenset[str], tuple[Any, ...]]:
    """Return names and texts in the code of a function of the tests, and what it names; both are empty of what is not of the tests.

    What a function imports by itself is among the names.
    """
    if isinstance(thing, property):
        return frozenset(), (thing.fget,)
    if not _places(thing):
        return frozenset(), ()
    if isinstance(thing, type):
        return frozenset(), tuple(vars(thing).values())
    return frozenset(_names(thing.__code__)), tuple(_named_by(thing))


def _named_by(function: FunctionType) -> Iterator[Any]:
    names = frozenset(_names(function.__code__))
    for name in names & function.__globals__.keys():
        named = function.__globals__[name]
        yield named
        if isinstance(named, ModuleType) and str(getattr(named, "__file__", "")).startswith(_TESTS):
            yield from (vars(named)[each] for each in names & vars(named).keys())
    yield from (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    yield from (cell.cell_contents for cell in function.__closure__ or () if _is_full(cell))


def _file_of(thing: FunctionType | type | property) -> str:
    if isinstance(thing, FunctionType):
        return thing.__code__.co_filename
    return str(getattr(sys.modules.get(getattr(thing, "__module__", "")), "__file__", ""))


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
