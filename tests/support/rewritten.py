"""Makes of test files what pytest makes of them, before it starts workers: else each of them does, at once, which takes one seven seconds.

Nothing public does; `constraints.txt` pins pytest, and a test sees that it takes what is written here. A file that is ready stays as it is.
"""

import sys
from multiprocessing import Pool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from _pytest.assertion import rewrite

_STATE: Any = SimpleNamespace(trace=print)


def make_ready(file: Path) -> None:
    """Write what pytest makes of a file to where it looks for it."""
    ready = rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(file, ready) is None and rewrite.try_makedirs(ready.parent):
        digest, code = rewrite._rewrite_test(file, None)  # what is asked of it is off where it is `None`
        rewrite._write_pyc(_STATE, code, digest, ready)


if __name__ == "__main__":
    tests = Path(sys.argv[1])
    with Pool() as processes:
        processes.map(make_ready, [*tests.rglob("test_*.py"), *tests.rglob("conftest.py")], chunksize=8)
