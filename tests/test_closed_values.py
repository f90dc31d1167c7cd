"""Tables of words by a closed value have all of its values."""

import ast
import enum
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

import linewright

SRC = Path(linewright.__file__).parent


def modules() -> Iterator[tuple[Any, ast.Module]]:
    """Give each module of the product that can be imported here, with its syntax tree."""
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC.parent).with_suffix("").parts
        if parts[-1] == "__main__":
            continue
        name = ".".join(parts).removesuffix(".__init__")
        try:
            yield importlib.import_module(name), ast.parse(path.read_text(), str(path))
        except ModuleNotFoundError as error:  # of a plugin, what it drives
            if (error.name or "").startswith("linewright"):
                raise


def indexed(tree: ast.Module) -> set[str]:
    """Return the names that a module indexes by something that it computes: what lacks there is a `KeyError`."""
    return {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and isinstance(node.ctx, ast.Load)
        and not isinstance(node.slice, ast.Constant)
    }


def bare_tables(tree: ast.Module) -> set[str]:
    """Return the names of a module's tables that say no type."""
    return {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and node.value.keys
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def values_of(kind: Any) -> frozenset[Any]:
    """Return the values of a closed type; none where it is open."""
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return frozenset(kind)
    if get_origin(kind) is Literal:
        return frozenset(get_args(kind))
    return frozenset()


def lacking(name: str, annotation: Any, table: Any) -> str | None:
    """Return what a table lacks of the values of its keys' type."""
    arguments = get_args(annotation)
    missing = values_of(arguments[0]) - table.keys() if arguments else frozenset()
    return f"{name}: {', '.join(sorted(map(str, missing)))}" if missing else None


@pytest.mark.usefixtures("processes")
def test_a_table_by_a_closed_value_has_all_of_them():
    """A value that its table lacks is a crash on the day on which it first comes, in the middle of what somebody reads."""
    found, checked = list[str](), 0
    for module, tree in modules():
        used = indexed(tree)
        for name, annotation in vars(module).get("__annotations__", {}).items():
            table = vars(module).get(name)
            if name in used and isinstance(table, Mapping) and get_args(annotation):
                checked += bool(values_of(get_args(annotation)[0]))
                if (wrong := lacking(f"{module.__name__}.{name}", annotation, table)) is not None:
                    found.append(wrong)

    assert [] == found
    assert checked > 20


@pytest.mark.usefixtures("processes")
def test_a_table_without_a_type_has_all_values_of_the_one_that_its_keys_are_of():
    """A table whose keys nobody has typed is checked too: where all of them are values of one closed type, the others lack."""
    read = list(modules())
    closed = {
        name: values_of(value)
        for module, _ in read
        for name, value in vars(module).items()
        if len(values_of(value)) > 2
    }
    found = list[str]()
    for module, tree in read:
        for name in indexed(tree) & bare_tables(tree):
            keys = vars(module)[name].keys()
            kinds = {one: values for one, values in closed.items() if keys <= values}
            if kinds and not any(keys == values for values in kinds.values()):
                found.append(f"{module.__name__}.{name} {sorted(keys)}: {', '.join(sorted(kinds))}")

    assert [] == found


@pytest.mark.parametrize(("table", "told"), [({"a": 1}, "t: b"), ({"a": 1, "b": 2}, None)])
def test_what_a_table_lacks_is_named(table, told):
    """The rule can be broken."""
    assert told == lacking("t", Mapping[Literal["a", "b"], int], table)
