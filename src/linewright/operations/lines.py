"""Operations that make a factory and say what a line file may hold."""

from pathlib import Path
from typing import Any

import msgspec

from linewright.line.factory import Factory
from linewright.line.file.read import schema as line_schema
from linewright.operations.declaration.declare import operation


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A factory that is there now."""

    factory: str
    lines: tuple[str, ...]


@operation(permission="manage", effect="act", local=True, anywhere=True)
def init(factory: Factory, directory: Path = Path(), /) -> Made:
    """Make an empty factory in a folder.

    Parameters
    ----------
    directory
        The folder, made where it is missing; an existing factory is left as it is.
    """
    with Factory.create(factory.root / directory) as made:
        return Made(factory=str(made.root), lines=tuple(made.names()))


@operation(permission="view", effect="read", checks_lines=True, anywhere=True)
def schema(factory: Factory, section: str | None = None, /) -> dict[str, Any]:
    """Print the JSON Schema of the line file or of one of its sections.

    Parameters
    ----------
    section
        A section such as ``train`` or ``gates`` (default: the whole file).
    """
    del factory
    return line_schema(section)
