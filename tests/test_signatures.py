"""No function of ours takes more than ten arguments: what belongs together comes as one value."""

import ast
from collections.abc import Iterator
from pathlib import Path

import linewright

SOURCE = Path(linewright.__file__).parent
MOST = 10
LONGER = {
    (
        "capabilities",
        "new",
    ): "each is an option of the command and a keyword of Factory.new, which users write",
}
"""By room and name, those that stay longer, and why. The list only shrinks."""

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Where a statement holds others; a function stands in no expression, which most of a file are."""


def arguments_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the names that a caller fills: without those of `self` and `cls`."""
    own = node.args
    every = [*own.posonlyargs, *own.args, own.vararg, *own.kwonlyargs, own.kwarg]
    names = [one.arg for one in every if one is not None]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for file in sorted(SOURCE.rglob("*.py")):
        waiting: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield file.relative_to(SOURCE), node
            waiting += (below for part in BLOCKS for below in getattr(node, part, ()))


def test_no_signature_is_longer_than_ten_but_those_that_users_rely_on():
    """Names handed through one by one hide which of them are one thing, and each new one is added at every step."""
    longer: set[tuple[str, str]] = set()
    for file, node in functions():
        if len(names := arguments_of(node)) > MOST:
            print(f"{file}:{node.lineno}: {node.name}: {len(names)}: {', '.join(names)}")
            longer.add((file.parts[0], node.name))

    assert set(LONGER) == longer


def test_all_kinds_of_arguments_count():
    """A longer signature could hide behind a star."""
    (method,) = ast.parse("async def f(self, a, /, b, *c, d=1, **e): ...").body
    (function,) = ast.parse("def f(a, *, b): ...").body
    assert isinstance(method, ast.AsyncFunctionDef)
    assert isinstance(function, ast.FunctionDef)

    assert ["a", "b", "c", "d", "e"] == arguments_of(method)
    assert ["a", "b"] == arguments_of(function)
