"""What `import linewright` gives."""

import types

import pytest
from interpreter import printed_by
from small import LINE, make_factory

import linewright
from linewright.operations.table import OPERATIONS

COMPUTES = ["scipy", "sklearn", "lightgbm", "xgboost", "onnx", "skl2onnx", "dbos", "pandas", "starlette"]
"""Packages that only a training, a monitor or a server needs."""


def test_the_public_face_is_exactly_what_is_listed():
    """Nothing becomes public by accident, and the list stays sorted."""
    seen = {
        name
        for name, value in vars(linewright).items()
        if not name.startswith("_")
        and not isinstance(value, types.ModuleType)
        and value.__class__ is not type
    }

    assert sorted(linewright.__all__) == linewright.__all__
    assert seen <= {"Factory", "Any", "TYPE_CHECKING", "import_module"}
    assert all(hasattr(linewright, name) for name in linewright.__all__)


def test_every_operation_is_a_method_of_the_factory(tmp_path):
    """A notebook must be able to do what the command line can."""
    with linewright.Factory.create(tmp_path) as factory:
        methods = {name: getattr(factory, name.replace("-", "_")) for name in OPERATIONS}

        assert all(callable(method) for method in methods.values())
        assert [] == list(factory.status().lines)


def test_importing_linewright_imports_nothing_heavy():
    """A notebook's first cell should not take seconds."""
    heavy = {
        "polars",
        "pyarrow",
        "pydantic",
        "sqlalchemy",
        "lightgbm",
        "sklearn",
        "xgboost",
        "typer",
        "starlette",
        "numpy",
    }
    code = f"import sys, linewright; print(sorted({heavy!r} & set(sys.modules)))"
    printed = printed_by(code)

    assert "[]" == printed.strip()


def test_no_operation_is_hidden_by_an_attribute_of_the_factory():
    """`Factory.feedback` must be the operation, not an inner part of the same name."""
    from linewright.line.factory import Factory

    assert [] == [name for name in OPERATIONS if hasattr(Factory, name.replace("-", "_"))]


def test_status_imports_neither_numpy_nor_what_parses_line_files(tmp_path):
    """Half of what `status` of a thousand lines takes was imports: of numpy, of what trains and of what sends."""
    with linewright.Factory.create(tmp_path) as factory:
        factory.status()
    heavy = ["numpy", "smtplib", "sqlalchemy.dialects.postgresql"]
    heavy += [f"linewright.{name}" for name in ("line.file.read", "model.tasks", "people.send", "serve.http")]

    assert (0, set()) == imported(tmp_path, ["status"], heavy)


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_says_that_nothing_changed_imports_nothing_that_computes(command, tmp_path, tmp_path_factory):
    """Who plans, or runs a line that has run, waits for its imports and little else: half of them read rows or carry out runs."""
    factory = make_factory(tmp_path_factory, tmp_path / "factory")
    heavy = [*COMPUTES, "numpy", "polars", "pyarrow", "duckdb", "onnxruntime", "psycopg", "smtplib"]
    heavy += [f"linewright.{name}" for name in ("data.checks", "line.new", "model.tasks", "model.metrics")]
    heavy += [f"linewright.line.{name}" for name in ("steps.ingest", "steps.train", "runs.workflow")]

    assert (0, set()) == imported(factory, [command, LINE], heavy)


def imported(factory, command, heavy):
    """Return the exit code of a command, and which of some modules it imported."""
    code = (
        "import sys\nfrom linewright.interfaces.cli import main\n"
        f"sys.argv = ['linewright', *{command}, '--factory', {str(factory)!r}]\n"
        f"try: main()\nexcept SystemExit as end: print(end.code, *set({heavy}) & set(sys.modules))"
    )
    printed = printed_by(code)
    code, *found = printed.splitlines()[-1].split()
    return int(code), set(found)


def test_commands_that_look_import_nothing_that_computes():
    """`status` and its like are typed again and again: what only a training or a monitor needs would double their time."""
    looks = [
        "evidence.operations",
        "overview.operations.history",
        "overview.operations.status",
        "predictions.operations",
    ]
    looks += ["releases.operations"]
    code = (
        f"import sys, importlib; [importlib.import_module('linewright.capabilities.' + look) for look in {looks}]; "
        f"print(sorted(set({COMPUTES}) & set(sys.modules)))"
    )
    printed = printed_by(code)

    assert "[]" == printed.strip()
