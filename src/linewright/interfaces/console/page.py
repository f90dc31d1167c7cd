"""What a page is: an address, the right to see it, what it asks operations for, and the template that shows the answers."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from linewright.errors import LinewrightError, RequestError
from linewright.interfaces.console.fleet import Fleet
from linewright.model.task_facts import TaskFacts
from linewright.operations.declare import Operation, lines_named
from linewright.serve.access.rights import Identity, Permission

_PART = re.compile(r"\{([a-z_]+)\}")
MOST_TEXT = 500
"""Most characters of a value in an address."""


class Entry(NamedTuple):
    """An address of a page."""

    name: str
    path: str
    """Address; a part in braces is a value of the page."""
    permission: Permission
    """The right, on some line at least, without which nobody sees it; operations that it asks check theirs on their lines."""
    title: str
    """In the heading and in the browser's list; a name from `texts/`."""
    group: str = ""
    """Its group in the navigation; empty for pages that others lead to."""
    instead_of: str = ""
    """Name of a page in whose place in the navigation it stands, for those who may see the whole factory and not that page."""
    tab: str = ""
    """What the tab on the pages of a line says; empty for pages that have none."""
    fits: Callable[[TaskFacts], bool] | None = None
    """Of which tasks lines have that tab (default: of all)."""


def decides(task: TaskFacts) -> bool:
    """Whether models of a task decide about rows, so that their decisions are worth something."""
    return task.has_positive


def is_known_to_people(task: TaskFacts) -> bool:
    """Whether people can label rows of a task; of items and values only time says what comes."""
    return task.label not in {"items", "values"}


class Rows(NamedTuple):
    """Rows of a page that can be had as CSV."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str | float | None, ...]]


class Ask:
    """What a page asks: operations, each with the rights of the viewer."""

    def __init__(
        self,
        factory: Any,
        identity: Identity,
        operations: Mapping[str, Operation],
        fleet: Fleet | None = None,
    ) -> None:
        self.factory, self.identity, self._operations = factory, identity, operations
        self._fleet = fleet

    @property
    def status(self) -> Any:
        """How the lines stand that the viewer may see, as of a moment ago."""
        if self._fleet is None:
            return self("status")
        return self._fleet.seen_by(self.identity)

    def __call__(self, name: str, **arguments: Any) -> Any:
        """Run an operation that reads, and return its result."""
        operation = self._operations[name]
        if operation.writes or operation.expensive:
            raise TypeError(f"{name} is not asked while a page is made: it writes, or may take long")
        return self._carried_out(operation, arguments)

    def hold(self, name: str, **arguments: Any) -> Any:
        """Run an operation that changes nothing but what is held for the viewer for some minutes, such as their next question."""
        return self._carried_out(self._operations[name], arguments)

    def _carried_out(self, operation: Operation, arguments: Mapping[str, Any]) -> Any:
        values = operation.check(arguments)
        operation.authorize(self.identity, values)
        return operation.carry_out(self.factory, values)

    def of_lines(self, name: str, **arguments: Any) -> list[Any]:
        """Return the results of an operation that takes a line: one for the whole factory, or one for each line that somebody may see."""
        lines = self.identity.lines(self._operations[name].permission)
        return [self(name, line=line, **arguments) for line in ([None] if lines is None else sorted(lines))]

    def if_may(self, name: str, **arguments: Any) -> Any:
        """Return what `__call__` does; `None` if the viewer lacks the right."""
        lines = lines_named({key: value for key, value in arguments.items() if value})
        return self(name, **arguments) if self.may(name, *lines) else None

    def may(self, name: str, *lines: str) -> bool:
        """Whether they may ask for an operation on lines; on the whole factory if none is named."""
        operation = self._operations.get(name)
        if operation is None:
            return False
        if operation.checks_lines and not lines:
            return self.identity.allows_somewhere(operation.permission)
        return all(self.identity.allows(operation.permission, line) for line in lines or (None,))


Read = Callable[[Ask, Mapping[str, str]], Mapping[str, Any]]
"""Takes what may be asked and the values of the address, and returns what the template shows. It runs in a thread."""
Apart = Callable[[Mapping[str, str]], Mapping[str, tuple[str, Mapping[str, Any]]]]
"""Takes the values of the address, and returns the expensive operations that a page shows, by name, with their arguments as texts."""


def nothing(_ask: Ask, _values: Mapping[str, str]) -> Mapping[str, Any]:
    """Ask for nothing."""
    return {}


def none_apart(_values: Mapping[str, str]) -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    """Ask for nothing that is expensive."""
    return {}


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows."""

    at: tuple[Entry, ...]
    """Its addresses."""
    template: str
    """As ``CAPABILITY/FILE``, from the folder `templates` of the capability."""
    read: Read = nothing
    apart: Apart = none_apart
    is_live: bool = False
    query: tuple[str, ...] = ()
    fields: str = ""
    is_form: bool = False
    title: Callable[[Mapping[str, str]], str] | None = None


@dataclass(frozen=True)
class Route:
    """An address with its page."""

    entry: Entry
    page: Page

    @property
    def name(self) -> str:
        """Name of the page."""
        return self.entry.name

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its addresses match."""
        return re.compile(_PART.sub(r"(?P<\1>[^/]+)", self.entry.path))

    def values(self, path: Mapping[str, str], query: Mapping[str, list[str]]) -> dict[str, str]:
        """Return the values of an address; those of the query that it does not say are empty."""
        found = dict(path)
        for name, given in query.items():
            is_field = bool(self.page.fields) and name.startswith(self.page.fields)
            if not (is_field or name in self.page.query) or len(given) != 1:
                raise RequestError(
                    "not a value of this page",
                    where=self.entry.path,
                    found=name[:80],
                    allowed=", ".join(self.page.query) or "none",
                )
            found[name] = given[0]
        for name, value in found.items():
            if len(value) > MOST_TEXT:
                raise RequestError(
                    "too long", where=name, found=value[:80], allowed=f"{MOST_TEXT} characters"
                )
        return dict.fromkeys(self.page.query, "") | found


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is shown of a page: its template with values, or what went wrong."""

    route: Route | None
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    error: LinewrightError | None = None
    status: int = 200


Respond = Callable[[Shown], Awaitable[bytes]]
