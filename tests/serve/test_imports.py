"""A replica must start fast and small, so what it imports is a contract."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from interpreter import printed_by

from linewright.serve.listener import endpoint

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
    "starlette",
    "dbos",
    "onnx",
    "jinja2",
    "typer",
    "rich",
]


def test_an_endpoint_imports_nothing_of_the_training_side():
    """Serving needs neither the training libraries nor the metadata store, on disk or in memory."""
    code = f"import sys, linewright.serve.http.server; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    printed = printed_by(code)

    assert "[]" == printed.strip()


def test_who_follows_a_run_imports_nothing_that_computes():
    """The run's own process pays for that; paid twice it is most of what a short run costs."""
    computes = ["polars", "pyarrow", "duckdb", "onnxruntime", "scipy", "sklearn", "lightgbm", "xgboost"]
    of_a_run = (
        "linewright.capabilities.runs.operations, linewright.line.runs.execute, linewright.line.runs.attempts"
    )
    code = f"import sys, {of_a_run}; print(sorted(set({computes!r}) & set(sys.modules)))"
    printed = printed_by(code)

    assert "[]" == printed.strip()


def test_who_asks_how_lines_stand_imports_nothing_that_reads_tables(tmp_path):
    """The status of a factory is asked for often, and each such library takes as long to import as a hundred lines to look at."""
    (tmp_path / "lines").mkdir()
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines" / "a.yaml").write_text("line: a\nsources: {a: {file: a.csv}}\nlabel: {column: y}\n")
    (tmp_path / ".linewright" / "log" / "a").mkdir(parents=True)
    reads = ["polars", "pyarrow", "duckdb", "onnxruntime", "scipy", "sklearn", "lightgbm", "xgboost", "dbos"]
    code = (
        "import sys; from linewright.interfaces.cli import main\n"
        f"sys.argv = ['linewright', 'status', '--factory', {str(tmp_path)!r}]\n"
        f"try: main()\nexcept SystemExit: print(sorted(set({reads!r}) & set(sys.modules)))"
    )
    printed = printed_by(code)

    assert "[]" == printed.splitlines()[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_the_command_becomes_an_endpoint_without_what_a_command_has_loaded(tmp_path):
    """Its process keeps its number, for whoever started it; the metadata store and its libraries would stay in memory for good."""
    (tmp_path / "factory.yaml").write_text("format: 1\n")
    (tmp_path / "lines").mkdir()
    command = [sys.executable, "-m", "linewright", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 30
            while endpoint(tmp_path / ".linewright") is None:
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
            words = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
            libraries = Path(f"/proc/{process.pid}/maps").read_text()
        finally:
            process.terminate()

    assert words[1:3] == ["-m", "linewright.serve"]
    assert "onnxruntime" in libraries
    assert "sqlalchemy" not in libraries
    assert 0 == process.returncode
