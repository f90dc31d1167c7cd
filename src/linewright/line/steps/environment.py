"""Where something is computed: what a model depends on beside its rows and its line file."""

import hashlib
import os
import platform
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import linewright
from linewright.line.facts import ArithmeticDiffers, CodeDiffers, Differs, Environment, EnvironmentDiffers
from linewright.line.steps.table import STEPS
from linewright.store.protocols import Metadata, MetadataReader

LIBRARIES = (
    "autogluon.tabular",
    "catboost",
    "duckdb",
    "flaml",
    "lightgbm",
    "linewright",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "xgboost",
    "xgboost-cpu",
)
"""Those that a model passes through on its way from a dataset to its answers; some are extras."""
ROOMS = frozenset({"data", "features", "line", "model", "plugins"})
"""Rooms whose code a model passes through on that way."""
_IMPORT = re.compile(
    r"^ *from (?P<module>linewright[\w.]*) import (?P<names>[\w, ]+|\([^)]*\))", re.MULTILINE
)
_BY_NAME = re.compile(r"[\"'](linewright(?:\.\w+)+):\w+[\"']")
_DIGITS = 16
_SOURCES = Path(linewright.__file__).parent


@cache
def environment(*, fits: bool = True) -> Environment:
    """Look at this process: interpreter, system, processor, libraries, our code, and what arithmetic gives here.

    Once a process, beside the training libraries, which it loads where it also looks what a `fit` gives.
    """
    # Imported when first asked for: planning and looking must not wait for it.
    machine = import_module("linewright.line.steps.numerics")
    libc = " ".join(part for part in platform.libc_ver() if part)
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=" ".join(part for part in (platform.system(), platform.machine(), libc) if part),
        processor=machine.processor(),
        libraries=_libraries(),
        code=_code(),
        numerics=machine.numerics(fits=fits),
    )


def note(metadata: Metadata, result: str, *, fits: bool) -> None:
    """Note that a result was computed here, with libraries that fit models or without, unless it is known where it was computed first."""
    if computed_in(metadata, result) is None:
        metadata.link({_link(result): metadata.keep(environment(fits=fits))})


def computed_in(metadata: MetadataReader, result: str) -> str | None:
    """Return the digest of the environment that a result was first computed in; `None` where it was not noted."""
    return metadata.settled(_link(result))


def differences(then: Environment, now: Environment) -> tuple[Differs, ...]:
    """Return in what two environments differ; nothing where they are equal.

    Examples
    --------
    >>> then = Environment(python="CPython 3.11.7", platform="Linux x86_64", libraries={"numpy": "2.0.0", "scipy": "1.14.0"})
    >>> now = Environment(python="CPython 3.11.7", platform="Linux x86_64", libraries={"numpy": "2.1.0"})
    >>> [(one.name, one.was, one.now) for one in differences(then, now)]
    [('numpy', '2.0.0', '2.1.0'), ('scipy', '1.14.0', None)]
    """
    found: list[Differs] = [
        *_changed({"python": then.python}, {"python": now.python}),
        *_changed({"platform": then.platform}, {"platform": now.platform}),
        *_changed({"processor": ", ".join(then.processor)}, {"processor": ", ".join(now.processor)}),
        *_changed(then.libraries, now.libraries),
    ]
    if code := _names_changed(then.code, now.code):
        found.append(CodeDiffers(files=tuple(code)))
    if sums := _names_changed(then.numerics, now.numerics):
        found.append(ArithmeticDiffers(of=tuple(sums)))
    return tuple(found)


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[EnvironmentDiffers]:
    return [
        EnvironmentDiffers(name=name, was=then.get(name) or None, now=now.get(name) or None)
        for name in _names_changed(then, now)
    ]


def _names_changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _link(result: str) -> str:
    return f"environment:{result}"


@cache
def _libraries() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra
            continue
    return found


@cache
def _code() -> dict[str, str]:
    """Digest the files that the steps import, directly or not: another file cannot change what they compute."""
    found: dict[str, str] = {}
    files = _modules()
    waiting = [step.carried_out_by.partition(":")[0] for step in STEPS]
    while waiting:
        path = files.pop(waiting.pop(), None)
        if path is None:
            continue
        text = (_SOURCES / path).read_bytes()
        waiting += _imported(text.decode())
        if path.partition(os.sep)[0] in ROOMS:
            found[path] = hashlib.sha256(text).hexdigest()[:_DIGITS]
    return dict(sorted(found.items()))


def _imported(text: str) -> Iterator[str]:
    """Give the modules of ours that a file imports, or loads by a name that it writes as ``"module:object"``."""
    for match in _IMPORT.finditer(text):
        module, names = match["module"], match["names"] or ""
        yield module
        yield from (f"{module}.{name}" for name in re.findall(r"\w+", names))
    yield from _BY_NAME.findall(text)


def _modules() -> dict[str, str]:
    """Return the file of each module of ours, from our folder: most of the thousands of names that are looked for are no modules."""
    found: dict[str, str] = {}
    for folder, _, files in os.walk(_SOURCES):
        for file in files:
            if file.endswith(".py"):
                path = f"{folder}{os.sep}{file}"[len(str(_SOURCES)) + 1 :]
                module = f"linewright.{path.removesuffix('.py').replace(os.sep, '.')}"
                found[module.removesuffix(".__init__")] = path
    return found
