"""The benchmark of feature views, on little data."""

import importlib.util
from pathlib import Path


def test_the_exact_join_is_right_and_plain_joins_are_not(tmp_path):
    """The columns are those found event by event; a join that knows one time alone takes rows that were not known, or older ones."""
    path = Path(__file__).parents[2] / "benchmarks" / "features.py"
    spec = importlib.util.spec_from_file_location("benchmark_of_features", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_data(tmp_path, events=4_000, requests=400, entities=90)
    exact = module.by_view(tmp_path, module.LAST)

    assert 0 == module.differing(exact, module.by_definition(tmp_path, list(range(400))))
    for on in ("at", "known"):
        wrong = module.differing(module.by_polars(tmp_path, on), exact)
        assert 0 < wrong == module.differing(module.by_duckdb(tmp_path, on), exact)
    windows = module.by_view(tmp_path, module.WINDOWS)
    assert list(module.WINDOWS) == windows.columns
    assert windows["count_7d"].drop_nulls().max() > 0
