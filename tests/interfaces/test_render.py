"""What a person reads of a result is made at the rim: below it, results are values with fields."""

import ast
import pkgutil
from importlib import import_module
from pathlib import Path

import linewright
from linewright.interfaces.cli import render
from linewright.interfaces.cli.render.dispatch import _SUBJECTS, renderer

SOURCE = Path(linewright.__file__).parent


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


def test_each_result_finds_the_module_that_says_it():
    """The table of subjects is read before the module is imported, so that a command imports what its result needs."""
    prefix = f"{render.__name__}."
    modules = [one for one in pkgutil.walk_packages(render.__path__, prefix) if not one.ispkg]
    subjects = [one.name.removeprefix(prefix) for one in modules if one.name != f"{prefix}dispatch"]
    for subject in subjects:
        import_module(f"{render.__name__}.{subject}")
    missed = [
        f"{kind.__module__}.{kind.__name__}"
        for kind, says in renderer.registry.items()
        if says.__module__ in {f"{render.__name__}.{subject}" for subject in subjects}
        and says.__module__ != f"{render.__name__}.{_SUBJECTS.get(kind.__module__)}"
    ]

    assert [] == missed
    assert sorted(set(_SUBJECTS.values())) == sorted(subjects)
