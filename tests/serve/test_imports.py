"""A replica must start fast and small, so what it imports is a contract."""

import subprocess
import sys

HEAVY = [
    "pandas",
    "polars",
    "pyarrow",
    "duckdb",
    "sklearn",
    "lightgbm",
    "xgboost",
    "scipy",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "fastapi",
    "dbos",
    "onnx",
    "jinja2",
    "typer",
    "rich",
]


def test_an_endpoint_imports_nothing_of_the_training_side():
    """Serving needs neither the training libraries nor the metadata store, on disk or in memory."""
    code = f"import sys, linewright.serve.server; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_who_follows_a_run_imports_nothing_that_computes():
    """The run's own process pays for that; paid twice it is most of what a short run costs."""
    computes = ["polars", "pyarrow", "duckdb", "onnxruntime", "scipy", "sklearn", "lightgbm", "xgboost"]
    of_a_run = "linewright.operations.run, linewright.line.execute, linewright.line.attempts"
    code = f"import sys, {of_a_run}; print(sorted(set({computes!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
