"""Makes, before pytest starts workers, what else each of them makes at its start: it takes one of them ten seconds.

That is what pytest makes of test files, and what hypothesis finds in the modules that they test. Nothing public makes them before;
`constraints.txt` pins both, and tests see that they take what is written here. What is there already stays.
"""

from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from _pytest.assertion import rewrite
from hypothesis.internal.constants_ast import constants_from_module

_STATE: Any = SimpleNamespace(trace=print)


def rewritten(file: Path) -> None:
    """Write what pytest makes of a test file to where it looks for it."""
    ready = rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(file, ready) is None and rewrite.try_makedirs(ready.parent):
        digest, code = rewrite._rewrite_test(file, None)  # what is asked of it is off where it is `None`
        rewrite._write_pyc(_STATE, code, digest, ready)


def searched(file: Path) -> None:
    """Have hypothesis find the numbers and texts in a module, which it keeps in `.hypothesis` of this folder."""
    module = ModuleType(file.stem)
    module.__file__ = str(file)
    constants_from_module(module)


def _done(task: tuple[Callable[[Path], None], Path]) -> None:
    do, file = task
    do(file)


if __name__ == "__main__":
    root = Path(__file__).parents[2]
    tests = [*root.glob("tests/**/test_*.py"), *root.glob("tests/**/conftest.py")]
    with Pool() as processes:
        processes.map(
            _done,
            [*((rewritten, one) for one in tests), *((searched, one) for one in root.glob("src/**/*.py"))],
            chunksize=16,
        )
