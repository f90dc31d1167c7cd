"""Print an example of each kind of fact as JSON: every field is there, with a value that its type allows.

Run by `make.py` with the code of any checkout, so it uses nothing of Linewright but the classes themselves.
"""

import importlib
import json
import pkgutil
import sys
from typing import Any

import msgspec
from msgspec import inspect

import linewright

SEAMS = ("Prediction", "Truth", "Serving", "Pointer")
"""Forms that are written outside the metadata store."""


def kinds() -> dict[str, type[msgspec.Struct]]:
    """Return the classes of all facts, by kind; those of the seams by name."""
    for room in pkgutil.walk_packages(linewright.__path__, "linewright."):
        if room.name.endswith(".facts") or room.name == "linewright.store.protocols":
            importlib.import_module(room.name)
    values = importlib.import_module("linewright.store.values")
    found = {
        str(each.__struct_config__.tag): each
        for base in (values.Result, values.Event)
        for each in _below(base)
        if ".testing." not in each.__module__
    }
    modules = [module for name, module in sys.modules.items() if _speaks(name)]
    named = {name: getattr(module, name) for module in modules for name in SEAMS if hasattr(module, name)}
    return dict(sorted({**found, **{name.lower(): each for name, each in named.items()}}.items()))


def _speaks(module: str) -> bool:
    return module.startswith("linewright.") and module.endswith((".facts", ".protocols"))


def _below(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    return [deeper for child in kind.__subclasses__() for deeper in (child, *_below(child))]


def example(kind: inspect.Type) -> Any:
    """Return JSON that a type allows, with every field and, in a list, every form of an item."""
    match kind:
        case inspect.StructType():
            tag = {} if kind.tag is None else {kind.tag_field: kind.tag}
            return tag | {field.encode_name: example(field.type) for field in kind.fields}
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return [example(each) for each in _forms(item)]
        case inspect.TupleType(item_types=items):
            return [example(item) for item in items]
        case inspect.DictType(key_type=key, value_type=value):
            return {example(key): example(value)}
        case inspect.UnionType():
            return example(_forms(kind)[0])
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1
        case inspect.FloatType():
            return 0.5
        case _:
            return "text"


def _forms(kind: inspect.Type) -> list[inspect.Type]:
    """Return the forms of a union without `None`, structs first."""
    forms = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    present = [each for each in forms if not isinstance(each, inspect.NoneType)]
    return sorted(present, key=lambda each: not isinstance(each, inspect.StructType))


if __name__ == "__main__":
    json.dump({name: example(inspect.type_info(kind)) for name, kind in kinds().items()}, sys.stdout)
