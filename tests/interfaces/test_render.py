"""What a person reads of a result is made at the rim: below it, results are values with fields."""

import ast
from importlib import import_module
from pathlib import Path

import linewright
from linewright.interfaces.cli.dispatch import renderer, renderers
from linewright.operations.table import CAPABILITIES

SOURCE = Path(linewright.__file__).parent
HOMES = [SOURCE.parent.joinpath(*each.home.split(".")) for each in CAPABILITIES]
RENDERERS = [
    file
    for home in HOMES
    for file in (*home.glob("render.py"), *home.glob("render/*.py"))
    if file.stem != "__init__"
]


def sayings(file):
    """Yield the methods of a file by which a value says itself."""
    text = file.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if "to_text" in text else ():
        if isinstance(node, ast.FunctionDef) and node.name == "to_text":
            yield f"{file.relative_to(SOURCE)}:{node.lineno}"


def test_values_do_not_say_themselves():
    """A sentence in a value is made again for each reader: a terminal, a notebook, a page, another language."""
    found = [one for file in sorted(SOURCE.rglob("*.py")) for one in sayings(file)]
    print(*found, sep="\n")

    assert [] == found


def test_each_result_finds_the_module_that_writes_it():
    """A capability declares which module writes which results, so that a command imports what its own result needs."""
    for module in renderers().values():
        import_module(module)
    undeclared = [
        f"{kind.__module__}.{kind.__name__}"
        for kind, writes in renderer.registry.items()
        if writes.__module__.startswith("linewright.") and kind is not object
        if writes.__module__ not in {kind.__module__, renderers().get(kind.__module__)}
    ]
    modules = {f"linewright.{'.'.join(one.relative_to(SOURCE).with_suffix('').parts)}" for one in RENDERERS}

    assert [] == undeclared
    assert modules == set(renderers().values())
