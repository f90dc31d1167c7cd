"""Benchmarks are run by hand, so a name that they import may vanish without anybody noticing."""

import importlib.util
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("processes")

BENCHMARKS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_each_benchmark_finds_what_it_imports(path: Path, monkeypatch: pytest.MonkeyPatch):
    """The table in `benchmarks/README.md` could otherwise not be printed any more."""
    monkeypatch.syspath_prepend(path.parent)  # as for a script
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    is_a_part = "__main__" not in path.read_text()  # of other benchmarks
    assert is_a_part or callable(module.main)
