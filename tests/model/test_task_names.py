"""A task is one file plus its metrics: elsewhere its name is not asked for.

What is left: the table of tasks, and the objectives of LightGBM, of which two are called as tasks are.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import linewright

SOURCE = Path(linewright.__file__).parent
TASKS = SOURCE / "model" / "tasks"
NAMES = frozenset({"binary", "multiclass", "regression"})
MOST = 2


def is_named(part: ast.expr | None) -> bool:
    if isinstance(part, ast.Tuple | ast.List | ast.Set):
        return any(map(is_named, part.elts))
    return isinstance(part, ast.Constant) and part.value in NAMES


def asks_for_a_name(node: ast.AST) -> bool:
    """Tell whether a comparison, a case, a table of choices or a look into one has the name of a task."""
    match node:
        case ast.Compare():
            return any(map(is_named, [node.left, *node.comparators]))
        case ast.MatchValue():
            return is_named(node.value)
        case ast.Dict():
            return any(map(is_named, node.keys))
        case ast.Subscript():
            return is_named(node.slice)
        case _:
            return False


def found_in(file: Path) -> Iterator[str]:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)) if any(name in text for name in NAMES) else ():
        if isinstance(node, ast.expr | ast.pattern) and asks_for_a_name(node):
            yield f"{file.relative_to(SOURCE)}:{node.lineno}: {lines[node.lineno - 1].strip()}"


def test_few_places_ask_for_the_name_of_a_task():
    """Each of them is a place that whoever adds a task has to find; the rules of the task answer instead."""
    files = [file for file in sorted(SOURCE.rglob("*.py")) if TASKS not in file.parents]
    found = [one for file in files for one in found_in(file)]
    print(*found, sep="\n")

    assert len(found) <= MOST
