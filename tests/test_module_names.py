"""What the source imports by name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
A_MODULE = re.compile(r"linewright(?:\.[\w*]+){2,}")


def strings_of(module: ast.Module) -> Iterator[str]:
    """Give the strings of a module, with a star for each value that is put into one."""
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield "".join(one.value if isinstance(one, ast.Constant) else "*" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_each_module_that_is_imported_by_its_name_is_there():
    """No type checker reads such a name: `linewright demo machines` ended with `ModuleNotFoundError` after a move."""
    names = {
        name
        for path in SOURCE.rglob("*.py")
        for name in strings_of(ast.parse(path.read_text()))
        if A_MODULE.fullmatch(name)
    }
    gone = {
        name
        for name in names
        if not any(
            found
            for ending in (".py", "/__init__.py")
            for found in SOURCE.glob(name.replace(".", "/") + ending)
        )
    }

    assert set() == gone
    assert "linewright.worlds.machines.*" in names
