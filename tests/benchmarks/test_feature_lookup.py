"""The benchmark of feature views online, on little data."""

import importlib.util
from pathlib import Path

import pytest
from databases import at_postgres


@pytest.mark.usefixtures("processes")
def test_logged_rows_are_what_the_source_says_and_lookups_are_counted(tmp_path, postgres, monkeypatch):
    """Its figures are of the endpoint that people run."""
    path = Path(__file__).parents[2] / "benchmarks" / "feature_lookup.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_lookups", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write(tmp_path, 500, 4)
    took = module.lookups(tmp_path, 20, 10, 500)
    with at_postgres(postgres, monkeypatch):
        there = module.shared(tmp_path, 500, 4)
        waited = module.until_known(tmp_path / "a" / ".linewright", there, 2)
    audited = module.logged_again(300)

    assert 10 == len(took)
    assert 2 == len(waited)
    assert 300 == audited.rows
    assert 0 == audited.differ
