"""The count of rebuilds that gave the same bytes is what people will quote, so it counts what it says."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "rebuild.py"


@pytest.fixture
def rebuild(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(PATH.parent)  # as for a script
    spec = importlib.util.spec_from_file_location("benchmark_of_rebuilds", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module


def test_only_the_same_bytes_are_counted(rebuild):
    whole = rebuild.Table("a", rows=1200, run_s=3, train_s=1.25, killed_s=0.62, levels=["R0", "R0", "R0"])
    other = rebuild.Table("b", levels=["R0", "R1"], trouble=["R1 with 2: numpy was 2.0.0, is 2.1.0"])

    assert ["a", "1,200", "3", "1.2", "0.6", "R0", "R0", "R0", "0"] == whole.cells()
    assert ["R0", "R1", "-"] == other.cells()[5:8]
    assert [
        "4 of 5 rebuilds of 2 tables are R0; 1 training killed in the middle",
        "b: R1 with 2: numpy was 2.0.0, is 2.1.0",
    ] == list(rebuild.summary([whole, other]))


def test_a_line_file_gets_the_budget_whether_it_names_one_or_not(rebuild):
    """Else the benchmark would train for as long as `new` thinks right."""
    assert "train: {budget: quick, task: binary}" == rebuild.with_budget("train: {task: binary}", "quick")
    assert "  budget: quick  # why" == rebuild.with_budget("  budget: normal  # why", "quick")
