"""Where something is computed: what a model depends on beside its rows and its line file."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from linewright.line.facts import Environment
from linewright.store.seams import Metadata, MetadataReader

LIBRARIES = (
    "catboost",
    "duckdb",
    "lightgbm",
    "linewright",
    "numpy",
    "onnx",
    "onnxmltools",
    "onnxruntime",
    "optuna",
    "polars",
    "pyarrow",
    "scikit-learn",
    "scipy",
    "skl2onnx",
    "xgboost",
    "xgboost-cpu",
)
"""Those that a model passes through on its way from a dataset to its answers; some are extras."""
ROOMS = ("data", "features", "line", "model")
"""Rooms whose code a model passes through on that way."""
_DIGITS = 16
_SOURCES = Path(__file__).parents[1]


@cache
def environment() -> Environment:
    """Look at this process: interpreter, system, processor, libraries, our code, and what arithmetic gives here.

    Once a process; about a tenth of a second beside the training libraries, which it loads.
    """
    # Imported when first asked for: planning and looking must not wait for the training libraries.
    machine = import_module("linewright.model.numerics")
    libc = " ".join(part for part in platform.libc_ver() if part)
    return Environment(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=" ".join(part for part in (platform.system(), platform.machine(), libc) if part),
        processor=machine.processor(),
        libraries=_libraries(),
        code=_code(),
        numerics=machine.numerics(),
    )


def note(metadata: Metadata, result: str) -> None:
    """Note that a result was computed here, unless it is known where it was computed first."""
    if computed_in(metadata, result) is None:
        metadata.link({_link(result): metadata.keep(environment())})


def computed_in(metadata: MetadataReader, result: str) -> str | None:
    """Return the digest of the environment that a result was first computed in; `None` where it was not noted."""
    return metadata.settled(_link(result))


def differences(then: Environment, now: Environment) -> tuple[str, ...]:
    """Say in what two environments differ, one sentence each; nothing where they are equal.

    Examples
    --------
    >>> then = Environment(python="CPython 3.11.7", platform="Linux x86_64", libraries={"numpy": "2.0.0", "scipy": "1.14.0"})
    >>> now = Environment(python="CPython 3.11.7", platform="Linux x86_64", libraries={"numpy": "2.1.0"})
    >>> differences(then, now)
    ('numpy was 2.0.0, is 2.1.0', 'scipy was 1.14.0, is not here')
    """
    found = [
        *_changed({"python": then.python}, {"python": now.python}),
        *_changed({"the platform": then.platform}, {"the platform": now.platform}),
        *_changed({"the processor": ", ".join(then.processor)}, {"the processor": ", ".join(now.processor)}),
        *_changed(then.libraries, now.libraries),
    ]
    if code := _names_changed(then.code, now.code):
        found.append(f"our code is another: {_few(code)}")
    if sums := _names_changed(then.numerics, now.numerics):
        found.append(f"arithmetic gives other bits here: {', '.join(sums)}")
    return tuple(found)


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name} was {then.get(name) or 'not there'}, is {now.get(name) or 'not here'}"
        for name in _names_changed(then, now)
    ]


def _names_changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _link(result: str) -> str:
    return f"environment:{result}"


def _libraries() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra
            continue
    return found


def _code() -> dict[str, str]:
    return {
        str(path.relative_to(_SOURCES)): hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS]
        for room in ROOMS
        for path in sorted((_SOURCES / room).rglob("*.py"))
    }
