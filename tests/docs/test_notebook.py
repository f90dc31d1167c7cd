"""The notebook in docs/ is carried out: its code cells, one after the other, in one namespace, as a kernel does.

A kernel itself (ipykernel and what it brings, 30 packages) is no dependency; what it would show are the values of the last expressions.
"""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial" / "notebook.ipynb"


def carry_out(source: str, names: dict[str, Any], number: int) -> Any:
    """Run a cell, and return the value of its last line where that is an expression."""
    tree = ast.parse(source, f"cell {number}")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), names)  # noqa: S102 -- our own documentation
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307 -- as above


@pytest.mark.usefixtures("processes")
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """Whoever opens it runs all cells at once, and a cell that fails is the first thing that they see of us."""
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    values = [carry_out("".join(cell["source"]), names, number) for number, cell in enumerate(cells, 1)]
    shown = {type(value).__name__: value._repr_html_() for value in values if value is not None}
    broken = values[4]

    assert names["ran"].promoted
    assert (100, 0) == (names["answers"].rows, names["answers"].quarantined)
    assert (4, "column 'age': not integer: 'forty'") == broken.select("row", "reason").row(0)
    assert (100, 0, 0) == (values[5].accepted, values[5].repeated, values[5].unknown)
    assert {
        "NewLine",
        "RunInWords",
        "DataFrame",
        "FedBack",
        "Status",
        "Models",
        "CardPage",
        "Because",
    } == shown.keys()
    assert all(shown.values())
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
