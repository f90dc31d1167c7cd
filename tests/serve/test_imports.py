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
