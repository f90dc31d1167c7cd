"""Operations that make a factory, print a line file, and say what one may hold."""

from pathlib import Path
from typing import Any

import msgspec

from linewright.line.factory import Factory
from linewright.line.file.read import schema as line_schema
from linewright.line.file.read import site_text
from linewright.line.file.yaml_nodes import read_text
from linewright.line.personal import file_without_personal
from linewright.operations.declare import operation


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


class LineFile(msgspec.Struct, frozen=True, kw_only=True):
    """A line file as it is in force."""

    line: str
    path: str
    text: str


@operation(permission="view", effect="read")
def line_file(factory: Factory, line: str, /) -> LineFile:
    """Print the file of a line.

    Of a template, a member who may not see all its sites gets what it says about the site of this line.

    Parameters
    ----------
    line
        Name of the line.
    """
    path = factory.path_of(line)
    is_seen = all(factory.may("view", one) for one in factory.lines_of_file(line))
    text = read_text(path) if is_seen else site_text(path, line)
    text = file_without_personal(factory, line, text)
    return LineFile(line=line, path=str(path.relative_to(factory.root)), text=text)


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
