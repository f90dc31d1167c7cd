"""The file `factory.yaml`, which makes a folder a factory."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from linewright.line.fit import fit_spec
from linewright.line.mistakes import EnoughError, Mistakes
from linewright.line.nodes import read_nodes, read_text
from linewright.spec import Spec

FACTORY_FILE = "factory.yaml"

_TEXT = """\
# A Linewright factory: its lines are declared in lines/, all state is in .linewright/.
format: 1
"""


class FactoryFile(Spec):
    """What `factory.yaml` says about the whole folder."""

    format: Literal[1]
    """Version of the folder's form."""
    about: str = ""
    """One sentence for people."""
    model_memory: Annotated[str, Field(pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")] | None = None
    """What the loaded models of all lines may take in all processes of the endpoint, e.g. ``2GiB``; ``--model-memory`` goes before
    it. `None` is half of the memory of the machine or control group."""


def read_factory_file(root: Path) -> FactoryFile:
    """Read the `factory.yaml` of a folder.

    Raises
    ------
    NotFound
        If there is none.
    SpecError
        If it is wrong; all mistakes are told, each with its place.
    """
    path = root / FACTORY_FILE
    mistakes = Mistakes(str(path))
    spec = None
    with suppress(EnoughError):
        nodes = read_nodes(read_text(path), mistakes)
        spec = fit_spec(FactoryFile, nodes, mistakes) if nodes else None
    mistakes.raise_if_any()
    assert spec is not None  # noqa: S101 -- without a mistake there is a spec
    return spec


def write_factory_file(root: Path) -> None:
    """Make a folder a factory; a `factory.yaml` that is there is left as it is."""
    root.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(
            os.open(root / FACTORY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w"
        ) as file:
            file.write(_TEXT)
    except FileExistsError:
        return
