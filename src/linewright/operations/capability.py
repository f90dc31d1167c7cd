"""What a capability declares of itself: names of its modules, none of which is imported before it is used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from linewright.operations.declare import Entry

START = "Start"
RUN = "Run a line"
USE = "Use its model"
LABEL = "Label predictions"
LOOK = "Look"
RELEASE = "Decide what serves"
CARE = "Take care of the factory"
PEOPLE = "People and programs"
GROUPS = (START, RUN, USE, LABEL, LOOK, RELEASE, CARE, PEOPLE)
"""Headings of the help, in its order."""


@dataclass(frozen=True)
class Capability:
    """Something that the factory can do, and the folder that has all of it.

    Modules are named from that folder on, such as ``".operations"``.
    """

    home: str
    """The package that declares it."""
    operations: Mapping[str, tuple[str, str, str]] = field(default_factory=dict[str, tuple[str, str, str]])
    """Name of each operation → its module, its heading in the help, and the first line of its docstring."""
    results: Mapping[str, str] = field(default_factory=dict[str, str])
    """Module of a result → the module that writes it for a terminal."""
    pages: str = ""
    """Module of the pages of the console; it has `PAGES`, and their templates are in ``templates/``."""
    background: tuple[str, ...] = ()
    """Threads of the process of the control plane, as ``".module:Class"``; each takes what opens a factory, and is closed at the end."""
    changes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Kind of a proposed change → the function that applies it, as ``".module:function"``."""

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Its operations, by name."""
        return {
            name: Entry(module=self.module(module), group=group, summary=summary)
            for name, (module, group, summary) in self.operations.items()
        }

    def module(self, name: str) -> str:
        """Return the whole name of a module."""
        return f"{self.home}{name}" if name.startswith(".") else name

    def load(self, name: str) -> Any:
        """Import what ``".module:name"`` says."""
        module, _, member = name.partition(":")
        return getattr(import_module(self.module(module)), member)
